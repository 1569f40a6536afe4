"""Traces by OpenTelemetry, exported over OTLP/HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set, otherwise off.

Nothing of the SDK is called for what is not sampled: ``sampled`` looks at one byte of the traceparent (0.1 µs
against 10–35 µs).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from whimbrel.runtime.errors import StartRefused

TRACEPARENT: Final = "traceparent"
ROOT_RATIO: Final = 0.01  # a span costs 10–35 µs: of every connect in a storm it would be a third of what it costs
_LENGTH: Final = 55  # 00-<32 hex>-<16 hex>-<2 hex>
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_ODD: Final = frozenset(b"13579bdfBDF")

Operation = Literal["publish", "process", "deliver"]


def setup(service: str, instance: str, version: str) -> Tracer:
    """Return the tracer of the process; one that does nothing where no OTLP endpoint is configured."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return trace.NoOpTracer()
    # Imported here: the SDK and its exporter cost 100 ms and 10 MB that a process without traces need not pay.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import DEFAULT_ON

    resource = Resource.create({"service.name": service, "service.version": version, "service.instance.id": instance})
    # Who begins a trace has drawn already: see ``root_ratio``.
    provider = TracerProvider(resource=resource, sampler=DEFAULT_ON, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.get_tracer(service, version)


def root_ratio() -> float:
    """Return how many of the traces that may begin in this process do, 0 to 1.

    By OpenTelemetry's own OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG, ROOT_RATIO where they say nothing; 0 where
    traces are off. Raises StartRefused for a value that is none of theirs.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return 0.0
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "")
    argument = os.environ.get("OTEL_TRACES_SAMPLER_ARG") or "1"
    match sampler.removeprefix("parentbased_"):
        case "":
            return ROOT_RATIO
        case "always_on":
            return 1.0
        case "always_off":
            return 0.0
        case "traceidratio":
            try:
                ratio = float(argument)
            except ValueError:
                ratio = -1.0
            if 0.0 <= ratio <= 1.0:
                return ratio
            raise StartRefused(f"OTEL_TRACES_SAMPLER_ARG is a number from 0 to 1, not {argument!r}")
        case _:
            known = "always_on, always_off or traceidratio, each also with parentbased_ before it"
            raise StartRefused(f"OTEL_TRACES_SAMPLER is {known}, not {sampler!r}")


def shutdown() -> None:
    """Send what waits and stop; does nothing where traces are off."""
    provider = trace.get_tracer_provider()
    stop = getattr(provider, "shutdown", None)
    if stop is not None:
        stop()


def sampled(traceparent: bytes | str | None) -> bool:
    """Tell whether ``traceparent`` has its sampled flag set; False for anything that is not one."""
    if traceparent is None or len(traceparent) != _LENGTH:
        return False
    last = traceparent[-1]
    return (last if isinstance(last, int) else ord(last)) in _ODD


def extract(traceparent: bytes | str | None) -> Context | None:
    """Return the context of ``traceparent``, None where it is missing, malformed or not sampled."""
    if traceparent is None or not sampled(traceparent):
        return None
    text = traceparent.decode("ascii", "replace") if isinstance(traceparent, bytes) else traceparent
    context = _PROPAGATOR.extract({TRACEPARENT: text})
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def traceparent(span: Span) -> str | None:
    """Return the traceparent that says ``span`` is the parent, None where it is not sampled."""
    context = span.get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def trace_id(span: Span) -> str:
    """Return by what the trace of ``span`` is looked up, empty where it is not sampled."""
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else ""


@contextmanager
def messaging_span(
    tracer: Tracer,
    operation: Operation,
    destination: str,
    *,
    parent: bytes | str | None = None,
    links: Sequence[bytes | str | None] = (),
    message_id: str | None = None,
) -> Iterator[Span]:
    """Trace one messaging operation by OpenTelemetry's conventions; does nothing where neither parent nor link is
    sampled.

    ``destination`` is a subject template (`events.shop.order.*`), never one subject per user: it names the span.
    """
    context = extract(parent)
    linked = [context for link in links if (context := extract(link)) is not None]
    if context is None and not linked:
        yield trace.INVALID_SPAN
        return
    attributes = {
        "messaging.system": "nats",
        "messaging.operation.type": {"publish": "send", "process": "process", "deliver": "send"}[operation],
        "messaging.operation.name": operation,
        "messaging.destination.name": destination,
    }
    if message_id is not None:
        attributes["messaging.message.id"] = message_id
    kind = SpanKind.CONSUMER if operation == "process" else SpanKind.PRODUCER
    with tracer.start_as_current_span(
        f"{operation} {destination}",
        context,
        kind,
        attributes,
        [Link(trace.get_current_span(one).get_span_context()) for one in linked],
    ) as span:
        yield span
