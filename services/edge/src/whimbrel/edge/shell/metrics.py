"""What the edge counts about its connections: plain integers, read at scrape."""

from collections import Counter
from typing import get_args

from whimbrel.protocol.bodies import Transport
from whimbrel.protocol.codes import CloseCode
from whimbrel.runtime.metrics import Metrics


class Counters:
    """Connections, closes and refusals of the pod."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter(dict.fromkeys(get_args(Transport), 0))
        self.accepted: Counter[str] = Counter(dict.fromkeys(get_args(Transport), 0))
        self.closed: Counter[str] = Counter({code.slug: 0 for code in CloseCode} | {"client": 0})
        self.refused: Counter[str] = Counter()  # HTTP answers of the front door, by status

        self.fell_behind = 0  # sockets that were no longer written live

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.labelled(
            "whimbrel_edge_connections",
            "Open WebSockets and waiting polls.",
            "gauge",
            ("transport",),
            lambda: {(transport,): number for transport, number in self.open.items()},
        )
        metrics.labelled(
            "whimbrel_edge_accepted_total",
            "WebSockets opened and polls answered.",
            "counter",
            ("transport",),
            lambda: {(transport,): number for transport, number in self.accepted.items()},
        )
        metrics.labelled(
            "whimbrel_edge_closes_total",
            "Closed WebSockets by close code; `client` where the client went.",
            "counter",
            ("code",),
            lambda: {(slug,): number for slug, number in self.closed.items()},
        )
        metrics.labelled(
            "whimbrel_edge_refused_total",
            "Requests that the front door refused, by HTTP status.",
            "counter",
            ("status",),
            lambda: {(status,): number for status, number in self.refused.items()},
        )
        metrics.counter(
            "whimbrel_edge_fell_behind_total",
            "Times that a slow socket was taken off live delivery, to catch up from history.",
            lambda: self.fell_behind,
        )
