"""Containers under test: started, watched until they are ready, stopped."""

import json
import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

# What every manifest asks for: nothing but /tmp is written, and nothing is allowed.
HARDENED = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:rw,mode=1777,size=16m",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=64m",
    "--pids-limit=200",
    # The servers of the run listen on loopback.
    "--network=host",
]


def setting(name):
    value = os.environ.get(name)
    assert value, f"expected {name} in the environment, found none: run ./tests/run image"
    return value


def podman(*words, check=True, timeout=120):
    command = [*shlex.split(setting("CELERIAC_TEST_PODMAN")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, f"{command}: status {done.returncode}\n{done.stderr}"
    return done


def run(*words, options=(), image=None):
    """Runs a command of the image to its end."""
    image = image or setting("CELERIAC_TEST_IMAGE")
    return podman("run", "--rm", *HARDENED, *options, image, *words, check=False)


class Container:
    """One that goes on until it is stopped."""

    def __init__(self, *words, options=(), address=None, image=None):
        self.url = address and f"http://{address}"
        self.started = time.monotonic()
        image = image or setting("CELERIAC_TEST_IMAGE")
        self.id = podman("run", "--detach", *HARDENED, *options, image, *words).stdout.strip()

    def state(self):
        return json.loads(podman("inspect", self.id).stdout)[0]["State"]

    def log(self):
        done = podman("logs", self.id)
        return done.stdout + done.stderr

    def exec(self, *words):
        return podman("exec", self.id, *words, check=False)

    def get(self, path, token=None):
        """Status and text of a GET, or (None, reason) while nothing answers."""
        request = urllib.request.Request(self.url + path)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return None, str(error)

    def until_ready(self, within=30.0):
        """Waits for it and returns how many seconds it took, podman's own included."""
        while self.get("/readyz")[0] != 200:
            took = time.monotonic() - self.started
            assert took < within, f"expected it to be ready within {within} s, found\n{self.log()}"
            time.sleep(0.01)
        return time.monotonic() - self.started

    def stop(self, grace):
        """Stops it as an orchestrator does; returns its status and the seconds it took."""
        start = time.monotonic()
        podman("stop", "--time", grace, self.id, timeout=grace + 60)
        return self.state()["ExitCode"], time.monotonic() - start

    def remove(self):
        podman("rm", "--force", "--time", 0, self.id, check=False)

    def processes(self):
        """Its processes and their descendants, as (id outside, command, state), first first."""
        found, todo = [], [self.state()["Pid"]]
        while todo:
            pid = todo.pop(0)
            try:
                name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            except OSError:
                continue
            found.append((pid, name.partition("(")[2], rest.split()[0]))
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    todo += [int(child) for child in task.read_text().split()]
                except OSError:
                    pass
        return found

    def memory(self):
        """KiB that its processes hold, each page counted once."""
        total = 0
        for pid, _, state in self.processes():
            if state != "Z":
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total
