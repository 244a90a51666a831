"""Take screenshots of the running app, which needs the package `chromium`.

    PYTHONPATH=. python tools/screenshots.py [name ...]      # those of the docs: docs/*.png
    PYTHONPATH=. python tools/screenshots.py --tabs FOLDER   # every section, on three screens, light and dark

Those of the docs have at most 256 colours.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

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
    "release": ("Phone call", "Do it all", "Done: −16.0 LUFS"),
    "batch": ("", "Run the batch", "files done"),
}

SECTIONS = (*SHOTS, "master_album", "resynthesize")
SCREENS = ((390, 844), (1024, 768), (1600, 1000))  # pixels


def main(command: list[str] | None = None) -> None:
    """Serve the app, use it, and take the pictures. Raises `KeyError` for a name that is not in `SHOTS`."""
    parser = argparse.ArgumentParser(description="Take screenshots of the running app.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SHOTS)}; all without")
    parser.add_argument("--tabs", type=Path, metavar="FOLDER", help="take every section instead, as it opens")
    arguments = parser.parse_args(command)
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True)
    expect.set_options(timeout=WAIT_MS)
    address = str(demo.local_url)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        if arguments.tabs is None:
            take_results(browser, address, arguments.names or list(SHOTS))
        else:
            take_tabs(browser, address, arguments.tabs)
        browser.close()
    demo.close()


def take_results(browser: Browser, address: str, names: list[str]) -> None:
    """The named pictures of the docs, each with a result."""
    DOCS.mkdir(exist_ok=True)
    for name in names:
        page = browser.new_page(viewport={"width": 1280, "height": 980})
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{address}?tab={name}&__theme=dark" + ("&count=4" if name == "generate" else ""))
        use(page, name)
        page.mouse.move(0, 0)
        page.wait_for_timeout(2000)
        save(page.screenshot(), DOCS / f"{name}.png")
        page.close()


def take_tabs(browser: Browser, address: str, folder: Path) -> None:
    """Every section as it opens, from top to bottom, on each screen, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for width, height in SCREENS:
        for theme in ("light", "dark"):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(WAIT_MS)
            for name in SECTIONS:
                page.goto(f"{address}?tab={name}&__theme={theme}")
                expect(page.locator(f"#run-{name}")).to_be_visible()
                page.wait_for_timeout(1000)
                page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)
            page.close()


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
        expect(seen(page.get_by_text(re.compile(r"^(Less than a second|\d+ to \d+ s)\.$")))).to_be_visible()
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
    main()
