"""Fixtures: the servers of the run, celeriac's programs, and real Celery on both sides."""

import os
import sys
import uuid
from pathlib import Path

import pytest

import tasks
from fake_kubernetes import FakeKubernetes
from processes import Flower, HttpProcess, Process, free_port

HERE = Path(__file__).parent


def from_environment(name):
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"expected {name} in the environment, found none: run ./tests/run python", False)
    return value


@pytest.fixture(scope="session")
def amqp_url():
    return from_environment("CELERIAC_TEST_AMQP_URL")


@pytest.fixture(scope="session")
def redis_url():
    return from_environment("CELERIAC_TEST_REDIS_URL")


@pytest.fixture(scope="session")
def binary():
    """Finds a built program by its name."""
    folder = Path(from_environment("CELERIAC_TEST_BIN_DIR"))

    def find(name):
        path = folder / name
        if not path.is_file():
            pytest.fail(f"expected the program {path}, found none: build it with ./tests/run", False)
        return path

    return find


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory):
    """Where programs log; the folder of the run is kept when a test fails."""
    folder = os.environ.get("CELERIAC_TEST_DIR")
    return Path(folder) / "log" if folder else tmp_path_factory.mktemp("log")


@pytest.fixture
def unique():
    """Makes names that no other test and no other run uses."""
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(unique):
    return unique("queue")


@pytest.fixture(params=["rpc", "redis"])
def backend(request):
    """The URL of a result backend: a test that asks for it runs once with each."""
    return "rpc://" if request.param == "rpc" else request.getfixturevalue("redis_url")


@pytest.fixture
def client(amqp_url, queue):
    """Makes Celery applications that send to this test's queue, or to another."""
    made = []

    def create(backend, queue=queue):
        app = tasks.create_app(amqp_url, backend, queue)
        made.append(app)
        return app

    yield create
    for app in made:
        app.close()


@pytest.fixture
def running():
    """Programs of this test; those still running at its end must stop in order."""
    started = []
    yield started
    failures = []
    for program in reversed(started):
        if program.running:
            try:
                program.stop()
            except AssertionError as failure:
                failures.append(str(failure))
    assert not failures, "\n\n".join(failures)


@pytest.fixture
def node(binary, amqp_url, queue, unique, log_folder, running):
    """Starts nodes: `node(backend, ...)` returns one that is ready."""

    def start(backend, *flags, program="celeriac", name=None, queues=None, concurrency=4, prefetch=None, default_queue=queue):
        name = name or f"{unique('node')}@test"
        address = f"127.0.0.1:{free_port()}"
        command = [binary(program), "node", "-b", amqp_url, "-r", backend]
        command += ["-Q", ",".join(queues or [queue]), "-c", concurrency, "-n", name]
        # What a task sends on goes to its own side's default queue, as with Celery's workers.
        command += ["--default-queue", default_queue]
        command += ["-l", "info", "--http", address, *flags]
        if prefetch is not None:
            command += ["--prefetch", prefetch]
        started = HttpProcess(command, address, log=log_folder / f"{name}.log")
        started.name = name
        running.append(started)
        return started.until_ready()

    return start


@pytest.fixture
def supervisor(binary, amqp_url, unique, log_folder, running):
    """Starts supervisors: `supervisor(backend, ...)` returns one that is ready."""

    def start(backend, *flags, program="celeriac", env=None):
        address = f"127.0.0.1:{free_port()}"
        command = [binary(program), "supervisor", "-b", amqp_url, "-r", backend]
        command += ["-l", "info", "--listen", address, *flags]
        log = log_folder / f"{unique('supervisor')}.log"
        started = HttpProcess(command, address, log=log, env=dict(os.environ, **(env or {})))
        running.append(started)
        return started.until_ready()

    return start


@pytest.fixture
def kubernetes(binary, unique, log_folder, tmp_path):
    """A made-up API server of Kubernetes, with the folder of a service account."""
    folder = tmp_path / "account"
    started = FakeKubernetes(binary("fake-kubernetes"), log_folder / f"{unique('kubernetes')}.log", folder)
    yield started
    started.kill()


@pytest.fixture
def python_worker(amqp_url, queue, unique, log_folder, running):
    """Starts real Celery workers on `tasks.py`: `python_worker(backend)`."""

    def start(backend, *flags, name=None, concurrency=2, queue=queue, module="tasks", **variables):
        name = name or f"{unique('python')}@test"
        command = [sys.executable, "-m", "celery", "-A", module, "worker"]
        command += ["-Q", queue, "-c", concurrency, "-n", name, "-l", "info", *flags]
        env = dict(
            os.environ,
            CELERIAC_TEST_AMQP_URL=amqp_url,
            CELERIAC_TEST_WORKER_BACKEND=backend,
            CELERIAC_TEST_WORKER_QUEUE=queue,
            **variables,
        )
        started = Process(command, log_folder / f"{name}.log", env=env, cwd=HERE)
        started.name = name
        running.append(started)
        started.until(lambda: f"{name} ready." in started.log(), f"{name} to be ready")
        return started

    return start


@pytest.fixture
def flower(amqp_url, redis_url, queue, log_folder, unique, running):
    """A Flower that watches everything on the broker."""
    address = f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    command = [sys.executable, "-m", "celery", "-A", "tasks", "flower", f"--address={host}", f"--port={port}"]
    env = dict(
        os.environ,
        CELERIAC_TEST_AMQP_URL=amqp_url,
        CELERIAC_TEST_WORKER_BACKEND=redis_url,
        CELERIAC_TEST_WORKER_QUEUE=queue,
        FLOWER_UNAUTHENTICATED_API="true",
    )
    started = Flower(command, address, log=log_folder / f"{unique('flower')}.log", env=env, cwd=HERE)
    started.until(lambda: started.get("/healthcheck")[0] == 200, "Flower to answer")
    yield started
    started.kill()
