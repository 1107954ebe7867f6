"""Traces through nodes, with the instrumentation that Celery has in Python."""

import json
import time
import urllib.request

import pytest
from celery import chain, chord
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor

import spans
import tasks
from processes import eventually, free_port


@pytest.fixture
def collector():
    collector = spans.Collector()
    yield collector
    collector.close()


@pytest.fixture
def tracer(collector):
    """Makes spans in this process; the calls in them are instrumented."""
    yield spans.instrument(collector.url)
    CeleryInstrumentor().uninstrument()


@pytest.fixture
def app(client, redis_url):
    app = client(redis_url)
    for name in ("demo.traced", "isolated.traced"):
        app.task(tasks.elsewhere, name=name, shared=False)
    # The instrumentation looks for tasks in the current one.
    app.set_current()
    return app


def id_of(span):
    return trace.format_trace_id(span.get_span_context().trace_id)


def line(found, span):
    """The span and those before it, up to the first."""
    names = []
    while span:
        names.append((span.kind, span.name, span.service))
        span = found.get(span.parent)
    return names[::-1]


def last(found, name):
    return max((span for span in found.values() if span.name == name), key=lambda span: span.start)


# Semantics: S50.
def test_a_chain_through_both_sides_is_one_trace(node, python_worker, app, unique, collector, tracer, redis_url, queue):
    python = unique("python")
    python_worker(
        redis_url, "--pool", "solo", queue=python, module="traced_tasks", CELERIAC_TEST_COLLECTOR=collector.url
    )
    ours = node(redis_url, "--otlp-endpoint", collector.url, "--otlp-headers", "x-key=a%20b", program="demo-node")
    add, mul = app.tasks["demo.add"], app.tasks["demo.mul"]

    with tracer.start_as_current_span("request") as span:
        steps = chain(add.s(2, 3), mul.s(4).set(queue=python), add.s(1).set(queue=queue))
        result = steps.apply_async()
    assert result.get(timeout=60) == 21

    found = collector.until(id_of(span), 7)
    assert line(found, last(found, "run/demo.add")) == [
        ("INTERNAL", "request", "python"),
        ("PRODUCER", "apply_async/demo.add", "python"),
        ("CONSUMER", "run/demo.add", "celeriac"),
        ("PRODUCER", "apply_async/demo.mul", "celeriac"),
        ("CONSUMER", "run/demo.mul", "python"),
        ("PRODUCER", "apply_async/demo.add", "python"),
        ("CONSUMER", "run/demo.add", "celeriac"),
    ]
    run = last(found, "run/demo.add")
    told = {
        "celery.action": "run",
        "celery.task_name": "demo.add",
        "celery.state": "SUCCESS",
        "celery.hostname": ours.name,
        "celeriac.queue": queue,
        "messaging.system": "rabbitmq",
        "messaging.message.id": result.id,
    }
    assert told.items() <= run.attributes.items()
    assert run.attributes["celeriac.queue_time"] >= 0
    assert run.error is None
    assert collector.headers[0]["x-key"] == "a b"


# Semantics: S50.
def test_each_try_of_a_task_is_a_child_of_the_one_before(node, app, collector, tracer, redis_url):
    node(redis_url, "--otlp-endpoint", collector.url, program="demo-node")

    with tracer.start_as_current_span("request") as span:
        result = app.tasks["demo.retry"].delay(2)
    assert result.get(timeout=60) == 2

    found = collector.until(id_of(span), 7)
    step = [("PRODUCER", "apply_async/demo.retry"), ("CONSUMER", "run/demo.retry")]
    run = last(found, "run/demo.retry")
    assert [names[:2] for names in line(found, run)] == [("INTERNAL", "request"), *step * 3]
    runs = sorted((span for span in found.values() if span.kind == "CONSUMER"), key=lambda span: span.start)
    assert [run.attributes["celery.state"] for run in runs] == ["RETRY", "RETRY", "SUCCESS"]
    assert [run.attributes.get("celery.retries") for run in runs] == [None, 1, 2]
    assert runs[0].attributes["celery.retry.reason"] == "try 1"
    assert [run.error for run in runs] == [None] * 3


# Semantics: S50.
def test_the_body_of_a_chord_belongs_to_the_member_that_ended_last(node, app, collector, tracer, redis_url):
    node(redis_url, "--otlp-endpoint", collector.url, program="demo-node")
    add, echo = app.tasks["demo.add"], app.tasks["demo.echo"]

    with tracer.start_as_current_span("request") as span:
        result = chord([add.s(number, 1) for number in range(3)], echo.s()).apply_async()
    assert result.get(timeout=60) == [1, 2, 3]

    found = collector.until(id_of(span), 9)
    assert [name for _, name, _ in line(found, last(found, "run/demo.echo"))] == [
        "request",
        "apply_async/demo.add",
        "run/demo.add",
        "apply_async/demo.echo",
        "run/demo.echo",
    ]


# Semantics: S50.
def test_a_failure_says_why_in_its_span_and_its_log_line_names_the_trace(node, app, collector, tracer, redis_url):
    ours = node(redis_url, "--otlp-endpoint", collector.url, program="demo-node")

    with tracer.start_as_current_span("request") as span:
        result = app.tasks["demo.fail"].delay("broken")
    assert result.get(timeout=60, propagate=False) is not None

    found = collector.until(id_of(span), 3)
    run = last(found, "run/demo.fail")
    assert run.error == "broken" and run.attributes["celery.state"] == "FAILURE"
    [(name, event)] = run.events
    assert name == "exception" and event["exception.message"] == "broken"
    assert event["exception.type"].endswith("DemoError")
    assert run.attributes["error.type"] == event["exception.type"]
    assert "demo.fail" in event["exception.stacktrace"]
    assert any("task failed" in line and id_of(span) in line for line in ours.log().splitlines())


# Semantics: S50.
@pytest.mark.parametrize("task", ["demo.traced", "isolated.traced"])
def test_without_a_collector_a_node_hands_on_what_came(node, app, collector, tracer, redis_url, task):
    node(redis_url, program="demo-node")

    with tracer.start_as_current_span("request") as span:
        alone = app.tasks[task].delay()
        behind = chain(app.tasks["demo.add"].s(1, 1), app.tasks[task].si()).apply_async()
    answers = [alone.get(timeout=60), behind.get(timeout=60)]

    found = collector.until(id_of(span), 3)
    sends = {span.name: f"00-{span.trace}-{span.id}-01" for span in found.values()}
    assert [answer[:-3] for answer in answers] == [
        sends[f"apply_async/{task}"][:-3],
        sends["apply_async/demo.add"][:-3],
    ]
    assert {span.service for span in found.values()} == {"python"}


# Semantics: S50.
def test_a_task_with_a_process_of_its_own_runs_in_its_span(node, app, collector, tracer, redis_url):
    node(redis_url, "--otlp-endpoint", collector.url, program="demo-node")

    with tracer.start_as_current_span("request") as span:
        answer = app.tasks["isolated.traced"].delay().get(timeout=60)

    found = collector.until(id_of(span), 3)
    assert answer.split("-")[1:3] == [id_of(span), last(found, "run/isolated.traced").id]


# Semantics: S50.
def test_a_task_continues_the_trace_of_the_request_that_sent_it(node, supervisor, collector, redis_url, queue):
    node(redis_url, "--otlp-endpoint", collector.url, program="demo-node")
    api = supervisor(redis_url, "--otlp-endpoint", collector.url, "--store", "memory:")
    order = {"name": "demo.traced", "queue": queue, "wait_ms": 20000}
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"content-type": "application/json", "traceparent": parent}

    request = urllib.request.Request(f"{api.url}/api/v1/tasks", json.dumps(order).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200

    found = collector.until("0af7651916cd43dd8448eb211c80319c", 2)
    run = last(found, "run/demo.traced")
    assert [name for _, name, _ in line(found, run)] == ["apply_async/demo.traced", "run/demo.traced"]
    assert found[run.parent].parent == "b7ad6b7169203331"


# Semantics: S50.
@pytest.mark.parametrize("state", ["slow", "away"])
def test_a_collector_that_takes_nothing_delays_nothing(node, app, collector, redis_url, state):
    collector.wait = 60.0
    url = collector.url if state == "slow" else f"http://127.0.0.1:{free_port()}"
    ours = node(redis_url, "--otlp-endpoint", url, "--otlp-timeout", 2000, program="demo-node")

    began = time.monotonic()
    sent = [app.tasks["demo.add"].delay(number, 1) for number in range(1000)]
    assert [result.get(timeout=60) for result in sent] == list(range(1, 1001))
    took = time.monotonic() - began

    def dropped():
        lines = ours.get("/metrics")[1].splitlines()
        counts = [line.split()[-1] for line in lines if line.startswith("celeriac_node_spans_total") and "dropped" in line]
        return [int(count) for count in counts if int(count) > 0]

    eventually(dropped, "spans that are counted as dropped")
    began = time.monotonic()
    ours.stop()
    stopped = time.monotonic() - began
    print(f"collector {state}: 1000 tasks in {took:.2f} s, stopped in {stopped:.2f} s")
    # What is left of spans may take three seconds, after everything else.
    assert stopped < 8, ours.log()
    assert "spans were lost" in ours.log()
