"""The Studio tab in a real browser: one click from phone to release, and many files in a batch."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gradio.utils import get_upload_folder
from playwright.sync_api import Locator, Page, expect

import aural
from aural.audio import Clip, read, write
from aural.files import below
from aural.ui import estimates
from aural.ui.examples import PHONE_EXAMPLES
from tests.browser import LONG_WAIT_MS

pytestmark = pytest.mark.browser

RATE = 44_100


def open_release(page: Page, address: str, section: str = "One file") -> Locator:
    """One of the tab's two sections."""
    page.goto(address)
    page.get_by_role("tab", name=section).click()
    return page.get_by_role("tabpanel").last


def noise(path: Path, seconds: float) -> Path:
    samples = 0.1 * np.random.default_rng(0).standard_normal((2, round(seconds * RATE)))
    write(Clip(samples.astype(np.float32), RATE), path)
    return path


def downloaded(page: Page, button: Locator) -> tuple[str, Path]:
    """The name that a visitor sees, and the file."""
    expect(button).to_be_enabled(timeout=LONG_WAIT_MS)
    with page.expect_download() as download:
        button.click()
    return download.value.suggested_filename, download.value.path()


def test_a_visitor_makes_an_example_release_ready_looks_into_the_stages_and_sends_it_on(
    page: Page, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests before this one may have run the verb with tiny networks, in less than a second.
    monkeypatch.setattr(estimates, "_averages", {})
    open_release(page, address)
    example = page.locator(".studio-example").filter(has_text="Phone call")
    example.get_by_role("button", name="Use this recording").click()
    expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.get_by_text(re.compile(r"^\d+ to \d+ (s|min)\."))).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Do it all").click()
    expect(page.get_by_text(re.compile("Done: −16.0 LUFS"))).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Details").click()
    for version in ("Before", "Enhanced", "Super-resolved", "Mastered"):
        expect(page.locator(".ab-version", has_text=version)).to_be_visible()
        expect(page.get_by_role("columnheader", name=version)).to_be_visible()
    row = page.locator("tr", has=page.get_by_role("rowheader", name="Integrated loudness, LUFS"))
    assert row.get_by_role("cell").last.inner_text() == "−16.0"
    picture = page.locator(".aural-picture img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")
    for place, (stage, said, ending) in enumerate(
        (
            ("Enhanced", "Noise: ", "enhanced.wav"),
            ("Super-resolved", "Bandwidth ", "super-resolved.wav"),
            ("Mastered", "Done: −16.0 LUFS", "released.wav"),
        ),
        start=1,
    ):
        page.get_by_role("button", name=f"Stage {place}: {stage}").click()
        expect(page.get_by_text(re.compile(f"^{re.escape(said)}")).last).to_be_visible()
        name, file = downloaded(page, page.get_by_role("button", name=f"{stage}, WAV"))
        assert name == f"phone_call-{ending}"
        assert read(file).seconds == pytest.approx(read(PHONE_EXAMPLES[0].path).seconds, abs=0.01)
    name, _ = downloaded(page, page.get_by_role("button", name="MP3"))
    assert name == "phone_call-released.mp3"
    page.get_by_role("button", name="Send to Loudness").click()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Measure", exact=True).click()
    row = page.locator("tr", has=page.get_by_role("rowheader", name="Integrated loudness"))
    expect(row.get_by_role("cell")).to_have_text("−16.0 LUFS", timeout=LONG_WAIT_MS)


def test_a_visitor_masters_three_files_of_which_one_is_bad(page: Page, address: str, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("This is not audio.")
    good = [noise(tmp_path / "one.wav", 2), noise(tmp_path / "two.flac", 3)]
    section = open_release(page, address, "Batch")
    section.locator('input[type="file"]').set_input_files([good[0], tmp_path / "notes.wav", good[1]])
    expect(section.get_by_text(re.compile(r"[KM]B"))).to_have_count(2, timeout=LONG_WAIT_MS)
    expect(section.get_by_label("Strength").first).to_be_visible()
    section.get_by_role("radio", name="Master").check()
    # Only the settings of the verb are shown.
    expect(section.get_by_label("Strength").first).to_be_hidden()
    expect(section.get_by_text("Bring a file to the loudness")).to_be_visible()
    section.get_by_label("Target").click()
    page.get_by_role("option", name=re.compile("^Spotify \\(")).click()
    section.get_by_role("button", name="Run the batch").click()
    expect(section.get_by_text("2 of 3 files done; see the table for the 1 that failed.")).to_be_visible(
        timeout=LONG_WAIT_MS
    )
    assert [each.inner_text() for each in section.get_by_role("rowheader").all()] == [
        "one.wav",
        "notes.wav",
        "two.flac",
    ]
    expect(section.get_by_role("cell", name=re.compile("any audio in"))).to_be_visible()
    expect(section.get_by_role("cell", name="−14.0", exact=True)).to_have_count(2)
    name, file = downloaded(page, section.get_by_role("button", name="All results, zip"))
    assert name == "batch-master.zip"
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["one-mastered.wav", "two-mastered.wav", "measurements.csv"]
        assert archive.testzip() is None
        packed = archive.read("measurements.csv")
        archive.extract("two-mastered.wav", tmp_path)
    assert aural.measure(read(tmp_path / "two-mastered.wav")).integrated_lufs == pytest.approx(-14, abs=0.1)
    name, file = downloaded(page, section.get_by_role("button", name="Measurements, CSV"))
    assert (name, file.read_bytes()) == ("measurements.csv", packed)
    rows = list(csv.DictReader(io.StringIO(packed.decode(), newline="")))
    assert [row["output"] for row in rows] == ["one-mastered.wav", "", "two-mastered.wav"]


def test_a_batch_shows_where_it_is_and_can_be_cancelled(page: Page, address: str, tmp_path: Path) -> None:
    section = open_release(page, address, "Batch")
    files = [noise(tmp_path / "short.wav", 1), noise(tmp_path / "endless.wav", 200)]
    section.locator('input[type="file"]').set_input_files(files)
    expect(section.get_by_text(re.compile(r"[KM]B"))).to_have_count(2, timeout=LONG_WAIT_MS)
    section.get_by_role("button", name="Run the batch").click()
    expect(section.get_by_text("2 of 2: endless.wav").first).to_be_visible(timeout=LONG_WAIT_MS)
    # The file that is done stands in the table while the next one runs.
    expect(section.get_by_role("rowheader", name="short.wav")).to_be_visible()
    section.get_by_role("button", name="Cancel").click()
    expect(section.get_by_text("2 of 2: endless.wav").first).to_be_hidden()
    expect(section.get_by_role("button", name="All results, zip")).to_be_disabled()
    expect(section.get_by_role("rowheader")).to_have_count(1)
    page.wait_for_timeout(500)  # the running step comes to its end
    # Other tests may write archives too, but not with this file.
    made = below(Path(get_upload_folder(), "results"))
    archives = [path for path in made if path.match("batch-*.zip") and zipfile.is_zipfile(path)]
    assert not any("endless" in name for archive in archives for name in zipfile.ZipFile(archive).namelist())


def test_a_link_opens_the_batch_with_its_verb(page: Page, address: str) -> None:
    page.goto(f"{address}?tab=batch&verb=super_resolve&rate=96000")
    expect(page.get_by_role("radio", name="Super-resolve")).to_be_checked(timeout=LONG_WAIT_MS)
    expect(page.get_by_role("radio", name="96 kHz")).to_be_checked()
    expect(page.get_by_role("tabpanel").last.get_by_label("Target")).to_be_hidden()


def test_without_files_the_page_says_what_to_do(page: Page, address: str) -> None:
    section = open_release(page, address, "Batch")
    expect(section.get_by_role("button", name="Run the batch")).to_be_disabled()
    expect(section.get_by_text("No files yet")).to_be_visible()


def test_no_width_needs_scrolling_sideways(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1600, "height": 900})
    page.goto(address)
    for section, button in (("Batch", "Run the batch"), ("One file", "Do it all")):
        page.set_viewport_size({"width": 1600, "height": 900})
        page.get_by_role("tab", name=section).click()
        for width in (1600, 1024, 390):
            page.set_viewport_size({"width": width, "height": 900})
            expect(page.get_by_role("button", name=button)).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
