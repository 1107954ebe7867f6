"""A collector of spans, and the instrumentation of Celery that brings its own there."""

import json
import time
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from processes import eventually


@dataclass
class Span:
    """A span of either side."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    error: str | None
    attributes: dict
    events: list
    service: str


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def of_wire(body):
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = attributes(resource.resource.attributes)["service.name"]
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Span(
                name=span.name,
                kind=Wire.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                start=span.start_time_unix_nano,
                error=span.status.message if span.status.code == 2 else None,
                attributes=attributes(span.attributes),
                events=[(event.name, attributes(event.attributes)) for event in span.events],
                service=service,
            )


def of_python(body):
    for span in map(json.loads, json.loads(body)):
        yield Span(
            name=span["name"],
            kind=span["kind"].removeprefix("SpanKind."),
            trace=span["context"]["trace_id"].removeprefix("0x"),
            id=span["context"]["span_id"].removeprefix("0x"),
            parent=(span["parent_id"] or "").removeprefix("0x"),
            start=span["start_time"],
            error=span["status"].get("description"),
            attributes=span["attributes"],
            events=[],
            service="python",
        )


class Collector:
    """An HTTP server that takes spans, as fast as it is told to."""

    def __init__(self):
        self.spans, self.headers, self.wait = [], [], 0.0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    time.sleep(collector.wait)
                    collector.headers.append(dict(self.headers))
                read = of_wire if self.path == "/v1/traces" else of_python
                collector.spans.extend(read(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def until(self, trace, count):
        """The spans of a trace by id, once there are so many."""

        def enough():
            found = {span.id: span for span in list(self.spans) if span.trace == trace}
            return found if len(found) >= count else None

        try:
            return eventually(enough, f"{count} spans of trace {trace}")
        except AssertionError as error:
            raise AssertionError(f"{error} of {self.spans}") from None


class ToCollector(SpanExporter):
    """Brings spans to the collector at once, as JSON."""

    def __init__(self, url):
        self._url = f"{url}/python"

    def export(self, spans):
        body = json.dumps([span.to_json() for span in spans]).encode()
        urllib.request.urlopen(urllib.request.Request(self._url, data=body), timeout=10).close()
        return SpanExportResult.SUCCESS


def instrument(url):
    """Instruments Celery in this process; returns what makes spans."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ToCollector(url)))
    CeleryInstrumentor().instrument(tracer_provider=provider)
    return provider.get_tracer("test")
