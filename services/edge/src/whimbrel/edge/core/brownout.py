"""When a pod sheds load: before it breaks, and not for every hiccup.

    NORMAL ─strained for a while→ BROWNOUT ─calm for a longer while→ NORMAL

Strained is a look at the process that finds its loop late or its memory full; calm is one that finds both well below.
What lies between is neither, and lets no time count: what hovers at a bound does not flap.
"""

from dataclasses import dataclass
from typing import Final

LATENESS_CALM: Final = 0.5  # of the lag that strains: a loop half as late keeps up
MEMORY_CALM: Final = 0.9  # of the memory that strains; freed memory goes back to the system late and in parts


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a pod may bear: seconds and bytes."""

    lag_s: float
    memory_bytes: int
    after_s: float  # strained for that long begins a brownout
    calm_s: float  # calm for that long ends it


class Brownout:
    """Told of each look at the process, in order; says whether the pod sheds load."""

    __slots__ = ("_bounds", "_calm_since", "_strained_since", "active", "reason")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._strained_since: float | None = None
        self._calm_since: float | None = None
        self.active = False
        self.reason = ""  # of the last brownout

    @property
    def strained(self) -> bool:
        """Whether the last look found too much."""
        return self._strained_since is not None

    def observe(self, *, lag_s: float, memory_bytes: int, now: float) -> bool:
        """Take what a look at ``now`` found; return whether a brownout began or ended with it."""
        bounds = self._bounds
        late, full = lag_s >= bounds.lag_s, memory_bytes >= bounds.memory_bytes
        calm = lag_s < LATENESS_CALM * bounds.lag_s and memory_bytes < MEMORY_CALM * bounds.memory_bytes
        self._strained_since = _since(self._strained_since, late or full, now)
        self._calm_since = _since(self._calm_since, calm, now)
        if not self.active and self._strained_since is not None and now - self._strained_since >= bounds.after_s:
            self.active = True
            found = [f"the loop is {lag_s:.2f} s late"] * late + [f"{memory_bytes >> 20} MiB of memory"] * full
            self.reason = " and ".join(found)
            return True
        if self.active and self._calm_since is not None and now - self._calm_since >= bounds.calm_s:
            self.active = False
            return True
        return False


def _since(before: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if before is None else before
