"""Reads of the history streams: heads, everything after a position, the newest, pages of history.

All reads are direct gets on literal subjects, over connections of their own: they run inside the server's connection
loop and must not hold up live delivery. A direct get may be answered by a follower that lags a few milliseconds.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from itertools import cycle
from typing import Any, Final, NamedTuple

from whimbrel.edge.core.recovery import Complete, NeedsBounds, StreamBounds, Unrecoverable, chained, judge
from whimbrel.edge.core.ring import Run, Stored
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.limits import RECOVERY_BYTES, RECOVERY_LIMIT
from whimbrel.protocol.publications import encode_body, is_body
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import BusFault, JetStreamRefused, LayoutFault
from whimbrel.runtime.jetstream import Layout
from whimbrel.runtime.nats import Connection

PAGE: Final = 200  # publications per request: a longer one would hold up the server's connection loop
HEADS_PER_REQUEST: Final = 500  # the server refuses over 1024 subjects
BOUNDS_PACE_S: Final = 0.03  # between two questions to a leader, 0.3 ms of its CPU each: in a storm, one per client
STALE_TRIES: Final = 8  # a follower catches up within some 20 ms; the waits add up to 0.4–2 s
STALE_ROUNDS: Final = 3  # … and it has a leader from which to do so: one that lags after that is not well
STALE_WAIT_S: Final = 0.25
# Stands for a stray message that is no publication, so that the channel's offsets stay without a gap.
UNREADABLE: Final = encode_body("whimbrel.unreadable", "", "", b"null")
TROUBLE: Final = (BusFault, JetStreamRefused, LayoutFault)  # what a read may raise: try again later
SLACK: Final = 50  # publications that a search for the newest may read too many, to save requests

Read = list[tuple[int, bytes, bytes]]  # (sequence, body, trace)


class Head(NamedTuple):
    """Where a channel ends. Not ``published``: it has no publication up to ``offset``, the stream's own end."""

    offset: int
    published: bool


class Streams:
    """Reads through ``readers`` in turn; epochs and bounds are asked for over ``control``."""

    def __init__(self, layout: Layout, control: Connection, readers: Sequence[DirectGet]) -> None:
        self.layout = layout
        self._control = control
        self._readers = cycle(readers)
        self._reading: dict[tuple[Channel, int], asyncio.Future[Complete | Unrecoverable]] = {}
        self._bounds_asked: dict[str, asyncio.Future[StreamBounds]] = {}  # by stream, the latest request
        self._bounds_asked_at: dict[str, float] = {}  # loop's time
        self._bounds_to_ask: dict[str, asyncio.Future[StreamBounds]] = {}  # … and the one behind it
        self._known: dict[int, str] = {}  # per partition, a stored subject that exists
        self.reads = 0
        self.publications = 0

    def epoch(self, channel: Channel) -> str:
        """Return the epoch of ``channel``'s history."""
        return self.layout.epochs[self.partition(channel)]

    async def refresh_epochs(self) -> None:
        """Learn the epochs anew, e.g. after a reconnect: the streams may have been lost and declared again.

        Raises BusFault, JetStreamRefused, LayoutFault.
        """
        self.layout = await jetstream.layout(self._control)

    # Heads

    async def heads(self, channels: Sequence[Channel]) -> dict[Channel, Head]:
        """Return where each channel ends. Raises BusFault, JetStreamRefused."""
        by_partition: dict[int, list[Channel]] = defaultdict(list)
        for channel in channels:
            by_partition[self.partition(channel)].append(channel)
        parts = [
            self._heads_in(partition, members[start : start + HEADS_PER_REQUEST])
            for partition, members in by_partition.items()
            for start in range(0, len(members), HEADS_PER_REQUEST)
        ]
        return {channel: head for part in await asyncio.gather(*parts) for channel, head in part.items()}

    async def _heads_in(self, partition: int, channels: Sequence[Channel]) -> dict[Channel, Head]:
        stream = subjects.history_stream(partition)
        stored = {channel: subjects.stored_subject(channel, self.layout.partitions) for channel in channels}
        wanted = list(stored.values())
        # The reply tells the stream's end only if some subject matches: one that exists is asked for along with the
        # others, for the end must be as old as the heads, and another request may reach another server.
        if known := self._known.get(partition):
            wanted.append(known)
        found = await next(self._readers).multi_last(stream, wanted)
        for _ in range(STALE_TRIES):
            if found.up_to is not None:
                break
            last = await next(self._readers).last(stream, subjects.history_filter(partition))
            if last is None:
                # Purged, or all of it too old: its end is still where clients must come back to. Only the leader's word
                # that nothing is stored is one about these channels too.
                bounds = await self.bounds(channels[0])
                if bounds.empty:
                    return dict.fromkeys(channels, Head(bounds.last, False))
                await asyncio.sleep(STALE_WAIT_S * random.uniform(0.2, 1.0))  # the replica lags behind its leader
            else:
                self._known[partition] = last.subject
                wanted = [*stored.values(), last.subject]
            found = await next(self._readers).multi_last(stream, wanted)
        up_to = found.up_to or 0
        return {
            channel: Head(found.messages[subject].seq, True) if subject in found.messages else Head(up_to, False)
            for channel, subject in stored.items()
        }

    # Everything after a position

    async def since(self, channel: Channel, position: int, *, reach: Callable[[], int]) -> Complete | Unrecoverable:
        """Return everything after ``position``, at least up to the offset that ``reach`` gives when it was read.

        Where no replica shows it, the leader must say that it has it: while one is being elected nobody knows, and that
        raises. Raises BusFault, JetStreamRefused.
        """
        collected = Run()
        for _ in range(STALE_ROUNDS):
            for _ in range(STALE_TRIES):
                verdict = await self._after(channel, position)
                if isinstance(verdict, Unrecoverable):
                    return verdict
                # The run that was read goes to all who share the read as it is, and is encoded once.
                collected = Run((*collected, *verdict.publications)) if collected else verdict.publications
                if collected:
                    position = collected[-1].offset
                if position >= reach():
                    return Complete(collected)
                await asyncio.sleep(STALE_WAIT_S * random.uniform(0.2, 1.0))
            heard = reach()  # before the leader is asked: it has that, or has lost it
            if (await self.bounds(channel)).last < heard:
                return Unrecoverable("ahead")
        return Unrecoverable("stale")

    async def _after(self, channel: Channel, position: int) -> Complete | Unrecoverable:
        """Read what follows ``position``; whoever wants the same meanwhile shares the read, as all do after a cut."""
        key = channel, position
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.ensure_future(self._read_after(channel, position))
            reading.add_done_callback(partial(self._read_ended, key))
        return await asyncio.shield(reading)

    def _read_ended(self, key: tuple[Channel, int], reading: "asyncio.Future[Complete | Unrecoverable]") -> None:
        del self._reading[key]
        _heed(reading)

    async def _read_after(self, channel: Channel, position: int) -> Complete | Unrecoverable:
        read, pending = await self._read(channel, position, RECOVERY_LIMIT + 1)
        verdict = judge(position, read, pending, None)
        if isinstance(verdict, NeedsBounds):
            verdict = judge(position, read, pending, await self.bounds(channel))
        assert not isinstance(verdict, NeedsBounds)
        return verdict

    async def bounds(self, channel: Channel) -> StreamBounds:
        """Return the first and last sequence of the stream that keeps ``channel``, from its leader, as of some moment
        after the call. Who asks while a request is under way, or right after one, shares the next: a storm costs few.

        Raises BusFault, JetStreamRefused.
        """
        return await asyncio.shield(self.ask_bounds(channel))

    def ask_bounds(self, channel: Channel) -> "asyncio.Future[StreamBounds]":
        """Begin to ask as ``bounds`` does. The future is shared: await it shielded."""
        stream = self._stream(channel)
        following = self._bounds_to_ask.get(stream)
        if following is None:
            following = asyncio.ensure_future(self._ask_bounds(stream, self._bounds_asked.get(stream)))
            self._bounds_to_ask[stream] = following
            following.add_done_callback(_heed)
        return following

    async def _ask_bounds(self, stream: str, before: "asyncio.Future[StreamBounds] | None") -> StreamBounds:
        if before is not None:
            await asyncio.wait([before])
        loop = asyncio.get_running_loop()
        if (wait_s := self._bounds_asked_at.get(stream, -BOUNDS_PACE_S) + BOUNDS_PACE_S - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._bounds_asked_at[stream] = loop.time()
        self._bounds_asked[stream] = self._bounds_to_ask.pop(stream)
        info = await jetstream.request(self._control, f"STREAM.INFO.{stream}")
        return StreamBounds(info["state"]["first_seq"], info["state"]["last_seq"])

    async def _read(self, channel: Channel, start: int, limit: int) -> tuple[Read, int]:
        """Return up to ``limit`` publications from sequence ``start`` on, and how many are left."""
        stream, subject = self._stream(channel), subjects.stored_subject(channel, self.layout.partitions)
        read: Read = []
        size = 0
        while True:
            page = await next(self._readers).batch(stream, subject, start, min(PAGE, limit - len(read)))
            read += [(each.seq, each.payload if is_body(each.payload) else UNREADABLE, b"") for each in page.messages]
            size += sum(len(each.payload) for each in page.messages)
            self.reads += 1
            self.publications += len(page.messages)
            if not page.messages or not page.pending or len(read) >= limit or size > RECOVERY_BYTES:
                return read, page.pending
            start = read[-1][0] + 1

    async def all_after(self, channel: Channel, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield offset and body of everything retained after ``offset``, oldest first.

        Raises BusFault, JetStreamRefused.
        """
        stream, subject = self._stream(channel), subjects.stored_subject(channel, self.layout.partitions)
        while True:
            page = await next(self._readers).batch(stream, subject, offset + 1, PAGE)
            self.reads += 1
            for each in page.messages:
                yield each.seq, each.payload if is_body(each.payload) else UNREADABLE
            if not page.messages or not page.pending:
                return
            offset = page.messages[-1].seq

    # History

    async def newest(self, channel: Channel, count: int) -> list[Stored]:
        """Return the ``count`` newest publications, oldest first. Raises BusFault."""
        return await self._window(channel, count, 0)

    async def before(self, channel: Channel, offset: int, count: int) -> list[Stored]:
        """Return the ``count`` publications right before ``offset``, oldest first. Raises BusFault."""
        _, newer = await self._count(channel, offset)
        window = await self._window(channel, count, newer)
        return [each for each in window if each.offset < offset]

    async def after(self, channel: Channel, offset: int, count: int) -> list[Stored]:
        """Return the first ``count`` publications after ``offset``. Raises BusFault."""
        read, _ = await self._read(channel, offset, count + 1)
        anchored = bool(read) and read[0][0] == offset
        return chained(read[1:] if anchored else read, offset if anchored else 0)[:count]

    async def _window(self, channel: Channel, count: int, skipped: int) -> list[Stored]:
        """Return ``count`` publications that have ``skipped`` newer ones behind them."""
        if count == 0:
            return []
        wanted = count + 1 + skipped  # one more, for it is the first one's `prev`
        low, total = await self._count(channel, 0)
        start = low
        high = (await self.heads([channel]))[channel].offset
        while total > wanted + SLACK and low < high:
            middle = (low + high + 1) // 2
            _, left = await self._count(channel, middle)
            if left >= wanted:
                start, total, low = middle, left, middle
            else:
                high = middle - 1
        read, _ = await self._read(channel, start, max(total - skipped, 0))
        publications = chained(read, 0)
        return publications[-count:] if len(publications) > count else publications

    async def _count(self, channel: Channel, start: int) -> tuple[int, int]:
        """Return the first publication's sequence from ``start`` on, and how many there are from there; (start, 0)
        for none.
        """
        stream, subject = self._stream(channel), subjects.stored_subject(channel, self.layout.partitions)
        page = await next(self._readers).batch(stream, subject, start, 1)
        return (page.messages[0].seq, page.pending + 1) if page.messages else (start, 0)

    def partition(self, channel: Channel) -> int:
        """Return the partition of ``channel``."""
        return subjects.partition_of(channel, self.layout.partitions)

    def _stream(self, channel: Channel) -> str:
        return subjects.history_stream(self.partition(channel))


def _heed(reading: "asyncio.Future[Any]") -> None:
    """Take note of a fault of which nobody may hear: everybody who wanted the answer may be gone."""
    if not reading.cancelled():
        reading.exception()
