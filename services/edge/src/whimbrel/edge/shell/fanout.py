"""The hot path: from a publication in a ring to the sockets.

Each publication was encoded once. Everything that one read of the bus brought for one channel is joined into one
message, framed once, and written once per subscriber: by its bound ``transport.write`` (uvloop writes to the kernel at
once: one system call per delivery, nothing queued), or past the transports where there are many (``direct``). A stream
of events gets the same publications as a ``Batch``, also made once, to which it adds its cursor. Joining adds no delay:
while a fan-out runs, the next publications wait in the bus's socket. Fan-outs over 1,000 subscribers yield to the loop
between slices, so that a large channel does not hold up the small ones; their audience is the one of the moment in
which the publications entered the ring.

Figures: ``make bench``, docs/explanation/performance.md.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry.trace import Tracer

from whimbrel.edge.core.events import Batch
from whimbrel.edge.core.hub import NO_FRAMES, Hub, LiveChannel
from whimbrel.edge.core.subscription import join
from whimbrel.edge.shell.direct import WORTH_IT, DirectWrites
from whimbrel.edge.shell.metrics import Counters
from whimbrel.runtime import traces
from whimbrel.runtime.metrics import Doublings, Histogram, Metrics

BATCH_BUCKETS: Final = 11  # up to 2,047
LAG_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
SLICE: Final = 1000  # writes between two turns of the loop: 5 ms with a second processor, else 9
ANSWERS: Final = 1000  # to polls between two turns of the loop: about 10 ms
MAX_QUEUED: Final = 4096  # frames of one channel; beyond, a fan-out stops yielding
_TEXT: Final = 0x81  # FIN, text


def text_message(message: bytes) -> bytes:
    """Return ``message`` as one unmasked WebSocket text message (RFC 6455 §5.2)."""
    size = len(message)
    if size < 126:
        return b"%c%c%b" % (_TEXT, size, message)
    if size < 65_536:
        return b"%c%c%b%b" % (_TEXT, 126, size.to_bytes(2, "big"), message)
    return b"%c%c%b%b" % (_TEXT, 127, size.to_bytes(8, "big"), message)


class Fanout:
    """Flushes what the hub marked."""

    def __init__(self, hub: Hub, tracer: Tracer, counters: Counters) -> None:
        self._hub = hub
        self._direct = DirectWrites(hub)
        self._counters = counters
        self._tracer = tracer
        self._backlogs: dict[LiveChannel, _Backlog] = {}  # on their way to large audiences: WebSockets …
        self._streams: dict[LiveChannel, _Backlog] = {}  # … and streams of events
        self._answering = False
        self.on_flushed: list[Callable[[int], None]] = []  # called with the bytes of all frames
        self.deliveries = 0  # writes to sockets; one may carry several publications
        self.publications = 0
        self.batches = Doublings(BATCH_BUCKETS)
        self.lag = Histogram(LAG_BOUNDS_S)
        self.stored_at = 0.0  # Unix s, of a publication among the pending ones that was picked to be timed

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.counter("whimbrel_edge_deliveries_total", "Messages written to sockets.", lambda: self.deliveries)
        metrics.counter(
            "whimbrel_edge_publications_total", "Publications that went through the pod.", lambda: self.publications
        )
        metrics.expose_histogram(
            "whimbrel_edge_batch_publications", "Publications of one channel written in one go.", self.batches
        )
        metrics.expose_histogram(
            "whimbrel_edge_bus_lag_seconds",
            "Seconds from the stream's timestamp until a publication was written to sockets, four samples a second.",
            self.lag,
        )

    def flush(self) -> None:
        """Write everything that is pending to everybody concerned."""
        dirty = self._hub.dirty
        if not dirty:
            return
        self._hub.dirty = {}
        size = 0
        for live in dirty:
            frames, live.pending = live.pending, NO_FRAMES
            number = len(frames)
            self.publications += number
            live.delivered += number
            size += len(frames[0]) if number == 1 else sum(map(len, frames))
            if number:
                self.batches.observe(number)
            if live.traces:
                self._flush_traced(live, frames)
            elif frames:
                self._write(live, frames)
            if live.waiters:
                self._hub.wake(live, frames)
        if self.stored_at:
            self.lag.observe(max(0.0, time.time() - self.stored_at))  # the clocks may differ
            self.stored_at = 0.0
        if self._hub.woken and not self._answering:
            self._answering = True
            asyncio.get_running_loop().call_soon(self._answer)
        for heed in self.on_flushed:
            heed(size)

    async def settled(self, live: LiveChannel) -> None:
        """Return once everything that is on its way to the audiences of ``live`` now is written: within one round."""
        for backlogs in (self._backlogs, self._streams):
            backlog = backlogs.get(live)
            if backlog is not None:
                end = backlog.taken
                while backlog.taken - backlog.queued < end:  # noqa: ASYNC110  # an event of each round would cost all
                    await asyncio.sleep(0)  # the next slice's turn

    def _answer(self) -> None:
        """Answer the polls that wait: those who asked the same get the same bytes."""
        turn: dict[Any, Any] = {}
        for waiter in self._hub.next_woken(ANSWERS):
            waiter.answer(turn)
        self._answering = bool(self._hub.woken)
        if self._answering:
            asyncio.get_running_loop().call_soon(self._answer)

    def _flush_traced(self, live: LiveChannel, frames: list[bytes]) -> None:
        sampled, live.traces = live.traces, ()
        links = [trace.decode() for trace in sampled]
        with traces.messaging_span(
            self._tracer, "deliver", live.channel.namespace, parent=links[0], links=links[1:]
        ) as span:
            span.set_attribute("whimbrel.subscribers", len(live.audience) + len(live.following))
            self._write(live, frames)

    def _write(self, live: LiveChannel, frames: list[bytes]) -> None:
        audience = live.audience
        if len(audience) == 1 == len(frames) and live not in self._backlogs:  # as with most users' own channels
            data = text_message(frames[0])
            try:  # noqa: SIM105  # a context manager would cost as much as the write
                audience[0](data)
            except RuntimeError:  # as in ``_write_to_all``
                pass
            self.deliveries += 1
            self._counters.bytes_out += len(data)
        elif audience:
            self._spread(self._backlogs, live, frames, audience, _messages)
        if live.followers is not None:
            self._spread(self._streams, live, [Batch(live.name, live.epoch, frames)], live.following, list)

    def _spread(
        self,
        backlogs: "dict[LiveChannel, _Backlog]",
        live: LiveChannel,
        parts: list[Any],
        audience: Sequence[Callable[[Any], None]],
        compose: Callable[[list[Any]], list[Any]],
    ) -> None:
        backlog = backlogs.get(live)
        if backlog is not None:
            backlog.append(parts, audience)
            if backlog.queued > MAX_QUEUED:
                self._run_out(backlog)
        elif len(audience) > SLICE:
            backlog = backlogs[live] = _Backlog(compose, self._write_part)
            backlog.append(parts, audience)
            self._advance(backlogs, live)
        else:
            messages = compose(parts)
            for message in messages:
                self._write_part(audience, message, 0, len(audience))
            self.deliveries += len(messages) * len(audience)
            self._counters.bytes_out += _size(messages) * len(audience)

    def _write_part(self, audience: Sequence[Callable[[Any], None]], data: Any, start: int, stop: int) -> None:
        if len(audience) >= WORTH_IT and isinstance(data, bytes):
            self._direct.write(audience, data, start, stop)
        else:
            _write_to_all(audience[start:stop], data)

    def _advance(self, backlogs: "dict[LiveChannel, _Backlog]", live: LiveChannel) -> None:
        backlog = backlogs[live]
        self._write_slice(backlog)
        if backlog.done:
            del backlogs[live]
        else:
            asyncio.get_running_loop().call_soon(self._advance, backlogs, live)

    def _run_out(self, backlog: "_Backlog") -> None:
        # Not yielding any more keeps the loop from reading the bus: the server holds what we cannot write yet.
        while not backlog.done:
            self._write_slice(backlog)

    def _write_slice(self, backlog: "_Backlog") -> None:
        writes, size = backlog.write_slice()
        self.deliveries += writes
        self._counters.bytes_out += size


def _messages(frames: list[bytes]) -> list[bytes]:
    return [text_message(message) for message in join(frames)]


def _size(messages: Sequence[object]) -> int:
    """Return the bytes of what goes to a WebSocket; streams of events count theirs."""
    return sum(len(message) for message in messages if isinstance(message, bytes))


class _Backlog:
    """What one channel brought on its way to a large audience; ``compose`` makes the messages.

    The slices of the audience take turns, and each gets in its turn, joined, all that came since its turn before: a
    publication reaches everybody within one round, where it would take up to two if it waited for the next to begin.
    ``taken`` counts the parts since it began.
    """

    __slots__ = ("_audience", "_behind", "_compose", "_composed", "_parts", "_queue", "_turn", "_write", "taken")

    def __init__(
        self,
        compose: Callable[[list[Any]], list[Any]],
        write: Callable[[Sequence[Callable[[Any], None]], Any, int, int], None],
    ) -> None:
        self.taken = 0
        self._compose = compose
        self._write = write
        self._queue: deque[tuple[list[Any], Sequence[Callable[[Any], None]]]] = deque()  # for other audiences, later
        self._audience: Sequence[Callable[[Any], None]] = ()
        self._parts: list[Any] = []  # that not all of the audience have, oldest first
        self._behind: deque[int] = deque()  # how many of them each slice lacks, from the one whose turn is next
        self._turn = 0
        self._composed: tuple[int, list[Any]] = (0, [])  # of so many of the newest parts; most slices lack the same

    @property
    def done(self) -> bool:
        """Whether everything was written to everybody."""
        return not self._parts and not self._queue

    @property
    def queued(self) -> int:
        """How many parts are not written to everybody."""
        return len(self._parts) + sum(len(parts) for parts, _ in self._queue)

    def append(self, parts: list[Any], audience: Sequence[Callable[[Any], None]]) -> None:
        """Have ``parts`` written to ``audience``, behind those before them."""
        self.taken += len(parts)
        if self.done:
            self._begin(parts, audience)
        elif self._queue and self._queue[-1][1] is audience:
            self._queue[-1][0].extend(parts)
        elif self._queue or self._audience is not audience:
            self._queue.append((parts, audience))
        else:
            self._add(parts)

    def _begin(self, parts: list[Any], audience: Sequence[Callable[[Any], None]]) -> None:
        self._audience = audience
        self._behind = deque([0] * -(-len(audience) // SLICE))
        self._turn = 0
        self._add(parts)

    def _add(self, parts: list[Any]) -> None:
        self._parts += parts
        self._behind = deque(behind + len(parts) for behind in self._behind)
        self._composed = (0, [])

    def write_slice(self) -> tuple[int, int]:
        """Write to the slice whose turn it is; return the number of writes, and of bytes to WebSockets."""
        behind = self._behind.popleft()
        if self._composed[0] != behind:
            self._composed = (behind, self._compose(self._parts[-behind:]))
        messages = self._composed[1]
        start = self._turn * SLICE
        stop = min(start + SLICE, len(self._audience))
        for data in messages:
            self._write(self._audience, data, start, stop)
        self._behind.append(0)
        self._turn = (self._turn + 1) % len(self._behind)
        del self._parts[: len(self._parts) - self._behind[0]]  # whose turn is next lacks the most
        if not self._parts and self._queue:
            self._begin(*self._queue.popleft())
        return (stop - start) * len(messages), (stop - start) * _size(messages)


def _write_to_all(audience: Sequence[Callable[[Any], None]], data: object) -> None:
    writes = iter(audience)
    while True:
        try:
            for write in writes:
                write(data)
            return
        except RuntimeError:  # uvloop: this socket was lost since it was counted in; the others follow
            continue
