"""One trace from the domain event to the publication; nothing at all where the event is not sampled."""

from typing import Final, NamedTuple

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Tracer

from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.events import Event
from whimbrel.protocol import subjects
from whimbrel.runtime import traces

_EVENTS: Final = subjects.EVENTS_ALL.removesuffix(">")  # spans are named by the kind of event, never by one event's id


class EventSpans(NamedTuple):
    """The spans of one event: that it is processed, and within it that its publications are sent (all of them: a bulk
    event has thousands).
    """

    process: Span
    publish: Span

    @property
    def traceparent(self) -> str:
        """Return what travels with the publications."""
        return traces.traceparent(self.publish) or ""

    def end(self) -> None:
        """Note that all publications are stored."""
        self.publish.end()
        self.process.end()


def begin(tracer: Tracer, event: Event, targets: list[Target], event_id: str) -> EventSpans | None:
    """Begin the spans of ``event``; None where it is not sampled."""
    context = traces.extract(event.traceparent)
    if context is None:
        return None
    common = {"messaging.system": "nats", "messaging.message.id": event_id}
    destination = f"{_EVENTS}{event.domain}.{event.entity}"
    process = tracer.start_span(
        f"process {destination}",
        context,
        SpanKind.CONSUMER,
        {
            **common,
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": destination,
            "cloudevents.event_type": event.type,
            "cloudevents.event_source": event.source,
        },
    )
    destination = subjects.publish_subject(targets[0].channel).rpartition(".")[0]
    publish = tracer.start_span(
        f"publish {destination}",
        trace.set_span_in_context(process, context),
        SpanKind.PRODUCER,
        {
            **common,
            "messaging.operation.type": "send",
            "messaging.operation.name": "publish",
            "messaging.destination.name": destination,
            "messaging.batch.message_count": len(targets),
        },
    )
    return EventSpans(process, publish)
