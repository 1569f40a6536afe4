"""Token buckets."""


class TokenBucket:
    """Lets ``rate`` actions per second through on average, ``burst`` at once. Starts full."""

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at: float | None = None

    def take(self, *, now: float) -> float:
        """Take one; return 0.0, or the seconds until there will be one (nothing is taken then)."""
        if self._at is not None:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self.rate
