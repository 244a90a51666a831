"""Headless Chromium for the tests that drive the running app.

A test takes the fixture `page`, or `fresh_page`; it fails if the page logs an error or asks any host but
this machine.
Where there is no Chromium these tests are skipped, or fail with AURAL_REQUIRE_BROWSER=1.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from aural.audio.steps import Steps

WAIT_MS = 60_000  # on a busy machine
LONG_WAIT_MS = 180_000  # for what the app computes there

VIEWPORT = ViewportSize(width=1400, height=1000)

expect.set_options(timeout=WAIT_MS)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]

# Adds up how far a page's parts move by themselves, in `window.shift`.
LAYOUT_SHIFT = """
window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((one) => {
  if (!one.hadRecentInput) window.shift += one.value;
})).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for a test module. Longer-lived, its event loop would stand in other tests' way."""
    path = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
    if path is None:
        reason = "no Chromium found: install the package `chromium` to run the browser tests"
        (pytest.fail if os.environ.get("AURAL_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class _Window:
    """A page, 1400 pixels wide, and what it complained of since it was opened or cleared."""

    page: Page
    complaints: list[str]


def _open(chromium: Browser) -> _Window:
    complaints: list[str] = []

    def note_console(message: ConsoleMessage) -> None:
        source = message.location.get("url", "")
        # Chromium asks for the icon of the site's root, which an app under a path does not own. Gradio's
        # upload field logs that it cannot draw a file that the browser cannot decode, and that an upload
        # was over before it asked for its progress: the failed request and its Response.
        harmless = (
            source.endswith("/favicon.ico")
            or message.text.startswith("Waveform load error")
            or "/upload_progress?" in source
            or message.text == "Response"
        )
        if message.type == "error" and not harmless:
            complaints.append(f"console: {message.text} ({source})")

    def note_request(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in (
            "127.0.0.1",
            "localhost",
        ):
            complaints.append(f"request to another host: {request.url}")

    page = chromium.new_page(viewport=VIEWPORT)
    page.set_default_timeout(WAIT_MS)
    page.on("console", note_console)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("request", note_request)
    return _Window(page, complaints)


@pytest.fixture(scope="module")
def windows(chromium: Browser) -> Iterator[list[_Window]]:  # noqa: ARG001
    """The one page that a module's tests load the app into, once one of them has opened it."""
    windows: list[_Window] = []
    yield windows
    for window in windows:
        window.page.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, chromium: Browser, windows: list[_Window]) -> Iterator[Page]:
    """An empty page; at the end of the test, the complaints it collected fail the test.

    A page that was loaded before, by another test of the module, costs half of a fresh one. What a test
    sets beyond the loaded document, other than size, media and routes, calls for `fresh_page`.
    """
    if windows and getattr(request.node, "execution_count", 1) > 1:  # a second try begins afresh
        windows.pop().page.close()
    if not windows:
        windows.append(_open(chromium))
    page, complaints = windows[0].page, windows[0].complaints
    complaints.clear()
    yield page
    found = list(complaints)
    page.unroute_all()
    page.goto("about:blank")
    page.set_viewport_size(VIEWPORT)
    page.emulate_media(reduced_motion="null")
    assert not found, found


@pytest.fixture
def fresh_page(chromium: Browser) -> Iterator[Page]:
    """A page like `page`, which no other test has had or gets."""
    window = _open(chromium)
    yield window.page
    window.page.close()
    assert not window.complaints, window.complaints


def fill(field: Locator, value: str) -> None:
    """Type into a field until it keeps what was typed.

    One that has only just been shown gets its first value from Gradio a moment later, on a busy machine.
    """
    for _ in range(20):
        field.fill(value)
        field.page.wait_for_timeout(150)
        if field.input_value() == value:
            return
    expect(field).to_have_value(value)


def result_line(page: Page) -> Locator:
    """The line that says what the result in sight belongs to."""
    return page.locator(".block.aural-line p").filter(visible=True)


def prolong(patch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Let steps of the app, which is in this process, take three minutes longer unless cancelled."""
    steps = getattr(module, name)

    def longer(*arguments: Any) -> Steps[Any]:
        for _ in range(360):  # at a pace that the page keeps up with on a busy machine
            time.sleep(0.5)
            yield 0.0
        return (yield from steps(*arguments))

    patch.setattr(module, name, longer)
