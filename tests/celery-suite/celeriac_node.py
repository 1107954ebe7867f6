"""pytest plugin: the worker of Celery's integration suite is a celeriac node.

The suite asks celery.contrib.testing.worker.start_worker for a worker in a thread of
its own process. Here that function starts a node as a process of its own, so the
suite itself stays as it is. What it needs comes through the environment (see run.py).
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from _pytest.runner import runtestprotocol

from celery.contrib.testing import worker
from celery.result import _set_task_join_will_block, allow_join_result
from celery.utils.nodenames import anon_nodename
from celery.worker import state as worker_state

NODE = os.environ["SUITE_NODE"]
BROKER = os.environ["TEST_BROKER"]
BACKEND = os.environ["TEST_BACKEND"]
FOLDER = os.environ["SUITE_FOLDER"]
SHARD, SHARDS = int(os.environ["SUITE_SHARD"]), int(os.environ["SUITE_SHARDS"])

# The suite's own marks allow 300 s each, which is for its repetitions of failed tests.
SECONDS = 60
# What waits longer by itself: most of it to see that nothing more happens.
LONGER = {
    "test_disabling_flag_allow_error_cb_on_chord_header": 300,
    "test_enabling_flag_allow_error_cb_on_chord_header": 300,
    "test_flag_allow_error_cb_on_chord_header_on_upgraded_chord": 300,
    "test_revoked_by_headers_complex_canvas": 120,
}


class Node:
    """The node of this process, started anew when a test has left it in disorder."""

    def __init__(self):
        self.app = None
        self.name = anon_nodename()
        self.child = None
        self.disorder = False

    def start(self):
        command = [NODE, "node", "-b", BROKER, "-r", BACKEND, "-Q", "celery"]
        command += ["-c", "1", "-E", "-n", self.name, "-l", os.environ.get("SUITE_LOGLEVEL", "info")]
        with open(os.path.join(FOLDER, f"node-{SHARD}.log"), "ab") as log:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        inspect = self.app.control.inspect(destination=[self.name], timeout=1)
        deadline = time.monotonic() + 30
        while not inspect.ping():
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"expected {self.name} to answer a ping within 30 s, found silence")

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def set_in_order(self):
        """Gives the next test a node that nothing of an earlier test keeps busy."""
        if self.child is None or not (self.disorder or self.child.poll() is not None):
            return
        self.disorder = False
        self.app.control.purge()
        self.renew()

    def await_idle(self, *more):
        """Waits until nothing runs or is about to, nor is what `more` names."""
        inspect = self.app.control.inspect(destination=[self.name], timeout=5)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            asked = [getattr(inspect, state)() for state in ("active", "reserved", *more)]
            tasks = [task for answer in asked for task in answer[self.name]]
            if not tasks and self.app.control.purge() == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"expected {self.name} to be idle within 30 s, found tasks")

    def renew(self):
        self.child.kill()
        self.child.wait()
        self.start()


node = Node()


class RevokedStamps(dict):
    """The stamps that are called off, as a worker of this process would keep them.

    A test that wants them forgotten clears the dictionary; a new node knows of none.
    What is still under way ends as the old one knows it.
    """

    def clear(self):
        super().clear()
        node.await_idle()
        node.renew()


worker_state.revoked_stamps = RevokedStamps()


class Mirror(threading.Thread):
    """Keeps the list of successful tasks that a worker of this process would keep.

    Some tests wait for an id in it before they look at what was stored. Here the ids
    come from the node's events.
    """

    def __init__(self, app):
        super().__init__(daemon=True)
        self.app = app
        self.receiver = None

    def run(self):
        with self.app.connection_for_read() as connection:
            handlers = {"task-succeeded": self.succeeded}
            self.receiver = self.app.events.Receiver(connection, handlers=handlers)
            self.receiver.capture(limit=None, timeout=None, wakeup=False)

    @staticmethod
    def succeeded(event):
        worker_state.successful_requests.add(event["uuid"])

    def stop(self):
        self.receiver.should_stop = True
        self.join(10)


@contextlib.contextmanager
def start_worker(app, **_ignored):
    worker.setup_app_for_worker(app, "error", None)
    node.app = app
    mirror = Mirror(app)
    mirror.start()
    node.start()
    _set_task_join_will_block(False)
    try:
        from celery.contrib.testing.tasks import ping

        with allow_join_result():
            assert ping.delay().get(timeout=10) == "pong"
        yield SimpleNamespace(hostname=node.name, app=app)
    finally:
        mirror.stop()
        node.stop()


worker.start_worker = start_worker


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    ours = items[SHARD::SHARDS]
    config.hook.pytest_deselected(items=[item for item in items if item not in ours])
    items[:] = ours
    for item in items:
        name = getattr(item, "originalname", item.name)
        item.add_marker(pytest.mark.timeout(LONGER.get(name, SECONDS)), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    node.set_in_order()


# From what counts least to what counts most, for tests with several reports.
ORDER = ["passed", "skipped", "xfailed", "failed"]

# A client looks for failed members of a chord before it begins to wait for the body, and
# whenever something happened while it waits. A chord that breaks between the first look
# and the waiting shows it the body's error instead, which some tests do not expect.
RACE = re.compile(r"ChordError: Dependency \S+ raised ExpectedException")
# This one sends a task and asks for it at once; message and question go different ways.
RACING = "test_scheduled"


class Outcomes:
    """Collects the reports of a test into one outcome and writes it as a line of JSON."""

    def __init__(self):
        self.lines = open(os.path.join(FOLDER, f"outcomes-{SHARD}.jsonl"), "w", buffering=1)
        self.begin()

    def begin(self):
        self.outcome, self.words, self.seconds, self.raced = "passed", "", 0.0, False

    def add(self, report):
        self.seconds += report.duration
        outcome, words = report.outcome, words_of(report)
        if words.startswith("[XPASS(strict)]"):
            # It does what the suite had given up.
            outcome = "passed"
        if hasattr(report, "wasxfail") and outcome == "skipped":
            outcome = "xfailed"
        if outcome == "failed" and "Timeout (>" in str(report.longrepr):
            node.disorder = True
        race = RACE.search(words) or RACING in report.nodeid
        self.raced |= outcome == "failed" and bool(race)
        if ORDER.index(outcome) > ORDER.index(self.outcome):
            self.outcome, self.words = outcome, words

    def end(self, nodeid, repeats):
        line = {"test": nodeid, "outcome": self.outcome, "words": self.words, "seconds": self.seconds}
        line["repeats"] = repeats
        self.lines.write(json.dumps(line) + "\n")
        self.begin()


def words_of(report):
    if hasattr(report, "wasxfail"):
        return report.wasxfail.removeprefix("reason: ")
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr or "")


outcomes = Outcomes()


def pytest_runtest_logreport(report):
    outcomes.add(report)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Runs a test, and twice more when it loses such a race."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for repeats in range(3):
        outcomes.begin()
        runtestprotocol(item, nextitem=nextitem)
        if not outcomes.raced:
            break
        # What the lost try left behind would lose the next one.
        node.await_idle("scheduled")
    outcomes.end(item.nodeid, repeats)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
