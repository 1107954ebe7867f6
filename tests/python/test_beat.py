"""Real Celery workers run the ticks of schedules: plain Celery messages."""

import json

import redis

from processes import Process, eventually


def records(url, run):
    """What ran, as `workflow_tasks.py` notes it."""
    with redis.Redis.from_url(url) as client:
        return [json.loads(record) for record in client.lrange(f"workflow:{run}", 0, -1)]


def entry(name, task, queue, **fields):
    lines = [f"{field} = {json.dumps(value)}" for field, value in fields.items() if field != "kwargs"]
    words = ", ".join(f"{key} = {json.dumps(value)}" for key, value in fields.get("kwargs", {}).items())
    head = ["[[schedule]]", f'name = "{name}"', f'task = "{task}"', f'queue = "{queue}"', 'every = "1s"']
    return "\n".join([*head, *lines, f"kwargs = {{ {words} }}", ""])


def test_a_python_worker_runs_each_tick_once(
    binary, python_worker, client, amqp_url, redis_url, queue, unique, log_folder, running, tmp_path
):
    run = unique("ticks")
    settings = tmp_path / "celeriac.toml"
    settings.write_text(
        entry(run, "workflow.step", queue, args=["before"], kwargs={"label": "tick", "run": run}, misfire="all(100)")
    )
    python_worker(redis_url)
    app = client(redis_url)

    def beat():
        command = [binary("celeriac"), "beat", "-b", amqp_url, "-r", redis_url, "--config", settings]
        command += ["--schedule", tmp_path / "beat.db", "-l", "info"]
        started = Process(command, log=log_folder / f"{unique('beat')}.log")
        running.append(started)
        return started

    def ran(count):
        return lambda: len(records(redis_url, run)) >= count and records(redis_url, run)

    first = beat()
    first.until(ran(3), "three ticks in a Python worker", 60)
    first.stop()
    second = beat()
    second.until(ran(len(records(redis_url, run)) + 3), "three more ticks", 60)
    second.stop()

    # The results of all that were sent are in; then nothing is on its way any more.
    found = eventually(ran(6), "the records")
    for record in found:
        assert app.AsyncResult(record["id"]).get(timeout=30) == ["tick", "before"]
        assert record["retries"] == 0 and record["previous"] == "before", record
        assert (record["root"], record["parent"]) == (record["id"], None), record
    ids = [record["id"] for record in found]
    assert len(set(ids)) == len(ids), "a tick ran twice"


def test_a_schedule_shows_what_became_of_its_tick_on_a_python_worker(
    python_worker, supervisor, redis_url, queue, unique, tmp_path
):
    name = unique("shown")
    settings = tmp_path / "celeriac.toml"
    settings.write_text(entry(name, "demo.add", queue, args=[3, 4]))
    python_worker(redis_url)
    watching = supervisor(redis_url, "--config", settings, "--store", "memory:")

    def last():
        _, text = watching.get(f"/api/v1/schedules/{name}")
        view = json.loads(text)
        return view.get("last_state") == "SUCCESS" and view

    view = eventually(last, "a tick that a Python worker ran", 60)
    assert view["origin"] == "config" and view["sent"] >= 1, view
    assert view["last_tick"].endswith(".000000Z"), view
