"""A trace collector: takes OTLP over HTTP and remembers the spans."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """One span; ids in hexadecimal, ``parent`` empty where it has none."""

    service: str
    name: str
    trace: str
    id: str
    parent: str


class Collector:
    """Spans that have arrived, and where to send them."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.spans: list[Span] = []

    async def until(self, trace: str, names: set[str]) -> dict[str, Span]:
        """Wait until spans of all ``names`` have arrived for ``trace``; return them by name."""
        async with asyncio.timeout(30):
            while True:
                found = {span.name: span for span in self.spans if span.trace == trace}
                if names <= set(found):
                    return found
                await asyncio.sleep(0.05)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in request.resource_spans:
                attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
                collector.spans += [
                    Span(
                        attributes["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                    )
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
