"""KEDA's external scaler and the figures to scale by, asked by a client of gRPC's own."""

import contextlib
import importlib
import json
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import grpc
import pytest
from grpc_tools import protoc

from processes import HttpProcess, eventually, free_port

HERE = Path(__file__).parent
SLOTS = 2


@pytest.fixture(scope="session")
def wire(tmp_path_factory):
    """The client that protoc makes from the definition: its messages and its stub."""
    folder = tmp_path_factory.mktemp("externalscaler")
    asked = ["protoc", f"-I{HERE}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main([*asked, str(HERE / "externalscaler.proto")]) == 0
    sys.path.insert(0, str(folder))
    try:
        yield (
            importlib.import_module("externalscaler_pb2"),
            importlib.import_module("externalscaler_pb2_grpc"),
        )
    finally:
        sys.path.remove(str(folder))


class Keda:
    """What KEDA does with an external scaler."""

    def __init__(self, wire, address):
        self.messages, services = wire
        self.channel = grpc.insecure_channel(address)
        self.stub = services.ExternalScalerStub(self.channel)

    def about(self, **metadata):
        metadata["scalerAddress"] = "celeriac-supervisor.celeriac:9596"
        return self.messages.ScaledObjectRef(
            name="nodes", namespace="celeriac", scalerMetadata=metadata
        )

    def active(self, **metadata):
        return self.stub.IsActive(self.about(**metadata), timeout=5).result

    def spec(self, **metadata):
        (spec,) = self.stub.GetMetricSpec(self.about(**metadata), timeout=5).metricSpecs
        return spec

    def value(self, name="", **metadata):
        asked = self.messages.GetMetricsRequest(
            scaledObjectRef=self.about(**metadata), metricName=name
        )
        (value,) = self.stub.GetMetrics(asked, timeout=5).metricValues
        return value

    def tasks(self, queue):
        return self.value(queues=queue).metricValue

    def push(self, **metadata):
        return self.stub.StreamIsActive(self.about(**metadata))


@pytest.fixture
def scaler(wire, supervisor):
    """Starts supervisors with an external scaler: returns one, and a KEDA that asks it."""
    made = []

    def start(backend, *flags, start=supervisor):
        address = f"127.0.0.1:{free_port()}"
        watching = start(backend, "--scaler-listen", address, *flags)
        keda = Keda(wire, address)
        made.append(keda)
        grpc.channel_ready_future(keda.channel).result(timeout=10)
        return watching, keda

    yield start
    for keda in made:
        keda.channel.close()


def refused(call):
    """The status and words of a call that must fail."""
    with pytest.raises(grpc.RpcError) as failure:
        call()
    return failure.value.code(), failure.value.details()


def known(call):
    """What a call answers, once the figures are known."""

    def ask():
        try:
            return (call(),)
        except grpc.RpcError as failure:
            assert failure.code() == grpc.StatusCode.UNAVAILABLE, failure
            return None

    return eventually(ask, "figures")[0]


# S55: from zero, with messages that wait and nobody who consumes.
def test_work_without_nodes_wakes_the_fleet(scaler, client, redis_url, queue):
    watching, keda = scaler(redis_url)
    assert known(lambda: keda.active(queues=queue)) is False, "the queue is not there yet"
    told = json.loads(watching.get(f"/api/v1/scale?queues={queue}")[1])
    assert (told["tasks"], told["missing"], told["active"]) == (0, [queue], False)

    sleep = client(redis_url).tasks["celeriac.sleep"]
    for _ in range(5):
        sleep.delay(0)
    eventually(lambda: known(lambda: keda.active(queues=queue)), "work in the queue")
    eventually(lambda: known(lambda: keda.tasks(queue)) == 5, "five tasks")
    assert keda.active(queues=queue, activationTarget="5") is False
    assert keda.active(queues=queue, activationTarget="4") is True

    spec = keda.spec(queues=queue, target="2.5")
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("celeriac-tasks", 3, 2.5)
    value = keda.value("celeriac-tasks", queues=queue)
    assert (value.metricName, value.metricValue, value.metricValueFloat) == ("celeriac-tasks", 5, 5.0)
    # Without places there is no load; the fleet is to stay as it is until there are some.
    assert keda.value(queues=queue, metric="load", target="1.5").metricValueFloat == 1.5
    told = json.loads(watching.get(f"/api/v1/scale?queues={queue}")[1])
    assert (told["ready"], told["slots"], told["load"], told["active"]) == (5, 0, None, True)
    # What was asked by name is watched, and shown to nobody else.
    assert watching.get(f"/api/v1/queues/{queue}")[0] == 404

    code, words = refused(lambda: keda.spec(queues=queue))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert words.startswith("metadata.target: expected how many tasks each node shall have")


# S55: a node whose prefetch holds all that waited is not idle, and two supervisors say so.
def test_what_nodes_hold_counts(scaler, node, client, redis_url, queue):
    watching, keda = scaler(redis_url, "--queues", queue)
    _, other = scaler(redis_url)
    node(redis_url, "-E", concurrency=SLOTS, prefetch="4x")
    sleep = client(redis_url).tasks["celeriac.sleep"]
    sent = [sleep.delay(8) for _ in range(6)]

    def figures():
        status, text = watching.get(f"/api/v1/scale?queues={queue}")
        told = json.loads(text)
        return status == 200 and (told["running"], told["reserved"]) == (SLOTS, 4) and told

    told = eventually(figures, "two that run and four that are reserved")
    assert (told["ready"], told["tasks"], told["slots"], told["nodes"]) == (0, 6, SLOTS, 1)
    assert told["load"] == 3.0
    for one in (keda, other):
        assert known(lambda one=one: one.tasks(queue)) == 6
        assert known(lambda one=one: one.active(queues=queue)) is True
        spec = known(lambda one=one: one.spec(queues=queue))
        assert (spec.targetSize, spec.targetSizeFloat) == (SLOTS, SLOTS), "its slots"
    load = keda.value("celeriac-load", queues=queue, metric="load", target="0.8")
    assert (load.metricValue, load.metricValueFloat) == (3_000, 3.0)
    assert keda.spec(queues=queue, metric="load", target="0.8").targetSize == 800
    assert keda.value(queues=queue, metric="oldest_age", target="30").metricValue == 0

    metrics = watching.get("/metrics")[1]
    label = '{queue="%s"}' % queue
    for line in (f"tasks{label} 6", f"reserved{label} 4", f"running{label} 2", f"load_ratio{label} 3.0"):
        assert f"celeriac_queue_{line}\n" in metrics
    assert 'celeriac_scaler_calls_total{method="GetMetrics",code="OK"}' in metrics

    assert [result.get(timeout=60) for result in sent] == [8] * 6
    eventually(lambda: known(lambda: keda.tasks(queue)) == 0, "no task")
    eventually(lambda: not known(lambda: keda.active(queues=queue)), "an idle fleet", timeout=20)


# S55: a Python worker is a node like any other; what it holds is seen by events.
def test_a_python_worker_counts(scaler, python_worker, client, redis_url, queue):
    watching, keda = scaler(redis_url, "--queues", queue)
    python_worker(redis_url, "-E", concurrency=SLOTS)
    sent = [client(redis_url).tasks["demo.sleep"].delay(12) for _ in range(5)]

    def figures():
        status, text = watching.get(f"/api/v1/scale?queues={queue}")
        told = json.loads(text)
        found = (told.get("slots"), told.get("running"), told.get("reserved"))
        return status == 200 and found == (SLOTS, SLOTS, 3) and told

    told = eventually(figures, "two that run and three that are reserved", timeout=40)
    assert (told["tasks"], told["load"]) == (5, 2.5)
    assert known(lambda: keda.tasks(queue)) == 5
    assert [result.get(timeout=90) for result in sent] == [12] * 5


# S55: push, within a second of a change.
def test_a_stream_tells_of_changes_and_ends_in_order(scaler, node, client, redis_url, queue):
    watching, keda = scaler(redis_url)
    stream = keda.push(queues=queue)
    heard = []
    ended = threading.Event()

    def listen():
        with contextlib.suppress(grpc.RpcError):
            for word in stream:
                heard.append((word.result, time.monotonic()))
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    eventually(lambda: heard, "the first word")
    assert [word for word, _ in heard] == [False]

    sent_at = time.monotonic()
    result = client(redis_url).tasks["celeriac.sleep"].delay(0.1)
    eventually(lambda: len(heard) == 2, "a word of the new task", timeout=5)
    assert heard[1][0] is True
    # Publishing took its part; the supervisor looks twice a second.
    assert heard[1][1] - sent_at < 2.0

    node(redis_url)
    assert result.get(timeout=30) == 0.1
    eventually(lambda: len(heard) == 3, "a word of the end", timeout=30)
    assert heard[2][0] is False
    assert "celeriac_scaler_streams 1\n" in watching.get("/metrics")[1]

    watching.stop()
    assert ended.wait(5)
    assert stream.code() == grpc.StatusCode.OK


def test_wrong_metadata_names_the_field(scaler, redis_url, queue):
    _, keda = scaler(redis_url)
    for metadata, words in [
        ({}, "metadata.queues: expected names of queues such as celery,mail, found none"),
        ({"queues": "a,,b"}, "metadata.queues: expected 1 to 32 names"),
        ({"queues": "a", "metric": "cpu"}, "metadata.metric: expected tasks, load or oldest_age, found 'cpu'"),
        ({"queues": "a", "metric": "load"}, "metadata.target: expected the load"),
        ({"queues": "a", "target": "ten"}, "metadata.target: expected a number above 0"),
        ({"queues": "a", "activationTarget": "-1"}, "metadata.activationTarget: expected a number from 0"),
        ({"queues": "a", "activation_target": "1"}, "metadata.activation_target: expected activationTarget"),
    ]:
        for call in (keda.active, keda.spec, keda.value, lambda **m: next(keda.push(**m))):
            code, found = refused(lambda call=call, metadata=metadata: call(**metadata))
            assert (code, found.startswith(words)) == (grpc.StatusCode.INVALID_ARGUMENT, True), found
    code, found = refused(lambda: keda.value("celeriac-load", queues=queue))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert found == "metadata.metricName: expected celeriac-tasks, found celeriac-load"
    unknown = keda.channel.unary_unary("/externalscaler.ExternalScaler/Else")
    assert refused(lambda: unknown(b"", timeout=5))[0] == grpc.StatusCode.UNIMPLEMENTED
    huge = "x" * 100_000
    assert refused(lambda: keda.active(queues=huge))[0] == grpc.StatusCode.OUT_OF_RANGE


class Cable:
    """A line to the broker that can be cut."""

    def __init__(self, host, port):
        self.to = (host, port)
        self.sockets = []
        self.whole = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection(self.to)
            self.sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.whole = False
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.sockets.clear()

    def mend(self):
        self.whole = True


# S55: who knows nothing says nothing: no supervisor scales a fleet away because it lost
# the broker, or has just come.
def test_without_the_broker_there_are_no_figures(
    wire, scaler, binary, amqp_url, client, redis_url, queue, unique, log_folder, running
):
    url = urlsplit(amqp_url)
    cable = Cable(url.hostname, url.port)
    cable.cut()
    user = f"{quote(url.username)}:{quote(url.password)}@" if url.username else ""
    line = urlunsplit(url._replace(netloc=f"{user}127.0.0.1:{cable.port}"))

    def start(backend, *flags):
        address = f"127.0.0.1:{free_port()}"
        command = [binary("celeriac"), "supervisor", "-b", line, "-r", backend, "--listen", address]
        started = HttpProcess([*command, *flags], address, log=log_folder / f"{unique('scaler')}.log")
        running.append(started)
        started.until(lambda: started.get("/livez")[0] == 200, "the supervisor to answer")
        return started

    watching, keda = scaler(redis_url, start=start)
    client(redis_url).tasks["celeriac.sleep"].delay(0)

    def no_figures():
        for call in (keda.active, keda.value):
            code, words = refused(lambda call=call: call(queues=queue))
            assert code == grpc.StatusCode.UNAVAILABLE
            assert words.startswith("the figures are not known: "), words
        status, text = watching.get(f"/api/v1/scale?queues={queue}")
        assert (status, json.loads(text)["code"]) == (503, "unavailable")
        assert 'celeriac_queue_tasks{queue="celery"}' not in watching.get("/metrics")[1]

    no_figures()
    # What the metadata alone says needs no broker.
    assert keda.spec(queues=queue, target="4").targetSize == 4
    cable.mend()
    eventually(lambda: known(lambda: keda.active(queues=queue)), "work, once the broker is there")
    eventually(
        lambda: 'celeriac_queue_tasks{queue="celery"} 0' in watching.get("/metrics")[1],
        "the figures as metrics",
    )
    stream = keda.push(queues=queue)
    assert next(stream).result is True
    cable.cut()
    eventually(lambda: watching.get("/readyz")[0] == 503, "the supervisor to notice")
    no_figures()
    assert stream.is_active(), "a stream stays, and what it said holds"
    stream.cancel()
