"""The spans of an event: parented on the publisher's, and the parent of what the clients see."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer, SpanKind

from tests.notifier.events import an_event
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.shell import tracing
from whimbrel.protocol.channels import Channel

TARGETS = [Target(Channel("orders", "42"), True), Target(Channel("user", "alice"), True)]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = an_event({}, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "ce-type": "order.paid"})


def test_an_event_is_processed_within_its_publisher_s_trace_and_its_publications_within_that() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = tracing.begin(provider.get_tracer("test"), SAMPLED, TARGETS, "e-1")
    assert spans is not None
    spans.end()
    publish, process = exporter.get_finished_spans()
    assert (process.name, process.kind) == ("process events.shop.order", SpanKind.CONSUMER)
    assert (publish.name, publish.kind) == ("publish pub.orders", SpanKind.PRODUCER)
    assert process.parent is not None
    assert publish.parent is not None
    assert f"{process.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert publish.parent.span_id == process.context.span_id
    assert publish.attributes is not None
    assert publish.attributes["messaging.batch.message_count"] == 2
    assert spans.traceparent == f"00-{TRACE}-{publish.context.span_id:016x}-01"


def test_without_an_exporter_the_publisher_s_trace_passes_through() -> None:
    spans = tracing.begin(NoOpTracer(), SAMPLED, TARGETS, "e-1")
    assert spans is not None
    assert spans.traceparent == SAMPLED.traceparent


@pytest.mark.parametrize("traceparent", ["", f"00-{TRACE}-00f067aa0ba902b7-00", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
def test_what_is_not_sampled_has_no_spans(traceparent: str) -> None:
    assert tracing.begin(NoOpTracer(), SAMPLED._replace(traceparent=traceparent), TARGETS, "e-1") is None
