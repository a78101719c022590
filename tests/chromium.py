"""Chromium for tests of pages, driven by Playwright."""

import atexit
import shutil
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATH = next((path for name in NAMES if (path := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(
    PATH is None, reason=f"no browser is installed: none of {', '.join(NAMES)}"
)


@cache
def _browser():
    """Start one browser for the whole process: Playwright allows one at a time."""
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    atexit.register(playwright.stop)
    # containers run as root, which the sandbox refuses
    options = {"chromium_sandbox": False, "args": ["--disable-gpu"]}  # a simulated one is slower
    return playwright.chromium.launch(executable_path=PATH, **options)


class Tab:
    """A page of the browser with the addresses it requests and the messages in its console."""

    def __init__(self, page):
        self.page, self.requests, self.messages = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))

    def load(self, file):
        """Open a file; its requests and messages are complete when this returns."""
        self.requests.clear()
        self.page.goto(Path(file).resolve().as_uri())

    def evaluate(self, script, argument=None):
        """Evaluate JavaScript in the page, whatever its policy allows the page itself."""
        return self.page.evaluate(script, argument)

    def accessibility_tree(self):
        """Return role and name of every node that a screen reader announces."""
        session = self.page.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"] and "role" in node
        ]


@contextmanager
def opened(file, width=1200, height=900, dark=False):
    """Open a file in a new tab with a profile of its own."""
    context = _browser().new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        is_mobile=width < 500,
    )
    try:
        tab = Tab(context.new_page())
        tab.load(file)
        yield tab
    finally:
        context.close()
