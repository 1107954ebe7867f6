"""The supervisor beside real Celery clients and workers."""

import json
from datetime import UTC, datetime, timedelta

from conftest import from_environment
from processes import eventually

TASKS = 100


def listed(supervisor, names):
    """The nodes of those names, once all are online."""
    status, text = supervisor.get("/api/v1/nodes")
    assert status == 200, text
    nodes = {node["name"]: node for node in json.loads(text)["nodes"]}
    mine = [nodes.get(name) for name in names]
    return all(node and node["state"] == "online" for node in mine) and mine


def test_the_supervisor_tells_of_two_nodes_and_their_tasks(node, supervisor, client, redis_url):
    watching = supervisor(redis_url)
    names = [node(redis_url, "-E").name for _ in range(2)]
    eventually(lambda: listed(watching, names), "both nodes online")
    add = client(redis_url).tasks["celeriac.add"]

    sent = [add.delay(number, 1) for number in range(TASKS)]
    assert [result.get(timeout=60) for result in sent] == list(range(1, TASKS + 1))

    def all_told():
        tasks = [watching.get(f"/api/v1/tasks/{result.id}") for result in sent]
        return all(status == 200 and json.loads(text)["state"] == "SUCCESS" for status, text in tasks)

    eventually(all_told, "every task as a success")
    eventually(
        lambda: sum(node["processed"] for node in listed(watching, names)) == TASKS,
        "all tasks counted by their nodes",
    )
    assert json.loads(watching.get(f"/api/v1/tasks/{sent[0].id}")[1])["result"] == 1
    assert watching.get("/readyz")[0] == watching.get("/livez")[0] == 200
    page = watching.get("/")[1]
    assert all(name in page for name in names)
    assert "celeriac.add" in page


def test_a_python_worker_is_a_node_like_any_other(python_worker, supervisor, client, redis_url):
    watching = supervisor(redis_url)
    worker = python_worker(redis_url, "-E")

    (node,) = eventually(lambda: listed(watching, [worker.name]), "the worker online")
    assert node["software"] == "py-celery"

    result = client(redis_url).tasks["demo.add"].delay(2, 3)
    assert result.get(timeout=60) == 5
    eventually(
        lambda: json.loads(watching.get(f"/api/v1/tasks/{result.id}")[1]).get("worker") == worker.name,
        "the task with its worker",
    )


def test_the_brokers_management_tells_the_age_of_messages(supervisor, client, redis_url, queue):
    url = from_environment("CELERIAC_TEST_RABBITMQ_API")
    watching = supervisor(redis_url, "--management-url", url, "--queues", queue, "--store", "memory:")
    wrong = url.replace(":guest@", ":wrong-password@")
    refused = supervisor(redis_url, "--management-url", wrong, "--queues", queue, "--store", "memory:")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    client(redis_url).tasks["celeriac.add"].apply_async((1, 2), timestamp=int(hour_ago.timestamp()))

    def told(room):
        return json.loads(room.get(f"/api/v1/queues/{queue}")[1])

    def aged():
        found = told(watching)
        return found.get("oldest_source") == "management" and found["flow"] and found

    found = eventually(aged, "the age from the management API", timeout=60)
    assert 3_600 <= found["oldest_seconds"] < 3_900
    assert (found["ready"], found["unacked"]) == (1, 0)
    assert found["memory_bytes"] > 0
    assert 'celeriac_queue_oldest_seconds{queue="%s"} 3' % queue in watching.get("/metrics")[1]

    # Without an answer the rest goes on, and the log says once what to do.
    eventually(lambda: told(refused)["ready"] == 1, "the depth without the management API")
    eventually(lambda: "refuses user 'guest'" in refused.log(), "the refusal in the log")
    assert told(refused)["oldest_source"] is None
    assert "wrong-password" not in refused.log()
    assert refused.log().count("refuses user") == 1
