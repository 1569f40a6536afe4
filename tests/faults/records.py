"""What happened in a run, as publishers and clients saw it; nothing here knows how it came about."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Received:
    """A client's application was given publication ``number`` of a channel."""

    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A client was told `recovered: false`, and began anew at ``offset``; ``known``: what its reload told it, the last
    number that was begun by then, for a team has its own state before it publishes.
    """

    offset: int
    known: int


Seen = Received | Reset


@dataclass(slots=True)
class Published:
    """What a publisher knows: numbers from 0, one under way at a time. Channels that share one get the same events."""

    acked: dict[int, int] = field(default_factory=dict)  # → its sequence in EVENTS, as the acknowledgement said
    unknown: set[int] = field(default_factory=set)  # given up without an acknowledgement: stored or not
    begun: int = -1  # the last one sent, acknowledged or not
    last: int = -1  # of those acknowledged
    longest_wait_s: float = 0.0  # of an acknowledged one for the first client that has it
    _waiting: dict[int, float] = field(default_factory=dict)  # acknowledged, and no client has it: since when
    _came: set[int] = field(default_factory=set)

    def acknowledge(self, number: int, sequence: int, *, now: float = 0.0) -> None:
        """Take note that ``number`` is stored, as ``sequence`` of EVENTS."""
        self.acked[number] = sequence
        self.last = max(self.last, number)
        if number not in self._came:
            self._waiting[number] = now

    def receive(self, number: int, *, now: float) -> None:
        """Take note that a client has ``number``, perhaps before its publisher knows that it is stored."""
        self._came.add(number)
        if (since := self._waiting.pop(number, None)) is not None:
            self.longest_wait_s = max(self.longest_wait_s, now - since)


@dataclass(slots=True)
class History:
    """One run: by channel what was published, by client and channel what was seen in order."""

    published: dict[str, Published] = field(default_factory=dict)
    seen: dict[tuple[str, str], list[Seen]] = field(default_factory=dict)
    connects: int = 0
    broken: list[str] = field(default_factory=list)  # clients that stumbled over what no edge may send
    trimmed: set[str] = field(default_factory=set)  # channels whose history a fault took away
    ledger: dict[str, int] | None = (
        None  # by channel, how many were told to reload says the ledger; None: it may lack some
    )

    @property
    def told(self) -> Counter[str]:
        """How often a client was told to reload, by channel."""
        return Counter(channel for (_, channel), seen in self.seen.items() for each in seen if isinstance(each, Reset))

    @property
    def resets(self) -> int:
        """How often a client was told to reload."""
        return self.told.total()

    @property
    def receipts(self) -> int:
        """How many publications applications were given."""
        return sum(map(len, self.seen.values())) - self.resets

    @property
    def publications(self) -> int:
        """How many were acknowledged to their publishers: an event to four channels counts four."""
        return sum(len(published.acked) for published in self.published.values())

    @property
    def longest_wait_s(self) -> float:
        """How long an acknowledged publication was on its way to the first client that has it, at most."""
        return max((published.longest_wait_s for published in self.published.values()), default=0.0)

    def has_all(self, client: str, channel: str) -> bool:
        """Tell whether a client has the last of what was acknowledged, or was told it by a reload."""
        last = self.published[channel].last
        return last < 0 or any(
            each.number == last if isinstance(each, Received) else each.known >= last
            for each in reversed(self.seen[client, channel])
        )
