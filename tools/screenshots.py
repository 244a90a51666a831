"""Take the README's screenshots of the running app: PYTHONPATH=. python tools/screenshots.py [name ...]

Needs the package `chromium`. Writes docs/*.png, all or only the named ones, with at most 256 colours.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

import app
from aural.ui.examples import EXAMPLES

DOCS = Path(__file__).parents[1] / "docs"
WAIT_MS = 300_000

# Picture, which is also the verb of the link; example; button; text that appears at the end.
SHOTS = {
    "measure": ("Orchestra", "Measure", "Level change in mono"),
    "master": ("Orchestra", "Master", "Done: −14.0 LUFS"),
    "enhance": ("Noisy voice memo", "Enhance", "SI-SDR"),
    "super_resolve": ("Speech at 8 kHz", "Super-resolve", "kHz was generated"),
    "generate": ("", "Generate", "Classifier"),
    "release": ("Phone call", "Do it all", "Results by stage"),
    "batch": ("", "Run the batch", "files done"),
}


def main(names: list[str]) -> None:
    """Serve the app, use it, and take the pictures. Raises `KeyError` for a name that is not in `SHOTS`."""
    DOCS.mkdir(exist_ok=True)
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name in names or SHOTS:
            page = browser.new_page(viewport={"width": 1280, "height": 980})
            page.set_default_timeout(WAIT_MS)
            page.goto(
                f"{demo.local_url}?tab={name}&__theme=dark" + ("&count=4" if name == "generate" else "")
            )
            use(page, name)
            page.mouse.move(0, 0)
            page.wait_for_timeout(2000)
            save(page.screenshot(), DOCS / f"{name}.png")
            page.close()
        browser.close()
    demo.close()


def use(page: Page, name: str) -> None:
    """Bring the page to the state of a picture."""
    example, button, result = SHOTS[name]
    expect(seen(page.get_by_role("button", name="Copy link"))).to_be_visible()
    if name == "batch":
        files = page.get_by_role("tabpanel").last
        files.locator('input[type="file"]').set_input_files([each.path for each in EXAMPLES])
        page.get_by_role("radio", name="Master").filter(visible=True).check()
        expect(files.get_by_text(re.compile(r"[KM]B"))).to_have_count(len(EXAMPLES))
    if example:
        if name == "release":
            card = page.locator(".studio-example").filter(has_text=example)
            card.get_by_role("button", name="Use this recording").click()
        else:
            seen(page.get_by_role("button", name=example, exact=True)).click()
        expect(seen(page.get_by_role("button", name="Clear"))).to_be_visible()
        expect(seen(page.get_by_text(re.compile("^(About|Less than) ")))).to_be_visible()
    seen(page.get_by_role("button", name=button, exact=True)).click()
    expect(seen(page.get_by_text(result))).to_be_visible()
    last = page.get_by_role("button", name=re.compile("^(MP3|Download all|Measurements, CSV)$"))
    if name != "measure":
        expect(seen(last)).to_be_enabled()


def seen(locator: Locator) -> Locator:
    """The first visible element."""
    return locator.filter(visible=True).first


def save(picture: bytes, path: Path) -> None:
    """Write a PNG with a palette: a third of the size without a visible difference."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
