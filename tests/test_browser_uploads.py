"""What the page's upload fields take: audio and video, by type and by ending; others end in a sentence."""

from __future__ import annotations

import base64
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from aural.audio import Clip, write
from aural.files import SUFFIXES
from tests.browser import LONG_WAIT_MS

pytestmark = pytest.mark.browser

RATE = 48_000
REFUSED = "Can't use notes.pdf here. Choose an audio or video file, such as WAV, FLAC, MP3, M4A or MP4."
DROP = """([name, type, content]) => {
  const all = new DataTransfer();
  all.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, { type }));
  return all;
}"""


def sound() -> Clip:
    return Clip((0.1 * np.random.default_rng(0).standard_normal((1, RATE))).astype(np.float32), RATE)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        picture = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        frame = av.AudioFrame.from_ndarray(sound().samples, "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux([*stream.encode(frame), *stream.encode(None)])
        container.mux([*picture.encode(av.VideoFrame(32, 32, "yuv420p")), *picture.encode(None)])
    return path


def open_loudness(page: Page, address: str) -> Locator:
    """The panel of the tab Down-mix & Loudness."""
    page.goto(address)
    page.get_by_role("tab", name="Down-mix & Loudness").click()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()
    return page.get_by_role("tabpanel").first


def expect_measured(page: Page, name: str) -> None:
    """Measure the file that has arrived, and wait for its result."""
    expect(page.get_by_role("button", name="Clear").first).to_be_visible()
    page.get_by_role("button", name="Measure", exact=True).click()
    line = page.locator(".block.aural-line p").filter(visible=True)
    expect(line).to_have_text(f"Result of {name}. Default settings.", timeout=LONG_WAIT_MS)
    expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible()


def clear(page: Page, panel: Locator) -> None:
    """Take the file away; without one there is nothing to run."""
    field = panel.locator(".block", has_text="Audio: upload or record it").first
    field.get_by_role("button", name="Clear").click()
    expect(field.locator('input[type="file"]')).to_be_attached()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_disabled()


def test_films_and_sounds_are_chosen_and_dropped(
    page: Page, address: str, film: Path, tmp_path: Path
) -> None:
    call = write(sound(), tmp_path / "call.opus")
    panel = open_loudness(page, address)
    field = panel.locator('input[type="file"]').first
    expect(field).to_have_attribute("accept", re.compile(r"^audio/\*,video/\*,.*\.mp4,.*\.webm,"))
    field.set_input_files(film)
    expect_measured(page, film.name)
    for path, name, kind in (
        (film, "film.webm", "video/webm"),
        (call, "call.opus", ""),
        (call, "Memo.AMR", ""),
    ):
        clear(page, panel)
        expect(field).to_have_attribute("data-media", "")
        content = base64.b64encode(path.read_bytes()).decode("ascii")
        dropped = page.evaluate_handle(DROP, [name, kind, content])
        panel.locator(".upload-container").first.dispatch_event("drop", {"dataTransfer": dropped})
        expect_measured(page, name)


@pytest.mark.parametrize("field", ["first", "last"])
def test_another_file_is_refused_in_a_sentence(page: Page, address: str, tmp_path: Path, field: str) -> None:
    path = tmp_path / "notes.pdf"
    path.write_bytes(b"%PDF-1.4")
    panel = open_loudness(page, address)
    if field == "last":
        page.get_by_role("tab", name="Album").click()
        expect(page.get_by_role("button", name="Master the album")).to_be_visible()
    getattr(panel.locator('input[type="file"]'), field).set_input_files(path)
    expect(page.get_by_text(REFUSED)).to_be_visible()
    expect(page.get_by_text("Invalid file type")).to_have_count(0)


def test_every_ending_of_the_shell_is_one_of_the_page(page: Page, address: str) -> None:
    page.goto(address)
    field = page.locator('input[type="file"]').first
    expect(field).to_have_attribute("data-media", "")
    assert set((field.get_attribute("accept") or "").split(",")) == {"audio/*", "video/*", *SUFFIXES}


def test_buttons_in_words_choose_a_file_and_start_a_recording(page: Page, address: str, film: Path) -> None:
    page.goto(address)
    field = page.locator("#studio-drop")
    choose, record = (
        field.get_by_role("button", name=name, exact=True) for name in ("Choose file", "Record")
    )
    for button in choose, record:
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44 and box["width"] >= 90
    with page.expect_file_chooser() as opened:
        choose.click()
    opened.value.set_files(film)
    expect(page.locator(".studio-verdicts li").first).to_be_visible(timeout=LONG_WAIT_MS)
    field.get_by_role("button", name="Clear").click()
    record.click()
    stop = field.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible()
    page.wait_for_timeout(1_000)
    stop.click()
    expect(page.locator(".studio-verdicts li").first).to_be_visible(timeout=LONG_WAIT_MS)
