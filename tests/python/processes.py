"""Programs under test: started, watched until they are ready, stopped."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check, what, timeout=30.0):
    """Polls `check` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"expected {what} within {timeout} s, found {found!r}")
        time.sleep(0.05)


class Process:
    """A program whose output goes to a file that outlives it."""

    def __init__(self, command, log, env=None, cwd=None):
        self.command = [str(word) for word in command]
        self.log_path = log
        with open(log, "wb") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
            )

    @property
    def pid(self):
        return self._child.pid

    @property
    def running(self):
        return self._child.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def until(self, check, what, timeout=30.0):
        """Like `eventually`, but fails at once when the program has ended."""

        def watched():
            if not self.running:
                raise AssertionError(f"expected {what}, found {self._end()}")
            return check()

        try:
            return eventually(watched, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{self.log()[-4000:]}") from None

    def stop(self, timeout=30.0):
        """Asks the program to end (SIGTERM) and insists on status 0."""
        if self.running:
            self._child.send_signal(signal.SIGTERM)
        try:
            status = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            status = f"no end within {timeout} s"
        assert status == 0, (
            f"expected status 0 after SIGTERM, found {status} "
            f"from {' '.join(self.command)}; its log:\n{self.log()[-4000:]}"
        )

    def kill(self):
        """Ends the program as a crash would (SIGKILL)."""
        self._child.kill()
        self._child.wait()

    def _end(self):
        return f"{' '.join(self.command)} ended with status {self._child.returncode}"


class HttpProcess(Process):
    """A program that tells over HTTP whether it is ready."""

    def __init__(self, command, address, **options):
        self.url = f"http://{address}"
        super().__init__(command, **options)

    def get(self, path):
        """Status and text of a GET, or (None, reason) while nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return None, str(error)

    def until_ready(self, timeout=30.0):
        self.until(lambda: self.get("/readyz")[0] == 200, f"200 from {self.url}/readyz", timeout)
        return self


class Flower(HttpProcess):
    """Flower, with its HTTP API."""

    def call(self, method, path, form=None):
        """Status and answer, decoded when it is JSON."""
        data = urllib.parse.urlencode(form).encode() if form else (b"" if method == "POST" else None)
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def post(self, path, **form):
        return self.call("POST", path, form)
