"""The bytes of one socket that the kernel has not taken, and what is to be done about them.

A socket is slow from the first byte that stays behind until the kernel has taken all. Past the high watermark, or when
nothing was taken for half of the patience, it is no longer written live: it catches up from history once it has taken
all. Who takes nothing for the whole patience is closed.

Time is counted by looks, each of which may add no more than it was meant to: a loop that did not get to look, nor to
write, for half a minute must not find everybody stuck.
"""

from enum import Enum, auto


class Advice(Enum):
    """What to do with a slow socket."""

    WAIT = auto()
    LEAVE = auto()  # write it live no longer
    CLOSE = auto()


class Outbox:
    """Watches one slow socket; ``unsent`` bytes lie there at first."""

    __slots__ = ("_still_s", "_unsent")

    def __init__(self, unsent: int) -> None:
        self._unsent = unsent
        self._still_s = 0.0  # for how long it was not seen to take anything

    def look(self, unsent: int, *, live: bool, elapsed: float, high_watermark: int, stuck_s: float) -> Advice:
        """Return what to do now that ``unsent`` bytes are left, ``elapsed`` seconds after the last look.

        ``live``: it is still written live, so that more may come than it takes; then only a decrease shows that it
        takes anything.
        """
        self._still_s = 0.0 if unsent < self._unsent else self._still_s + elapsed
        self._unsent = unsent
        if not live:
            return Advice.CLOSE if self._still_s >= stuck_s else Advice.WAIT
        if unsent > high_watermark or self._still_s >= stuck_s / 2:
            self._still_s = min(self._still_s, stuck_s / 2)  # from now on it can be seen what it takes
            return Advice.LEAVE
        return Advice.WAIT
