"""One connection that speaks HTTP with the edge: how long it is waited for, and how its requests are answered."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

from whimbrel.edge.core.heartbeat import Slot
from whimbrel.edge.shell.door import POST_HEADERS, Composed
from whimbrel.edge.shell.httpwire import Refusal, Request, answer, cors_headers, problem
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.poll import Poll
from whimbrel.edge.shell.refusals import OUR_FAULT
from whimbrel.runtime.serving import KEEP_ALIVE_S

NEVER: Final = math.inf
LINGER_S: Final = 2.0  # for a client who is still sending what was refused: a reset would take the answer from it


class Phase(Enum):
    """What is done with the connection."""

    IDLE = auto()  # nothing of the next request has come
    READING = auto()
    ANSWERING = auto()  # a poll, or an upgrade whose token is being checked; what comes behind it waits
    ENDED = auto()  # handed over, refused or gone


_IDLE: Final = Phase.IDLE


class Visit(asyncio.Protocol, ABC):
    """What a request's reader leaves to it: time, answers, and the end."""

    __slots__ = (
        "_before",
        "_buffer",
        "_due",
        "_head",
        "_origin",
        "_phase",
        "_poll",
        "_request",
        "_stalled",
        "pod",
        "slot",
        "transport",
    )

    transport: asyncio.Transport  # from ``connection_made`` on

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.slot: Slot | None = None
        self._phase = Phase.READING
        self._buffer = b""  # what came and is not served yet
        self._due = 0.0  # when patience ends; the wheel may come earlier
        self._head = b""  # of the request before, which most repeat byte for byte, where the client goes on
        self._request: Request | None = None  # whose body is still coming, or which is being answered
        self._poll: Poll | None = None
        self._before: Poll | None = None  # the poll with that head which was answered last
        self._origin: str | None = None
        self._stalled = False  # the client does not take its answers

    @abstractmethod
    def _advance(self) -> None:
        """Read and serve what has come."""

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        self._phase = Phase.ENDED
        self.pod.sockets -= 1
        self.pod.wheel.discard(self)
        self._forget_before()
        if self._poll is not None:
            self._poll.cancel()

    def hand_over(self) -> bytes:
        """Leave the connection to another protocol, and return what came behind the request."""
        self._phase = Phase.ENDED
        self.pod.wheel.discard(self)
        self._forget_before()
        rest, self._buffer = self._buffer, b""
        return rest

    @property
    def gone(self) -> bool:
        """Whether the client left meanwhile, or was refused."""
        return self._phase is Phase.ENDED

    def _forget_before(self) -> None:
        if self._before is not None:
            self._before.cancel()
            self._before = None

    # Patience

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

    def _wait(self, seconds: float) -> None:
        self.wait_until(self.pod.now() + seconds)

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

    # Steps

    def _guarded(self, step: Callable[..., object], *arguments: Any) -> None:
        try:
            step(*arguments)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception as error:  # a fault of ours must cost one connection, not the loop
            self.pod.log.exception("connection.failed", error)
            self.failed()

    def failed(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        if self._phase is Phase.ENDED:
            self.transport.abort()
        else:
            self.refuse(OUR_FAULT)

    def admit(self) -> None:
        """Count the request as a connect. Raises Refusal (429, 503)."""
        assert self._request is not None
        admission = self.pod.admission
        forwarded = self._request.headers.get(admission.forwarded_header, ())
        admission.connect(self.transport.get_extra_info("peername"), forwarded, now=self.pod.now())

    # Answers

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
        if not self._head or self._buffer or self.pod.draining:
            self.reply(HTTPStatus.OK, composed.body, POST_HEADERS)
            return
        # As ``_answer``, with nothing to look up. The wheel comes earlier, for no poll waits longer than that.
        data = composed.whole(self._origin)
        self._before, self._poll, self._request = self._poll, None, None
        self._phase = _IDLE
        self._due = composed.at + KEEP_ALIVE_S
        self.pod.counters.bytes_out += len(data)
        self.transport.write(data)

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
