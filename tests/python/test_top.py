"""`celeriac top` in a terminal of its own: what it shows, and what its keys do."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from processes import eventually


class Screen:
    """A program in a pseudo terminal; what it writes is kept without its escape sequences."""

    # A picture that is written whole begins on an empty screen and ends with the cursor.
    WHOLE = re.compile(rb"\x1b\[(?:\?1049h|2J).*\x1b\[\?25[hl]", re.DOTALL)
    ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-_])")

    def __init__(self, command, rows=30, columns=120):
        self._master, self._slave = slave = pty.openpty()
        slave = slave[1]
        self._rows, self._columns = rows, columns
        self._resize()
        self.modes = termios.tcgetattr(slave)
        self._written = b""
        environment = {**os.environ, "TERM": "xterm-256color", "RUST_BACKTRACE": "0"}
        self._child = subprocess.Popen(
            [str(word) for word in command], stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        eventually(self._drew, "a first picture")

    def text(self):
        while select.select([self._master], [], [], 0)[0]:
            self._written += os.read(self._master, 65536)
        return self.ESCAPES.sub(b" ", self._written).decode("utf-8", "replace")

    def _resize(self):
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", self._rows, self._columns, 0, 0))

    def _drawn_anew(self):
        """The text of a whole picture: of another size, all of it is written again."""
        self.text()
        self._written = b""
        self._columns ^= 1
        self._resize()
        eventually(self._drew, "a picture of the new size")
        return self.text()

    def _drew(self):
        self.text()
        return self.WHOLE.search(self._written)

    def press(self, keys):
        # A key at a time, as hands do: an escape before a letter would be Alt and the letter.
        for key in keys:
            os.write(self._master, key.encode())
            time.sleep(0.05)

    def shows(self, *texts):
        def found():
            picture = self._drawn_anew()
            return all(text in picture for text in texts)

        eventually(found, f"{texts} on the screen")

    def ended(self):
        code = self._child.wait(timeout=20)
        given_back = termios.tcgetattr(self._slave) == self.modes
        os.close(self._slave)
        os.close(self._master)
        return code, given_back

    def kill(self):
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()


@pytest.fixture
def screen():
    screens = []

    def start(*command):
        screens.append(Screen(command))
        return screens[-1]

    yield start
    for opened in screens:
        opened.kill()


def test_a_whole_look_and_a_control(binary, amqp_url, queue, node, supervisor, screen):
    room = supervisor("rpc://")
    name = node("rpc://").name
    top = screen(binary("celeriac"), "top", "--api", room.url)
    top.shows("1 Nodes", name, "Enter inspect")
    call = [binary("celeriac"), "call", "celeriac.add", "-a", "[2,3]", "--queue", queue, "-b", amqp_url]
    subprocess.run(call, check=True, timeout=60)
    # Other tests' nodes are on the same broker: the filter leaves this one.
    top.press("3/" + name + "\r")
    top.shows("celeriac.add", "SUCCESS")
    top.press("\r")
    top.shows("all that is known", "args")
    top.press("q")
    top.press("1+")
    top.shows("one place more on " + name, "y/n")
    top.press("n")
    top.shows("nothing was done")
    top.press("+y")
    top.shows("done: one place more on")
    top.press("q")
    assert top.ended() == (0, True)


def test_without_a_supervisor_it_looks_by_itself(binary, amqp_url, node, screen):
    name = node("rpc://").name
    top = screen(binary("celeriac"), "top", "-b", amqp_url)
    top.shows(name, "online")
    top.press("q")
    assert top.ended() == (0, True)


def test_it_says_what_it_misses(binary, amqp_url):
    bare = subprocess.run(
        [binary("celeriac"), "top", "-b", amqp_url], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert bare.returncode == 64 and "--once" in bare.stderr, bare
    nobody = subprocess.run(
        [binary("celeriac"), "top", "--once", "--api", "http://127.0.0.1:9"], capture_output=True, text=True, timeout=60
    )
    assert nobody.returncode == 69 and "out of reach" in nobody.stderr, nobody
