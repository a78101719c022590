"""A browser without a window, driven through its own debugging pipe: no driver is needed."""

import json
import os
import select
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # containers run as root, which the sandbox refuses
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)
PATIENCE = 60  # seconds for a word from the browser


def found():
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def opened(page, width=1200, height=900, dark=False):
    """Open a file and give a Tab; what it asked for and complained of is complete by then."""
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [found(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # the protocol speaks on descriptors 3 and 4; the shell moves ours there
        shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "-", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            with open(ours, "wb", 0) as write, open(theirs, "rb") as read:
                tab = Tab(write, read)
                tab.load(Path(page).resolve().as_uri(), width, height, dark)
                yield tab
        finally:
            process.kill()
            process.wait()


class Tab:
    """One tab of the browser.

    ``requests`` holds the addresses that it asked for, ``complaints`` what stood in its console.
    """

    def __init__(self, write, read):
        self.write, self.read, self.number, self.rest = write, read, 0, b""
        self.session, self.requests, self.complaints, self.loaded = None, [], [], False

    def load(self, address, width, height, dark):
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        answer = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = answer["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.ask("Emulation.setDeviceMetricsOverride", mobile=width < 500, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.loaded = False
        self.ask("Page.navigate", url=address)
        while not self.loaded:
            self.hear()

    def ask(self, method, **parameters):
        """Send a command and return its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.hear()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, script):
        """Evaluate JavaScript from outside, which a page's policy does not forbid."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def hear(self):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], PATIENCE)
            assert ready, f"the browser has said nothing for {PATIENCE} seconds"
            part = os.read(self.read.fileno(), 1 << 16)
            assert part, "the browser has ended"
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        method, about = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(about["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(about["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"]["text"])
        elif method == "Page.loadEventFired":
            self.loaded = True
        return message
