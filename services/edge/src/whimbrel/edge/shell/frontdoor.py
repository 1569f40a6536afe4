"""The front door: the first protocol of every connection to the edge.

It reads the head of each request, in time and within bounds. The hot paths (``/v1/ws``, ``/v1/sse`` and ``/v1/poll``)
it serves itself; any other request goes, bytes replayed, to uvicorn's own protocol, which serves FastAPI on the same
port and gives the connection back after its answer. uvicorn's classes cost 274 µs per WebSocket and 271 µs per poll
before any of our code runs; this costs about 26 and 13. What the front door does not understand it never half-handles:
it hands over or refuses.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from whimbrel.edge.core.heartbeat import Slot
from whimbrel.edge.shell import arrivals
from whimbrel.edge.shell.backoffice import BackOffice
from whimbrel.edge.shell.door import POST_HEADERS, Composed
from whimbrel.edge.shell.handshake import Upgrade, check_origin
from whimbrel.edge.shell.httpwire import MAX_HEAD_BYTES, Refusal, Request, answer, cors_headers, problem, read_head
from whimbrel.edge.shell.intervalpoll import IntervalPoll
from whimbrel.edge.shell.longpoll import LongPoll
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.poll import Poll
from whimbrel.edge.shell.refusals import OUR_FAULT
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.limits import MAX_BODY_BYTES
from whimbrel.runtime.serving import KEEP_ALIVE_S

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
MAX_PIPELINED_BYTES: Final = MAX_HEAD_BYTES + MAX_BODY_BYTES  # sent behind a request that is not answered yet
NEVER: Final = math.inf
MAX_REPEATED_HEAD_BYTES: Final = 4 * 1024  # kept with each connection that polls; longer ones are read every time
LINGER_S: Final = 2.0  # for a client who is still sending what was refused: a reset would take the answer from it


class Phase(Enum):
    """What the front door does with a connection."""

    IDLE = auto()  # nothing of the next request has come
    READING = auto()
    ANSWERING = auto()  # a poll, or an upgrade whose token is being checked; what comes behind it waits
    ENDED = auto()  # handed over, refused or gone


class FrontDoor(asyncio.Protocol):
    """Reads a request and decides who serves it."""

    __slots__ = (
        "_before",
        "_body_bytes",
        "_buffer",
        "_due",
        "_head",
        "_origin",
        "_phase",
        "_poll",
        "_repeated",
        "_request",
        "_stalled",
        "app_state",
        "config",
        "pod",
        "server_state",
        "slot",
        "transport",
    )

    transport: asyncio.Transport  # from ``connection_made`` on

    def __init__(self, pod: Pod, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.pod = pod
        self.slot: Slot | None = None
        self._phase = Phase.READING
        self._buffer = b""
        self._due = 0.0  # when patience ends; the wheel may come earlier
        self._head = b""  # of the request before, which most repeat byte for byte
        self._repeated: Request | None = None  # what it says
        self._request: Request | None = None  # whose body is still coming, or which is being answered
        self._body_bytes = 0  # of the request with that head
        self._poll: Poll | None = None
        self._before: Poll | None = None  # the poll with that head which was answered last
        self._origin: str | None = None
        self._stalled = False  # the client does not take its answers

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

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._phase = Phase.ENDED
        self.pod.sockets -= 1
        self.pod.wheel.discard(self)
        self._forget_before()
        if self._poll is not None:
            self._poll.cancel()

    def _forget_before(self) -> None:
        if self._before is not None:
            self._before.cancel()
            self._before = None

    def tick(self, *, now: float) -> None:
        """Patience may be at its end: with a poll that waits, or a client of whom no whole request came, who does not
        take the answer, or who does not end after a refusal.
        """
        if now < self._due:
            if self._due < NEVER:
                self.pod.wheel.schedule(self, self._due)
        elif self._poll is not None:
            self._poll.tick()
        else:
            self.transport.abort()

    def wait_until(self, at: float) -> None:
        """Call the poll's ``tick`` at ``at``."""
        self._due = at
        self.pod.wheel.bring_forward(self, at)

    def pause_writing(self) -> None:
        """Serve nothing more to who does not take what was answered, and give up after ``stuck_s``."""
        self._stalled = True
        self._wait(self.pod.settings.stuck_s)

    def resume_writing(self) -> None:
        """Go on with what came meanwhile."""
        self._stalled = False
        if self._phase is Phase.IDLE:
            self._wait(KEEP_ALIVE_S)
            self.transport.resume_reading()
            self._guarded(self._advance)

    def _wait(self, seconds: float) -> None:
        self.wait_until(self.pod.now() + seconds)

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Take bytes until they make a request, then serve it."""
        if self._phase is Phase.READING and not self._buffer and (asked := self.pod.upgrades.recall(data)) is not None:
            self._request = asked.request
            self._guarded(self._upgrade, asked)
            return
        if self._before is not None and self._phase is Phase.IDLE and not self._buffer and self._repeats(data):
            return
        if self._phase is Phase.ENDED:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._phase is not Phase.ANSWERING and not self._stalled:
            self._guarded(self._advance)
        elif len(self._buffer) > MAX_PIPELINED_BYTES:
            self.transport.pause_reading()

    def _guarded(self, step: Callable[..., object], *arguments: Any) -> None:
        try:
            step(*arguments)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception as error:  # a fault of ours must cost one connection, not the loop
            self.pod.log.exception("connection.failed", error)
            self.failed()

    def _repeats(self, data: bytes) -> bool:
        """Take a poll that differs from the one before in its body alone, as most do; False where it is another."""
        head = self._head
        poll = self._before
        if not data.startswith(head) or len(data) != len(head) + self._body_bytes or self._stalled:
            return False
        assert poll is not None
        try:
            if not poll.again(data[len(head) :]):
                return False
        except Refusal:
            return False  # told in the ordinary way
        except Exception as error:  # a fault of ours must cost one connection, not the loop
            self.pod.log.exception("connection.failed", error)
            poll.cancel()
            self.failed()
            return True
        self._phase = Phase.ANSWERING
        self._request = self._repeated
        self._poll = poll
        return True

    def _advance(self) -> None:
        while self._phase in (Phase.IDLE, Phase.READING) and self._buffer and not self._stalled:
            if not self._read():
                if self._phase is Phase.IDLE and self._buffer:
                    self._phase = Phase.READING
                    self._wait(self.pod.settings.request_timeout_s)
                return
            assert self._request is not None
            self._serve(self._request)

    def failed(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        if self._phase is Phase.ENDED:
            self.transport.abort()
        else:
            self.refuse(OUR_FAULT)

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
            short = len(head) <= MAX_REPEATED_HEAD_BYTES
            # Never the head of one request with the length or the origin of another.
            self._head, self._repeated = (head, self._request) if short else (b"", None)
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
            if self.pod.full and not self.pod.draining:
                raise arrivals.overloaded("the pod serves as many clients as it may")
            self._forget_before()
            kind = LongPoll if request.method == "POST" else IntervalPoll
            self._poll = kind(self.pod, self, request)
            self._poll.begin(request.bearer)

    def _upgrade(self, asked: Upgrade) -> None:
        self._phase = Phase.ANSWERING
        self._due = NEVER
        self._origin = asked.request.header("origin")
        arrivals.upgrade(self, asked)

    def admit(self) -> None:
        """Count the request as a connect. Raises Refusal (429, 503)."""
        assert self._request is not None
        admission = self.pod.admission
        forwarded = self._request.headers.get(admission.forwarded_header, ())
        admission.connect(self.transport.get_extra_info("peername"), forwarded, now=self.pod.now())

    @property
    def gone(self) -> bool:
        """Whether the client left meanwhile, or was refused."""
        return self._phase is Phase.ENDED

    def hand_over(self) -> bytes:
        """Leave the connection to another protocol, and return what came behind the request."""
        self._phase = Phase.ENDED
        self.pod.wheel.discard(self)
        self._forget_before()
        rest, self._buffer = self._buffer, b""
        return rest

    # Answer

    def cors(self) -> dict[str, str]:
        """Return the headers that let the page of the request read the answer."""
        return cors_headers(self._origin)

    def reply(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer the request."""
        assert self._request is not None
        keep_alive = self._request.keep_alive and not self.pod.draining
        data = answer(status, body, {**headers, **self.cors()}, keep_alive=keep_alive)
        self._answer(data[: len(data) - len(body)] if self._request.method == "HEAD" else data, keep_alive)

    def repeat(self, composed: Composed) -> None:
        """Answer the request as many others are answered."""
        request = self._request
        assert request is not None
        if self._origin is None and request.keep_alive and not self.pod.draining:
            self._answer(composed.whole(), True)
        else:
            self.reply(HTTPStatus.OK, composed.body, POST_HEADERS)

    def _answer(self, data: bytes, keep_alive: bool) -> None:
        if self._head and keep_alive:
            self._before = self._poll
        elif self._poll is not None:
            self._poll.cancel()
        self._request = self._poll = None
        self.pod.counters.bytes_out += len(data)
        self.transport.write(data)
        if not keep_alive:
            self._phase = Phase.ENDED
            self.transport.close()
            self._wait(self.pod.settings.stuck_s)
            return
        self._phase = Phase.IDLE
        if self._stalled:
            return
        self._wait(KEEP_ALIVE_S)
        self.transport.resume_reading()
        if self._buffer:
            self.pod.loop.call_soon(self._guarded, self._advance)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error and close: what follows a refused request is not trusted."""
        self.pod.counters.refused[refusal.code.slug] += 1
        self._phase = Phase.ENDED
        self._request = self._poll = None
        self._buffer = b""
        self.transport.write(problem(refusal, self.cors(), keep_alive=False))
        if self.transport.can_write_eof():  # not with TLS: there the client goes by `connection: close`
            self.transport.write_eof()
        self.transport.resume_reading()
        self._wait(LINGER_S)
