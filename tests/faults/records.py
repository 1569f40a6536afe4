"""What happened in a run, as publishers and clients saw it; nothing here knows how it came about."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Received:
    """A client's application was given publication ``number`` of a channel."""

    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A client was told `recovered: false`, and began anew at ``offset``; ``known``: what its reload told it, the last
    number that had been acknowledged before it asked.
    """

    offset: int
    known: int


Seen = Received | Reset


@dataclass(slots=True)
class Published:
    """A channel as its publisher knows it: numbers from 0, one under way at a time."""

    acked: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)  # given up without an acknowledgement: stored or not


@dataclass(slots=True)
class History:
    """One run: by channel what was published, by client and channel what was seen in order."""

    published: dict[str, Published] = field(default_factory=dict)
    seen: dict[tuple[str, str], list[Seen]] = field(default_factory=dict)
    connects: int = 0
    may_reset: bool = False  # a fault of the schedule takes history away
