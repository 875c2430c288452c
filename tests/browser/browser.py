"""Drives a headless Chromium over a pipe, by the DevTools protocol, without any network.

Used by examine.py and by scripts that take pictures; needs nothing but Python and the browser.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

UNPACKED = os.path.join(os.path.dirname(__file__), "../../target/test/chromium")
PROGRAMS = [UNPACKED, "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]


def program():
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not found:
        raise SystemExit("no chromium is there: scripts/setup.sh test installs one, or name it in $CHROMIUM")
    return found


class Browser:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        to_browser, self.to = os.pipe()
        self.answers, from_browser = os.pipe()
        keep = {3: to_browser, 4: from_browser}

        def adopt():
            # The protocol is spoken on the descriptors 3 and 4.
            copies = {wanted: os.dup(fd) for wanted, fd in keep.items()}
            for wanted, fd in copies.items():
                os.dup2(fd, wanted)

        self.process = subprocess.Popen(
            [
                program(), "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                # Whatever is asked for by a name is nowhere.
                "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
                f"--user-data-dir={self.directory.name}",
            ],
            preexec_fn=adopt, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.number = 0
        self.rest = b""
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(20)
        self.directory.cleanup()

    def receive(self, until):
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                return None
            read = os.read(self.answers, 1 << 20)
            if not read:
                raise RuntimeError("the browser has ended")
            self.rest += read
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while True:
            answer = self.receive(until)
            if answer is None:
                raise RuntimeError(f"{method}: no answer")
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)


class Page:
    """A page of its own, in a context of its own; what it does is in `events`."""

    def __init__(self, browser, path, dark=False, width=1280, height=900, script=True):
        self.browser = browser
        self.began = len(browser.events)
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network", "DOM", "Audits"]:
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        if not script:
            self.call("Emulation.setScriptExecutionDisabled", value=True)
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        until = time.monotonic() + 30
        while not any(event.get("method") == "Page.loadEventFired" for event in self.own()):
            event = browser.receive(until)
            if event is None:
                raise RuntimeError(f"{path} does not load")
            browser.events.append(event)

    def own(self):
        events = self.browser.events[self.began:]
        return [event for event in events if event.get("sessionId") == self.session]

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def run(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def complaints(self):
        """What the console, the log and the policy have to say, and what was asked of a network."""
        until = time.monotonic() + 0.2
        while (event := self.browser.receive(until)) is not None:
            self.browser.events.append(event)
        found = []
        for event in self.own():
            method, said = event.get("method"), event.get("params", {})
            if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded"):
                found.append(json.dumps(said))
            if method == "Network.requestWillBeSent":
                url = said["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    found.append(f"asks for {url}")
        return found

    def key(self, name, text=None):
        for kind in ["keyDown", "keyUp"]:
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, **more)

    def click(self, x, y):
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path, whole=True):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        more = {"clip": clip, "captureBeyondViewport": True} if whole else {}
        data = self.call("Page.captureScreenshot", format="png", **more)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def pdf(self):
        data = self.call("Page.printToPDF", printBackground=True)["data"]
        return base64.b64decode(data)
