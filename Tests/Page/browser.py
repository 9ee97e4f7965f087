"""Chromium without a window, driven over the DevTools protocol on a pair of pipes. Standard library only."""

import base64
import json
import os
import queue
import subprocess
import tempfile
import threading
import time


class Browser:
    """One page in a browser of its own."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()

        def as_three_and_four():
            # The numbers that the browser expects; copied high first, since they may be in each other's way.
            for source, number in ((to_browser, 20), (from_browser, 21)):
                os.dup2(source, number)
            os.dup2(20, 3)
            os.dup2(21, 4)

        self.process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--remote-debugging-pipe", "--hide-scrollbars",
                f"--user-data-dir={self.profile.name}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=as_three_and_four,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.number = 0
        self.replies = queue.Queue()
        self.events = []
        self.session = None
        threading.Thread(target=self._read, daemon=True).start()
        self.session = self.tab()

    def tab(self):
        """Opens another page of the same browser and returns its session; `session` says which one is spoken to."""
        before, self.session = self.session, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.session = session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")
        self.session = before or session
        return session

    def use(self, session):
        self.session = session
        self.call("Page.bringToFront")

    def _read(self):
        rest = b""
        while True:
            try:
                piece = os.read(self.reader, 1 << 16)
            except OSError:
                return
            if not piece:
                return
            *messages, rest = (rest + piece).split(b"\0")
            for message in messages:
                message = json.loads(message)
                if "id" in message:
                    self.replies.put(message)
                else:
                    self.events.append(message)
                    if message["method"] == "Page.javascriptDialogOpening":
                        # Questions are answered with yes, without waiting for the reply.
                        self._send("Page.handleJavaScriptDialog", {"accept": True}, -1)

    def _send(self, method, parameters, number):
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.writer, data):]

    def call(self, method, **parameters):
        self.number += 1
        self._send(method, parameters, self.number)
        while True:
            reply = self.replies.get(timeout=60)
            if reply["id"] != self.number:
                continue
            if "error" in reply:
                raise RuntimeError(f"{method}: {reply['error']}")
            return reply["result"]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    # ---- What a person does ----

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && 'ready' in document.documentElement.dataset")

    def reload(self):
        self.evaluate("window.isOld = true")
        self.call("Page.reload")
        self.wait("!window.isOld && document.readyState === 'complete' && 'ready' in document.documentElement.dataset")

    def evaluate(self, expression):
        reply = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in reply:
            raise RuntimeError(f"{expression}: {reply['exceptionDetails']}")
        return reply["result"].get("value")

    def wait(self, expression, seconds=30):
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.evaluate(f"((one) => one instanceof Node || one)({expression})")
            except RuntimeError:
                # Between two pages nothing can be evaluated.
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"never came true: {expression}")
            time.sleep(0.02)

    def click(self, selector, text=None):
        """Clicks with the mouse on the middle of the first visible element, with this text if one is given."""
        place = self.wait(
            f"""(() => {{
              const all = [...document.querySelectorAll({json.dumps(selector)})];
              const node = all.find((one) => one.offsetParent !== null && ({json.dumps(text)} === null
                || one.textContent.trim() === {json.dumps(text)}));
              if (!node) return null;
              node.scrollIntoView({{ block: "nearest" }});
              const box = node.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def type(self, text):
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    KEYS = {
        "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, ""),
        "ArrowUp": ("ArrowUp", 38, ""),
    }

    def press(self, key, shift=False, control=False):
        code, number, text = self.KEYS.get(key, ("Key" + key.upper(), ord(key.upper()[0]), ""))
        if key == ",":
            code, number = "Comma", 188
        modifiers = (8 if shift else 0) | (2 if control else 0)
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        if text and not control:
            event["text"] = text
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        event.pop("text", None)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def select(self, selector, value):
        """Chooses from a list."""
        self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)}; "
            "one.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    def give(self, selector, *paths):
        """Files for a field that takes files."""
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=node["result"]["objectId"])

    def screen(self, width, height, is_phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )

    def is_dark(self, flag):
        value = "dark" if flag else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self):
        """What the page wrote to its console as errors, and addresses elsewhere that it asked for."""
        found = []
        for event in list(self.events):
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            if event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
            if event["method"] == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if not url.startswith(("http://127.0.0.1:", "data:")):
                    found.append("asked for " + url)
        return found
