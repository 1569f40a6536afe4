"""Deletes from inboxes what a newer publication made superfluous: the one before it of the same topic, or what it
withdraws.

Nobody waits for this: an edge does not show what is superfluous, deleted or not. What is skipped here, because the
notifier died or had too much to do, takes room and no more.

**One out for each one in**, never more: so the number of publications after any position does not fall, and an edge
that counts fewer than an inbox may hold knows that none was pushed out (``whimbrel.edge.core.recovery``).
"""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple
from zlib import crc32

from whimbrel.notifier.core.composition import Publication
from whimbrel.notifier.core.inbox import Place
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import TOPIC, read_head
from whimbrel.runtime import jetstream
from whimbrel.runtime.delivery import header
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection

AT_ONCE: Final = 8  # deletions, of different inboxes; each takes about as long as a publication
MAX_WAITING: Final = 1000  # for each of these; beyond, the superfluous one stays
MAX_KNOWN: Final = 50_000  # topics whose newest publication is remembered, some 15 MB; others are searched for
PAGE: Final = 200  # messages of one inbox per read
NOT_FOUND: Final = 10043  # JetStream's: deleted before, or pushed out


class _Stored(NamedTuple):
    channel: Channel
    place: Place
    sequence: int


class Removals:
    """Follows what the publisher stored in inboxes."""

    def __init__(self, bus: Connection, reads: DirectGet, log: Logger, *, partitions: int) -> None:
        self.removed = 0
        self.skipped = 0
        self._bus = bus
        self._reads = reads
        self._log = log
        self._partitions = partitions
        self._waiting: list[asyncio.Queue[_Stored]] = [asyncio.Queue(MAX_WAITING) for _ in range(AT_ONCE)]
        self._known: OrderedDict[tuple[Channel, str], tuple[int, ...]] = OrderedDict()

    def stored(self, publication: Publication, sequence: int) -> None:
        """Take note that ``publication`` is stored under ``sequence`` of its stream."""
        place, channel = publication.place, publication.channel
        if place is None or channel is None or not place.supersedes:
            return
        try:
            # One inbox is one queue's: its publications are seen in their order.
            self._waiting[crc32(str(channel).encode()) % AT_ONCE].put_nowait(_Stored(channel, place, sequence))
        except asyncio.QueueFull:
            self.skipped += 1

    async def run(self) -> None:
        """Delete as it comes. Ends when cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for waiting in self._waiting:
                tasks.create_task(self._follow(waiting))

    async def _follow(self, waiting: "asyncio.Queue[_Stored]") -> None:
        while True:
            stored = await waiting.get()
            try:
                await self._make_room(stored)
            except (BusFault, JetStreamRefused) as fault:
                self.skipped += 1
                self._log.warning("removal.skipped", channel=str(stored.channel), reason=str(fault))

    async def _make_room(self, stored: _Stored) -> None:
        channel, place, sequence = stored
        if place.withdraws_event:
            for superfluous in (await self._before(stored))[:1]:
                await self._delete(channel, superfluous)
            return
        key = channel, place.topic or place.withdraws_topic
        older = self._known.pop(key, None)
        if older is None:
            older = tuple(await self._before(stored))
        newer = tuple(each for each in older if each > sequence)  # of another partition, acknowledged before this one
        older = tuple(each for each in older if each < sequence)
        self._known[key] = (*older[1:], *((sequence,) if place.topic else ()), *newer)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        for superfluous in older[:1]:
            await self._delete(channel, superfluous)

    async def _delete(self, channel: Channel, sequence: int) -> None:
        stream = subjects.history_stream(subjects.partition_of(channel, self._partitions))
        try:
            # Not overwritten with zeros as well: that rewrites a block of the stream, at seven times the cost.
            await jetstream.request(self._bus, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
            self.removed += 1
        except JetStreamRefused as refusal:
            if refusal.err_code != NOT_FOUND:
                raise

    async def _before(self, stored: _Stored) -> list[int]:
        """Return the sequences of what ``stored`` makes superfluous, oldest first."""
        channel, place, sequence = stored
        stream = subjects.history_stream(subjects.partition_of(channel, self._partitions))
        subject = subjects.stored_subject(channel, self._partitions)
        found: list[int] = []
        start = 1
        while True:
            page = await self._reads.batch(stream, subject, start, PAGE)
            found += [each.seq for each in page.messages if each.seq < sequence and _is_superfluous(each, place)]
            if not page.messages or not page.pending or page.messages[-1].seq >= sequence:
                return found
            start = page.messages[-1].seq + 1

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.labelled(
            "whimbrel_notifier_removals_total",
            "Superfluous messages of inboxes: removed, or left where they are not shown (skipped).",
            "counter",
            ("outcome",),
            lambda: {("removed",): self.removed, ("skipped",): self.skipped},
        )


def _is_superfluous(stored: Stored, place: Place) -> bool:
    if place.withdraws_event:
        # Not the newest of a topic: what it took the place of may be left, and would be back.
        return (
            header(stored.headers, TOPIC) is None and read_head(stored.payload).get("event_id") == place.withdraws_event
        )
    return header(stored.headers, TOPIC) == (place.topic or place.withdraws_topic)
