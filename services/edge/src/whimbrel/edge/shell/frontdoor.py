"""The front door: the first protocol of every connection to the edge.

It reads the head of each request, in time and within bounds. The hot paths (``/v1/ws``, ``/v1/sse`` and ``/v1/poll``)
it serves itself; any other request goes, bytes replayed, to uvicorn's own protocol, which serves FastAPI on the same
port and gives the connection back after its answer. uvicorn's classes cost 274 µs per WebSocket and 271 µs per poll
before any of our code runs; this costs about 26 and 13. What the front door does not understand it never half-handles:
it hands over or refuses.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from whimbrel.edge.shell import arrivals
from whimbrel.edge.shell.backoffice import BackOffice
from whimbrel.edge.shell.handshake import Upgrade, check_origin
from whimbrel.edge.shell.httpwire import MAX_HEAD_BYTES, Refusal, Request, read_head
from whimbrel.edge.shell.intervalpoll import IntervalPoll
from whimbrel.edge.shell.longpoll import LongPoll
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.visit import NEVER, Phase, Visit
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.limits import MAX_BODY_BYTES

HOT: Final = tuple(
    f"{method} {path}{end}".encode()
    for method, path in (
        ("GET", "/v1/ws"),
        ("GET", "/v1/sse"),
        ("POST", "/v1/sse"),
        ("GET", "/v1/poll"),
        ("HEAD", "/v1/poll"),
        ("POST", "/v1/poll"),
    )
    for end in (" ", "?")
)
_IDLE: Final = Phase.IDLE
_ANSWERING: Final = Phase.ANSWERING
MAX_PIPELINED_BYTES: Final = MAX_HEAD_BYTES + MAX_BODY_BYTES  # sent behind a request that is not answered yet
MAX_REPEATED_HEAD_BYTES: Final = 4 * 1024  # kept with each connection that polls; longer ones are read every time


class FrontDoor(Visit):
    """Reads a request and decides who serves it."""

    __slots__ = ("_body_bytes", "_repeated", "app_state", "config", "server_state")

    def __init__(self, pod: Pod, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(pod)
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self._repeated: Request | None = None  # what the head before said
        self._body_bytes = 0  # of the request with that head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client ``request_timeout_s`` for its request."""
        pod, self.transport = self.pod, cast(asyncio.Transport, transport)
        pod.sockets += 1
        if pod.sockets > pod.settings.max_sockets:  # no answer: it would cost more than it is worth
            pod.counters.refused["reset"] += 1
            self._phase = Phase.ENDED
            self.transport.abort()
            return
        self._due = pod.now() + pod.settings.request_timeout_s
        pod.wheel.schedule(self, self._due)

    def take_back(self, data: bytes) -> None:
        """Go on with the connection behind an answer of uvicorn's."""
        self._phase = Phase.IDLE
        self.data_received(data)

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Take bytes until they make a request, then serve it."""
        if self._before is not None:
            if self._phase is _IDLE and not self._buffer and self._repeats(data):
                return
        elif self._phase is Phase.READING and self._request is None and not self._buffer:
            asked = self.pod.upgrades.recall(data)
            if asked is not None:
                self._request = asked.request
                self._guarded(self._upgrade, asked)
                return
        if self._phase is Phase.ENDED:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._phase is not Phase.ANSWERING and not self._stalled:
            self._guarded(self._advance)
        elif len(self._buffer) > MAX_PIPELINED_BYTES:
            self.transport.pause_reading()

    def _repeats(self, data: bytes) -> bool:
        """Take a poll that differs from the one before in its body alone, as most do; False where it is another."""
        head, poll = self._head, self._before
        size = len(head)
        if poll is None or len(data) != size + self._body_bytes or not data.startswith(head) or self._stalled:
            return False
        try:
            if not poll.again(data[size:]):
                return False
        except Refusal:
            return False  # told in the ordinary way
        except Exception as error:  # a fault of ours must cost one connection, not the loop
            self.pod.log.exception("connection.failed", error)
            poll.cancel()
            self.failed()
            return True
        self._phase = _ANSWERING
        self._request = self._repeated
        self._poll = poll
        return True

    def _advance(self) -> None:
        while self._phase in (Phase.IDLE, Phase.READING) and self._buffer and not self._stalled:
            if not self._read():
                if self._phase is Phase.IDLE and (self._buffer or self._request is not None):
                    self._phase = Phase.READING
                    self._wait(self.pod.settings.request_timeout_s)
                return
            assert self._request is not None
            self._serve(self._request)

    def _read(self) -> bool:
        """Read the head, then the body; False while more must come, or where the connection was handed over."""
        if self._request is None and self._head and self._buffer.startswith(self._head):
            self._request = self._repeated
            self._buffer = self._buffer[len(self._head) :]
        if self._request is None:
            self._buffer = self._buffer.lstrip(b"\r\n")  # RFC 9112 §2.2: some send them behind a body
            if not self._buffer[:1].isupper():
                if not self._buffer:
                    return False
                raise Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, "this is a port for HTTP/1.1, without TLS")
            end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
            if end < 0:
                if len(self._buffer) >= MAX_HEAD_BYTES:
                    why = f"a request's head has at most {MAX_HEAD_BYTES} bytes"
                    raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode.TOO_LARGE, why)
                return False
            if not self._buffer.startswith(HOT):
                self._to_office()
                return False
            head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
            self._request, self._body_bytes = read_head(head)
            self._origin = check_origin(self._request, self.pod.settings.allowed_origins)
            repeats = len(head) <= MAX_REPEATED_HEAD_BYTES and self._request.keep_alive
            # Never the head of one request with the length or the origin of another.
            self._head, self._repeated = (head, self._request) if repeats else (b"", None)
            self._forget_before()
        if len(self._buffer) < self._body_bytes:
            return False
        self._request.body, self._buffer = self._buffer[: self._body_bytes], self._buffer[self._body_bytes :]
        return True

    def _to_office(self) -> None:
        request = self.hand_over()
        office = BackOffice(self)
        self.transport.set_protocol(office)
        office.connection_made(self.transport)
        office.data_received(request)

    # Serve

    def _serve(self, request: Request) -> None:
        self._phase = Phase.ANSWERING
        self._due = NEVER
        if request.path == "/v1/ws":
            self._upgrade(self.pod.upgrades.read(request, self._head))
        elif request.path == "/v1/sse":
            arrivals.open_stream(self, request)
        else:
            self._forget_before()
            if self.pod.full and not self.pod.draining:
                raise arrivals.overloaded("the pod serves as many clients as it may")
            kind = LongPoll if request.method == "POST" else IntervalPoll
            self._poll = kind(self.pod, self, request)
            self._poll.begin(request.bearer)

    def _upgrade(self, asked: Upgrade) -> None:
        self._phase = Phase.ANSWERING
        self._due = NEVER
        self._origin = asked.request.header("origin")
        arrivals.upgrade(self, asked)
