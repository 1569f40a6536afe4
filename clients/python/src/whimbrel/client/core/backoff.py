"""How long to wait before the next try: full jitter, so that a fleet does not come back in step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from whimbrel.client.core.timing import Timing


@dataclass(frozen=True, slots=True)
class Backoff:
    """``losses`` counts connections in a row that failed, or broke young."""

    timing: Timing
    losses: int = 0

    def lost(self, *, lived_s: float) -> Self:
        """Return the backoff after a connection that was up for ``lived_s`` (0 where it never was)."""
        forgiven = lived_s >= self.timing.backoff_reset_s
        return replace(self, losses=1 if forgiven else self.losses + 1)

    def delay(self, jitter: float) -> float:
        """Return seconds to wait; ``jitter`` is a random number in [0, 1)."""
        # 2**30 s is beyond every cap: the exponent is bounded so that a week of losses stays a number.
        ceiling = self.timing.backoff_base_s * 2.0 ** min(max(self.losses - 1, 0), 30)
        return float(jitter * min(self.timing.backoff_cap_s, ceiling))


def retry_s(timing: Timing, jitter: Callable[[], float], tries: int) -> float:
    """Return seconds until a channel or a token is asked for once more, after ``tries``: the later half of the way."""
    ceiling = min(timing.backoff_cap_s, timing.retry_s * 2.0 ** min(tries - 1, 30))
    return ceiling * (0.5 + jitter() / 2)
