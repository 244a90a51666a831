"""Headless Chromium for the tests that drive the running app.

A test takes the fixture `page`; it fails if the page logs an error or asks any host but this machine.
Where there is no Chromium these tests are skipped, or fail with AURAL_REQUIRE_BROWSER=1.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

WAIT_MS = 60_000  # on a busy machine
LONG_WAIT_MS = 180_000  # for what the app computes there

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


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh page, 1400 pixels wide; at the end of the test, the complaints it collected fail the test."""
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

    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(WAIT_MS)
    page.on("console", note_console)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("request", note_request)
    yield page
    page.close()
    assert not complaints, complaints


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
