"""Chords whose members run on Python workers and on celeriac's nodes, counted in Redis,
and the built-in tasks of Celery on a node."""

import json
import os
import sys
import uuid

import pytest
from celery import chain, chord, group

import tasks
from processes import Process, eventually

HERE = os.path.dirname(__file__)

# How results are kept: settings of Celery, and the same as parameters of a node's URL.
# What a node does not write it reads: compressed results among plain ones.
PLAIN = ({}, "")
VARIANTS = {
    "plain": PLAIN,
    "msgpack": ({"result_serializer": "msgpack"}, "result_serializer=msgpack"),
    "gzip": ({"result_compression": "gzip"}, ""),
    "prefix": ({"result_backend_transport_options": {"global_keyprefix": "app"}}, "global_keyprefix=app"),
    "unordered": (
        {"result_backend_transport_options": {"result_chord_ordered": False}},
        "result_chord_ordered=false",
    ),
}


class Sides:
    """A Python worker and a node, each with a queue of its own."""

    def __init__(self, app, python, rust):
        self.app = app
        self.queues = {"python": python, "rust": rust}

    def task(self, side, name, *args):
        return self.app.signature(name, args=args).set(queue=self.queues[side])

    def add(self, side, *args):
        return self.task(side, "demo.add", *args)

    def other(self, number):
        return ("python", "rust")[number % 2]


@pytest.fixture
def sides(node, amqp_url, redis_url, unique, log_folder, running):
    """Starts both: `sides(settings, parameters)`."""
    apps = []

    def start(settings, parameters):
        settings = dict(settings, accept_content=["json", "msgpack"])
        python, rust = unique("python"), unique("rust")
        app = tasks.create_app(amqp_url, redis_url, python)
        app.conf.update(settings)
        apps.append(app)
        name = f"{unique('python')}@test"
        command = [sys.executable, "-m", "celery", "-A", "chord_app", "worker"]
        command += ["-Q", python, "-c", "2", "-n", name, "-l", "info"]
        env = dict(
            os.environ,
            CELERIAC_TEST_AMQP_URL=amqp_url,
            CELERIAC_TEST_WORKER_BACKEND=redis_url,
            CELERIAC_TEST_WORKER_QUEUE=python,
            CELERIAC_TEST_WORKER_SETTINGS=json.dumps(settings),
        )
        worker = Process(command, log_folder / f"{name}.log", env=env, cwd=HERE)
        running.append(worker)
        backend = f"{redis_url}?{parameters}" if parameters else redis_url
        node(backend, program="demo-node", queues=[rust])
        worker.until(lambda: f"{name} ready." in worker.log(), f"{name} to be ready")
        return Sides(app, python, rust)

    yield start
    for app in apps:
        app.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_members_of_both_sides_share_a_chord(sides, variant):
    both = sides(*VARIANTS[variant])
    results = []
    for number in range(10):
        header = [both.add(both.other(at + number), at, 100) for at in range(6)]
        body = both.task(both.other(number // 2), "demo.mul", 1)
        total = chord(header, chain(both.task("rust", "demo.tsum"), body)).apply_async()
        results.append(total)
    assert [result.get(timeout=60) for result in results] == [615] * 10


def test_a_chord_gives_its_results_in_the_order_of_its_header(sides):
    both = sides(*PLAIN)
    for side in ("python", "rust"):
        # Who comes first ends last.
        header = [both.task(both.other(at), "demo.sleep", (5 - at) / 10) for at in range(5)]
        result = chord(header, both.task(side, "demo.echo")).apply_async().get(timeout=60)
        found = result["args"][0] if side == "python" else result
        assert found == [0.5, 0.4, 0.3, 0.2, 0.1]


def nested(both, start):
    """A header whose second and last member are groups in the end."""
    group_of = lambda at: group(both.add(both.other(at), 1), both.add(both.other(at + 1), 2))
    return [
        both.add(both.other(start), 1, 1),
        chain(both.add(both.other(start + 1), 10, 0), group_of(start)),
        both.add(both.other(start), 2, 2),
        chain(both.add(both.other(start), 20, 0), group_of(start + 1)),
    ]


@pytest.mark.parametrize("variant", ["plain", "msgpack", "gzip", "unordered"])
def test_a_nested_header_keeps_its_form(sides, variant):
    both = sides(*VARIANTS[variant])
    for number in range(4):
        body = both.task(both.other(number // 2), "demo.echo")
        # Sent by this client, and by a node as what follows a task.
        for workflow in (
            chord(nested(both, number), body),
            chain(both.task("rust", "demo.sleep", 0), group(*immutable(nested(both, number))), body),
        ):
            result = workflow.apply_async().get(timeout=60)
            found = result["args"][0] if isinstance(result, dict) else result
            assert found == [2, [11, 12], 4, [21, 22]]


def immutable(header):
    """Keeps what came before a header from its members."""
    for member in header:
        first = member.tasks[0] if hasattr(member, "tasks") else member
        first.set(immutable=True)
        first.immutable = True
    return header


@pytest.mark.parametrize("side", ["python", "rust"])
def test_a_member_that_fails_fails_the_body(sides, side):
    both = sides(*PLAIN)
    for last in ("python", "rust"):
        header = [both.task(side, "demo.fail", "boom"), both.task(last, "demo.sleep", 0.3)]
        result = chord(header, both.task(last, "demo.tsum")).apply_async()
        error = result.get(timeout=60, propagate=False)
        assert type(error).__name__ == "ChordError"
        assert "boom" in str(error) and "Dependency" in str(error)


def test_a_member_adds_to_its_header(sides):
    both = sides(*PLAIN)
    header = [
        both.task("python", "demo.grow", both.queues["rust"], [10, 20, 30]),
        both.add("rust", 1, 1),
    ]
    result = chord(header, both.task("rust", "demo.tsum")).apply_async()
    assert result.get(timeout=60) == 62


def test_a_member_that_comes_twice_counts_once_and_the_body_is_sent_once(sides, unique):
    both = sides(*PLAIN)
    app, nobody = both.app, unique("nobody")
    for _ in range(5):
        gid, body = uuid.uuid4().hex, app.signature("demo.tsum", options={"task_id": uuid.uuid4().hex})
        body = body.set(queue=nobody)
        app.backend.set_chord_size(gid, 3)
        members = [uuid.uuid4().hex for _ in range(3)]
        sent = []
        # The first two go to both sides, twice each.
        for index, side in [(0, "python"), (0, "rust"), (1, "rust"), (1, "python"), (0, "rust"), (2, "rust")]:
            sent.append(members[index])
            both.add(side, index, index).apply_async(
                task_id=members[index], group_id=gid, group_index=index, chord=body
            )
        for member in members:
            assert app.AsyncResult(member).get(timeout=60) in (0, 2, 4)
        key = app.backend.get_key_for_group(gid, ".c")
        eventually(lambda: app.backend.client.get(key) == b"done", "the end of the chord")
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            bodies = []
            while (message := channel.basic_get(nobody, no_ack=True)) is not None:
                bodies.append(json.loads(message.body)[0])
        assert bodies == [[[0, 2, 4]]]


def test_a_node_has_the_tasks_of_every_worker(node, client, redis_url):
    node(redis_url, program="demo-node")
    add = client(redis_url).tasks["demo.add"]
    app = add.app

    assert add.starmap([(1, 2), (3, 4)]).apply_async().get(timeout=60) == [3, 7]
    doubled = app.tasks["demo.echo"].map([1, "two", [3]])
    assert doubled.apply_async().get(timeout=60) == [1, "two", [3]]
    chunks = add.chunks(zip(range(10), range(10)), 4)
    assert chunks.apply_async().get(timeout=60) == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    with pytest.raises(TypeError):
        add.starmap([(1, 2), (1,)]).apply_async().get(timeout=60)

    # A chord as a client sends it whose backend only stores.
    for failing in (False, True):
        members = [add.s(1, 1), app.tasks["demo.fail"].s("boom") if failing else add.s(2, 2)]
        header = group(members).apply_async()
        body = app.signature("demo.tsum", options={"task_id": uuid.uuid4().hex})
        app.send_task(
            "celery.chord_unlock",
            args=[header.id, body],
            kwargs={
                "interval": None,
                "max_retries": None,
                "result": [member.as_tuple() for member in header.results],
                "_chord_unlock_exchange_type": "direct",
            },
            ignore_result=True,
        )
        error = app.AsyncResult(body.id).get(timeout=60, propagate=False)
        if failing:
            assert type(error).__name__ == "ChordError" and "boom" in str(error)
        else:
            assert error == 6
