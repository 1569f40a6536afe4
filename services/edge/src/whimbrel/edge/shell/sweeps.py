"""Sweeps: what the pod holds is compared with the streams, for no later publication may come to reveal a gap.

Of all channels after each reconnect and once a minute; of those of one stream when it has a new leader, for one that
died may have stored what it did not republish; of a new channel a second after it was opened. Every time is jittered:
all pods hear of the same restart.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from whimbrel.edge.core.hub import Hub, LiveChannel
from whimbrel.edge.core.recovery import Unrecoverable
from whimbrel.edge.shell.bus import Bus
from whimbrel.edge.shell.errands import Errands
from whimbrel.edge.shell.streams import TROUBLE
from whimbrel.protocol import subjects
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection, Delivery

SWEEP_S: Final = 60.0
RECHECK_S: Final = 1.0  # within that, interest in a new subject has reached every server of a cluster
RETRY_S: Final = 0.25
LEADER_LOOKS_S: Final = (0.5, 2.0)  # after an election: the other replicas, which answer reads too, may lag behind
SLICE: Final = 2_000  # channels compared at once: naming them takes some 4 ms of the loop


class Sweeps:
    """Compares, and has the bus fill what the live path missed."""

    def __init__(self, bus: Bus, hub: Hub, live: Connection, log: Logger) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter({("reconnect",): 0, ("leader",): 0, ("minute",): 0})
        self._bus = bus
        self._streams = bus.streams
        self._hub = hub
        self._log = log
        self._now = asyncio.Event()
        self._elected: set[int] = set()  # partitions that have a new leader
        self._errands = Errands(log, "bus.task_failed")
        self._unchecked: list[LiveChannel] = []  # just opened, to be compared once more
        bus.on_opened.append(self._on_opened)
        live.on_connected.append(self._now.set)
        live.attach(subjects.LEADER_ELECTED, self._on_leader)

    async def run(self) -> None:
        """Sweep after each reconnect and once a minute, jittered. Ends when cancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(SWEEP_S * random.uniform(0.5, 1.5)):
                        await self._now.wait()
                except TimeoutError:
                    pass
                self.counts["reconnect" if self._now.is_set() else "minute",] += 1
                await self._sweep()
        finally:
            self._errands.cancel()

    async def _sweep(self) -> None:
        self._now.clear()
        try:
            await self._streams.refresh_epochs()
            await self._compare([live for live in self._hub.channels.values() if live.opened])
        except TROUBLE as error:
            self._log.warning("bus.sweep_delayed", error=str(error))
            asyncio.get_running_loop().call_later(RETRY_S * (1 + random.random()), self._now.set)

    def _on_opened(self, lives: Sequence[LiveChannel]) -> None:
        if not self._unchecked:
            self._errands.send(self._recheck())
        self._unchecked += lives

    async def _recheck(self) -> None:
        await asyncio.sleep(RECHECK_S * random.random())  # what is opened meanwhile comes along
        lives, self._unchecked = self._unchecked, []
        await asyncio.sleep(RECHECK_S)
        await self._compare_or_sweep(lives)

    # Elections

    def _on_leader(self, advisory: Delivery) -> None:
        partition = subjects.history_of_advisory(advisory.subject)
        if partition is not None:
            if not self._elected:
                self._errands.send(self._look_after_elections())
            self._elected.add(partition)

    async def _look_after_elections(self) -> None:
        """Compare the channels of streams with new leaders, all together: a server that dies led many."""
        looks = 0
        while looks < len(LEADER_LOOKS_S):
            known = len(self._elected)
            await asyncio.sleep(LEADER_LOOKS_S[looks] * random.uniform(0.5, 1.5))
            looks = looks + 1 if len(self._elected) == known else 0
            self.counts["leader",] += 1
            lives = [live for live in self._hub.channels.values() if live.opened and live.durable]
            await self._compare_or_sweep(
                [each for each in lives if self._streams.partition(each.channel) in self._elected]
            )
        self._elected.clear()

    # Comparing

    async def _compare_or_sweep(self, lives: Sequence[LiveChannel]) -> None:
        """Compare ``lives``; while the streams cannot be read, leave it to a sweep of all, which is repeated."""
        try:
            await self._compare(lives)
        except TROUBLE:
            self._now.set()

    async def _compare(self, lives: Sequence[LiveChannel]) -> None:
        """Fill what the live path missed. Raises BusFault, JetStreamRefused."""
        for start in range(0, len(lives), SLICE):
            durable = [(live, live.ring.head) for live in lives[start : start + SLICE] if live.ring is not None]
            heads = await self._streams.heads([live.channel for live, _ in durable])
            behind: list[tuple[LiveChannel, int]] = []
            for live, before in durable:
                head = heads[live.channel]
                if live.epoch != self._streams.epoch(live.channel):
                    self._bus.reset(live, head.offset, Unrecoverable("epoch"))
                elif head.offset < before:
                    behind.append((live, before))
                elif head.published:
                    live.newest = max(live.newest, head.offset)
                    if live.behind:
                        self._bus.catch_up(live)
            await self._suspect(behind)

    async def _suspect(self, behind: Sequence[tuple[LiveChannel, int]]) -> None:
        """Ask the leaders whether streams end before what we have from them: a replica that lags says so as well."""
        ends = await asyncio.gather(*(self._streams.bounds(live.channel) for live, _ in behind))  # one for each stream
        for (live, before), end in zip(behind, ends, strict=True):
            if end.last < before:  # it lost what it had stored, and its next publications would pass for repetitions
                self._bus.reset(live, end.last, Unrecoverable("ahead"))

    # Upkeep

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.labelled(
            "whimbrel_edge_bus_sweeps_total",
            "Comparisons of the pod's channels with their streams: of all after a reconnect and each minute, of those "
            "of a stream that has a new leader.",
            "counter",
            ("reason",),
            lambda: self.counts,
        )
