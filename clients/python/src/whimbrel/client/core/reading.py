"""Where the client stands in one channel, and the rule that gives exactly once, in order.

A publication of a durable channel carries ``offset`` and ``prev``. At position ``q``:
``offset ≤ q`` is a duplicate · ``prev ≤ q < offset`` is applied · ``prev > q`` is a gap: ask again from ``q``.
Nothing else is remembered, so it does not matter which transport or pod a frame came from, or how often.

    WAITING ─asked→ ASKED ─opened→ OPEN ─gap→ ASKED
                                   OPEN ─full→ PAUSED ─drained→ WAITING      any ─lost→ WAITING
"""

from collections.abc import Sequence
from enum import Enum, auto

from whimbrel.client.core.effects import Deliver
from whimbrel.client.events import ChannelEvent, Recovered, Reset
from whimbrel.protocol.channels import INBOX
from whimbrel.protocol.frames import Publication, Subscription
from whimbrel.protocol.positions import Position


class Phase(Enum):
    """What the edge knows of a reading."""

    WAITING = auto()  # nothing: no link, or too early to ask again
    ASKED = auto()  # it was asked to open the channel, and what it sent before the answer does not count
    OPEN = auto()
    PAUSED = auto()  # nothing: the application is slow, and goes on from its position once it has caught up


class Need(Enum):
    """What a reading wants after it took something."""

    NOTHING = auto()
    ASK = auto()  # there is a gap: ask again from the position
    STOP = auto()  # there is no room: tell the edge to stop


class Reading:
    """One channel. ``room`` is how many publications the application can still take, at most ``capacity``.

    An unheard reading is a channel that the edge opened by itself and nobody listens to: it follows along and delivers
    nothing, so that whoever comes later starts at ``began``.
    """

    __slots__ = (
        "_asked_at",
        "_reset_to",
        "ask_id",
        "began",
        "bookmark",
        "capacity",
        "channel",
        "dropped",
        "epoch",
        "granted",
        "heard",
        "last",
        "offset",
        "phase",
        "retry_at",
        "room",
        "tries",
    )

    def __init__(
        self,
        channel: str,
        *,
        position: Position | None = None,
        last: int | None = None,
        capacity: int,
        heard: bool = True,
        granted: bool = False,
    ) -> None:
        self.channel = channel
        self.epoch = position.epoch if position else ""  # empty: no position yet, or an ephemeral channel
        self.offset = position.offset if position else 0
        self.last = last
        self.capacity = capacity
        self.room = capacity
        self.heard = heard
        self.granted = granted  # the edge opened it: it ends without a word when the right to it ends
        self.phase = Phase.WAITING
        self.ask_id = 0
        self.retry_at: float | None = None
        self.tries = 0  # askings in a row that led nowhere
        self.dropped = 0  # publications of an ephemeral channel that found no room
        self.began: Position | None = None
        self.bookmark: Position | None = None  # what an edge that is polled wants back for an ephemeral channel
        self._asked_at = -1
        self._reset_to = 0  # offset of the last reset; positions before it are of another life of the channel

    @property
    def position(self) -> Position | None:
        """Where to go on from; None while nothing is known, and always in an ephemeral channel."""
        return Position(epoch=self.epoch, offset=self.offset) if self.epoch else None

    def outdates(self, asked: Position | None) -> bool:
        """Whether the channel was reset since it was asked for from ``asked``, on another link: an answer to that would
        lead back to before the reset.
        """
        return asked is not None and bool(self.epoch) and (asked.epoch != self.epoch or asked.offset < self._reset_to)

    def asked(self, ask_id: int) -> None:
        """The edge was asked to open the channel from ``position``."""
        self.phase = Phase.ASKED
        self.ask_id = ask_id
        self.retry_at = None

    def lost(self) -> None:
        """The link is gone: the edge knows nothing any more."""
        if self.phase is not Phase.PAUSED:
            self.phase = Phase.WAITING
        self.retry_at = self.bookmark = None
        self.ask_id = 0
        self._asked_at = -1

    def opened(self, subscription: Subscription) -> tuple[list[Deliver], Need]:
        """Take the edge's answer, and the publications in it."""
        self.phase = Phase.OPEN
        self.last = None
        self.ask_id = self.tries = 0
        self.retry_at = None
        if subscription.epoch is None or subscription.offset is None:  # ephemeral
            self.epoch = ""
            return [], Need.NOTHING
        before, head = self.position, Position(epoch=subscription.epoch, offset=subscription.offset)
        self.began = self.began or head
        event: ChannelEvent | None = None
        if self._continues(subscription, head):
            event = None if before is None else Recovered(self.channel, before)
            # Frames of another link may have brought us further than where this answer begins: never step back.
            self.offset = max(head.offset, self.offset) if before else head.offset
        else:
            event = Reset(self.channel, head)
            self.offset = self._reset_to = head.offset
        self.epoch = head.epoch
        delivered = [self._deliver(event)]
        followed, need = self._apply_all(subscription.publications)
        return delivered + followed, need

    def _continues(self, subscription: Subscription, head: Position) -> bool:
        """Whether what follows ``head`` is all that follows our position."""
        if subscription.recovered is False:
            return False
        if not self.epoch:
            return True
        # Without `recovered` nobody has looked whether we miss something, but what begins at or before us cannot.
        return head.epoch == self.epoch and (subscription.recovered is True or head.offset <= self.offset)

    def _apply_all(self, publications: Sequence[Publication]) -> tuple[list[Deliver], Need]:
        delivered: list[Deliver] = []
        for publication in publications:
            new, need = self.publication(publication)
            delivered += new
            if need is not Need.NOTHING:
                return delivered, need
        return delivered, Need.NOTHING

    def publication(self, publication: Publication) -> tuple[list[Deliver], Need]:
        """Apply one publication by the rule."""
        if self.phase is not Phase.OPEN:
            return [], Need.NOTHING
        if publication.channel is None:
            publication = publication.model_copy(update={"channel": self.channel})
        if publication.offset is None or not self.epoch:
            return self._ephemeral(publication), Need.NOTHING
        need = self._moves(publication.offset, publication.prev or 0)
        if need is not None:
            return [], need
        if self.heard and self.room == 0:
            self.phase = Phase.PAUSED
            return [], Need.STOP
        self.room -= self.heard
        self.offset = publication.offset
        return [self._deliver(publication)], Need.NOTHING

    def skipped(self, offset: int, prev: int) -> tuple[list[Deliver], Need]:
        """Move past a publication that this session may not see."""
        if self.phase is not Phase.OPEN or not self.epoch:
            return [], Need.NOTHING
        need = self._moves(offset, prev)
        if need is not None:
            return [], need
        self.offset = offset
        return [self._deliver(None)], Need.NOTHING

    def settled(self, position: Position) -> list[Deliver]:
        """Take over the position that a poll's answer ends with: up to there everything was in it."""
        if self.phase is not Phase.OPEN:
            return []
        if not self.epoch:
            self.bookmark = position
            return []
        if position.epoch != self.epoch or position.offset <= self.offset:
            return []
        self.offset = position.offset
        return [self._deliver(None)]

    def remark(self, event: ChannelEvent) -> list[Deliver]:
        """Pass on what is not a publication; it is left out where there is no room, for nothing depends on it."""
        if self.phase is not Phase.OPEN or not self.heard or self.room == 0:
            return []
        self.room -= 1
        return [self._deliver(event)]

    def taken(self, count: int) -> bool:
        """The application took ``count`` events; return whether a paused reading may go on."""
        self.room = min(self.capacity, self.room + count)
        return self.phase is Phase.PAUSED and self.room * 2 >= self.capacity

    def resumed(self) -> None:
        """A paused reading goes on: it is to be asked for."""
        self.phase = Phase.WAITING

    def attached(self, *, position: Position | None, capacity: int) -> bool:
        """Somebody listens from now on: to all since ``position``; else, in an inbox, since the edge opened it.

        Return whether the edge is to be asked, for something has passed by already.
        """
        start = position or (self.began if self.channel == INBOX else self.position)
        self.heard = True
        self.room = self.capacity = capacity
        if self.phase is Phase.OPEN and start == self.position:
            return False
        self.epoch, self.offset = (start.epoch, start.offset) if start else ("", 0)
        self._reset_to = 0
        self.phase = Phase.WAITING
        self._asked_at = -1
        return True

    def _moves(self, offset: int, prev: int) -> Need | None:
        """Return None where the rule lets the position move to ``offset``."""
        if offset <= self.offset:
            return Need.NOTHING
        if prev <= self.offset:
            self.tries = 0
            return None
        # A second gap at the same place means that asking does not help: the session then waits before the next try.
        self.tries = self.tries + 1 if self._asked_at == self.offset else 0
        self._asked_at = self.offset
        self.phase = Phase.WAITING
        return Need.ASK

    def _ephemeral(self, publication: Publication) -> list[Deliver]:
        if not self.heard or self.room == 0:
            self.dropped += self.heard
            return []
        self.room -= 1
        return [Deliver(self.channel, publication, None)]

    def _deliver(self, event: ChannelEvent | None) -> Deliver:
        return Deliver(self.channel, event if self.heard else None, self.position)
