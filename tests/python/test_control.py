"""Remote control by real Celery clients and its command line, and revocations that last."""

import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from celery import states
from celery.exceptions import TaskRevokedError

from processes import eventually

HERE = Path(__file__).parent


@pytest.fixture
def ask(client, redis_url):
    """Asks one node: `ask(node, method, **arguments)` returns what it answers."""
    app = client(redis_url)

    def send(node, method, **arguments):
        replies = app.control.broadcast(
            method, arguments, reply=True, destination=[node.name], timeout=10, limit=1
        )
        assert len(replies) == 1, f"expected one reply to {method}, found {replies}"
        return replies[0][node.name]

    return send


@pytest.fixture
def celery(amqp_url, redis_url, queue):
    """Runs Celery's command line and returns the JSON or text that it prints."""

    def run(*words, timeout=60):
        env = dict(
            os.environ,
            CELERIAC_TEST_AMQP_URL=amqp_url,
            CELERIAC_TEST_WORKER_BACKEND=redis_url,
            CELERIAC_TEST_WORKER_QUEUE=queue,
        )
        command = [sys.executable, "-m", "celery", "-A", "tasks", *map(str, words)]
        return subprocess.run(
            command, env=env, cwd=HERE, capture_output=True, text=True, timeout=timeout
        )

    return run


def states_of(app, ids):
    return [app.AsyncResult(task).state for task in ids]


def test_celerys_commands_are_answered_in_celerys_words(node, client, redis_url, ask):
    worker = node(redis_url, program="demo-node", concurrency=2)
    for method, arguments, answer in [
        ("ping", {}, {"ok": "pong"}),
        ("rate_limit", {"task_name": "demo.add", "rate_limit": "10/m"}, {"ok": "new rate limit set successfully"}),
        ("rate_limit", {"task_name": "demo.add", "rate_limit": 0}, {"ok": "rate limit disabled successfully"}),
        ("rate_limit", {"task_name": "no.task", "rate_limit": "1/s"}, {"error": "unknown task"}),
        ("time_limit", {"task_name": "demo.add", "hard": 60, "soft": 30}, {"ok": "time limits set successfully"}),
        ("pool_grow", {"n": 2}, {"ok": "pool will grow"}),
        ("pool_shrink", {"n": 1}, {"ok": "pool will shrink"}),
        ("pool_restart", {}, {"error": "ValueError('Pool restarts not enabled')"}),
        ("autoscale", {"max": 5, "min": 1}, {"error": "ValueError('Autoscale not enabled')"}),
        ("enable_events", {}, {"ok": "task events enabled"}),
        ("enable_events", {}, {"ok": "task events already enabled"}),
        ("disable_events", {}, {"ok": "task events disabled"}),
        ("no_such", {}, {"error": "KeyError('no_such')"}),
        ("revoke", {"task_id": "x", "signal": "SIGNOPE"},
         {"error": "AttributeError(\"module 'signal' has no attribute 'SIGNOPE'\")"}),
    ]:
        assert ask(worker, method, **arguments) == answer, (method, arguments)
    assert ask(worker, "stats")["pool"]["max-concurrency"] == 3
    assert "software -> celery:" in ask(worker, "report")["ok"]
    assert ask(worker, "conf")["worker_concurrency"] == 2
    assert "guest:guest" not in json.dumps(ask(worker, "conf", with_defaults=True))
    assert ask(worker, "memsample").endswith("MB")
    assert "- rss (end):" in ask(worker, "memdump", samples=10)


def test_inspect_lists_tasks_with_their_arguments(node, client, redis_url, ask):
    worker = node(redis_url, program="demo-node", concurrency=1)
    app = client(redis_url)
    running, waiting = (app.send_task("demo.sleep", (3,)) for _ in range(2))
    later = app.send_task("demo.add", (1, 2), countdown=60)

    def listed(method):
        return [item.get("request", item) for item in ask(worker, method)]

    def ids(method):
        return [item["id"] for item in listed(method)]

    eventually(lambda: ids("active") == [running.id], "the first task to run")
    eventually(lambda: ids("reserved") == [waiting.id], "the second task to wait")
    eventually(lambda: ids("scheduled") == [later.id], "the third task to be scheduled")
    assert listed("scheduled")[0]["args"] == [1, 2]
    assert listed("active")[0]["args"] == [3]
    places = ask(worker, "query_task", ids=[running.id, waiting.id, later.id, "nope"])
    assert {task: place for task, (place, _) in places.items()} == {
        running.id: "active",
        waiting.id: "reserved",
        later.id: "scheduled",
    }
    app.control.revoke([running.id, waiting.id, later.id], terminate=True)


def test_patterns_choose_nodes(node, client, redis_url, unique):
    prefix = unique("pattern")
    for number in (1, 2):
        node(redis_url, name=f"{prefix}-{number}@test")
    control = client(redis_url).control

    def answer(pattern, matcher):
        return sorted(
            name
            for reply in control.broadcast("ping", reply=True, pattern=pattern, matcher=matcher, timeout=2)
            for name in reply
        )

    both = [f"{prefix}-1@test", f"{prefix}-2@test"]
    assert answer(f"{prefix}-*", "glob") == both
    assert answer(f"{prefix}-[2-9]@*", "glob") == both[1:]
    assert answer(rf"{prefix}-\d@test$", "pcre") == both
    assert answer(f"{prefix}-1", "pcre") == both[:1]


def test_revoked_is_stored_when_the_answer_comes(node, client, redis_url, ask):
    worker = node(redis_url)
    app = client(redis_url)
    started, done, unknown = (str(uuid.uuid4()) for _ in range(3))
    app.backend.store_result(started, {"hostname": "other@host"}, "PROGRESS")
    app.backend.store_result(done, 1, states.SUCCESS)
    for round_of in range(5):
        more = [str(uuid.uuid4()) for _ in range(200)]
        ask(worker, "revoke", task_id=[started, done, unknown, *more])
        assert set(states_of(app, more)) == {states.REVOKED}, round_of
    assert states_of(app, [started, done, unknown]) == ["PROGRESS", states.SUCCESS, states.REVOKED]


def test_a_terminated_task_says_by_which_signal(node, client, redis_url, ask, events):
    worker = node(redis_url, "-E=true", program="demo-node")
    app = client(redis_url)
    result = app.send_task("demo.sleep", (60,))
    eventually(lambda: [task["id"] for task in ask(worker, "active")] == [result.id], "the task to run")
    answer = ask(worker, "revoke", task_id=result.id, terminate=True, signal="SIGUSR1")
    assert answer == {"ok": f"terminate: {result.id}"}
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=30)
    event = events("task-revoked", result.id)
    assert (event["terminated"], event["signum"], event["expired"]) == (True, 10, False)


COMMON = {"hostname", "utcoffset", "pid", "clock", "timestamp", "type", "local_received"}
STATUS = {"freq", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys"}


def test_events_have_celerys_fields(node, client, redis_url, ask, events, queue):
    worker = node(redis_url, "-E=true", program="demo-node")
    app = client(redis_url)

    def sent(name, *args, **options):
        return app.send_task(name, args, **options).id

    good, bad = sent("demo.add", 1, 2), sent("demo.fail", "no")
    again, refused = sent("demo.retry", 1), sent("demo.reject")
    late = sent("demo.add", 1, 2, expires=-1)
    for kind, task, fields in [
        ("task-received", good, {"uuid", "name", "args", "kwargs", "root_id", "parent_id", "retries", "eta", "expires"}),
        ("task-started", good, {"uuid"}),
        ("task-succeeded", good, {"uuid", "result", "runtime"}),
        ("task-failed", bad, {"uuid", "exception", "traceback"}),
        ("task-retried", again, {"uuid", "exception", "traceback"}),
        ("task-rejected", refused, {"uuid", "requeue"}),
        ("task-revoked", late, {"uuid", "terminated", "signum", "expired"}),
    ]:
        event = events(kind, task)
        assert set(event) == COMMON | fields, kind
        assert (event["hostname"], event["utcoffset"]) == (worker.name, 0), kind
    # Ours has more: what lets a listener count those that it missed.
    beat = events("worker-heartbeat", worker.name)
    assert COMMON | STATUS <= set(beat)
    assert (beat["freq"], beat["sw_ident"]) == (2, "celeriac")
    worker.stop()
    assert COMMON | STATUS <= set(events("worker-offline", worker.name))


@pytest.fixture
def events(client, redis_url):
    """Listens to all events: `events(type, id)` waits for one of a task or a node."""
    app, seen = client(redis_url), []
    connection = app.connection_for_read()
    receiver = app.events.Receiver(connection, handlers={"*": seen.append})

    def listen():
        try:
            receiver.capture(limit=None, timeout=None, wakeup=False)
        except Exception as error:  # a test that waits for an event fails by itself
            seen.append({"type": "end", "error": repr(error)})

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()

    def find(kind, of):
        def found():
            return [e for e in seen if e["type"] == kind and of in (e.get("uuid"), e.get("hostname"))]

        return eventually(found, f"{kind} of {of}, not only {[e['type'] for e in seen]}")[0]

    # Its queue is there when it has heard anything at all.
    app.control.heartbeat()
    yield find
    receiver.should_stop = True
    thread.join(timeout=10)
    connection.release()


def test_nodes_answer_a_python_worker_that_stands_for_election(node, python_worker, client, redis_url, ask, events):
    python, nodes = python_worker(redis_url), [node(redis_url, program="demo-node") for _ in range(2)]
    names = [python.name, *(worker.name for worker in nodes)]
    for name in names:
        events("worker-heartbeat", name)
    ask(python, "ping")
    app = client(redis_url)
    election = str(uuid.uuid4())
    # A worker that stands alone ends by an error of Celery's own, so there is another one.
    with app.connection_for_write() as connection, app.events.Dispatcher(connection, hostname="other@test") as other:
        other.send("worker-elect", id=election, topic="task", action=None, cver=1)
    for name in names:
        events("worker-elect-ack", name)
    ask(python, "ping")
    # It waits for as many answers as others are alive, and gives only one itself.
    app.control.election(election, "task", app.signature("demo.add", (1, 1)))
    won, lost = f"I won the election '{election}'", f"elected for '{election}'"
    eventually(lambda: won in python.log() or lost in python.log(), "the election to end")


# S33.
def test_revocations_survive_a_restart(node, client, redis_url, ask, tmp_path):
    flags = ("--statedb", tmp_path / "%n.state")
    first = node(redis_url, *flags)
    app = client(redis_url)
    ids = [str(uuid.uuid4()) for _ in range(500)]
    for task in ids:
        app.control.revoke(task, destination=[first.name])
    eventually(lambda: set(ids) <= set(ask(first, "revoked")), "every revocation to be heard")
    last = str(uuid.uuid4())
    ask(first, "revoke", task_id=last)
    # Also without an end in order: what was answered is on the disk.
    ask(first, "revoke_by_stamped_headers", headers={"customer": ["seven"]})
    first.kill()

    second = node(redis_url, *flags, name=first.name)
    stamped = app.send_task("celeriac.add", (1, 2), stamped_headers=["customer"], customer="seven")
    with pytest.raises(TaskRevokedError):
        stamped.get(timeout=30)
    assert ask(second, "revoked") == [*ids, last]
    revoked = app.send_task("celeriac.add", (1, 2), task_id=last)
    with pytest.raises(TaskRevokedError):
        revoked.get(timeout=30)
    assert app.send_task("celeriac.add", (1, 2)).get(timeout=30) == 3
    second.stop()

    state = tmp_path / f"{first.name.split('@')[0]}.state"
    state.write_text("{ broken")
    third = node(redis_url, *flags, name=first.name)
    assert ask(third, "revoked") == []
    assert state.with_name(state.name + ".corrupt").read_text() == "{ broken"
    assert "set aside" in third.log()


# S18.
def test_revocations_reach_those_who_join_later(node, python_worker, client, redis_url, ask):
    first = node(redis_url)
    ask(first, "revoke", task_id=["told-by-rust"])
    python = python_worker(redis_url)
    eventually(lambda: "told-by-rust" in ask(python, "revoked"), "the Python worker to know")
    ask(python, "revoke", task_id=["told-by-python"])
    ask(first, "revoke_by_stamped_headers", headers={"customer": ["seven"]})
    # Python does not carry stamps on, and is not disturbed by them.
    between = node(redis_url)
    assert set(ask(between, "hello", from_node="nobody@here")) == {
        "revoked",
        "revoked_stamps",
        "quarantined",
        "clock",
    }
    eventually(
        lambda: ask(between, "hello", from_node="nobody@here")["revoked_stamps"] == {"customer": ["seven"]},
        "the stamp to be known",
    )
    first.stop()
    second = node(redis_url)
    eventually(
        lambda: {"told-by-rust", "told-by-python"} <= set(ask(second, "revoked")),
        "the new node to know",
    )


# S34.
def test_places_follow_the_load(node, client, redis_url, ask):
    worker = node(redis_url, "--autoscale", "6,1", program="demo-node")
    app = client(redis_url)

    def places():
        return ask(worker, "stats")["autoscaler"]["current"]

    assert places() == 1
    results = [app.send_task("demo.block", (3,)) for _ in range(12)]
    eventually(lambda: places() == 6, "six places")
    eventually(lambda: len(ask(worker, "active")) == 6, "six tasks to run at once")
    assert ask(worker, "autoscale", max=2, min=1) == {"ok": "autoscale now max=2 min=1"}
    eventually(lambda: places() == 2, "two places")
    assert ask(worker, "pool_grow") == {
        "error": "pool_grow is not supported with autoscale. Adjust autoscale range instead."
    }
    for result in results:
        assert result.get(timeout=60) == 3


def test_celerys_command_line_shows_and_controls_a_node(node, client, redis_url, celery):
    worker = node(redis_url, program="demo-node")
    status = celery("status", "--timeout", 5, "-d", worker.name)
    assert status.returncode == 0 and f"{worker.name}: OK" in status.stdout, status
    for words in ("active", "reserved", "scheduled", "revoked", "registered", "stats", "active_queues", "conf",
                  "clock", "ping", "query_task x", "memsample", "memdump", "report"):
        shown = celery("inspect", "--json", "--timeout", 5, "-d", worker.name, *words.split())
        assert shown.returncode == 0, (words, shown)
        assert worker.name in json.loads(shown.stdout), (words, shown.stdout)
    for words, answer in [
        ("rate_limit demo.add 10/m", "new rate limit set successfully"),
        ("time_limit demo.add 30 60", "time limits set successfully"),
        ("add_consumer extra", "add consumer extra"),
        ("cancel_consumer extra", "no longer consuming from extra"),
        ("pool_grow 2", "pool will grow"),
        ("pool_shrink 1", "pool will shrink"),
        ("enable_events", "task events enabled"),
        ("disable_events", "task events disabled"),
        ("revoke some-id", "flagged as revoked"),
        ("terminate KILL some-id", "terminate: tasks unknown"),
        ("revoke_by_stamped_headers customer=7", "flagged as revoked, but not terminated"),
    ]:
        done = celery("control", "--timeout", 5, "-d", worker.name, *words.split())
        assert done.returncode == 0 and answer in done.stdout, (words, done)
    celery("control", "--timeout", 1, "-d", worker.name, "shutdown")
    eventually(lambda: not worker.running, "the node to end")


def test_celery_events_dumps_what_a_node_tells(node, client, amqp_url, redis_url, queue, log_folder, running, unique):
    from processes import Process

    worker = node(redis_url, "-E=true", program="demo-node")
    app = client(redis_url)
    env = dict(
        os.environ,
        CELERIAC_TEST_AMQP_URL=amqp_url,
        CELERIAC_TEST_WORKER_BACKEND=redis_url,
        CELERIAC_TEST_WORKER_QUEUE=queue,
        PYTHONUNBUFFERED="1",
    )
    command = [sys.executable, "-m", "celery", "-A", "tasks", "events", "--dump"]
    dump = Process(command, log_folder / f"{unique('events')}.log", env=env, cwd=HERE)
    try:
        dump.until(lambda: f"{worker.name}" in dump.log() and "heartbeat" in dump.log(), "a heartbeat")
        assert app.send_task("demo.add", (1, 2)).get(timeout=30) == 3
        for said in ("received", "started", "succeeded"):
            dump.until(lambda said=said: f"task {said}" in dump.log() or f"task-{said}" in dump.log(), said)
    finally:
        dump.kill()
