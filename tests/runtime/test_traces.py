"""Nothing is traced that is not sampled, and what is sampled hangs together."""

import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Tracer

from whimbrel.runtime import traces

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
NOT_SAMPLED = f"00-{TRACE}-{SPAN}-00"


@pytest.fixture
def spans() -> Iterator[tuple[Tracer, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test"), exporter
    provider.shutdown()


@pytest.mark.parametrize(
    ("traceparent", "expected"),
    [
        (SAMPLED, True),
        (SAMPLED.encode(), True),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (NOT_SAMPLED, False),
        (f"00-{TRACE}-{SPAN}-02", False),
        (b"", False),
        (None, False),
        ("1", False),
        (SAMPLED + "1", False),
    ],
)
def test_the_sampled_flag_is_one_byte(traceparent: bytes | str | None, expected: bool) -> None:
    assert traces.sampled(traceparent) is expected


@pytest.mark.parametrize("malformed", ["x" * 54 + "1", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'z' * 16}-01"])
def test_a_malformed_traceparent_has_no_context(malformed: str) -> None:
    assert traces.extract(malformed) is None


def test_a_sampled_message_is_traced_as_a_child_of_its_publisher(spans: tuple[Tracer, InMemorySpanExporter]) -> None:
    tracer, exporter = spans
    with traces.messaging_span(tracer, "process", "events.shop.order.*", parent=SAMPLED, message_id="7") as span:
        onward = traces.traceparent(span)
    (finished,) = exporter.get_finished_spans()
    assert finished.name == "process events.shop.order.*"
    assert finished.kind is SpanKind.CONSUMER
    assert finished.parent is not None
    assert f"{finished.context.trace_id:032x}" == TRACE
    assert f"{finished.parent.span_id:016x}" == SPAN
    assert onward == f"00-{TRACE}-{finished.context.span_id:016x}-01"
    assert dict(finished.attributes or {}) == {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "events.shop.order.*",
        "messaging.message.id": "7",
    }


def test_a_batch_is_traced_with_a_link_to_each_sampled_message(spans: tuple[Tracer, InMemorySpanExporter]) -> None:
    tracer, exporter = spans
    with traces.messaging_span(tracer, "deliver", "live.orders.*", links=[SAMPLED, NOT_SAMPLED, None, b"bad"]):
        pass
    (finished,) = exporter.get_finished_spans()
    assert [f"{link.context.span_id:016x}" for link in finished.links] == [SPAN]
    assert finished.kind is SpanKind.PRODUCER


def test_what_is_not_sampled_calls_no_tracer() -> None:
    class Untouchable(trace.NoOpTracer):
        def start_as_current_span(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
            pytest.fail("the tracer was called")

    with traces.messaging_span(Untouchable(), "publish", "live.orders.*", parent=NOT_SAMPLED) as span:
        assert traces.traceparent(span) is None


def test_without_an_endpoint_the_sdk_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert isinstance(traces.setup("whimbrel-edge", "edge-0", "1"), trace.NoOpTracer)
    traces.shutdown()
