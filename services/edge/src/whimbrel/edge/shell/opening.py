"""Opening channels for a subscriber: from a position, from the newest, from the read mark, or from now.

What the subscriber missed comes from the ring if that reaches back, otherwise from the stream; ``core.opening`` joins
the two.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final, cast, get_args

from opentelemetry.trace import Span, StatusCode

from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.inbox import shown
from whimbrel.edge.core.opening import Opening
from whimbrel.edge.core.recovery import Complete, StreamBounds, Unrecoverable
from whimbrel.edge.core.ring import Ring, Stored
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.edge.shell.bus import Bus
from whimbrel.edge.shell.inboxes import rfc3339_now
from whimbrel.edge.shell.readmarks import ReadMarks
from whimbrel.edge.shell.streams import TROUBLE
from whimbrel.edge.shell.tracing import Tracing
from whimbrel.protocol.channels import ROUTER_NAMESPACES, USER_NAMESPACE, Channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.gaps import Cause
from whimbrel.protocol.limits import HISTORY_LIMIT
from whimbrel.protocol.namespaces import Namespace
from whimbrel.runtime import traces
from whimbrel.runtime.metrics import Metrics

PATIENCE_S: Final = 10.0  # the bus may be reconnecting; after that the channel is refused with 108


_UNREADABLE: Final = NotOpened(ErrorCode.UNAVAILABLE, "the history cannot be read now; subscribe again")
RECOVERED: Final = "recovered"
Recalled = tuple[Wanted, LiveChannel, Opened]


class Recoveries:
    """Counts of recoveries by where they were looked for and how they ended."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        stream = {("stream", outcome): 0 for outcome in (RECOVERED, *get_args(Cause))}
        self.counts = Counter({("ring", RECOVERED): 0, ("ring", "epoch"): 0, **stream})

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.labelled(
            "whimbrel_edge_recoveries_total",
            "Channels looked up from a position, by where (ring, stream) and outcome: recovered, else the client was "
            "told to reload, and why.",
            "counter",
            ("source", "outcome"),
            lambda: cast("Mapping[tuple[str, ...], int]", self.counts),
        )


def _known(wanted: Wanted, live: LiveChannel) -> Opened | None:
    """Return what an opening from memory comes to, where it can be completed at once."""
    ring, position = live.ring, wanted.position
    if not live.opened:
        return None
    if ring is None:
        return Opened("", 0)
    if position is not None:
        offset = position.offset
        if position.epoch != live.epoch or not ring.floor <= offset <= ring.head:
            return None
        if offset == ring.head:  # as of most who come back
            return Opened(live.epoch, offset, True)
        missed: Sequence[Stored] | None = ring.since(offset)
        if missed and wanted.channel.namespace == USER_NAMESPACE:
            missed = shown(missed, now=rfc3339_now())
        return None if missed is None else Opened(live.epoch, offset, True, missed)
    if wanted.last is None and (not wanted.from_mark or ring.nothing_retained):
        return Opened(live.epoch, ring.head)
    return None


class Openings:
    """Opens channels through the bus."""

    def __init__(self, bus: Bus, marks: ReadMarks, rules: Mapping[str, Namespace], tracing: Tracing) -> None:
        self._bus = bus
        self._marks = marks
        self._rules = rules
        self._tracing = tracing
        self.recoveries = Recoveries()

    def start(self, wanted: Wanted, *, now: float) -> Opening:
        """Begin to open a channel that the subscriber may have; what memory can answer is answered at once."""
        durable = self.durable(wanted.channel.namespace)
        as_of = rfc3339_now() if wanted.channel.namespace == USER_NAMESPACE else ""
        opening = Opening(wanted, self._bus.hold(wanted.channel, durable=durable, now=now), as_of=as_of)
        if opening.live.opened:
            self._from_memory(opening)
        return opening

    async def settled(self, channel: Channel) -> None:
        """Return once everything that is on its way to the subscribers of ``channel`` now is written."""
        await self._bus.settled(channel)

    def durable(self, namespace: str) -> bool:
        """Tell whether channels of ``namespace`` keep history; the router's own always do."""
        rule = self._rules.get(namespace)
        return namespace in ROUTER_NAMESPACES or (rule is not None and rule.durable)

    def renew(self) -> Set[Channel]:
        """Forget the channels whose namespace became durable or ephemeral, and return them: who is in one of them
        begins again.
        """
        return self._bus.renew({name: rule.durable for name, rule in self._rules.items()})

    def recall(self, wanted: Sequence[Wanted], *, now: float) -> list[Recalled] | None:
        """Return the channels as they are in this turn of the loop, where memory knows all that their subscriber
        missed; None where the bus or the stream must be asked. The way of nearly every connect: 3 µs for two
        channels, where an ``Opening`` for each takes 9.
        """
        found: list[Recalled] = []
        unknown = False
        for each in wanted:
            live = self._bus.held(each.channel, now=now)
            if live is None:
                live = self._bus.hold(each.channel, durable=self.durable(each.channel.namespace), now=now)
            result = _known(each, live)
            if result is None:
                unknown = True  # but all of them are held: the bus opens them together
            else:
                found.append((each, live, result))
        if unknown:
            return None
        for _, _, result in found:
            if result.recovered:
                self.recoveries.counts["ring", RECOVERED] += 1
        return found

    def await_bus(self, wanted: Sequence[Wanted], then: Callable[[], None], *, now: float) -> bool:
        """Have ``then`` called when the bus has opened one of the channels that it has not; False where it has all."""
        lives = (self._bus.hold(each.channel, durable=self.durable(each.channel.namespace), now=now) for each in wanted)
        return any(self._bus.when_opened(live, then) for live in lives)

    async def prepare(self, openings: Sequence[Opening], user: str, parent: Span | None = None) -> None:
        """Read what is missing until every opening can be completed, or refuse it with 108; traced under ``parent``."""
        wanted = [each for each in openings if each.complete() is None]
        await self._prove_quiet(wanted)
        left = [each for each in wanted if each.complete() is None]
        if len(left) == 1:  # as in most returns, and a task costs more than all of the above
            await self._prepare(left[0], user, parent)
        else:
            await asyncio.gather(*(self._prepare(each, user, parent) for each in left))

    async def _prove_quiet(self, openings: Sequence[Opening]) -> None:
        """Prove that nothing was missed in channels without retained publications, as most are of who comes back: all
        of them together, by one request for each stream, which others share.
        """
        asked = []
        for each in openings:
            ring, position = each.live.ring, each.wanted.position
            if ring is not None and ring.quiet and position is not None and not each.prepared:
                asked.append((each, ring, position, self._bus.streams.ask_bounds(each.live.channel)))
        if not asked:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                for opening, ring, position, bounds in asked:
                    _reach_back(opening.live, ring, position.offset, await asyncio.shield(bounds))
                    self._from_memory(opening)
        except (TimeoutError, *TROUBLE):
            for opening, *_ in asked:
                if not opening.prepared:
                    opening.refused = _UNREADABLE

    async def _prepare(self, opening: Opening, user: str, parent: Span | None) -> None:
        with self._tracing.recovering(opening.wanted.channel.namespace, parent) as span:
            await self._read(opening, user)
            opening.trace = traces.trace_id(span)
            result = opening.complete() if span.is_recording() else None
            if isinstance(result, NotOpened):
                span.set_status(StatusCode.ERROR, result.code.slug)
            elif result is not None:
                span.set_attribute("whimbrel.publications", len(result.publications))
                if result.recovered is not None:
                    span.set_attribute("whimbrel.recovered", result.recovered)
                if opening.unrecoverable is not None:
                    span.set_attribute("whimbrel.cause", opening.unrecoverable.cause)

    async def _read(self, opening: Opening, user: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._bus.opened(opening.live)
                if not opening.prepared:
                    self._from_memory(opening)
                if not opening.prepared:
                    await self._from_store(opening, user)
                while opening.complete() is None:
                    await self._read_up(opening)
        except (TimeoutError, *TROUBLE):
            opening.refused = _UNREADABLE

    def _from_memory(self, opening: Opening) -> None:
        wanted, live, ring = opening.wanted, opening.live, opening.live.ring
        if ring is None:
            opening.begin(0, None)
        elif wanted.position is not None:
            if wanted.position.epoch != live.epoch:
                self.recoveries.counts["ring", "epoch"] += 1
                opening.give_up(Unrecoverable("epoch"))
            elif ring.floor <= wanted.position.offset <= ring.head:
                self.recoveries.counts["ring", RECOVERED] += 1
                opening.begin(wanted.position.offset, True)
        elif wanted.last is not None:
            newest = ring.newest(wanted.last)
            if newest is not None:
                opening.begin(newest[0].prev if newest else ring.head, None)
        elif not wanted.from_mark or ring.nothing_retained:  # wherever a mark may stand, nothing is behind it
            opening.begin(ring.head, None)

    async def _from_store(self, opening: Opening, user: str) -> None:
        wanted, live = opening.wanted, opening.live
        assert live.ring is not None
        if wanted.position is not None:
            if live.ring.quiet:  # the bus had not opened it before
                ring = live.ring
                _reach_back(live, ring, wanted.position.offset, await self._bus.streams.bounds(live.channel))
                self._from_memory(opening)
            if not opening.prepared:
                opening.begin(wanted.position.offset, True)
                await self._read_up(opening)
                if live.epoch == wanted.position.epoch:
                    live.ring.reach_back(wanted.position.offset, opening.publications, opening.at)
        elif wanted.last is not None:
            self._begin_with(opening, await self._bus.streams.newest(wanted.channel, wanted.last))
        else:
            mark = await self._marks.read(user, wanted.channel)
            if mark is not None and mark.epoch == live.epoch:
                opening.begin(min(mark.offset, live.ring.head), None)  # a mark is what a client says
            else:  # nothing was acknowledged yet
                self._begin_with(opening, await self._bus.streams.after(wanted.channel, 0, HISTORY_LIMIT))

    @staticmethod
    def _begin_with(opening: Opening, publications: Sequence[Stored]) -> None:
        """Begin with what was read, without a position given; where nothing is retained, from now."""
        ring = opening.live.ring
        assert ring is not None
        opening.begin(publications[0].prev if publications else ring.head, None, publications)

    async def _read_up(self, opening: Opening) -> None:
        """Read from the stream what lies between the opening and the ring."""
        live = opening.live
        given = opening.wanted.position is not None
        verdict = await self._bus.streams.since(
            opening.wanted.channel, opening.at, reach=lambda: live.ring.reach if live.ring is not None else 0
        )
        match verdict:
            case Complete(publications):
                self.recoveries.counts["stream", RECOVERED] += 1
                opening.extend(publications)
            case Unrecoverable(cause) if given:
                self.recoveries.counts["stream", cause] += 1
                opening.give_up(verdict)
            case Unrecoverable():
                # The read mark is too far back: the newest are given, the rest can be had by `history`.
                self._begin_with(opening, await self._bus.streams.newest(opening.wanted.channel, HISTORY_LIMIT))


def _reach_back(live: LiveChannel, ring: Ring, position: int, bounds: StreamBounds) -> None:
    """Have ``ring`` of a channel without retained publications reach back to ``position``, where nothing was trimmed
    since, as ``bounds`` say that were learnt after the ring began: then there was none.
    """
    if live.ring is ring and ring.quiet and bounds.first <= position + 1:
        ring.reach_back(position, (), ring.floor)
