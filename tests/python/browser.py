"""A headless Chromium, driven through its own debugging protocol."""

import asyncio
import base64
import itertools
import json
import shutil
import urllib.request

from tornado.websocket import websocket_connect

from processes import Process, eventually

# As large as pages with many tables get.
MESSAGE_MAX = 64 << 20


class Browser:
    """One page of one browser."""

    def __init__(self, log, profile):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert program, "expected a Chromium in the PATH, found none: Debian's package is chromium"
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--no-first-run", "--disable-background-networking", "--window-size=1400,1000"]
        command += [f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        self.process = Process(command, log)
        ports = profile / "DevToolsActivePort"
        self.process.until(lambda: ports.is_file() and ports.read_text().strip(), "Chromium to listen")
        port = ports.read_text().split()[0]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            url = json.load(answer)["webSocketDebuggerUrl"]
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._socket = self._loop.run_until_complete(self._connect(url))
        # What pages complain of: errors, warnings and refusals of their policy.
        self.complaints = []
        for domain in ("Runtime", "Log", "Page"):
            self._call(f"{domain}.enable")

    async def _connect(self, url):
        return await self._awaited(websocket_connect(url, max_message_size=MESSAGE_MAX))

    @staticmethod
    async def _awaited(future):
        return await asyncio.wait_for(future, 30)

    def _call(self, method, **params):
        async def call():
            number = next(self._numbers)
            await self._socket.write_message(json.dumps({"id": number, "method": method, "params": params}))
            while True:
                message = json.loads(await self._awaited(self._socket.read_message()))
                self._hear(message)
                if message.get("id") == number:
                    assert "error" not in message, f"{method}: {message['error']}"
                    return message["result"]

        return self._loop.run_until_complete(call())

    def _hear(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("exception", {}).get("description") or str(params))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.complaints.append(f"{entry['text']} ({entry.get('url', '')})")

    def run(self, script):
        """The value of a JavaScript expression on the page."""
        result = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def open(self, url):
        # The mark tells the old page from the new one.
        self.run("window.left = true")
        self._call("Page.navigate", url=url)
        self.until("!window.left && document.readyState === 'complete'", url)

    def until(self, script, what):
        return eventually(lambda: self.run(f"Boolean({script})"), f"{what} in the browser ({script})")

    def look(self, width=1400, height=1000, theme="light", motion=True):
        """Makes the page so wide and high, light or dark, with or without motion."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"},
        ]
        self._call("Emulation.setEmulatedMedia", features=features)

    def sign_in(self, name, password):
        """Sends a name and a password with each request from now on."""
        proof = base64.b64encode(f"{name}:{password}".encode()).decode()
        self._call("Network.enable")
        self._call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {proof}"})

    def scripts(self, on):
        """Switches the scripts of pages off, or on again."""
        self._call("Emulation.setScriptExecutionDisabled", value=not on)

    def press(self, *keys):
        """Presses keys one after the other, as a person would."""
        for key in keys:
            code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "Backspace": 8}.get(key, 0)
            text = {"Enter": "\r", "Tab": "", "Escape": "", "Backspace": ""}.get(key, key)
            params = {"key": key, "windowsVirtualKeyCode": code}
            if key == "Shift+Tab":
                params, text = {"key": "Tab", "windowsVirtualKeyCode": 9, "modifiers": 8}, ""
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            self._call("Input.dispatchKeyEvent", **down, **params)
            self._call("Input.dispatchKeyEvent", type="keyUp", **params)

    def write(self, text):
        """Writes text where the focus is."""
        self._call("Input.insertText", text=text)

    def click(self, selector):
        """Clicks the middle of an element with the mouse; it must be there and in sight."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{place} && {place}.getClientRects().length > 0", selector)
        x, y = self.run(
            f"""(() => {{ const at = {place}; at.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = at.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def fill(self, selector, text):
        """Replaces what stands in a field."""
        self.until(f"document.querySelector({json.dumps(selector)})", selector)
        self.run(f"(() => {{ const field = document.querySelector({json.dumps(selector)}); field.focus(); field.select(); }})()")
        if text:
            self.write(text)
        else:
            self.press("Backspace")

    def address(self):
        return self.run("location.pathname + location.search")

    def text(self, selector="body"):
        """The text that a person sees there, with single spaces."""
        text = self.run(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''")
        return " ".join(text.split())

    def rows(self, table):
        """The cells of each row, by the heads of their columns."""
        return self.run(
            f"""(() => {{
                const table = document.querySelector({json.dumps(table)});
                if (!table) return [];
                const heads = [...table.querySelectorAll('thead tr:last-child th')].map(e => e.textContent.trim());
                return [...table.querySelectorAll('tbody tr')].map(row => Object.fromEntries(
                    [...row.cells].map((cell, n) => [heads[n] || n, cell.textContent.trim().replace(/\\s+/g, " ")])));
            }})()"""
        )

    def screenshot(self, path):
        picture = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self._socket.close()
        self._loop.close()
        self.process.kill()
