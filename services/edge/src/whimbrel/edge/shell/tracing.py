"""Traces that begin at the edge: of a connect, of a recovery, of a client's publish.

Whether one is sampled is decided before OpenTelemetry is called, by one draw; for all others nothing is kept, and
nothing of the SDK is touched. No span lasts as long as a session: what becomes of that, the journal tells.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from whimbrel.edge.shell.journal import Carried
from whimbrel.runtime import traces

SESSION: Final = "whimbrel.session"
TRANSPORT: Final = "whimbrel.transport"
NAMESPACE: Final = "whimbrel.namespace"


class Tracing:
    """Begins traces; ``ratio`` of what may begin one does."""

    def __init__(self, tracer: Tracer, ratio: float) -> None:
        self._tracer = tracer
        self._ratio = ratio
        self._connects: dict[Carried, Span] = {}  # the sampled ones, until they are connected or gone

    def _sampled(self) -> bool:
        return self._ratio > 0.0 and random.random() < self._ratio

    # Connects

    def connecting(self, carried: Carried) -> None:
        """Begin to trace how a client connects, if it is one of the sampled."""
        if self._sampled():
            attributes = {SESSION: carried.session.id, TRANSPORT: carried.CARRIER}
            self._connects[carried] = self._tracer.start_span(
                f"connect {carried.CARRIER}", kind=SpanKind.SERVER, attributes=attributes
            )

    def identified(self, carried: Carried) -> None:
        """Note that auth and router, or a resume grant, have said who it is."""
        if (span := self._connects.get(carried)) is not None:
            span.add_event("identified")

    def connect_of(self, carried: Carried) -> Span | None:
        """Return the span under which the channels of ``connect`` are recovered."""
        return self._connects.get(carried)

    def connected(self, carried: Carried) -> None:
        """Note that the client was told `connected`."""
        if (span := self._connects.pop(carried, None)) is not None:
            tally = carried.session.tally
            span.set_attributes(
                {
                    "whimbrel.channels": len(carried.session.subscriptions.channels),
                    "whimbrel.recovered": tally.recovered,
                    "whimbrel.reloads": tally.reloads,
                }
            )
            span.end()

    def gone(self, carried: Carried) -> None:
        """Note that the client is gone; where it never was told `connected` the trace says why."""
        if (span := self._connects.pop(carried, None)) is not None:
            code = carried.session.closed_with
            span.set_status(StatusCode.ERROR, "the client went" if code is None else code.slug)
            span.end()

    # Recoveries and publishes

    @contextmanager
    def recovering(self, namespace: str, parent: Span | None) -> Iterator[Span]:
        """Trace reads for one channel: under ``parent``, or as a trace of their own if they are sampled."""
        if parent is None and not self._sampled():
            yield trace.INVALID_SPAN
            return
        context = None if parent is None else trace.set_span_in_context(parent)
        with self._tracer.start_as_current_span(
            f"recover {namespace}", context, attributes={NAMESPACE: namespace}
        ) as span:
            yield span

    @contextmanager
    def publishing(self, namespace: str) -> Iterator[str | None]:
        """Trace a client's publish if it is sampled, and give the traceparent that the publication carries on."""
        if not self._sampled():
            yield None
            return
        with self._tracer.start_as_current_span(
            f"publish {namespace}", kind=SpanKind.PRODUCER, attributes={NAMESPACE: namespace}
        ) as span:
            yield traces.traceparent(span)
