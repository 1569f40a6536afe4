"""What the notifier counts: plain integers, read at scrape."""

from collections import Counter

from whimbrel.runtime.metrics import Metrics

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class Counts:
    """Counts since the process started."""

    def __init__(self, metrics: Metrics) -> None:
        self.events = 0
        self.skipped = 0
        self.repeats = 0
        self.stored = 0
        self.duplicates = 0
        self.live = 0
        self.found_stored = 0
        self.retries = 0
        self.dead: Counter[str] = Counter()
        self.latency = metrics.histogram(
            "whimbrel_notifier_event_seconds", "From an event's storage to the last of its publications'.", LATENCY_S
        )
        for name, text, read in (
            ("events", "Events finished: published, or dead letters.", lambda: self.events),
            ("events_skipped", "Redeliveries of events finished before.", lambda: self.skipped),
            ("events_repeated", "Late repeats of events, dropped: the first copy is in EVENTS.", lambda: self.repeats),
            ("publications_duplicate", "Publications that the stream had already.", lambda: self.duplicates),
            ("publications_found", "Old publications not repeated: found stored.", lambda: self.found_stored),
            ("publish_retries", "Publications that had to be sent again.", lambda: self.retries),
        ):
            metrics.counter(f"whimbrel_notifier_{name}_total", text, read)
        metrics.labelled(
            "whimbrel_notifier_publications_total",
            "Publications by kind: stored in a history stream, or sent live only.",
            "counter",
            ("kind",),
            lambda: {("stored",): self.stored, ("live",): self.live},
        )
        metrics.labelled(
            "whimbrel_notifier_dead_letters_total",
            "Events that nobody can deliver, by reason.",
            "counter",
            ("reason",),
            lambda: {(reason,): count for reason, count in self.dead.items()},
        )
