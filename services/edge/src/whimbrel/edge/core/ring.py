"""The newest publications of one channel, and the rule of `prev` (docs/websocket-api.md) towards the bus."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from operator import attrgetter
from typing import Final, NamedTuple

from whimbrel.protocol.limits import RING_PUBLICATIONS
from whimbrel.protocol.publications import nested_publication, publication_frame

RING_BYTES: Final = 256 * 1024  # of bodies per channel; 128 large publications would be 32 MiB
REMEMBERED_RUNS: Final = 4  # clients who were cut off together come back from nearly the same position
_OFFSET: Final = attrgetter("offset")


class Stored(NamedTuple):
    """A publication with its position. ``body`` is the stored JSON object, ``trace`` a traceparent or empty."""

    offset: int
    prev: int
    body: bytes
    trace: bytes = b""


class Run(tuple[Stored, ...]):
    """Publications of one channel one after the other, oldest first.

    What a second subscriber is given is kept as it was encoded, for there will be a third: 500 clients who come back
    to 100 publications each cost one encoding, and a user alone no memory.
    """

    _nested: bytes | None = None
    _frames: bytes | None = None
    _given = False

    def nested(self) -> bytes:
        """Return them as they stand inside a subscription: JSON objects with commas between them."""
        encoded = self._nested
        if encoded is None:
            encoded = b",".join([nested_publication(each.body, each.offset, each.prev) for each in self])
            if self._given:
                self._nested = encoded
            self._given = True
        return encoded

    def frames(self, name: bytes) -> bytes:
        """Return them as `publication` frames with commas between them; ``name`` is that of their channel."""
        encoded = self._frames
        if encoded is None:
            encoded = b",".join(
                [publication_frame(name, each.body, each.offset, each.prev, each.trace) for each in self]
            )
            if self._given:
                self._frames = encoded
            self._given = True
        return encoded


_NOTHING: Final = Run()


class Verdict(Enum):
    """What a publication from the bus is to a channel at ``head``."""

    NEXT = auto()
    DUPLICATE = auto()
    GAP = auto()


_NEXT: Final = Verdict.NEXT
_EMPTY: Final[list[Stored]] = []  # of all rings that hold nothing, as those of most inboxes do: 56 bytes each


class Ring:
    """Publications in (``floor``, ``head``]: all that were published there, oldest first.

    At most 128 publications and 256 KiB of bodies; beyond, the oldest go and ``floor`` rises. ``quiet``: the channel
    had no retained publication when the ring began, and none has left the ring: it holds all that can be had.
    """

    __slots__ = ("_bytes", "_runs", "_stored", "floor", "head", "quiet")

    def __init__(self, head: int, *, quiet: bool = False) -> None:
        self.head = head
        self.floor = head
        self.quiet = quiet
        self._stored: list[Stored] = _EMPTY
        self._runs: dict[int, Run] | None = None  # up to the head, by the offset before them
        self._bytes = 0

    def accept(self, publication: Stored) -> Verdict:
        """Append ``publication`` if it is the next one; otherwise change nothing.

        The one at ``head`` may be retained no more, for the history was purged or the channel was silent for days: then
        ``prev`` is less than it, and whatever came between may be gone as well. Only a read of the stream tells.
        """
        offset, prev, body, _ = publication
        if offset <= self.head:
            return Verdict.DUPLICATE
        if prev != self.head and (prev > self.head or not self.nothing_retained):
            return Verdict.GAP
        if self._stored is _EMPTY:
            self._stored = [publication]
        else:
            self._stored.append(publication)
        self._bytes += len(body)
        self._runs = None
        self.head = offset
        while len(self._stored) > RING_PUBLICATIONS or (self._bytes > RING_BYTES and len(self._stored) > 1):
            oldest = self._stored.pop(0)
            self._bytes -= len(oldest.body)
            self.floor = oldest.offset
            self.quiet = False
        return _NEXT

    def extend(self, publications: Iterable[Stored]) -> list[Stored]:
        """Append what was read from the stream, oldest first; return those that were new."""
        return [each for each in publications if self.accept(each) is _NEXT]

    def reach_back(self, position: int, publications: Sequence[Stored], until: int) -> None:
        """Take in ``publications``, oldest first: all from ``position`` to ``until``. The oldest of them stay outside
        where there is no room, and all where a gap would be left.

        So one read of the stream serves everybody who missed the same.
        """
        if not position < self.floor <= until:
            return
        older: list[Stored] = []
        size, floor = self._bytes, position
        for each in reversed([each for each in publications if each.offset <= self.floor]):
            size += len(each.body)
            if len(older) + len(self._stored) >= RING_PUBLICATIONS or size > RING_BYTES:
                floor = each.offset
                break
            older.append(each)
        self._bytes += sum(len(each.body) for each in older)
        self._stored = [*reversed(older), *self._stored]
        self._runs = None
        self.floor = floor

    @property
    def reach(self) -> int:
        """The offset from which on ``since`` answers."""
        return 0 if self.quiet else self.floor

    @property
    def nothing_retained(self) -> bool:
        """Whether there is no publication to be had, neither here nor in the stream."""
        return self.quiet and not self._stored

    def since(self, offset: int) -> Run | None:
        """Return all retained publications after ``offset``, or None where the ring does not reach back that far.

        Before ``floor``, a quiet ring knows that none is retained, not that none was lost.
        """
        if offset < self.reach:
            return None
        if offset >= self.head:
            return _NOTHING
        if self._runs is None:
            self._runs = {}
        run = self._runs.get(offset)
        if run is None:
            if len(self._runs) >= REMEMBERED_RUNS:
                self._runs.clear()
            run = self._runs[offset] = Run(self._stored[bisect_right(self._stored, offset, key=_OFFSET) :])
        return run

    def newest(self, count: int) -> list[Stored] | None:
        """Return the ``count`` newest publications, or None where the ring holds fewer."""
        if self.quiet:
            count = min(count, len(self._stored))
        if count > len(self._stored):
            return None
        return self._stored[-count:] if count else []
