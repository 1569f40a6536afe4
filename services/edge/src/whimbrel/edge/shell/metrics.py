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
        self.closed: Counter[str] = Counter({code.slug: 0 for code in CloseCode} | {"client": 0, "network": 0})
        self.refused: Counter[str] = Counter()  # connections that were answered an HTTP error, by its slug
        self.frames_in = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.fell_behind = 0  # sockets that were no longer written live
        self.caught_up = 0  # channels of such sockets that are live again
        self.outbox_peak = 0  # unsent bytes of all sockets

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.labelled(
            "whimbrel_edge_connections",
            "Open WebSockets and streams of events, and waiting polls.",
            "gauge",
            ("transport",),
            lambda: {(transport,): number for transport, number in self.open.items()},
        )
        metrics.labelled(
            "whimbrel_edge_accepted_total",
            "WebSockets and streams opened, and polls answered.",
            "counter",
            ("transport",),
            lambda: {(transport,): number for transport, number in self.accepted.items()},
        )
        metrics.labelled(
            "whimbrel_edge_closes_total",
            "Closed WebSockets and streams by close code; `client`: it said goodbye, `network`: it broke off.",
            "counter",
            ("code",),
            lambda: {(slug,): number for slug, number in self.closed.items()},
        )
        metrics.labelled(
            "whimbrel_edge_refused_total",
            "Requests that the front door refused, by slug; `reset`: over the limit of sockets, without an answer.",
            "counter",
            ("reason",),
            lambda: {(reason,): number for reason, number in self.refused.items()},
        )
        metrics.counter(
            "whimbrel_edge_fell_behind_total",
            "Times that a slow socket was taken off live delivery, to catch up from history.",
            lambda: self.fell_behind,
        )
        metrics.counter(
            "whimbrel_edge_catch_ups_total",
            "Channels of slow sockets that were caught up from history and are live again.",
            lambda: self.caught_up,
        )
        metrics.counter(
            "whimbrel_edge_frames_in_total", "Frames that clients sent over WebSockets.", lambda: self.frames_in
        )
        metrics.counter(
            "whimbrel_edge_bytes_in_total", "Bytes that clients sent over WebSockets.", lambda: self.bytes_in
        )
        metrics.counter(
            "whimbrel_edge_bytes_out_total",
            "Bytes written to clients, before compression and TLS.",
            lambda: self.bytes_out,
        )
        metrics.gauge(
            "whimbrel_edge_outbox_peak_bytes",
            "Most bytes that waited for slow sockets at one time, four looks a second.",
            lambda: self.outbox_peak,
        )
