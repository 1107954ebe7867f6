"""Fixtures: containers that are gone at the end, and Celery on the servers of the run."""

import socket
import sys
import uuid
from pathlib import Path

import pytest
from celery import Celery
from containers import Container, setting

sys.path.insert(0, str(Path(__file__).parent.parent / "python"))

GRACE = 20
FIGURES = []


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def figure():
    """Notes what was measured, to be shown at the end."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter):
    for line in FIGURES:
        terminalreporter.write_line(f"measured: {line}")


@pytest.fixture
def container(request):
    """Starts containers; shows the log of each when the test failed."""
    started = []

    def start(*words, **options):
        started.append(Container(*words, **options))
        return started[-1]

    yield start
    for one in started:
        print(f"--- log of {one.id[:12]}\n{one.log()[-4000:]}")
        one.remove()


@pytest.fixture
def queue():
    return f"image-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def servers():
    """What tells a node or supervisor where the servers of the run are."""
    return [
        f"--env=CELERIAC_BROKER={setting('CELERIAC_TEST_AMQP_URL')}",
        f"--env=CELERIAC_RESULT_BACKEND={setting('CELERIAC_TEST_REDIS_URL')}",
        f"--env=CELERIAC_TERMINATION_GRACE_PERIOD={GRACE}s",
    ]


@pytest.fixture
def node(container, servers, queue):
    """Starts a node that consumes the test's queue."""

    def start(*words, options=(), **more):
        address = free_address()
        settings = [*servers, f"--env=CELERIAC_HTTP={address}", f"--env=CELERIAC_QUEUES={queue}"]
        return container("node", *words, options=[*settings, *options], address=address, **more)

    return start


@pytest.fixture
def client(queue):
    app = Celery(broker=setting("CELERIAC_TEST_AMQP_URL"), backend=setting("CELERIAC_TEST_REDIS_URL"))
    app.conf.task_default_queue = queue
    yield app
    app.close()
