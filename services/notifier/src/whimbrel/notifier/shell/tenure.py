"""One tenure of a partition: from the reset of its consumer until it ends, whatever ends it.

Everything happens within the delivery that causes it: an event is composed and sent in the turn of the loop in which it
arrived, and acknowledged in the one in which its last publication was. There is no task and no queue per event. Of what
is told live, which nobody acknowledges, no more is written than the server takes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

from whimbrel.notifier.core.composition import Publication
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.core.events import Message
from whimbrel.notifier.core.intake import Delivered, Intake, OutOfStep, Verdict
from whimbrel.notifier.core.repeats import Copy, may_repeat_since
from whimbrel.notifier.core.window import MAX_UNDER_WAY_BYTES, Window
from whimbrel.notifier.shell import consumer as wire
from whimbrel.notifier.shell.consumer import Consumer
from whimbrel.notifier.shell.desk import Desk, NotYet
from whimbrel.notifier.shell.metrics import Counts
from whimbrel.notifier.shell.publisher import Publisher
from whimbrel.notifier.shell.repeats import Repeats
from whimbrel.notifier.shell.tracing import EventSpans
from whimbrel.protocol import subjects
from whimbrel.runtime.delivery import description, fields
from whimbrel.runtime.errors import BusFault, BusUnavailable
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery

REASSURE_S: Final = wire.ACK_WAIT_S / 3  # how often a slow event is reported as being worked on
MAX_LIVE_BYTES: Final = MAX_UNDER_WAY_BYTES // 2  # told live, and the server was not seen to have taken them


class End(Enum):
    """Why a tenure ended."""

    OUT_OF_STEP = "out_of_step"  # begin anew, with the same pin if it still holds
    PIN_LOST = "pin_lost"
    CONSUMER_GONE = "consumer_gone"
    RELEASED = "released"


class _Held:
    """An event in hand."""

    __slots__ = ("copy", "dead", "message", "reassured_at", "redelivered", "reply", "spans")

    def __init__(self, message: Message, reply: str, *, redelivered: bool, now: float) -> None:
        self.message = message
        self.reply = reply
        self.redelivered = redelivered
        self.reassured_at = now
        self.copy = Copy.FIRST
        self.dead: Reason | None = None
        self.spans: EventSpans | None = None


class Tenure:
    """The events of one partition while it is ours: since ``began_at`` until ``over`` is done. ``handled`` is the last
    event that needs nothing more.
    """

    def __init__(
        self,
        bus: Connection,
        consumer: Consumer,
        desk: Desk,
        publisher: Publisher,
        repeats: Repeats,
        counts: Counts,
        log: Logger,
        *,
        pin: str,
        handled: int,
        clock: Callable[[], float],
        unix_time: Callable[[], float],
    ) -> None:
        """``clock`` counts seconds and never goes back, ``unix_time`` is the time of day in seconds."""
        self.handled = handled
        self.began_at = clock()
        self.over: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._bus = bus
        self._consumer = consumer
        self._desk = desk
        self._publisher = publisher
        self._repeats = repeats
        self._counts = counts
        self._log = log
        self._pin = pin
        self._clock = clock
        self._unix_time = unix_time
        self._intake = Intake(handled=handled, now=self.began_at)
        self._window: Window[Publication] = Window()
        self._waiting: deque[_Held] = deque()  # taken, not composed yet
        self._held: dict[int, _Held] = {}
        self._held_bytes = 0
        self._live_bytes = 0
        self._catching_up: asyncio.Task[None] | None = None
        self._advancing = False
        self._releasing = False

    @property
    def lag(self) -> int:
        """Return how many events of the partition are not finished."""
        return self._intake.pending + len(self._held)

    @property
    def in_hand(self) -> int:
        """Return how many events are in memory."""
        return len(self._held)

    # Begin and end

    def begin(self) -> None:
        """Ask for the first events."""
        self._advance()

    def release(self) -> None:
        """Finish what is composed, drop the rest unacknowledged; then the tenure is over."""
        self._releasing = True
        for held in self._waiting:
            del self._held[held.message.sequence]
        self._waiting.clear()
        self._advance()

    def end(self, end: End) -> None:
        """End at once: what is in hand stays unacknowledged, what is under way is forgotten."""
        if not self.over.done():
            self.over.set_result(end)
            self._publisher.abandon(self)

    def tick(self) -> None:
        """Do what the time demands; to be called a few times a second."""
        if self.over.done():
            return
        now = self._clock()
        if self._releasing and not self.may_publish():
            self.end(End.RELEASED)  # what could not be finished by now is another's
            return
        try:
            self._intake.check(now=now)
            for held in self._held.values():
                if now < held.reassured_at + REASSURE_S:
                    break  # in order of arrival, so the rest is younger
                held.reassured_at = now
                self._bus.send(held.reply, wire.IN_PROGRESS)
        except (OutOfStep, BusUnavailable) as fault:
            self._out_of_step(fault)
        else:
            self._advance()

    def _out_of_step(self, fault: Exception) -> None:
        if not self.over.done():
            self._log.info("partition.out_of_step", reason=str(fault), in_hand=len(self._held))
            self.end(End.OUT_OF_STEP)

    # What arrives

    def deliver(self, delivery: Delivery) -> None:
        """Take an event, or the end of a request."""
        if self.over.done():
            return
        if status := delivery.status():
            self._told(status, delivery)
        else:
            try:
                self._arrived(delivery, Delivered.parse(delivery.reply))
            except (OutOfStep, BusUnavailable) as fault:
                self._out_of_step(fault)
        self._advance()

    def _told(self, status: int, delivery: Delivery) -> None:
        if status == wire.PIN_MISMATCH:
            self._log.info("partition.lost", in_hand=len(self._held))
            self.end(End.PIN_LOST)
        elif status == wire.NOBODY or (status == wire.CLOSED and "Deleted" in description(delivery.headers)):
            self.end(End.CONSUMER_GONE)
        else:  # expired, or too large for what was left of the request: either way it is over
            unserved = delivery.header(wire.UNSERVED_HEADER)
            self._intake.ended(int(unserved) if unserved else None)

    def _arrived(self, delivery: Delivery, delivered: Delivered) -> None:
        verdict = self._intake.delivered(delivered)
        if verdict is Verdict.SKIP:
            self._counts.skipped += 1
            self._bus.send_along(delivery.reply, wire.ACK)
        elif verdict is Verdict.TAKE and not self._releasing:
            message = Message(
                subjects.event_subject_of_stored(delivery.subject),
                delivered.sequence,
                delivered.stored_at_ns,
                fields(delivery.headers),
                delivery.payload,
            )
            held = _Held(message, delivery.reply, redelivered=self._intake.is_doubtful, now=self._clock())
            self._held[delivered.sequence] = held
            self._held_bytes += len(delivery.payload)
            self._waiting.append(held)
            if (since_ns := may_repeat_since(message)) is not None:
                held.copy = Copy.UNKNOWN
                tell = partial(self._looked_up, held)
                self._repeats.look_up(delivery.subject, message, since_ns, tell=tell, over=self.over.done)

    def _looked_up(self, held: _Held, copy: Copy) -> None:
        held.copy = copy
        self._advance()

    # What follows

    def _advance(self) -> None:
        """Do all that can be done now: compose, send, acknowledge, ask for more."""
        if self._advancing:
            return  # we are within it: what was just told is seen by the loop below
        self._advancing = True
        try:
            while not self.over.done() and (self._compose() or self._send() or self._finish()):
                pass
            if self.over.done():
                return
            if self._releasing:
                if not self._held:
                    self.end(End.RELEASED)
            elif pull := self._intake.pull(now=self._clock(), held=len(self._held), held_bytes=self._held_bytes):
                self._consumer.pull(pull, self._pin)
        except (OutOfStep, BusUnavailable) as fault:
            self._out_of_step(fault)
        finally:
            self._advancing = False

    def _compose(self) -> bool:
        """Put the next waiting event into the window, if there is room for it."""
        if not self._waiting or self._window.is_full:
            return False
        held = self._waiting[0]
        if held.copy is Copy.UNKNOWN:
            return False  # those behind it wait too: they may be of the same entity
        if held.copy is Copy.REPEAT:
            self._counts.repeats += 1
            self._log.info("event.repeated", sequence=held.message.sequence)
            self._waiting.popleft()
            self._window.add(held.message.sequence, ())
            return True
        try:
            composed = self._desk.compose(held.message, redelivered=held.redelivered)
        except NotYet:
            return False
        self._waiting.popleft()
        held.spans, held.dead = composed.spans, composed.dead
        self._window.add(held.message.sequence, composed.publications)
        return True

    def _send(self) -> bool:
        if self._catching_up is not None:
            return False
        publications = self._window.sendable()
        for publication in publications:
            if publication.durable:
                self._publisher.publish(publication, self)
            else:
                self._bus.send(publication.subject, publication.body, headers=publication.headers)
                self._counts.live += 1
                self._live_bytes += publication.size
                self._window.done(publication)
        if self._live_bytes > MAX_LIVE_BYTES:
            self._catching_up = asyncio.create_task(self._catch_up())
        return bool(publications)

    async def _catch_up(self) -> None:
        """Send nothing more until the server has taken what was written."""
        try:
            await self._bus.flush()
        except BusFault as fault:
            self._out_of_step(fault)
        finally:
            self._live_bytes = 0
            self._catching_up = None
        self._advance()

    def _finish(self) -> bool:
        finished = self._window.finished()
        for sequence in finished:
            held = self._held.pop(sequence)
            self._held_bytes -= len(held.message.payload)
            if held.dead is None:
                self._bus.send_along(held.reply, wire.ACK)
            else:
                self._counts.dead[held.dead] += 1
                self._bus.send(held.reply, wire.TERMINATE + held.dead.encode())
            if held.spans is not None:
                held.spans.end()
            self.handled = sequence
            self._intake.handled(sequence)
            self._counts.events += 1
            self._counts.latency.observe(self._unix_time() - held.message.stored_at_ns / 1e9)
        return bool(finished)

    # What the publisher tells

    def may_publish(self) -> bool:
        """Tell whether the partition is certainly still ours."""
        return not self.over.done() and self._intake.may_publish(now=self._clock())

    def published(self, publication: Publication) -> None:
        """Take note that ``publication`` is stored."""
        self._window.done(publication)
        self._advance()

    def refused(self, publication: Publication, reason: Reason, text: str) -> None:
        """Send the event of ``publication`` to the dead letters in its place."""
        held = self._held[publication.sequence]
        if publication.channel is None and not publication.body:
            # Not even the reason alone: the event itself stays in EVENTS, and the log says where.
            self._log.error("dead_letter.refused", sequence=publication.sequence, reason=text)
            self.published(publication)
            return
        held.dead = held.dead or reason
        bare = publication.channel is None  # a dead letter was refused: leave out all but the reason
        why = f"{publication.key}: {text}"
        letter = self._desk.dead_letter(held.message, held.dead, why, redelivered=held.redelivered, bare=bare)
        publication.become(letter)
        self._publisher.publish(publication, self)
