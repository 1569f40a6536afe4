"""What one partition has asked for and received since its consumer was reset: when to ask for more, and which
deliveries count.

The consumer numbers its deliveries 1, 2, 3 … from each reset on. A hole in these numbers means that a delivery was
lost, and that its event would come again after those that follow it; the partition then has the consumer reset.
"""

from enum import Enum, auto
from typing import Final, NamedTuple, Self

MAX_HELD: Final = 256  # events of one partition in memory: taken, waiting or asked for
MAX_HELD_BYTES: Final = 4 * 1024 * 1024  # … and their size, where they are large; one request may go over it
MAX_ACK_PENDING: Final = 1000  # of the consumer: how many events can have been under way when a notifier died
LARGEST_BYTES: Final = 512 * 1024  # one event with its headers and subject, above the server's own limit

PIN_S: Final = 6.0  # a notifier that asks for nothing this long loses the partition to the next one
PULL_S: Final = 2.0  # how long a request stands; the next one renews the pin
FENCE_S: Final = 4.0  # who has not renewed for this long publishes nothing more: another may be about to take over
OVERDUE_S: Final = 1.5  # a request whose end is not told within this is lost
MAX_OVERDUE: Final = 2  # … and after as many in a row the consumer is


class Delivered(NamedTuple):
    """What a delivery's reply subject tells. ``pending`` events of the partition come after it."""

    sequence: int
    consumer_sequence: int
    stored_at_ns: int
    pending: int

    @classmethod
    def parse(cls, reply: str) -> Self:
        """Read ``$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time>.<pending>``, or the
        newer form with domain and account in front and a random token at the end (nats-server ADR-15).

        Raises ValueError.
        """
        tokens = reply.split(".")
        first = 5 if len(tokens) == 9 else 7
        sequence, consumer_sequence, stored_at_ns, pending = tokens[first : first + 4]
        return cls(int(sequence), int(consumer_sequence), int(stored_at_ns), int(pending))


class Verdict(Enum):
    """What to do with a delivery."""

    TAKE = auto()
    SKIP = auto()  # it was handled before: acknowledge, nothing else
    IGNORE = auto()  # it is in hand already: its acknowledgement will come


class OutOfStep(Exception):
    """Deliveries were lost on the way, or the consumer no longer answers: it has to be reset."""


class Pull(NamedTuple):
    """A request for at most ``batch`` events of together ``max_bytes``."""

    batch: int
    max_bytes: int


KEEP_THE_PIN: Final = Pull(1, 1)  # an event with its subject has more bytes: the server says so, and takes note


class Intake:
    """Counts of one partition between two resets. Times are those of one clock that never goes back, in seconds."""

    def __init__(self, *, handled: int, now: float) -> None:
        """``handled``: the last event that is known to need nothing more, 0 for none."""
        self.pending = 0
        self.taken = 0
        self._handled = handled
        self._last = handled
        self._consumer_sequence = 0
        self._asked = 0
        self._asked_at = now
        self._overdue = 0

    def pull(self, *, now: float, held: int, held_bytes: int) -> Pull | None:
        """Return what to ask for now that ``held`` events of ``held_bytes`` are in memory; None: nothing yet.

        Full or not, something is asked for every PULL_S: that is what keeps the pin. Who is full asks for less than any
        event has. Raises OutOfStep when the pin was not kept, because the process stood still: to renew it now would be
        to publish what another has in hand.
        """
        if not self.may_publish(now=now):
            raise OutOfStep(f"nothing was asked for during {FENCE_S} s")
        room = MAX_HELD - held - self._asked
        full = room <= 0 or held_bytes >= MAX_HELD_BYTES
        if self._asked and (full or room < MAX_HELD // 2):
            return None
        if full and now < self._asked_at + PULL_S:
            return None
        pull = KEEP_THE_PIN if full else Pull(room, max(LARGEST_BYTES, MAX_HELD_BYTES - held_bytes))
        self._asked += pull.batch
        self._asked_at = now
        return pull

    def delivered(self, delivered: Delivered) -> Verdict:
        """Take note of a delivery.

        Raises OutOfStep where one before it is missing.
        """
        if delivered.consumer_sequence != self._consumer_sequence + 1:
            raise OutOfStep(f"delivery {delivered.consumer_sequence} follows {self._consumer_sequence}")
        self._consumer_sequence = delivered.consumer_sequence
        self._asked = max(0, self._asked - 1)
        self._overdue = 0
        self.pending = delivered.pending
        if delivered.sequence <= self._handled:
            return Verdict.SKIP
        if delivered.sequence <= self._last:
            return Verdict.IGNORE
        self._last = delivered.sequence
        self.taken += 1
        return Verdict.TAKE

    def ended(self, unserved: int | None) -> None:
        """Note that a request ended with ``unserved`` of its events not delivered, None where that was not told."""
        self._asked = 0 if unserved is None else max(0, self._asked - unserved)
        self._overdue = 0

    def check(self, *, now: float) -> None:
        """Write off a request whose end was never told.

        Raises OutOfStep when that happened MAX_OVERDUE times in a row.
        """
        if self._asked and now > self._asked_at + PULL_S + OVERDUE_S:
            self._asked = 0
            self._overdue += 1
            if self._overdue >= MAX_OVERDUE:
                raise OutOfStep("the consumer does not answer")

    def handled(self, sequence: int) -> None:
        """Note that the event ``sequence`` needs nothing more."""
        self._handled = sequence

    def may_publish(self, *, now: float) -> bool:
        """Tell whether the partition is certainly still ours.

        What is written within PIN_S of a request reaches the server after that request renewed the pin: both take the
        same connection.
        """
        return now < self._asked_at + FENCE_S

    @property
    def is_doubtful(self) -> bool:
        """Whether the event just taken may have been in the hands of a notifier that died."""
        return self.taken <= MAX_ACK_PENDING
