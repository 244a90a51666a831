"""How long a visitor of Studio waits, in a real browser: `python -m tests.bench.bench_studio`.

A memo of 40 s is dropped, in two turns: at the first the models are loaded. Seconds from the drop to the
verdicts and to the first Before/After, and from the click on "Do it all" to the finished file; and how many
actions it took.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from aural.audio import read, write
from aural.ui.examples import PHONE_EXAMPLES
from tests.browser import ARGUMENTS
from tests.serving import Server

SECONDS = 40.0
WAIT_MS = 300_000
ACTIONS = 2  # the drop, and the click


def main() -> None:
    """Print a line for each turn."""
    path = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
    if path is None:
        print("Studio: no Chromium found.")
        return
    with tempfile.TemporaryDirectory(prefix="studio") as name:
        memo = _write_memo(Path(name))
        with Server(Path(name)) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            for turn in ("first", "second"):
                page = browser.new_page(viewport={"width": 1280, "height": 1000})
                page.set_default_timeout(WAIT_MS)
                page.goto(server.address)
                verdicts, preview, done = _visit(page, memo)
                page.close()
                print(
                    f"Studio, {turn} memo of {SECONDS:g} s: verdicts after {verdicts:.1f} s, Before/After "
                    f"after {preview:.1f} s, the file {done:.1f} s after its click; {ACTIONS} actions; "
                    f"load {os.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
                )
            browser.close()


def _write_memo(folder: Path) -> Path:
    """The noisy memo of the examples, again and again."""
    clip = read(next(one.path for one in PHONE_EXAMPLES if "memo" in one.title.lower()))
    frames = round(SECONDS * clip.rate)
    samples = np.tile(clip.samples, (1, -(-frames // clip.frames)))[:, :frames]
    write(clip.with_samples(samples), folder / "memo.wav")
    return folder / "memo.wav"


def _visit(page: Page, memo: Path) -> tuple[float, float, float]:
    """Seconds to the verdicts, to the preview, and of the whole run."""
    field = page.get_by_role("tabpanel").first.locator('input[type="file"]').first
    field.wait_for(state="attached")
    start = time.perf_counter()
    field.set_input_files(memo)
    page.locator(".studio-verdicts li").first.wait_for()
    verdicts = time.perf_counter() - start
    page.locator("#studio-preview .ab[data-state=ready]").wait_for()
    preview = time.perf_counter() - start
    start = time.perf_counter()
    page.get_by_role("button", name="Do it all").click()
    page.get_by_role("group", name=re.compile("^The stages")).locator(".ab-version").first.wait_for()
    return verdicts, preview, time.perf_counter() - start


if __name__ == "__main__":
    main()
