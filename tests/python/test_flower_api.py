"""A script written for Flower, run against Flower and against the supervisor."""

import json
import urllib.error
import urllib.request

import pytest

from processes import eventually

# What the management API adds and the broker's protocol does not tell.
QUEUE_FIELDS = {"name", "messages"}


def call(program, method, path, body=None):
    """Status, content type, and answer."""
    data = body.encode() if body is not None else (b"" if method == "POST" else None)
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(program.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, kind, text = answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        status, kind, text = error.code, error.headers["Content-Type"], error.read().decode()
    try:
        return status, kind, json.loads(text)
    except ValueError:
        return status, kind, text


def shape(value):
    """What a script can rely on: the names, and of which kind their values are."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, bool) or value is None:
        return "bool" if isinstance(value, bool) else "null"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "text"


def same(both, method, path, body=None, of=shape):
    flower, ours = (call(program, method, path, body) for program in both)
    assert ours[0] == flower[0], f"{path}: {ours} is not {flower}"
    assert ours[1].lower() == flower[1].lower(), f"{path}: {ours} is not {flower}"
    assert of(ours[2]) == of(flower[2]), f"{path}: {ours[2]} is not {flower[2]}"
    return flower[2], ours[2]


@pytest.mark.timeout(300)
def test_a_script_for_flower_finds_the_same_in_the_supervisor(
    python_worker, client, flower, supervisor, redis_url, unique
):
    queue = unique("celery")
    worker = python_worker(redis_url, "-E", queue=queue)
    watching = supervisor(redis_url)
    both = (flower, watching)
    for program in both:
        eventually(
            lambda program=program: call(program, "GET", f"/api/workers?refresh=1&workername={worker.name}")[0] == 200,
            f"{program.url} to know {worker.name}",
        )
    app = client(redis_url, queue)
    good = app.tasks["demo.add"].delay(2, 3)
    bad = app.tasks["demo.fail"].delay("no paper")
    assert good.get(timeout=60) == 5
    bad.get(timeout=60, propagate=False)
    def state(program, id):
        found = call(program, "GET", f"/api/task/info/{id}")[2]
        return isinstance(found, dict) and found["state"]

    for program in both:
        for result, end in ((good, "SUCCESS"), (bad, "FAILURE")):
            eventually(
                lambda program=program, id=result.id, end=end: state(program, id) == end,
                f"{program.url} to know the end of {result.id}",
            )

    # Reading.
    same(both, "GET", "/healthcheck", of=str)
    one = f"/api/workers?refresh=1&workername={worker.name}"
    theirs, ours = same(both, "GET", one, of=lambda found: sorted(found[worker.name]))
    assert shape(ours[worker.name]["active_queues"]) == shape(theirs[worker.name]["active_queues"])
    assert ours[worker.name]["registered"] == theirs[worker.name]["registered"]
    assert same(both, "GET", "/api/workers?status=1", of=lambda found: found[worker.name])
    same(both, "GET", "/api/workers?workername=nobody", of=str)
    for result in (good, bad):
        theirs, ours = same(both, "GET", f"/api/task/info/{result.id}")
        for name in ("uuid", "name", "state", "args", "kwargs", "result", "exception", "worker", "retries", "received"):
            assert ours[name] == theirs[name], name

    # This Flower's own app has no result backend; what it answers with one is recorded.
    def result_of(id):
        return call(watching, "GET", f"/api/task/result/{id}")[2]

    assert result_of(good.id) == {"task-id": good.id, "state": "SUCCESS", "result": 5}
    assert set(result_of(bad.id)) == {"task-id", "state", "result", "traceback"}
    assert result_of("nothing?timeout=0.2") == {"task-id": "nothing", "state": "PENDING"}
    same(both, "GET", "/api/task/info/nothing", of=str)
    assert same(both, "GET", "/api/task/types", of=lambda found: "demo.add" in found["task-types"])
    listed = f"/api/tasks?workername={worker.name}&sort_by=received"
    same(both, "GET", listed, of=lambda found: (list(found), shape(list(found.values())[0])))
    same(both, "GET", listed + "&state=FAILURE&limit=1", of=list)
    same(both, "GET", listed + "&search=name:demo.add", of=list)
    for wrong in ("sort_by=nothing", "limit=x", "received_start=soon", "search=ab"):
        same(both, "GET", f"/api/tasks?{wrong}", of=str)

    # Controls.
    pool = f"/api/worker/pool/{{}}/{worker.name}"
    queues = f"/api/worker/queue/{{}}/{worker.name}"
    for path in (
        pool.format("grow") + "?n=1",
        pool.format("shrink") + "?n=1",
        pool.format("grow") + "?n=x",
        pool.format("autoscale") + "?min=1&max=2",
        pool.format("autoscale"),
        queues.format("add-consumer") + f"?queue={queue}-2",
        queues.format("cancel-consumer") + f"?queue={queue}-2",
        queues.format("add-consumer"),
        "/api/worker/pool/grow/nobody",
        "/api/worker/shutdown/nobody",
        f"/api/task/rate-limit/demo.add?workername={worker.name}&ratelimit=100/m",
        f"/api/task/timeout/demo.add?workername={worker.name}&hard=60&soft=30",
        "/api/task/timeout/demo.add",
        "/api/task/revoke/no-such?terminate=true&signal=SIGKILL",
        "/api/task/revoke/no-such?terminate=perhaps",
    ):
        same(both, "POST", path, of=lambda found: found)

    # Calls.
    order = json.dumps({"args": [1, 2], "queue": queue})
    theirs, ours = same(both, "POST", "/api/task/send-task/demo.add", order)
    for sent in (theirs, ours):
        found = result_of(sent["task-id"] + "?timeout=20")
        assert (found["state"], found["result"]) == ("SUCCESS", 3)
    for body in ("[]", "{", '{"args": {}}'):
        flower_said, we_said = (call(program, "POST", "/api/task/send-task/demo.add", body) for program in both)
        assert we_said[:2] == flower_said[:2], body
    for program in both:
        queued = call(program, "GET", "/api/queues/length")[2]["active_queues"]
        assert all(QUEUE_FIELDS <= set(entry) for entry in queued)
