"""The front door: the first protocol of every connection to the edge.

It serves the two hot paths itself (``/v1/ws`` and ``/v1/poll``) and hands every other request, bytes replayed, to
uvicorn's own protocol, which serves FastAPI on the same port and hands hot requests back. uvicorn's classes cost 274 µs
per WebSocket and 271 µs per poll before any of our code runs; this costs about 26 and 13. What the front door does not
understand it never half-handles: it hands over or refuses.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from whimbrel.edge.core.effects import Identified, Rejected
from whimbrel.edge.shell import handshake
from whimbrel.edge.shell.httpwire import MAX_HEAD_BYTES, Refusal, Request, answer, problem, read_head
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.poll import OUR_FAULT, Poll, refuse
from whimbrel.edge.shell.websocket import WebSocket
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.limits import MAX_BODY_BYTES

HOT: Final = (b"GET /v1/ws", b"GET /v1/poll", b"POST /v1/poll")
MAX_PIPELINED_BYTES: Final = MAX_HEAD_BYTES + MAX_BODY_BYTES  # sent behind a poll that still waits
RETRY_MS: Final = 2000
EXPOSED: Final = "ETag, Retry-After"


def is_hot(data: bytes) -> bool | None:
    """Tell whether a request that begins with ``data`` is the front door's; None where it is too early to say."""
    undecided = False
    for prefix in HOT:
        if data.startswith(prefix):
            if len(data) == len(prefix):
                undecided = True
            elif data[len(prefix)] in b" ?":
                return True
        elif prefix.startswith(data):
            undecided = True
    return None if undecided else False


class Building:
    """What a connection needs to move between the front door and uvicorn: one per listening server."""

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
        return FrontDoor(self, config, server_state, app_state)


class BackOffice(HttpToolsProtocol):
    """uvicorn's protocol for whatever is not hot; a hot request on the same connection goes back to the front door."""

    def __init__(self, door: "FrontDoor") -> None:
        super().__init__(door.config, door.server_state, door.app_state)
        self.building = door.building

    def data_received(self, data: bytes) -> None:
        """Take bytes; between two requests the next one may be hot."""
        cycle = cast(RequestResponseCycle | None, self.cycle)  # declared without the None that it starts as
        idle = cycle is None or cycle.response_complete
        if idle and not self.pipeline and is_hot(data) is not False:
            self._unset_keepalive_if_required()
            self.connections.discard(self)
            self.parser = cast(Any, None)  # the parser and this object know each other: a cycle otherwise
            door = FrontDoor(self.building, self.config, self.server_state, self.app_state)
            self.transport.set_protocol(door)
            door.connection_made(self.transport)
            door.data_received(data)
            return
        super().data_received(data)


class FrontDoor(asyncio.Protocol):
    """Reads a request and decides who serves it."""

    __slots__ = (
        "_body_bytes",
        "_buffer",
        "_closing",
        "_origin",
        "_poll",
        "_request",
        "app_state",
        "building",
        "config",
        "pod",
        "server_state",
        "transport",
    )

    def __init__(
        self, building: Building, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self.building = building
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.pod = building.pod
        self.transport = cast(asyncio.Transport, None)
        self._buffer = b""
        self._request: Request | None = None  # whose body is still coming, or which is being answered
        self._body_bytes = 0
        self._poll: Poll | None = None
        self._origin: str | None = None
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client ``request_timeout_s`` for its request."""
        self.transport = cast(asyncio.Transport, transport)
        self._await_request()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._closing = True
        self.pod.wheel.discard(self)
        if self._poll is not None:
            self._poll.cancel()

    def tick(self, *, now: float) -> None:
        """No whole request came in time."""
        self.transport.abort()

    def _await_request(self) -> None:
        self.pod.wheel.schedule(self, self.pod.now() + self.pod.settings.request_timeout_s)

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Take bytes until they make a request, then serve it."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._poll is not None:  # what comes behind a poll is kept until that is answered
            if len(self._buffer) > MAX_PIPELINED_BYTES:
                self.transport.pause_reading()
            return
        self._advance()

    def _advance(self) -> None:
        try:
            while self._buffer and self._poll is None and not self._closing:
                if not self._read():
                    return
                request, self._request = self._request, None
                assert request is not None
                self._serve(request)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception as error:  # a fault of ours must cost one connection, not the loop
            self.pod.log.exception("connection.failed", error)
            self._failed()

    def _failed(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        self._refuse(OUR_FAULT)

    def _read(self) -> bool:
        """Read the head, then the body; False while more must come, or where the connection was handed over."""
        if self._request is None:
            hot = is_hot(self._buffer)
            if hot is False:
                self._hand_over()
                return False
            end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
            if end < 0:
                if len(self._buffer) >= MAX_HEAD_BYTES:
                    why = f"a request's head has at most {MAX_HEAD_BYTES} bytes"
                    raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode.TOO_LARGE, why)
                return False
            head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
            self._request, self._body_bytes = read_head(head)
            self._origin = handshake.check_origin(self._request, self.pod.settings.allowed_origins)
        if len(self._buffer) < self._body_bytes:
            return False
        self._request.body, self._buffer = self._buffer[: self._body_bytes], self._buffer[self._body_bytes :]
        return True

    def _hand_over(self) -> None:
        self.pod.wheel.discard(self)
        self._closing = True
        office = BackOffice(self)
        self.transport.set_protocol(office)
        office.connection_made(self.transport)
        buffer, self._buffer = self._buffer, b""
        office.data_received(buffer)

    # Serve

    def _serve(self, request: Request) -> None:
        self.pod.wheel.discard(self)
        if request.path == "/v1/ws":
            self._upgrade(request)
        else:
            if self.pod.full and not self.pod.draining:
                raise _overloaded("the pod serves as many clients as it may")
            poll = Poll(self.pod, request, self._reply, self._refuse)
            self._request = request
            self._poll = poll
            poll.begin(request.bearer)

    def _upgrade(self, request: Request) -> None:
        if self.pod.full:
            raise _overloaded("the pod is leaving" if self.pod.draining else "the pod holds as many clients as it may")
        accepted = handshake.accept(request)
        if any(name == "ticket" for name, _ in request.parameters()):
            why = "this edge takes no tickets; send `connect` with a token"
            raise Refusal(HTTPStatus.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, why)
        if "authorization" in request.headers:
            self._closing = True  # nothing more is read by this protocol
            self.pod.spawn(self._upgrade_identified(request.bearer, accepted), self._failed)
        else:
            self._become_websocket(accepted, None)

    async def _upgrade_identified(self, token: str | None, accepted: bytes) -> None:
        if token is None:
            outcome: Identified | Rejected = Rejected(
                CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "the Authorization header must be `Bearer <token>`"
            )
        else:
            outcome = await self.pod.gatekeeper.identify(token, None, now=self.pod.now())
        if self.transport.is_closing():
            return
        if isinstance(outcome, Rejected):
            self._refuse(refuse(outcome))
        else:
            self._become_websocket(accepted, outcome)

    def _become_websocket(self, accepted: bytes, presented: Identified | None) -> None:
        self.transport.write(accepted)
        socket = WebSocket(self.pod, self.transport, presented)
        self.transport.set_protocol(socket)
        self._closing = True
        rest, self._buffer = self._buffer, b""
        if rest:
            socket.data_received(rest)

    # Answer

    def _cors(self) -> dict[str, str]:
        if self._origin is None:
            return {}
        return {
            "access-control-allow-origin": self._origin,
            "access-control-expose-headers": EXPOSED,
            "vary": "Origin",
        }

    def _reply(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        assert self._request is not None
        keep_alive = self._request.keep_alive and not self.pod.draining
        self._request = self._poll = None
        if self._closing:
            return
        self.transport.write(answer(status, body, {**headers, **self._cors()}, keep_alive=keep_alive))
        if not keep_alive:
            self._closing = True
            self.transport.close()
            return
        self.transport.resume_reading()
        self._await_request()
        if self._buffer:
            self.pod.loop.call_soon(self._advance)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with an error and close: what follows a refused request is not trusted."""
        self._request = self._poll = None
        self._closing = True
        self.pod.wheel.discard(self)
        self.pod.counters.refused[str(refusal.status.value)] += 1
        self.transport.write(problem(refusal, self._cors(), keep_alive=False))
        self.transport.close()


def _overloaded(why: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, CloseCode.OVERLOADED, why, retry_ms=RETRY_MS)
