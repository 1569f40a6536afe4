"""What the router counts: plain integers, read at scrape."""

from whimbrel.runtime.metrics import Metrics


class Counts:
    """Counters of one process."""

    def __init__(self) -> None:
        self.resolved = 0
        self.authorized = 0
        self.joined = 0
        self.left = 0
        self.not_told_again = 0

    def expose(self, metrics: Metrics) -> None:
        """Name the counters under /metrics."""
        metrics.counter("whimbrel_router_resolved_total", "Users resolved.", lambda: self.resolved)
        metrics.counter("whimbrel_router_authorized_total", "Questions of permission.", lambda: self.authorized)
        metrics.counter("whimbrel_router_joined_total", "Memberships written.", lambda: self.joined)
        metrics.counter("whimbrel_router_left_total", "Memberships ended.", lambda: self.left)
        metrics.counter(
            "whimbrel_router_not_told_again_total",
            "Changes that were told once only, because too many waited for their second time.",
            lambda: self.not_told_again,
        )
