"""A made-up API server of Kubernetes: the program `fake-kubernetes`, as tests change it."""

import json
import urllib.request

from processes import Process

SELECTOR = "app=node"
COST = "controller.kubernetes.io/pod-deletion-cost"


class FakeKubernetes(Process):
    def __init__(self, program, log, folder):
        self.folder = folder
        super().__init__([program, folder], log)
        file = folder / "addresses"
        self.until(file.is_file, f"addresses in {file}")
        self.address, control = file.read_text().split()
        self.control = f"http://{control}/"

    @property
    def variables(self):
        """The environment of a pod."""
        host, port = self.address.split(":")
        return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    @property
    def flags(self):
        return ["--service-account", self.folder, "--node-pods", SELECTOR]

    def state(self):
        with urllib.request.urlopen(self.control, timeout=10) as answer:
            return json.load(answer)

    def change(self, **change):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.control, json.dumps(change).encode(), headers)
        urllib.request.urlopen(request, timeout=10).close()

    def put_pod(self, name, deployment="celeriac-node", **metadata):
        labels = {"app": "node", "pod-template-hash": "5d4"}
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{deployment}-5d4", "uid": "r"}
        pod = {"metadata": {"labels": labels, "ownerReferences": [owner], **metadata}, "spec": {}}
        self.change(put=[["pods", name, pod]])

    def put_deployment(self, name, desired, pool, **status):
        template = {"metadata": {"labels": {"app": "node", "celeriac.dev/pool": pool}}}
        spec = {"replicas": desired, "template": template}
        self.change(put=[["deployments", name, {"metadata": {}, "spec": spec, "status": status}]])

    def cost(self, pod):
        """What the cluster was told, None when nothing was."""
        return self.state()["objects"]["pods"][pod]["metadata"].get("annotations", {}).get(COST)

    def calls(self, what):
        return [call for call in self.state()["calls"] if call.startswith(what)]
