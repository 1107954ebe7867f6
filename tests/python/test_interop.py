"""Real Celery clients and workers against celeriac's nodes and its command line."""

import json
import subprocess
import sys

import pytest
from celery import chain, group

from processes import eventually


# A Celery client, Rust nodes.


def test_a_thousand_tasks_return_their_results(node, client, backend):
    node(backend)
    add = client(backend).tasks["celeriac.add"]

    sent = [add.delay(number, 1) for number in range(1000)]

    assert [result.get(timeout=60) for result in sent] == list(range(1, 1001))


def test_a_group_returns_results_in_the_order_of_its_tasks(node, client, backend):
    for _ in range(2):
        node(backend)
    add = client(backend).tasks["celeriac.add"]

    result = group(add.s(number, number) for number in range(50)).apply_async()

    assert result.get(timeout=60) == [2 * number for number in range(50)]


def test_a_chain_hands_each_result_to_the_next_task(node, client, backend):
    for _ in range(2):
        node(backend)
    add = client(backend).tasks["celeriac.add"]

    result = chain(add.s(1, 2), add.s(10), add.s(100), add.s(1000)).apply_async()

    assert result.get(timeout=60) == 1113
    assert result.parent.get(timeout=60) == 113
    assert result.parent.parent.parent.get(timeout=60) == 3


def test_a_link_runs_with_the_result(node, client, backend):
    for _ in range(2):
        node(backend)
    add = client(backend).tasks["celeriac.add"]
    callback = add.s(100)
    # Frozen, the callback has an id and answers to this client.
    linked = callback.freeze()

    result = add.apply_async((1, 2), link=callback)

    assert result.get(timeout=60) == 3
    assert linked.get(timeout=60) == 103


def test_a_chain_stops_at_a_failure_and_says_so(node, client, redis_url):
    node(redis_url, program="demo-node")
    demo = client(redis_url).tasks

    result = chain(demo["demo.add"].s(1, 2), demo["demo.fail"].si("no further"), demo["demo.add"].s(1)).apply_async()

    assert result.parent.parent.get(timeout=60) == 3
    for failed in (result.parent, result):
        error = failed.get(timeout=60, propagate=False, disable_sync_subtasks=False)
        assert failed.state == "FAILURE"
        assert "no further" in str(error)


def test_an_exception_arrives_with_type_message_and_traceback(node, client, backend):
    node(backend, program="demo-node")
    fail = client(backend).tasks["demo.fail"]

    result = fail.delay("the disk is full")

    error = result.get(timeout=60, propagate=False)
    assert isinstance(error, Exception)
    assert type(error).__name__ == "DemoError"
    assert str(error) == "the disk is full"
    assert result.state == "FAILURE"
    assert "the disk is full" in result.traceback
    with pytest.raises(type(error), match="the disk is full"):
        result.get(timeout=60)


def test_wrong_arguments_are_a_failure_of_the_task_alone(node, client, backend):
    worker = node(backend)
    add = client(backend).tasks["celeriac.add"]

    error = add.delay("two", None).get(timeout=60, propagate=False)

    assert isinstance(error, Exception), error
    assert str(error)
    assert add.delay(2, 3).get(timeout=60) == 5
    assert worker.running


def test_a_task_that_asks_for_it_runs_again(node, client, backend):
    node(backend, program="demo-node")
    retry = client(backend).tasks["demo.retry"]

    assert retry.delay(3).get(timeout=60) == 3


# Celery's own command line, Rust nodes.


@pytest.fixture
def celery(amqp_url):
    """Runs `celery -b URL ...` and returns what it prints."""

    def run(*words):
        command = [sys.executable, "-m", "celery", "-b", amqp_url, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def inspect(celery):
    """Runs `celery inspect COMMAND` for one node and returns the node's answer."""

    def run(name, *words):
        answer = json.loads(celery("inspect", "-t", "10", "-d", name, "-j", *words))
        assert list(answer) == [name]
        return answer[name]

    return run


def test_celery_status_lists_the_nodes(node, celery):
    names = [node("rpc://").name, node("rpc://").name]

    printed = celery("status", "-t", "3")

    for name in names:
        assert f"{name}: OK" in printed


def test_inspect_tells_about_an_idle_node(node, inspect, queue):
    name = node("rpc://", concurrency=3).name

    assert inspect(name, "ping") == {"ok": "pong"}
    assert "celeriac.add" in inspect(name, "registered")
    assert [entry["name"] for entry in inspect(name, "active_queues")] == [queue]
    for listing in ("active", "reserved", "scheduled", "revoked"):
        assert inspect(name, listing) == [], listing
    stats = inspect(name, "stats")
    assert stats["pool"]["max-concurrency"] == 3
    assert stats["pid"] > 0
    assert stats["prefetch_count"] > 0
    assert stats["total"] == {}
    assert isinstance(inspect(name, "report")["ok"], str)
    assert isinstance(inspect(name, "conf"), dict)
    assert inspect(name, "query_task", "no-such-task") == {}


def test_inspect_tells_about_a_busy_node(node, client, inspect, amqp_url):
    worker = node("rpc://", concurrency=1, prefetch=2)
    app = client("rpc://")
    sleep = app.tasks["celeriac.sleep"]
    runs, waits = sleep.delay(6), sleep.delay(0)

    (active,) = eventually(lambda: inspect(worker.name, "active"), "an active task")
    assert active["id"] == runs.id
    assert active["name"] == "celeriac.sleep"
    assert active["args"] == [6]
    assert active["hostname"] == worker.name
    assert active["time_start"] > 0
    (reserved,) = eventually(lambda: inspect(worker.name, "reserved"), "a reserved task")
    assert reserved["id"] == waits.id
    known = inspect(worker.name, "query_task", runs.id, waits.id)
    assert known[runs.id][0] == "active"
    assert known[waits.id][0] == "reserved"

    waits.revoke()
    assert waits.id in eventually(lambda: inspect(worker.name, "revoked"), "a revoked task")
    assert runs.get(timeout=60) == 6
    assert inspect(worker.name, "stats")["total"] == {"celeriac.sleep": 1}


# A Rust client, a Python worker.


def test_celeriac_call_gets_the_result_of_a_python_worker(binary, python_worker, amqp_url, queue, backend):
    python_worker(backend)
    command = [binary("celeriac"), "call", "demo.add", "--args", "[2,3]", "--wait"]
    command += ["-b", amqp_url, "-r", backend, "--queue", queue]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == 5


def test_celeriac_call_reports_the_exception_of_a_python_worker(binary, python_worker, amqp_url, queue, backend):
    python_worker(backend)
    command = [binary("celeriac"), "call", "demo.fail", "--args", '["out of paper"]', "--wait"]
    command += ["-b", amqp_url, "-r", backend, "--queue", queue]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert "DemoError" in done.stderr
    assert "out of paper" in done.stderr
