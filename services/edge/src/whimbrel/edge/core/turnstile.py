"""Connects at the rate that a pod can take."""

from typing import Final

from whimbrel.edge.core.rates import TokenBucket, pay

LEAST_WAIT_S: Final = 0.5
MOST_WAIT_S: Final = 20.0  # as the cap of the clients' own backoff


class Turnstile:
    """Lets ``rate`` connects per second in, ``burst`` at once, and gives each whom it refuses a turn of its own.

    Who is refused is told to come when all refused before could have come in at the rate: the storm returns as a
    stream.
    """

    __slots__ = ("_bucket", "_turn_at")

    def __init__(self, rate: float, burst: float) -> None:
        self._bucket = TokenBucket(rate, burst)
        self._turn_at = 0.0

    @property
    def rate(self) -> float:
        """Connects per second."""
        return self._bucket.rate

    def enter(self, *, now: float, jitter: float) -> float:
        """Return 0.0 for who may come in, else the seconds to wait; ``jitter`` is a random number from 0 to 1."""
        if not self._bucket.take(now=now):
            return 0.0
        self._turn_at = pay(self._turn_at, 1.0 / self.rate, now=now)
        most = MOST_WAIT_S * (0.5 + 0.5 * jitter)  # beyond it turns do not count, and must not pile up either
        return LEAST_WAIT_S * (1.0 + jitter) + min(self._turn_at - now, most)
