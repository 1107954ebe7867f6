"""Flower's HTTP API against a node: what each control of its pages does."""

import urllib.parse

from processes import eventually

def known(flower, worker):
    """Waits until Flower has asked the worker, and returns what it found."""

    def asked():
        query = urllib.parse.urlencode({"refresh": 1, "workername": worker.name})
        status, found = flower.call("GET", f"/api/workers?{query}")
        return status == 200 and found.get(worker.name, {}).get("stats") and found[worker.name]

    return eventually(asked, f"Flower to know {worker.name}")


def test_each_control_of_the_worker_page_works(node, flower, redis_url):
    worker = node(redis_url, "--pool-restarts", "true", program="demo-node", concurrency=2)
    name = worker.name
    found = known(flower, worker)
    assert found["stats"]["pool"]["max-concurrency"] == 2
    assert {"active", "scheduled", "reserved", "revoked", "conf", "registered", "active_queues"} <= set(found)

    for path, form, said in [
        (f"/api/worker/pool/grow/{name}?n=2", {}, f"Growing '{name}' worker's pool by 2"),
        (f"/api/worker/pool/shrink/{name}?n=1", {}, f"Shrinking '{name}' worker's pool by 1"),
        (f"/api/worker/pool/restart/{name}", {}, f"Restarting '{name}' worker's pool"),
        (f"/api/worker/queue/add-consumer/{name}?queue=flowers", {}, "add consumer flowers"),
        ("/api/task/rate-limit/demo.add", {"workername": name, "ratelimit": "100/m"}, "new rate limit set successfully"),
        ("/api/task/timeout/demo.add", {"workername": name, "soft": 30, "hard": 60}, "time limits set successfully"),
    ]:
        status, answer = flower.post(path, **form)
        assert (status, answer) == (200, {"message": said}), path
    assert known(flower, worker)["stats"]["pool"]["max-concurrency"] == 3

    def queues():
        return [queue["name"] for queue in known(flower, worker)["active_queues"]]

    eventually(lambda: "flowers" in queues(), "the queue to be consumed")
    status, answer = flower.post(f"/api/worker/queue/cancel-consumer/{name}?queue=flowers")
    assert (status, answer) == (200, {"message": "no longer consuming from flowers"})
    eventually(lambda: "flowers" not in queues(), "the queue to be left")
    status, answer = flower.post(f"/api/worker/pool/autoscale/{name}?min=1&max=3")
    assert status == 403 and "Autoscale not enabled" in answer

    assert flower.post(f"/api/worker/shutdown/{name}") == (200, {"message": "Shutting down!"})
    eventually(lambda: not worker.running, "the node to end")


def test_a_node_that_scales_itself_is_bounded(node, flower, redis_url):
    worker = node(redis_url, "--autoscale", "4,1")
    known(flower, worker)
    status, _ = flower.post(f"/api/worker/pool/autoscale/{worker.name}?min=2&max=5")
    assert status == 200
    eventually(lambda: known(flower, worker)["stats"]["autoscaler"]["min"] == 2, "the new bounds")
    status, answer = flower.post(f"/api/worker/pool/grow/{worker.name}?n=1")
    assert status == 403 and "Adjust autoscale range instead" in answer


def test_the_task_page_revokes_and_terminates(node, flower, client, redis_url):
    worker = node(redis_url, "-E=true", program="demo-node", concurrency=1)
    known(flower, worker)
    app = client(redis_url)
    running, waiting = (app.send_task("demo.sleep", (60,)) for _ in range(2))

    def shown(task):
        status, info = flower.call("GET", f"/api/task/info/{task.id}")
        return info["state"] if status == 200 else None

    eventually(lambda: shown(running) == "STARTED", "the task to run")
    for task, query in [(waiting, ""), (running, "?terminate=true&signal=SIGINT")]:
        status, answer = flower.post(f"/api/task/revoke/{task.id}{query}")
        assert (status, answer) == (200, {"message": f"Revoked '{task.id}'"})
    for task in (running, waiting):
        eventually(lambda task=task: shown(task) == "REVOKED", "Flower to show REVOKED")
        assert app.AsyncResult(task.id).state == "REVOKED"
