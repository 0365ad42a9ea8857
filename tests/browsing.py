"""A real Chromium without a window, through Playwright; it is let talk to this machine only."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

FLAGS = (
    "--no-sandbox",  # tests may be run by root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own, which is gone with it."""
    program = shutil.which("chromium")
    assert program, "there is no chromium: make tools"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Faults:
    """What pages did that none should: errors of scripts, policy and loading; asking other machines."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        """Note the faults of all pages of a context; what a policy refuses is said in the console."""
        context.on("console", lambda said: self._note(said.type == "error", f"console: {said.text}"))
        context.on("weberror", lambda thrown: self._note(True, f"thrown: {thrown.error}"))
        context.on("request", lambda request: self._note(_leaves(request.url), f"asked: {request.url}"))
        context.on("requestfailed", self._failed)

    def expect(self, pattern: str) -> None:
        """A fault that is meant to be: there must be one."""
        others = [fault for fault in self.seen if not re.search(pattern, fault)]
        assert others != self.seen, f"no fault says {pattern!r}, but: {self.seen}"
        self.seen = others

    def check(self) -> None:
        """Fail if there was any that no test expected."""
        assert not self.seen, self.seen

    def _failed(self, request: Request) -> None:
        """What a policy refused was asked of nobody: the browser tells of it as a request, or does not."""
        if request.failure == "csp" and _leaves(request.url):
            self.seen.remove(f"asked: {request.url}")

    def _note(self, is_fault: bool, what: str) -> None:
        if is_fault:
            self.seen.append(what)


def _leaves(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("about", "blob", "data", "file") and parts.hostname != "127.0.0.1"


@contextmanager
def watched(browser: Browser, faults: Faults, **options: Any) -> Iterator[Page]:
    """A page in a context of its own, as ``color_scheme="dark"``; its faults are noted."""
    context = browser.new_context(**options)
    context.set_default_timeout(20_000)
    faults.watch(context)
    try:
        yield context.new_page()
    finally:
        context.close()


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LAPTOP = {"viewport": {"width": 1280, "height": 800}}


def drawn(page: Page) -> None:
    """Wait until what was to be drawn is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
