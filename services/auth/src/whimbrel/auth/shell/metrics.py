"""What auth counts: plain integers, read at scrape."""

from collections import Counter

from whimbrel.auth.core.verdicts import Verdicts
from whimbrel.runtime.metrics import Metrics


class Counts:
    """Counters of one process."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()  # by code of the verdict
        self.refreshes: Counter[str] = Counter()  # by what became of them
        self.tickets: Counter[str] = Counter()  # by what became of them
        self.minted = 0

    def expose(self, metrics: Metrics, verdicts: Verdicts) -> None:
        """Name the counters under /metrics."""
        metrics.labelled(
            "whimbrel_auth_verdicts_total",
            "Tokens verified, by verdict.",
            "counter",
            ("code",),
            lambda: {(code,): number for code, number in self.verdicts.items()},
        )
        metrics.labelled(
            "whimbrel_auth_refreshes_total",
            "Refresh tokens presented, by outcome.",
            "counter",
            ("outcome",),
            lambda: {(outcome,): number for outcome, number in self.refreshes.items()},
        )
        metrics.labelled(
            "whimbrel_auth_tickets_total",
            "Tickets made, redeemed and refused.",
            "counter",
            ("outcome",),
            lambda: {(outcome,): number for outcome, number in self.tickets.items()},
        )
        metrics.counter("whimbrel_auth_minted_total", "Access tokens minted.", lambda: self.minted)
        metrics.counter("whimbrel_auth_verdict_hits_total", "Verdicts that were remembered.", lambda: verdicts.hits)
        metrics.gauge("whimbrel_auth_verdicts_remembered", "Verdicts in memory.", lambda: len(verdicts))
