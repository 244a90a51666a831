"""What newcomers come for, in a real browser: actions and seconds. `python -m tests.bench.bench_errands`.

Five errands with the files that ship as examples: a noisy memo to be published as a podcast, a song to be set
for Spotify and EBU R 128, an 8 kHz recording and an old MP3 to be restored, a dog, a loop of rain and a morph
to be made, and the first of them at the width of a phone. Each prints how many actions it took, and the
seconds to the first comparison or sound and to the finished file. Models are loaded at their first use.

Then the first visit over 1.6 Mbit/s with an empty cache: bytes, seconds until a file can be dropped, and the
shift of the layout.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from aural.audio import read
from tests.browser import ARGUMENTS, LAYOUT_SHIFT
from tests.serving import Server

EXAMPLES = Path(__file__).parents[2] / "aural" / "ui" / "examples"
WAIT_MS = 300_000
DESKTOP, PHONE = (1280, 1000), (390, 844)
SLOW_BYTES_PER_SECOND = 1.6e6 / 8
SETTLED_MS = 5_000  # what comes after, such as pictures out of sight, counts too
SLOW_MS = 150  # from the request to the answer


class Visitor:
    """Someone with one page, whose actions are counted and timed."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0
        self.began = time.perf_counter()
        self.first_heard: float | None = None  # seconds

    def drop(self, file: Path) -> None:
        """Choose a file in the upload field in sight; an earlier one is removed first."""
        clear = self.page.locator('[role="tabpanel"]:visible').get_by_label("Clear").locator("visible=true")
        if clear.count():
            self.click(clear.first)
        # The field itself is never in sight.
        field = self.page.locator('[role="tabpanel"]:visible input[type="file"]').first
        field.wait_for(state="attached")
        self._act(lambda: field.set_input_files(file))

    def click(self, target: Locator) -> None:
        """Click, once it can be clicked."""
        self._act(target.click)

    def tab(self, name: str) -> None:
        """Go to a tab."""
        self.click(self.page.get_by_role("tab", name=name, exact=True))

    def button(self, name: str) -> None:
        """Press a button in sight."""
        self.click(self.page.locator("button:visible", has_text=name).first)

    def choose(self, field: str, option: str) -> None:
        """Choose in a drop-down list by typing."""
        box = self.page.get_by_label(field, exact=True).locator("visible=true").first

        def type_and_take() -> None:
            box.fill(option)
            box.press("Enter")

        self._act(type_and_take)

    def hear(self) -> None:
        """Wait until a player in sight is ready."""
        self.page.locator(".ab[data-state=ready]:visible").first.wait_for()
        if self.first_heard is None:
            self.first_heard = time.perf_counter() - self.began

    def download(self, name: str, folder: Path) -> Path:
        """Download the result."""
        link = self.page.locator("button:visible:enabled", has_text=name).first
        link.wait_for()
        with self.page.expect_download() as download:
            self.click(link)
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def run(self, verb: str, folder: Path) -> Path:
        """Run a verb, hear its result and download it."""
        self.click(self.page.locator(f"#run-{verb}"))
        self.hear()
        return self.download("24-bit WAV", folder)

    def _act(self, action: Callable[[], Any]) -> None:
        action()
        self.actions += 1


def podcast(visitor: Visitor, folder: Path) -> list[Path]:
    """A noisy memo, published."""
    visitor.drop(EXAMPLES / "noisy_memo.ogg")
    visitor.hear()
    visitor.button("Do it all")
    return [visitor.download("MP3", folder)]


def master(visitor: Visitor, folder: Path) -> list[Path]:
    """A song, set for two targets."""
    visitor.tab("Down-mix & Loudness")
    visitor.tab("Master")
    visitor.drop(EXAMPLES / "song.ogg")
    made = []
    for target in ("Spotify", "EBU R 128"):
        visitor.choose("Target", target)
        made.append(visitor.run("master", folder))
    return made


def restore(visitor: Visitor, folder: Path) -> list[Path]:
    """An 8 kHz recording, and a song whose highs are missing."""
    visitor.tab("Super-resolution")
    made = []
    for name in ("speech_8k.flac", "narrow_song.mp3"):
        visitor.drop(EXAMPLES / name)
        made.append(visitor.run("super_resolve", folder))
    return made


def generate(visitor: Visitor, folder: Path) -> list[Path]:
    """A dog, a loop of rain, and a morph."""
    visitor.tab("Generate")
    made = []
    for settings in ({}, {"Sound": "Rain", "Loop": ""}, {"Morph with": "Crackling fire"}):
        for field, option in settings.items():
            if option:
                visitor.choose(field, option)
            else:
                visitor.click(visitor.page.get_by_role("checkbox", name=field))
        made.append(visitor.run("generate", folder))
    return made


ERRANDS: tuple[tuple[str, Callable[[Visitor, Path], list[Path]], tuple[int, int]], ...] = (
    ("a noisy memo as a podcast", podcast, DESKTOP),
    ("a song for Spotify and EBU R 128", master, DESKTOP),
    ("an 8 kHz recording and an old MP3 restored", restore, DESKTOP),
    ("a dog, a loop of rain, a morph", generate, DESKTOP),
    ("a noisy memo as a podcast, on a phone", podcast, PHONE),
)


def main() -> None:
    """Print a line for each errand, and one for the first visit."""
    path = shutil.which("chromium") or shutil.which("chromium", path="/usr/bin")
    if path is None:
        print("Errands: no Chromium found.")
        return
    with (
        tempfile.TemporaryDirectory(prefix="errands") as name,
        Server(Path(name)) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for number, (title, errand, size) in enumerate(ERRANDS):
            folder = Path(name, str(number))
            folder.mkdir()
            print(f"{title}: {run(browser, server.address, errand, size, folder)}")
        print(f"First visit over 1.6 Mbit/s: {first_visit(browser, server.address)}")
        browser.close()


def run(
    browser: Browser,
    address: str,
    errand: Callable[[Visitor, Path], list[Path]],
    size: tuple[int, int],
    folder: Path,
) -> str:
    """What an errand took."""
    page = _open(browser, size)
    page.goto(address)
    page.locator("#studio-drop").wait_for()
    visitor = Visitor(page)
    made = errand(visitor, folder)
    seconds = time.perf_counter() - visitor.began
    page.close()
    assert visitor.first_heard is not None and all(read(one).frames for one in made)
    return f"{visitor.actions} actions, {visitor.first_heard:.1f} s to hear it, {seconds:.1f} s in all"


def first_visit(browser: Browser, address: str) -> str:
    """Bytes, seconds until a file can be dropped, and the layout's shift, over a slow line."""
    page = _open(browser, DESKTOP)
    sizes: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    slow = {"offline": False, "latency": SLOW_MS, "downloadThroughput": SLOW_BYTES_PER_SECOND}
    session.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": SLOW_BYTES_PER_SECOND})
    page.add_init_script(LAYOUT_SHIFT)
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator('#studio-drop input[type="file"]').wait_for(state="attached")
    usable = time.perf_counter() - begun
    page.wait_for_timeout(SETTLED_MS)
    shift = page.evaluate("window.shift")
    page.close()
    return f"{sum(sizes) / 1000:.0f} kB, usable after {usable:.1f} s, layout shift {shift:.3f}"


def _open(browser: Browser, size: tuple[int, int]) -> Page:
    """A page with an empty cache."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    return page


if __name__ == "__main__":
    main()
