"""Runs Celery's own integration suite against celeriac nodes.

  run.py [--short] [--shards N] [--write-report] [pytest arguments]

Runs the files of FILES in several processes, each with a virtual host, a Redis and a
node of its own, prints a table, and compares every outcome with expected.txt: a worse
outcome fails the run, and so does a better one, so that the list stays true. Called by
`./tests/run celery-suite`, which fetches Celery's source distribution first.
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import outcomes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REPORT = ROOT / "docs" / "compatibility.md"

# Files that ask the shared worker for something; the others of t/integration start
# Python workers or look into Python alone.
FILES = [
    # The first, since it counts the subscriptions of all clients of its Redis.
    "test_redis_backend.py",
    "test_inspect.py",
    "test_tasks.py",
    "test_canvas.py",
    "test_group_chains.py",
    "test_serialization.py",
    # The last, since it leaves its process unable to read JSON.
    "test_security.py",
]
PLUGINS = ["-p", "celery.contrib.pytest", "-p", "celeriac_node"]
QUIET = ["-p", "no:cacheprovider", "-o", "log_cli=false", "-q", "--no-header", "--tb=short"]


def main():
    parser = argparse.ArgumentParser(prog="./tests/run celery-suite", allow_abbrev=False)
    parser.add_argument("--short", action="store_true", help="the tests of short.txt only")
    parser.add_argument("--shards", type=int, default=3, help="how many processes")
    parser.add_argument("--write-report", action="store_true", help="write docs/compatibility.md")
    options, arguments = parser.parse_known_args()
    if options.write_report and (options.short or arguments):
        parser.error("--write-report is for a run of the whole suite")
    if options.short:
        arguments = ["-k", " or ".join(outcomes.lines_of(HERE / "short.txt"))] + arguments

    folder = Path(os.environ["CELERIAC_TEST_DIR"]) / "log" / "celery-suite"
    folder.mkdir(parents=True)
    source = Path(os.environ["CELERIAC_TEST_SUITE"]) / "source"
    shards = [Shard(number, options.shards, source, folder) for number in range(options.shards)]
    try:
        for shard in shards:
            shard.start(arguments)
        broken = [line for shard in shards for line in shard.wait()]
    finally:
        for shard in shards:
            shard.stop()

    found = outcomes.read(folder)
    expected = outcomes.expected(HERE / "expected.txt")
    whole = not arguments
    outcomes.print_table(found)
    wrong = broken + outcomes.differences(found, expected, whole)
    for line in wrong:
        print(line)
    if options.write_report and not wrong:
        REPORT.write_text(outcomes.report(found, expected))
        print(f"wrote {REPORT.relative_to(ROOT)}")
    return 1 if wrong else 0


class Shard:
    """One process of pytest with servers of its own."""

    def __init__(self, number, of, source, folder):
        self.number, self.of, self.source, self.folder = number, of, source, folder
        self.redis = self.pytest = None

    def start(self, arguments):
        port = self.start_redis()
        vhost = f"celery-suite-{os.getpid()}-{self.number}"
        create_vhost(vhost)
        broker = urllib.parse.urlsplit(os.environ["CELERIAC_TEST_AMQP_URL"])
        python = Path(sys.executable)
        environment = dict(
            os.environ,
            PATH=f"{python.parent}:{os.environ['PATH']}",
            PYTHONPATH=str(HERE),
            PYTHONDONTWRITEBYTECODE="1",
            TEST_BROKER=broker._replace(path=f"/{vhost}").geturl(),
            TEST_BACKEND=f"redis://127.0.0.1:{port}/0",
            REDIS_HOST="127.0.0.1",
            REDIS_PORT=str(port),
            SUITE_NODE=str(Path(os.environ["CELERIAC_TEST_BIN_DIR"]) / "suite-node"),
            SUITE_FOLDER=str(self.folder),
            SUITE_SHARD=str(self.number),
            SUITE_SHARDS=str(self.of),
        )
        command = [str(python), "-m", "pytest", *PLUGINS, *QUIET]
        command += [f"t/integration/{file}" for file in FILES] + arguments
        self.log = self.folder / f"pytest-{self.number}.log"
        with open(self.log, "wb") as log:
            self.pytest = subprocess.Popen(
                command, cwd=self.source, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start_redis(self):
        """The suite looks into database 0 and counts every subscription of the server."""
        for _ in range(5):
            # Below the range from which the kernel takes ports for outgoing connections.
            port = random.randint(12000, 20000)
            command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--unixsocket", ""]
            command += ["--save", "", "--appendonly", "no", "--set-proc-title", "no", "--dir", str(self.folder)]
            with open(self.folder / f"redis-{self.number}.log", "wb") as log:
                self.redis = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            deadline = time.monotonic() + 10
            while self.redis.poll() is None and time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        # A server that found its port taken ends a moment later.
                        time.sleep(0.1)
                        if self.redis.poll() is None:
                            return port
                time.sleep(0.05)
            self.redis.kill()
        raise RuntimeError(f"expected a Redis within five tries, found none; its words are in {self.folder}")

    def wait(self):
        """Waits for pytest; returns what is wrong with the process itself."""
        status = self.pytest.wait()
        # 0 passed, 1 some failed, 5 nothing to run: the outcomes tell the rest.
        if status in (0, 1, 5):
            return []
        return [f"pytest ended with status {status}; the end of {self.log}:", *self.log.read_text().splitlines()[-20:]]

    def stop(self):
        for process in (self.pytest, self.redis):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()


def create_vhost(name):
    api = urllib.parse.urlsplit(os.environ["CELERIAC_TEST_RABBITMQ_API"])
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    address = f"http://{api.hostname}:{api.port}/api"
    passwords.add_password(None, address, api.username, api.password)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    rights = b'{"configure": ".*", "write": ".*", "read": ".*"}'
    for path, body in ((f"/vhosts/{name}", b"{}"), (f"/permissions/{name}/{api.username}", rights)):
        headers = {"Content-Type": "application/json"}
        opener.open(urllib.request.Request(address + path, body, headers, method="PUT"), timeout=30).close()


if __name__ == "__main__":
    sys.exit(main())
