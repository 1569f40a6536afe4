"""Traces that begin at the edge, and what is not sampled is not traced."""

import random
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer

from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import Neighbours, a_name
from whimbrel.edge.shell.tracing import Tracing
from whimbrel.protocol.channels import Channel
from whimbrel.runtime import traces
from whimbrel.runtime.errors import StartRefused

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def finished(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Trace everything that begins at the edge."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(edge.pod.tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(edge.pod.tracing, "_ratio", 1.0)
    yield exporter
    provider.shutdown()


def one(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    [span] = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


async def test_a_connect_is_one_trace_with_the_recoveries_that_had_to_read(
    edge: Edge, neighbours: Neighbours, finished: InMemorySpanExporter
) -> None:
    channel = f"orders:{a_name('traced')}"
    first, *_ = await neighbours.publish(channel, *range(5))
    peer = await edge.socket()
    epoch = edge.pod.openings._bus.streams.epoch(Channel.parse(channel))
    positions = {channel: {"epoch": epoch, "offset": first}}
    connected = await peer.ask("connect", token=neighbours.token(a_name("alice")), channels=positions)
    assert len(connected["channels"][channel]["publications"]) == 4
    await eventually(lambda: "connect websocket" in {span.name for span in finished.get_finished_spans()})
    connect, recover = one(finished, "connect websocket"), one(finished, "recover orders")
    assert recover.parent is not None
    assert recover.parent.span_id == connect.context.span_id
    assert recover.attributes is not None
    assert (recover.attributes["whimbrel.recovered"], recover.attributes["whimbrel.publications"]) == (True, 4)
    assert connect.attributes is not None
    assert connect.attributes["whimbrel.session"] == connected["session"]
    assert [event.name for event in connect.events] == ["identified"]
    assert edge.pod.tracing._connects == {}


async def test_a_gap_leads_from_the_ledger_to_its_trace(
    edge: Edge, neighbours: Neighbours, finished: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    channel = f"orders:{a_name('lost')}"
    positions = {channel: {"epoch": "of-another-life", "offset": 7}}
    await (await edge.socket()).ask("connect", token=neighbours.token(a_name("alice")), channels=positions)
    await eventually(lambda: "connect websocket" in {span.name for span in finished.get_finished_spans()})
    [told] = [each.__dict__["fields"] for each in caplog.records if each.getMessage() == "client.reloads"]
    assert told["trace"] == f"{one(finished, 'connect websocket').context.trace_id:032x}"


async def test_a_connect_that_fails_says_why(edge: Edge, finished: InMemorySpanExporter) -> None:
    peer = await edge.socket()
    peer.say({"type": "connect", "id": 1, "token": "forged"})
    assert await peer.close_code() == 4501
    await peer.close()
    await eventually(finished.get_finished_spans)
    assert one(finished, "connect websocket").status.description == "unauthorized"


async def test_what_a_client_publishes_carries_its_trace_to_the_others(
    edge: Edge, finished: InMemorySpanExporter
) -> None:
    channel = f"chat:{a_name('traced')}"
    alice, bob = await edge.session(a_name("alice"), channel), await edge.session(a_name("bob"), channel)
    await alice.ask("publish", channel=channel, event="said", data=1)
    heard = await bob.until(lambda frame: frame["type"] == "publication")
    publish = one(finished, "publish chat")
    assert heard["trace"].split("-")[1:3] == [f"{publish.context.trace_id:032x}", f"{publish.context.span_id:016x}"]


async def test_nothing_is_drawn_nor_traced_where_traces_are_off(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> float:
        raise AssertionError("traces are off")

    monkeypatch.setattr(random, "random", draw)
    tracing = Tracing(NoOpTracer(), 0.0)
    with tracing.publishing("chat") as traceparent:
        assert traceparent is None
    with tracing.recovering("chat", None) as span:
        assert not span.is_recording()


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        (None, None, traces.ROOT_RATIO),
        ("always_on", None, 1.0),
        ("parentbased_always_off", None, 0.0),
        ("traceidratio", "0.25", 0.25),
        ("parentbased_traceidratio", None, 1.0),
    ],
)
async def test_the_ratio_is_what_opentelemetrys_own_variables_say(
    monkeypatch: pytest.MonkeyPatch, sampler: str | None, argument: str | None, ratio: float
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    for name, value in (("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert traces.root_ratio() == 0.0, "traces are off"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert traces.root_ratio() == ratio


@pytest.mark.parametrize(("sampler", "argument"), [("jaeger_remote", ""), ("traceidratio", "2"), ("traceidratio", "x")])
async def test_a_sampler_that_is_not_understood_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    with pytest.raises(StartRefused, match="OTEL_TRACES_SAMPLER"):
        traces.root_ratio()
