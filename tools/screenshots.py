"""Take the README's screenshots of the running app: PYTHONPATH=. python tools/screenshots.py

Needs the package `chromium`; writes docs/*.png.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

import app

DOCS = Path(__file__).parents[1] / "docs"
WAIT_MS = 60_000


def main() -> None:
    """Serve the app, use it on an example, take the pictures."""
    DOCS.mkdir(exist_ok=True)
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 980})
        page.goto(f"{demo.local_url}?__theme=dark")
        page.get_by_role("button", name="Orchestra").click()
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("button", name="Measure", exact=True).click()
        expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible(timeout=WAIT_MS)
        expect(page.locator(".aural-picture img")).to_have_count(4, timeout=WAIT_MS)
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / "measure.png")
        page.get_by_role("tab", name="Master").click()
        page.get_by_role("button", name="Master", exact=True).click()
        expect(page.get_by_text("Meets -14.0 LUFS")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_role("button", name="MP3")).to_be_enabled(timeout=WAIT_MS)
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / "master.png")
        page.get_by_role("tab", name="Enhance").click()
        page.get_by_role("button", name="Noisy voice memo").click()
        expect(page.get_by_role("button", name="Clear")).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("button", name="Enhance", exact=True).click()
        expect(page.get_by_role("rowheader", name="SI-SDR")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_role("button", name="MP3")).to_be_enabled(timeout=WAIT_MS)
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / "enhance.png")
        page.get_by_role("tab", name="Super-resolution").click()
        page.get_by_role("button", name="Speech at 8 kHz").click()
        expect(page.get_by_text("the band ends at")).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("button", name="Super-resolve", exact=True).click()
        expect(page.locator(".ab-version:visible")).to_have_count(4, timeout=WAIT_MS)
        expect(page.get_by_role("button", name="MP3", exact=True)).to_be_enabled(timeout=WAIT_MS)
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / "super_resolve.png")
        page.get_by_role("tab", name="Generate").click()
        page.get_by_label("number input for How many").fill("4")
        page.get_by_role("button", name="Generate", exact=True).click()
        expect(page.get_by_text("What the classifier hears")).to_have_count(4, timeout=WAIT_MS)
        page.wait_for_timeout(1000)
        page.screenshot(path=DOCS / "generate.png")
        browser.close()
    demo.close()


if __name__ == "__main__":
    main()
