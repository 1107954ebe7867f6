"""Every calling option of a Celery client, and every kind of queue, against celeriac's nodes."""

import time
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import chain, chord, group
from kombu import Exchange, Queue
from kombu.common import Broadcast

from processes import eventually


@pytest.fixture
def ask(node, client):
    """Sends `demo.request` with options to a node, and returns what that saw of it."""
    node("rpc://", program="demo-node")
    app = client("rpc://")

    def send(value="value", **options):
        return app.send_task("demo.request", (value,), **options).get(timeout=60)

    return send


def settings(tmp_path, text):
    path = tmp_path / "celeriac.toml"
    path.write_text(text)
    return ("--config", str(path))


def test_what_a_caller_says_reaches_the_task(ask):
    sent = {
        "shadow": "shown.as",
        "headers": {"x-own": "v", "x-deep": {"a": [1, None, True]}},
        "time_limit": 30,
        "soft_time_limit": 20,
        "task_id": "an-id-of-my-own",
        "group_id": "G",
        "root_id": "R",
        "parent_id": "P",
        "replaced_task_nesting": 2,
        "ignore_result": False,
        "priority": 7,
        "app_id": "1234",
        "message_id": "mid",
        "type": "kind",
        "timestamp": 1234567890,
        "stamped_headers": ["who"],
        "who": "me",
    }
    seen = ask(**sent)
    headers, properties = seen["headers"], seen["properties"]
    assert headers["shadow"] == "shown.as"
    assert (headers["x-own"], headers["x-deep"]) == ("v", {"a": [1, None, True]})
    assert headers["timelimit"] == [30, 20]
    assert (headers["id"], headers["group"]) == ("an-id-of-my-own", "G")
    assert (headers["root_id"], headers["parent_id"]) == ("R", "P")
    assert headers["replaced_task_nesting"] == 2
    assert (headers["stamped_headers"], headers["stamps"]) == (["who"], {"who": "me"})
    assert properties["priority"] == 7
    assert properties["app_id"] == "1234"
    assert properties["message_id"] == "mid"
    assert properties["type"] == "kind"


VALUES = [1, 2.5, None, True, "zażółć ✓", [1, [2, {"a": {}}]], {"k": {"n": [1, 2]}}, "x" * 5000]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "yaml"])
def test_every_serializer_is_read(ask, serializer):
    for value in VALUES:
        assert ask(value, serializer=serializer)["value"] == value


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bzip2", "zstd"])
def test_every_compression_is_read(ask, compression):
    for value in VALUES:
        assert ask(value, compression=compression)["value"] == value


@pytest.mark.parametrize(
    "moment",
    [
        lambda: {"countdown": 2},
        lambda: {"eta": datetime.now(timezone.utc) + timedelta(seconds=2)},
        lambda: {"eta": datetime.now(ZoneInfo("Asia/Kolkata")) + timedelta(seconds=2)},
        lambda: {"eta": datetime.now(timezone(timedelta(hours=-9))) + timedelta(seconds=2)},
        # Without a zone it is UTC, as for Celery's workers.
        lambda: {"eta": datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(seconds=2)},
    ],
    ids=["countdown", "utc", "ahead", "behind", "naive"],
)
def test_a_task_does_not_run_before_its_time(ask, moment):
    due = time.time() + 2
    began = ask(**moment())["began"]
    assert due - 0.1 <= began < due + 20


def test_an_expired_task_does_not_run(node, client):
    node("rpc://", program="demo-node", concurrency=1)
    app = client("rpc://")
    for expires in (
        datetime.now(timezone.utc) - timedelta(seconds=5),
        datetime.now(ZoneInfo("Asia/Kolkata")) + timedelta(seconds=1),
        1,
    ):
        # Later than the expiry, so the broker does not drop it before somebody has seen it.
        result = app.send_task("demo.request", ("late",), headers={"expires": iso(expires)}, countdown=2)
        assert result.get(timeout=60, propagate=False).__class__.__name__ == "TaskRevokedError"
        assert result.state == "REVOKED"
    in_time = app.send_task("demo.request", ("in time",), expires=60)
    assert in_time.get(timeout=60)["value"] == "in time"


def iso(expires):
    if isinstance(expires, int):
        expires = datetime.now(timezone.utc) + timedelta(seconds=expires)
    return expires.isoformat()


def test_links_and_errbacks_of_a_call_are_called(node, client):
    node("rpc://", program="demo-node")
    app = client("rpc://")
    callback = app.signature("demo.add", args=(10,))
    linked = callback.freeze()
    app.send_task("demo.add", (1, 2), link=callback)
    assert linked.get(timeout=60) == 13
    errback = app.signature("demo.request")
    failed = errback.freeze()
    result = app.send_task("demo.fail", ("no",), link_error=errback)
    assert failed.get(timeout=60)["value"] == result.id


def test_a_broadcast_task_runs_on_every_node(node, client, unique, tmp_path):
    name = unique("reload")
    file = settings(tmp_path, f'[[queue]]\nname = "{name}"\nbroadcast = true\n')
    nodes = [node("rpc://", *file, program="demo-node", queues=[name]) for _ in range(2)]
    app = client("rpc://")
    app.conf.task_queues = [Broadcast(name)]
    for _ in range(3):
        app.send_task("demo.noop", queue=name)
    for each in nodes:
        eventually(lambda each=each: succeeded(each) == 3, f"three runs on {each.name}")


def succeeded(node):
    status, page = node.get("/metrics")
    assert status == 200
    lines = [line for line in page.splitlines() if line.startswith("celeriac_node_tasks_total")]
    done = [line for line in lines if "demo.noop" in line and 'outcome="succeeded"' in line]
    return sum(int(float(line.split()[-1])) for line in done)


def test_patterns_lead_to_their_queues(node, client, unique, tmp_path):
    exchange = unique("files")
    keys = {unique("media"): "media.#", unique("text"): "text.*"}
    file = settings(
        tmp_path,
        "".join(
            f'[[queue]]\nname = "{queue}"\nexchange = "{exchange}"\nexchange_type = "topic"\n'
            f'routing_keys = ["{key}"]\n'
            for queue, key in keys.items()
        ),
    )
    media, text = [node("rpc://", *file, program="demo-node", queues=[queue]) for queue in keys]
    app = client("rpc://")
    topic = Exchange(exchange, "topic")
    for key, expected in (("media.video.cut", media), ("media", media), ("text.a", text)):
        result = app.send_task("demo.request", (key,), exchange=topic, exchange_type="topic", routing_key=key)
        seen = result.get(timeout=60)
        assert seen["hostname"] == expected.name
        assert seen["delivery"] == {"exchange": exchange, "routing_key": key}


def test_a_task_can_be_sent_to_one_node(node, client):
    from celery.utils.nodenames import worker_direct

    nodes = [node("rpc://", "--worker-direct", "true", program="demo-node") for _ in range(2)]
    app = client("rpc://")
    for each in nodes * 3:
        direct = worker_direct(each.name)
        options = {"exchange": direct.exchange.name, "routing_key": direct.routing_key}
        assert app.send_task("demo.request", (1,), **options).get(timeout=60)["hostname"] == each.name


def test_higher_priorities_go_first(node, client, queue):
    app = client("rpc://")
    app.conf.task_queues = [Queue(queue, Exchange(queue), routing_key=queue, max_priority=10)]
    sent = [(n, app.send_task("demo.request", (n,), priority=n, queue=queue)) for n in (1, 5, 9, 3, 7)]
    node("rpc://", "--queue-max-priority", "10", program="demo-node", concurrency=1, prefetch="1")
    began = {n: result.get(timeout=60)["began"] for n, result in sent}
    assert sorted(began, key=began.get) == [9, 7, 5, 3, 1]


def test_a_queue_with_other_arguments_is_used_and_told(node, client, queue):
    app = client("rpc://")
    app.conf.task_queues = [Queue(queue, Exchange(queue), routing_key=queue, max_priority=3)]
    result = app.send_task("demo.request", (1,), queue=queue)
    worker = node("rpc://", "--queue-max-priority", "10", program="demo-node")
    assert result.get(timeout=60)["value"] == 1
    assert "is there otherwise than asked for" in worker.log()
    assert "x-max-priority" in worker.log()


def test_a_delayed_task_of_a_quorum_queue_comes_in_time(node, client, unique, tmp_path):
    """Celery's client delays it in the broker; a retry goes without the traces of that."""
    queue, exchange = unique("quorum"), unique("topic")
    file = settings(
        tmp_path,
        f'[[queue]]\nname = "{queue}"\nexchange = "{exchange}"\nexchange_type = "topic"\ntype = "quorum"\n',
    )
    node("rpc://", *file, program="demo-node", queues=[queue])
    app = client("rpc://")
    described = Queue(
        queue,
        Exchange(exchange, "topic"),
        routing_key=queue,
        queue_arguments={"x-queue-type": "quorum"},
    )
    app.conf.task_queues = [described]
    app.conf.task_default_queue = queue
    due = time.time() + 3
    eta = datetime.now(timezone.utc) + timedelta(seconds=3)
    seen = app.send_task("demo.request", ("late",), eta=eta, queue=queue).get(timeout=60)
    assert due - 0.1 <= seen["began"] < due + 20
    # Celery's own way led here.
    assert seen["delivery"]["exchange"].startswith("celery_delayed_")
    assert seen["delivery"]["routing_key"] == queue
    again = app.send_task("demo.request", ("retry",), countdown=2, queue=queue).get(timeout=60)
    assert again["headers"]["retries"] == 1
    assert again["delivery"] == {"exchange": "", "routing_key": queue}
    assert "x-death" not in again["headers"]


def test_consumers_are_added_behind_any_exchange(node, client, unique):
    worker = node("rpc://", program="demo-node")
    app = client("rpc://")
    queue, exchange = unique("extra"), unique("events")
    app.control.add_consumer(
        queue, exchange=exchange, exchange_type="topic", routing_key="user.#", destination=[worker.name]
    )

    def consumed():
        replies = app.control.inspect([worker.name], timeout=1).active_queues() or {}
        found = [each for each in replies.get(worker.name, []) if each["name"] == queue]
        return found and (found[0]["exchange"]["type"], found[0]["routing_key"])

    assert eventually(consumed, "the queue to be consumed") == ("topic", "user.#")

    # It is told before the broker has it; what is published before that is lost.
    def heard():
        result = app.send_task("demo.request", (1,), exchange=exchange, routing_key="user.new", exchange_type="topic")
        try:
            return result.get(timeout=2)
        except Exception:
            return None

    assert eventually(heard, "a task behind the exchange")["delivery"]["exchange"] == exchange
    app.control.cancel_consumer(queue, destination=[worker.name])
    eventually(lambda: not consumed(), "the queue to be let go")


def test_messages_of_the_first_protocol_run(node, client, redis_url):
    """As clients before Celery 4 send them, and Celery's own when told to."""
    node(redis_url, program="demo-node")
    app = client(redis_url)
    app.conf.task_protocol = 1
    add, mul = app.tasks["demo.add"], app.tasks["demo.mul"]
    assert add.delay(2, 3).get(timeout=60) == 5
    assert add.apply_async(kwargs={"x": 2, "y": 3}, expires=60, time_limit=30).get(timeout=60) == 5
    due = time.time() + 1
    add.apply_async((1, 2), countdown=1).get(timeout=60)
    assert time.time() >= due - 0.1
    assert chain(add.s(1, 2), mul.s(10), add.s(4)).apply_async().get(timeout=60) == 34
    assert group(add.s(n, n) for n in range(5)).apply_async().get(timeout=60) == [0, 2, 4, 6, 8]
    total = app.signature("demo.tsum")
    assert chord((add.s(n, 1) for n in range(5)), total).apply_async().get(timeout=60) == 15
    callback = add.s(10)
    linked = callback.freeze()
    add.apply_async((1, 2), link=callback)
    assert linked.get(timeout=60) == 13
