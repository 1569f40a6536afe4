"""The building that the front door belongs to: what uvicorn takes for its HTTP protocol."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from whimbrel.edge.shell.frontdoor import FrontDoor
from whimbrel.edge.shell.pod import Pod


class Building:
    """Makes the protocol of each connection that a listening server takes."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        """Return the protocol of a new connection, as uvicorn calls its ``http`` class."""
        return FrontDoor(self.pod, config, server_state, app_state)
