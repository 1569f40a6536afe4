"""The back office: uvicorn's protocol, for a request that is not hot.

It serves FastAPI on the same port; behind its answer the connection goes back to the front door. uvicorn has no timer
for a request that comes slowly: the pod's wheel is one.
"""

import asyncio
from typing import Any, Protocol, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from whimbrel.edge.core.heartbeat import Slot
from whimbrel.edge.shell.pod import Pod


class Door(Protocol):
    """Where the connection came in, and goes back to."""

    pod: Pod
    config: Config
    server_state: ServerState
    app_state: dict[str, Any]

    def take_back(self, data: bytes) -> None:
        """Go on with the connection; ``data`` begins its next request."""


class BackOffice(HttpToolsProtocol):
    """uvicorn's side of one connection, until its answer is written."""

    def __init__(self, door: Door) -> None:
        super().__init__(door.config, door.server_state, door.app_state)
        self.door = door
        self.slot: Slot | None = None
        self._whole = False  # the request was read to its end: what follows is another one, not its body

    def on_message_begin(self) -> None:
        """Give the client ``request_timeout_s`` for the rest."""
        self._whole = False
        pod = self.door.pod
        pod.wheel.schedule(self, pod.now() + pod.settings.request_timeout_s)
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is here."""
        self._whole = True
        self.door.pod.wheel.discard(self)
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Give the client ``stuck_s`` to take its answer."""
        self.door.pod.wheel.schedule(self, self.door.pod.now() + self.door.pod.settings.stuck_s)
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client has taken it."""
        self.door.pod.wheel.discard(self)
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes of this request, or give those of the next one back."""
        if self._whole and self.cycle.response_complete and not self.pipeline:
            self._unset_keepalive_if_required()
            self.connections.discard(self)
            self.parser = cast(Any, None)  # the parser and this object know each other: a cycle otherwise
            self.transport.set_protocol(cast(asyncio.Protocol, self.door))
            self.door.take_back(data)
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.door.pod.wheel.discard(self)
        self.door.pod.sockets -= 1
        super().connection_lost(exc)

    def tick(self, *, now: float) -> None:
        """No whole request came in time, or the answer was not taken."""
        self.transport.abort()
