"""Proof of completeness: what a read of the stream says about everything after a position.

A read starts at the position itself (``seq`` of a direct get is inclusive). Completeness is shown, never assumed:

* the publication at the position is still there: nothing after it was trimmed, for trimming takes the oldest first;
* or the stream still begins at or before the position, and fewer publications than the per-channel limit are newer:
nothing was trimmed;
* otherwise the client is told to reload.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from whimbrel.edge.core.ring import Run, Stored
from whimbrel.protocol.gaps import Cause
from whimbrel.protocol.limits import RECOVERY_BYTES, RECOVERY_LIMIT, RETAINED_PER_CHANNEL


@dataclass(frozen=True, slots=True)
class Complete:
    """``publications``: everything after the position up to the end of the read, oldest first."""

    publications: Run


@dataclass(frozen=True, slots=True)
class NeedsBounds:
    """The position itself is not a publication of the channel: the stream's first and last sequence must be known."""


@dataclass(frozen=True, slots=True)
class Unrecoverable:
    """Completeness cannot be shown, and why; ``missed``: publications retained after the position, where counted."""

    cause: Cause
    missed: int | None = None


@dataclass(frozen=True, slots=True)
class StreamBounds:
    """A stream's first and last sequence, learnt after the read that they are to judge."""

    first: int
    last: int

    @property
    def empty(self) -> bool:
        """Whether nothing is stored: a purged stream begins behind its end, a new one at 0."""
        return self.first > self.last or self.last == 0


def judge(
    position: int, read: Sequence[tuple[int, bytes, bytes]], pending: int, bounds: StreamBounds | None
) -> Complete | NeedsBounds | Unrecoverable:
    """Judge a read of one channel from ``position`` on.

    ``read`` holds (sequence, body, trace) from the sequence ``position`` inclusive, oldest first; ``pending`` counts
    those that were left unread.
    """
    anchored = bool(read) and read[0][0] == position
    newer = read[1:] if anchored else read
    count = len(newer) + pending
    if count > RECOVERY_LIMIT:
        return Unrecoverable("too_many", count)
    if sum(len(body) for _, body, _ in newer) > RECOVERY_BYTES:
        return Unrecoverable("too_large", count)
    if not anchored:
        if bounds is None:
            return NeedsBounds()
        if position > bounds.last:
            return Unrecoverable("ahead")
        if bounds.first > position + 1 or count >= RETAINED_PER_CHANNEL:
            return Unrecoverable("trimmed")
    return Complete(Run(chained(newer, position)))


def chained(read: Sequence[tuple[int, bytes, bytes]], prev: int) -> list[Stored]:
    """Give each publication the offset of the one before it; ``prev`` stands before the first."""
    stored = []
    for offset, body, trace in read:
        stored.append(Stored(offset, prev, body, trace))
        prev = offset
    return stored
