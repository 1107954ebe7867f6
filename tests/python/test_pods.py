"""Pods of nodes, at a made-up API server of Kubernetes."""

import json
import os
import re
import subprocess
import time

import pytest

from processes import eventually


def metric(supervisor, name):
    text = supervisor.get("/metrics")[1]
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def leads(supervisor):
    return supervisor.running and metric(supervisor, "celeriac_beat_leader") == 1


@pytest.fixture
def pod(node, redis_url, unique, kubernetes):
    """Starts a node as in a pod, with a queue of its own."""

    def start():
        name = unique("celeriac-node-5d4")
        queue = f"only-{name}"
        kubernetes.put_pod(name)
        options = {"queues": [queue], "default_queue": queue, "concurrency": 2}
        # What still runs at the end of the test is not waited for.
        node(redis_url, "--drain-deadline", "1s", program="demo-node", name=f"celeriac@{name}", **options)
        return name, queue

    return start


# S56.
@pytest.mark.timeout(300)
def test_who_leads_tells_what_pods_would_lose(pod, supervisor, client, redis_url, kubernetes):
    lease = ["--leader-election", "lease", "--lease", "celeriac-leader", "--store", "memory:"]
    both = [supervisor(redis_url, *lease, *kubernetes.flags, env=kubernetes.variables) for _ in range(2)]
    leader = eventually(lambda: next((one for one in both if leads(one)), None), "a leader")
    (other,) = [one for one in both if one is not leader]
    (busy, work), (idle, _) = pod(), pod()
    kubernetes.put_pod("celeriac-node-starting")
    kubernetes.put_deployment("celeriac-node", 3, "default", replicas=3, readyReplicas=2, updatedReplicas=3)

    client(redis_url, work).send_task("demo.sleep", (40,))
    eventually(lambda: kubernetes.cost(busy) == "10", "a cost for the busy pod")
    eventually(lambda: kubernetes.cost(busy) == "26", "a higher cost after 16 s", 60)
    assert kubernetes.cost(idle) is None, "an idle pod costs nothing, and need not be told"
    assert metric(leader, "celeriac_pod_cost_patches_total") == 2
    assert metric(other, "celeriac_pod_cost_patches_total") == 0

    # Both tell of replicas; what runs nothing yet is listed too.
    for one in both:
        status, text = one.get("/api/v1/pools")
        assert status == 200, text
        (pool,) = json.loads(text)["pools"]
        counts = [pool[key] for key in ("name", "desired", "actual", "ready", "updated", "draining")]
        assert counts == ["default", 3, 3, 2, 3, 0]
        nodes = {one["name"]: [node["name"] for node in one["nodes"]] for one in pool["pods"]}
        assert nodes == {busy: [f"celeriac@{busy}"], idle: [f"celeriac@{idle}"], "celeriac-node-starting": []}
        assert pool["queues"] == sorted([f"only-{busy}", f"only-{idle}"])

    leader.kill()
    eventually(lambda: leads(other), "the other one to lead")
    eventually(lambda: kubernetes.cost(busy) == "0", "an idle pod again, told by the next leader", 150)
    assert kubernetes.cost("celeriac-node-starting") is None
    patched = [call.split()[-1] for call in kubernetes.calls("patch pods")]
    assert set(patched) == {busy}
    assert 3 <= len(patched) <= 4, "10, 26, perhaps 42, and 0"


# S56.
@pytest.mark.timeout(300)
def test_an_api_server_in_trouble_hurts_nothing(pod, supervisor, client, redis_url, kubernetes):
    room = supervisor(redis_url, "--store", "memory:", *kubernetes.flags, env=kubernetes.variables)
    eventually(lambda: leads(room), "it to lead")
    name, queue = pod()
    kubernetes.change(throttled=1)
    app = client(redis_url, queue)
    app.send_task("demo.sleep", (120,))
    failures = 'celeriac_pod_cost_failures_total{reason="%s"}'
    eventually(lambda: metric(room, failures % "unavailable") == 1, "429 to be counted")
    eventually(lambda: kubernetes.cost(name) in ("10", "26"), "the cost after a while")

    # Nobody answers any more: whatever else a supervisor does goes on.
    kubernetes.change(mute=True)
    before = metric(room, failures % "unavailable")
    until = time.monotonic() + 15
    while time.monotonic() < until:
        start = time.monotonic()
        assert [room.get(path)[0] for path in ("/livez", "/readyz", "/api/v1/nodes")] == [200] * 3
        assert time.monotonic() - start < 3
        assert app.send_task("demo.add", (1, 2)).get(timeout=20) == 3
    status, text = room.get("/api/v1/pools")
    assert status == 200 and json.loads(text)["pools"] == [] and json.loads(text)["trouble"], text
    eventually(lambda: metric(room, failures % "unavailable") > before, "silence to be counted", 60)

    kubernetes.change(mute=False, forbidden=["list pods", "patch pods"])
    eventually(lambda: metric(room, failures % "forbidden") == 1, "403 to be counted", 60)
    said = [line for line in room.log().splitlines() if "may be deleted while others are idle" in line]
    assert "403: the service account may not" in said[-1] and "in namespace work: see k8s/base" in said[-1], said[-1]
    assert len(said) == 3, "each kind of trouble is told once: 429, silence, 403"
    trouble = eventually(lambda: "403" in (json.loads(room.get("/api/v1/pools")[1])["trouble"] or ""), "the reason", 30)
    assert trouble


# S56.
def test_pods_outside_of_a_cluster_are_refused_at_the_start(binary, amqp_url):
    command = [binary("celeriac"), "supervisor", "-b", amqp_url, "--store", "memory:", "--node-pods", "app=node"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_")}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode in (64, 78), ended
    last = ended.stderr.strip().splitlines()[-1]
    assert "node_pods: expected none outside a pod of Kubernetes" in last, last
    assert "KUBERNETES_SERVICE_HOST" in last, last


def test_without_the_setting_there_are_no_pools(supervisor, redis_url):
    status, text = supervisor(redis_url, "--store", "memory:").get("/api/v1/pools")
    assert status == 404 and "node_pods" in json.loads(text)["detail"]
