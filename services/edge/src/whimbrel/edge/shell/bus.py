"""The bus as the edge sees it: live publications in, gaps found and filled.

One subscription per channel that the pod holds. Republication is at most once, so completeness is checked: every
publication names the one before it, and channels are compared with their streams from time to time (``sweeps``). What
is missing is read from the stream and enters the ring in order; where completeness cannot be shown, the channel starts
anew and its subscribers are told to reload.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import Final

from whimbrel.edge.core.hub import REAP_S, Hub, LiveChannel
from whimbrel.edge.core.recovery import Complete, Unrecoverable
from whimbrel.edge.core.ring import Ring
from whimbrel.edge.shell.errands import Errands
from whimbrel.edge.shell.fanout import Fanout
from whimbrel.edge.shell.gaps import Gaps
from whimbrel.edge.shell.hearing import Hearing
from whimbrel.edge.shell.streams import TROUBLE, Head, Streams
from whimbrel.protocol.channels import Channel
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection

RETRY_S: Final = 0.25
PACE_S: Final = 0.01  # between two batches of channels to open: each costs a read per partition
LONGEST_PACE_S: Final = 0.1  # … in a storm: ten times fewer reads, and nobody notices a tenth of a second in one
AT_EASE: Final = 16  # channels in a batch up to which nothing waits longer


class Bus:
    """Holds the channels of the pod. Readiness follows the connections; counters are plain integers."""

    def __init__(self, hub: Hub, fanout: Fanout, live: Connection, streams: Streams, gaps: Gaps, log: Logger) -> None:
        self.streams = streams
        self.gaps = 0  # times that live delivery was found to have missed something
        self.resets = 0  # times that it could not be made up for
        self.hearing = Hearing(hub, fanout, self.catch_up, log)
        self._hub = hub
        self._fanout = fanout
        self._live = live
        self._ledger = gaps
        self._log = log
        self._opening: dict[LiveChannel, list[Callable[[], None]]] = {}  # with who is to be told
        self._unopened: list[LiveChannel] = []
        self._opens = False  # whether a task is at it
        self._errands = Errands(log, "bus.task_failed")
        self.on_opened: list[
            Callable[[Sequence[LiveChannel]], None]
        ] = []  # durable channels, just subscribed or begun anew
        live.on_read_end = fanout.flush

    # Channels

    def held(self, channel: Channel, *, now: float) -> LiveChannel | None:
        """Return the pod's view of ``channel`` if it has one."""
        live = self._hub.channels.get(channel)
        if live is not None:
            live.idle_since = now  # somebody is on the way: it must not be forgotten meanwhile
        return live

    def hold(self, channel: Channel, *, durable: bool, now: float) -> LiveChannel:
        """Return the pod's view of ``channel``, subscribing to it if it is new; ``opened`` may still be false."""
        live = self.held(channel, now=now)
        if live is None:
            live = LiveChannel(channel, durable=durable, epoch=self.streams.epoch(channel) if durable else "", now=now)
            self._hub.channels[channel] = live
            listener = self.hearing.listener(live)
            live.subscription = self._live.attach(listener.subject, listener)
            self._opening[live] = []
            self._unopened.append(live)
            if not self._opens:
                self._opens = True
                self._errands.send(self._open_all())
        return live

    async def opened(self, live: LiveChannel) -> None:
        """Wait until ``live`` is subscribed and its head is known."""
        live.idle_since = asyncio.get_running_loop().time()
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.when_opened(live, partial(_resolve, opened)):
            await opened

    def when_opened(self, live: LiveChannel, then: Callable[[], None]) -> bool:
        """Have ``then``, which must not raise, called once ``live`` is subscribed and its head is known; False where
        it is.
        """
        waiting = self._opening.get(live)
        if waiting is None:
            return False
        waiting.append(then)
        return True

    async def settled(self, channel: Channel) -> None:
        """Return once everything that is on its way to the subscribers of ``channel`` now is written."""
        live = self._hub.channels.get(channel)
        if live is not None:
            await self._fanout.settled(live)

    def renew(self, durable: Mapping[str, bool]) -> Set[Channel]:
        """Forget the channels that are not ``durable`` as their namespaces say now, and return them."""
        outdated = [
            live
            for live in self._hub.channels.values()
            if durable.get(live.channel.namespace, live.durable) != live.durable
        ]
        for live in outdated:
            self._hub.forget(live)
            live.silence()
        return {live.channel for live in outdated}

    async def _open_all(self) -> None:
        """Open what waits. While one batch is read, and a little longer, the next one collects: a storm costs few
        reads, and nobody waits where there is none.
        """
        try:
            while self._unopened:
                batch, self._unopened = self._unopened, []
                await self._open(batch)
                await asyncio.sleep(pace_s(len(batch)))
        finally:
            self._opens = False

    async def _open(self, batch: Sequence[LiveChannel]) -> None:
        heads = await self._heads_of_subscribed([live.channel for live in batch if live.durable])
        told: list[Callable[[], None]] = []
        for live in batch:
            if live.durable:
                live.epoch = self.streams.epoch(live.channel)
                head = heads[live.channel]
                live.ring = Ring(head.offset, quiet=not head.published)
            live.opened = True
            told += self._opening.pop(live)
            if live.behind:
                self.catch_up(live)
        if durable := [live for live in batch if live.durable]:
            for check in self.on_opened:
                check(durable)
        for tell in told:
            tell()

    async def _heads_of_subscribed(self, channels: Sequence[Channel]) -> dict[Channel, Head]:
        while True:
            try:
                await self._live.flush()  # subscribed first, then read: nothing falls between
                return await self.streams.heads(channels)
            except TROUBLE as error:
                self._log.warning("bus.open_delayed", channels=len(channels), error=str(error))
                await asyncio.sleep(RETRY_S * (1 + random.random()))

    # Gaps

    def catch_up(self, live: LiveChannel) -> None:
        """Read up what ``live`` is known to have missed."""
        if not live.catching_up:
            live.catching_up = True
            self.gaps += 1
            self._errands.send(self._catch_up(live))

    async def _catch_up(self, live: LiveChannel) -> None:
        try:
            while live.behind and self._hub.channels.get(live.channel) is live:
                ring = live.ring
                assert ring is not None
                try:
                    verdict = await self.streams.since(live.channel, ring.head, reach=lambda: live.newest)
                    head = live.newest
                    if isinstance(verdict, Unrecoverable) and verdict.cause == "ahead":  # what comes next is below that
                        head = (await self.streams.bounds(live.channel)).last
                except TROUBLE as error:
                    self._log.warning("bus.catch_up_delayed", channel=str(live.channel), error=str(error))
                    await asyncio.sleep(RETRY_S * (1 + random.random()))
                    continue
                match verdict:
                    case Complete(publications):
                        for publication in publications:
                            live.accept(publication)
                        self._hub.mark(live)
                        self._fanout.flush()
                    case Unrecoverable():
                        self.reset(live, head, verdict)
                        for check in self.on_opened:  # what was heard while this was asked is behind `head` again
                            check([live])
        finally:
            live.catching_up = False

    def reset(self, live: LiveChannel, head: int, why: Unrecoverable) -> None:
        """Begin ``live`` anew at ``head`` and tell everybody in it to reload: ``why`` says what was lost."""
        self.resets += 1
        self._log.warning("channel.reset", channel=str(live.channel), cause=why.cause, head=head)
        before = live.now()
        live.begin_anew(self.streams.epoch(live.channel), head)
        self._ledger.reset(live, before, why)
        self._hub.mark(live)
        self._fanout.flush()

    # Upkeep

    async def run(self) -> None:
        """Forget idle channels. Ends when cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(REAP_S)
                for live in self._hub.reap(now=loop.time()):
                    live.silence()
        finally:
            self._errands.cancel()

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.gauge("whimbrel_edge_channels", "Channels held by the pod.", lambda: len(self._hub.channels))
        metrics.counter("whimbrel_edge_bus_gaps_total", "Gaps found in live delivery and read up.", lambda: self.gaps)
        metrics.counter(
            "whimbrel_edge_bus_resets_total", "Channels begun anew: their subscribers reload.", lambda: self.resets
        )
        self.hearing.expose(metrics)


def pace_s(opened: int) -> float:
    """Return how long the next channels may collect, s, when ``opened`` were opened together: the more that come, the
    longer, so that each read is for many and what a storm costs does not grow with the time it takes.
    """
    return min(PACE_S * max(1.0, opened / AT_EASE), LONGEST_PACE_S)


def _resolve(opened: asyncio.Future[None]) -> None:
    if not opened.done():  # somebody waits
        opened.set_result(None)
