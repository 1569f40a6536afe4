"""The newest publications of one channel, and the rule of the contract (§2) towards the bus."""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final, NamedTuple

from whimbrel.protocol.limits import RING_PUBLICATIONS

RING_BYTES: Final = 256 * 1024  # of bodies per channel; 128 large publications would be 32 MiB


class Stored(NamedTuple):
    """A publication with its position. ``body`` is the stored JSON object, ``trace`` a traceparent or empty."""

    offset: int
    prev: int
    body: bytes
    trace: bytes = b""


class Verdict(Enum):
    """What a publication from the bus is to a channel at ``head``."""

    NEXT = auto()
    DUPLICATE = auto()
    GAP = auto()


class Ring:
    """Publications in (``floor``, ``head``]: all that were published there, oldest first.

    At most 128 publications and 256 KiB of bodies; beyond, the oldest go and ``floor`` rises. ``quiet``: the channel
    had no retained publication when the ring began, and none has left the ring: it holds all that can be had.
    """

    __slots__ = ("_bytes", "_stored", "floor", "head", "quiet")

    def __init__(self, head: int, *, quiet: bool = False) -> None:
        self.head = head
        self.floor = head
        self.quiet = quiet
        self._stored: list[Stored] = []
        self._bytes = 0

    def accept(self, publication: Stored) -> Verdict:
        """Append ``publication`` if it is the next one; otherwise change nothing."""
        if publication.offset <= self.head:
            return Verdict.DUPLICATE
        if publication.prev > self.head:
            return Verdict.GAP
        self._stored.append(publication)
        self._bytes += len(publication.body)
        self.head = publication.offset
        while len(self._stored) > RING_PUBLICATIONS or (self._bytes > RING_BYTES and len(self._stored) > 1):
            oldest = self._stored.pop(0)
            self._bytes -= len(oldest.body)
            self.floor = oldest.offset
            self.quiet = False
        return Verdict.NEXT

    def extend(self, publications: Iterable[Stored]) -> list[Stored]:
        """Append what was read from the stream, oldest first; return those that were new."""
        return [each for each in publications if self.accept(each) is Verdict.NEXT]

    @property
    def reach(self) -> int:
        """The offset from which on ``since`` answers."""
        return 0 if self.quiet else self.floor

    @property
    def nothing_retained(self) -> bool:
        """Whether there is no publication to be had, neither here nor in the stream."""
        return self.quiet and not self._stored

    def since(self, offset: int) -> list[Stored] | None:
        """Return all retained publications after ``offset``, or None where the ring does not reach back that far.

        Before ``floor``, a quiet ring knows that none is retained, not that none was lost.
        """
        if offset < self.reach:
            return None
        return [each for each in self._stored if each.offset > offset]

    def newest(self, count: int) -> list[Stored] | None:
        """Return the ``count`` newest publications, or None where the ring holds fewer."""
        if self.quiet:
            count = min(count, len(self._stored))
        if count > len(self._stored):
            return None
        return self._stored[-count:] if count else []
