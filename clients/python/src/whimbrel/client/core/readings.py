"""All channels that the client follows: what to ask the edge for, and what its answers mean."""

from collections.abc import Callable, Iterator, Mapping, Set

from whimbrel.client.core.effects import Deliver, Effect, End, Opened, Repoll, Send
from whimbrel.client.core.link import Link, Stage
from whimbrel.client.core.reading import Need, Phase, Reading
from whimbrel.client.errors import ChannelClosed, ChannelRefused, Misuse
from whimbrel.client.events import ChannelEvent
from whimbrel.protocol.channels import INBOX
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.frames import (
    History,
    Ok,
    PositionFrame,
    Publication,
    RefusedChannel,
    Subscribe,
    Subscribed,
    Subscription,
    Unsubscribe,
    Unsubscribed,
)
from whimbrel.protocol.limits import MAX_CHANNELS, MAX_OFFSET
from whimbrel.protocol.positions import Position


class Readings:
    """``new_id`` numbers requests; ``retry_s(tries)`` says how long to wait before a channel is asked for once more.

    ``renew(now)`` opens the link anew: an edge does not let go of an inbox, so that is the way to read one again.
    """

    def __init__(
        self, new_id: Callable[[], int], retry_s: Callable[[int], float], renew: Callable[[float], list[Effect]]
    ) -> None:
        self._new_id = new_id
        self._retry_s = retry_s
        self._renew = renew
        self._by_channel: dict[str, Reading] = {}
        self._granted_capacity = 0  # of what the edge opens by itself; 0: nobody listens to that

    def __iter__(self) -> Iterator[Reading]:
        return iter(self._by_channel.values())

    @property
    def deadline(self) -> float | None:
        """When the next channel is to be asked for again."""
        return min((each.retry_at for each in self if each.retry_at is not None), default=None)

    # --- from the application

    def subscribe(
        self, channel: str, position: Position | None, last: int | None, capacity: int, link: Link | None, now: float
    ) -> list[Effect]:
        """Follow ``channel`` for the application.

        Raises Misuse where it does so already, or where there are too many.
        """
        reading = self._by_channel.get(channel)
        if reading is None:
            if len(self._by_channel) >= MAX_CHANNELS:
                raise Misuse(f"a client follows at most {MAX_CHANNELS} channels; leave one first")
            reading = self._by_channel[channel] = Reading(
                channel, position=position, last=None if position else last, capacity=capacity
            )
            return self._ask(reading, link, now)
        if reading.heard and not reading.granted:
            raise Misuse(f"{channel} is subscribed to already: share that subscription, or make another client")
        reading.granted = False
        open_already = not reading.attached(position=position, capacity=capacity)
        return [Opened(channel)] if open_already else self._ask(reading, link, now)

    def unsubscribe(self, channel: str, link: Link | None, now: float) -> list[Effect]:
        """Follow ``channel`` no longer; one that the edge opened by itself is followed without a listener."""
        reading = self._by_channel.pop(channel, None)
        return self._stop(reading, link, now) if reading and reading.phase in (Phase.ASKED, Phase.OPEN) else []

    def grant(self, capacity: int, link: Link | None, now: float) -> list[Effect]:
        """Deliver also what the edge opens by itself: inbox and groups; at most ``capacity`` of each may wait."""
        self._granted_capacity = capacity
        effects: list[Effect] = []
        if INBOX not in self._by_channel:
            self._by_channel[INBOX] = Reading(INBOX, capacity=capacity, granted=True)
            return self._ask(self._by_channel[INBOX], link, now)
        for reading in [each for each in self if not each.heard]:
            reading.granted = True
            if reading.attached(position=None, capacity=capacity):
                effects += self._ask(reading, link, now)
        return effects

    def revoke(self) -> None:
        """Nobody listens any more to what the edge opens by itself."""
        self._granted_capacity = 0
        for reading in self:
            if reading.granted:
                reading.heard = reading.granted = False

    def taken(self, channel: str, count: int, link: Link | None, now: float) -> list[Effect]:
        """The application took ``count`` events of ``channel``."""
        reading = self._by_channel.get(channel)
        if reading is None or not reading.taken(count):
            return []
        reading.resumed()
        return self._ask(reading, link, now)

    # --- what a link is told

    def for_connect(self) -> dict[str, Position | None]:
        """Return `channels` of a connect frame; what begins with the ``last`` publications is asked for afterwards."""
        return {each.channel: each.position for each in self if each.phase is not Phase.PAUSED and each.last is None}

    def for_poll(self) -> dict[str, Position | None]:
        """Return `channels` of a poll, and note that these were asked for."""
        channels: dict[str, Position | None] = {}
        for reading in self:
            due = reading.phase is not Phase.PAUSED and reading.retry_at is None and reading.ask_id == 0
            if reading.heard and due and reading.last is None:
                channels[reading.channel] = reading.position or reading.bookmark
                if reading.phase is Phase.WAITING:
                    reading.asked(0)
        return channels

    def due(self, link: Link, now: float) -> list[Effect]:
        """Ask for the channels whose time has come."""
        effects: list[Effect] = []
        for reading in self:
            if reading.retry_at is not None and reading.retry_at <= now:
                reading.retry_at = None
                effects += self._ask(reading, link, now)
        return effects

    def outdated(self, asked: Mapping[str, Position | None]) -> Set[str]:
        """Return the channels of which an answer to ``asked`` says nothing any more."""
        return {
            channel
            for channel, position in asked.items()
            if (reading := self._by_channel.get(channel)) is not None and reading.outdates(position)
        }

    def lost(self) -> None:
        """The link is gone."""
        for reading in self:
            reading.lost()

    def moved(self, link: Link, now: float) -> list[Effect]:
        """Another link has taken over: what was asked on the one before is not answered any more."""
        for reading in self:
            if reading.ask_id:
                reading.phase, reading.ask_id = Phase.WAITING, 0
        if link.transport != "poll":
            return []  # `connected` says what is left to ask for
        return [effect for each in self if each.last is not None for effect in self._ask(each, link, now)]

    # --- from the edge

    def connected(self, channels: Mapping[str, Subscription], link: Link, now: float) -> list[Effect]:
        """Take the channels of `connected`, and ask for those that are not among them."""
        effects: list[Effect] = []
        for channel, subscription in channels.items():
            reading = self._by_channel.get(channel)
            if channel in link.asked and (reading is None or reading.phase is Phase.PAUSED):
                effects += self._stop(reading or Reading(channel, capacity=1), link, now)
            elif reading is not None and reading.outdates(link.asked.get(channel)):
                reading.phase = Phase.WAITING
                effects += self._ask(reading, link, now)
            else:
                effects += self.subscribed(channel, subscription, link, now)
        for reading in list(self):
            if reading.channel not in channels and reading.phase is not Phase.PAUSED:
                effects += self._ask(reading, link, now)
        return effects

    def announced(self, frame: Subscribed, link: Link, now: float) -> list[Effect]:
        """Take the edge's word on one channel; where we have asked for it, only the answer counts."""
        reading = self._by_channel.get(frame.channel)
        asking = reading is not None and reading.position is not None and reading.phase is Phase.WAITING
        if asking or (reading is not None and reading.ask_id != (frame.id or 0)):
            return []
        return self.subscribed(frame.channel, frame, link, now)

    def subscribed(self, channel: str, subscription: Subscription, link: Link, now: float) -> list[Effect]:
        """Take the edge's word that a channel is open, or why not."""
        reading = self._by_channel.get(channel) or self._unasked(channel, subscription)
        if reading is None or reading.phase is Phase.PAUSED:
            return []
        if subscription.error is not None:
            return self.refused(reading, subscription.error, None, link, now)
        first = reading.phase is not Phase.OPEN
        delivered, need = reading.opened(subscription)
        return [*([Opened(channel)] if first else []), *delivered, *self._see_to(reading, need, link, now)]

    def publication(self, frame: Publication | PositionFrame, link: Link, now: float) -> list[Effect]:
        """Take a publication, or the place of one that this session may not see."""
        reading = self._by_channel.get(frame.channel or "")
        if reading is None:
            return []
        if isinstance(frame, Publication):
            delivered, need = reading.publication(frame)
        else:
            delivered, need = reading.skipped(frame.offset, frame.prev)
        return [*delivered, *self._see_to(reading, need, link, now)]

    def settled(self, channels: Mapping[str, Position | None]) -> list[Deliver]:
        """Take over where a poll's answer ends."""
        return [
            delivered
            for channel, position in channels.items()
            if position is not None and (reading := self._by_channel.get(channel)) is not None
            for delivered in reading.settled(position)
        ]

    def complete(self, channel: str, link: Link, now: float) -> list[Effect]:
        """A poll said nothing about a channel that it was asked about with a position: nothing is missing there."""
        reading = self._by_channel.get(channel)
        if reading is None or reading.phase is not Phase.ASKED or reading.position is None:
            return []
        whole = Subscription(epoch=reading.epoch, offset=reading.offset, recovered=True)
        return self.subscribed(channel, whole, link, now)

    def remark(self, channel: str, event: ChannelEvent) -> list[Effect]:
        """Take what is not a publication."""
        reading = self._by_channel.get(channel)
        return [*reading.remark(event)] if reading else []

    def unsubscribed(self, frame: Unsubscribed) -> list[Effect]:
        """Take the edge's word that a channel is closed; the echo of our own wish names a channel that is not open."""
        reading = self._by_channel.get(frame.channel)
        if reading is None or reading.phase is not Phase.OPEN:
            return []
        del self._by_channel[frame.channel]
        if reading.granted or not reading.heard:
            return []
        return [End(frame.channel, ChannelClosed(frame.channel, frame.code, frame.slug, frame.reason))]

    def asked_by(self, ask_id: int) -> Reading | None:
        """Return the reading that request ``ask_id`` was sent for."""
        return next((each for each in self if each.ask_id == ask_id), None)

    def remembered(self, reading: Reading, answer: Ok, link: Link, now: float) -> list[Effect]:
        """Take the ``last`` publications that were asked for by `history`, then go on from there."""
        wanted, reading.last, reading.ask_id, reading.phase = reading.last, None, 0, Phase.WAITING
        if answer.epoch is None or not answer.publications:
            return self._ask_anew(link, now)
        begin = (answer.publications[0].prev if wanted else answer.publications[-1].offset) or 0
        publications = answer.publications if wanted else ()
        history = Subscription(epoch=answer.epoch, offset=begin, publications=publications)
        return [*self.subscribed(reading.channel, history, link, now), *self._ask_anew(link, now)]

    def refused(
        self, reading: Reading, error: RefusedChannel, retry_s: float | None, link: Link, now: float
    ) -> list[Effect]:
        """Take the edge's no: try again later where it is temporary, else the channel is over."""
        reading.tries += 1
        reading.phase, reading.ask_id = Phase.WAITING, 0
        if error.code == ErrorCode.ALREADY_SUBSCRIBED and reading.channel == INBOX:
            reading.retry_at = now + self._retry_s(reading.tries)
            return self._renew(now)
        if error.code == ErrorCode.ALREADY_SUBSCRIBED and reading.tries == 1:
            return [Send(link.id, self._unsubscribe(reading)), *self._subscribe(reading, link)]
        if any(code.temporary for code in ErrorCode if code == error.code):
            reading.retry_at = now + max(retry_s or 0.0, self._retry_s(reading.tries))
            return []
        del self._by_channel[reading.channel]
        why = ChannelRefused(error.code, error.slug, f"{reading.channel}: {error.message}")
        return [] if reading.granted or not reading.heard else [End(reading.channel, why)]

    # --- within

    def _unasked(self, channel: str, subscription: Subscription) -> Reading | None:
        """Follow a channel that the edge opened by itself."""
        if subscription.error is not None or len(self._by_channel) >= 2 * MAX_CHANNELS:
            return None
        heard = self._granted_capacity > 0
        reading = Reading(channel, capacity=self._granted_capacity or 1, heard=heard, granted=heard)
        self._by_channel[channel] = reading
        return reading

    def _see_to(self, reading: Reading, need: Need, link: Link, now: float) -> list[Effect]:
        match need:
            case Need.NOTHING:
                return []
            case Need.ASK if reading.tries > 0:
                reading.retry_at = now + self._retry_s(reading.tries)
                return []
            case Need.ASK:
                return self._ask(reading, link, now)
            case Need.STOP:
                return self._stop(reading, link, now)

    def _ask(self, reading: Reading, link: Link | None, now: float) -> list[Effect]:
        if link is None or link.stage is not Stage.UP:
            reading.phase = Phase.WAITING  # it goes along with the next connect
            return []
        if link.transport == "websocket":
            return self._subscribe(reading, link)
        if reading.last is None or reading.position is not None:
            if link.transport == "sse":
                reading.retry_at = now + self._retry_s(reading.tries + 1)  # for the other stream may not open
            return self._ask_anew(link, now)
        reading.asked(self._new_id())
        newest = History(id=reading.ask_id, channel=reading.channel, before=MAX_OFFSET, limit=max(1, reading.last))
        return [Send(link.id, newest)]

    def _subscribe(self, reading: Reading, link: Link) -> list[Effect]:
        reading.asked(self._new_id())
        position = reading.position
        last = reading.last if position is None else None
        return [Send(link.id, Subscribe(id=reading.ask_id, channel=reading.channel, position=position, last=last))]

    def _stop(self, reading: Reading, link: Link | None, now: float) -> list[Effect]:
        """Tell the edge to stop; an inbox goes on arriving and is left unread, but by a poll."""
        if link is None or link.stage is not Stage.UP:
            return []
        if link.transport == "websocket" and reading.channel != INBOX:
            return [Send(link.id, self._unsubscribe(reading))]
        return [] if reading.channel == INBOX and link.transport != "poll" else self._ask_anew(link, now)

    def _ask_anew(self, link: Link, now: float) -> list[Effect]:
        """What waits at the edge names the wrong channels: repeat the poll, or open another stream beside this one."""
        return [Repoll(link.id)] if link.transport == "poll" else self._renew(now)

    def _unsubscribe(self, reading: Reading) -> Unsubscribe:
        return Unsubscribe(id=self._new_id(), channel=reading.channel)
