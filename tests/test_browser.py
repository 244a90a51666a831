"""The running app as a visitor meets it: a real server and a real browser."""

import itertools
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import aural
import aural.enhancement.pipeline
import aural.generation.tab
import aural.loudness.pipeline
from aural.audio import Clip, read, write
from tests.browser import LONG_WAIT_MS, fill, prolong, result_line

pytestmark = pytest.mark.browser

RATE = 44_100


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    time_s = np.arange(2 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 440 * time_s) * np.exp(-2 * (time_s % 0.5))
    path = tmp_path_factory.mktemp("audio") / "recording.wav"
    write(Clip(np.stack([tone, 0.8 * tone]).astype(np.float32), RATE), path)
    return path


# How opaque an element is with all that it lies in.
OPACITY = """(node) => {
  let opacity = 1;
  for (let one = node; one; one = one.parentElement) opacity *= getComputedStyle(one).opacity;
  return opacity;
}"""


def open_loudness(page: Page, address: str) -> Locator:
    """The panel of the tab Down-mix & Loudness."""
    page.goto(address)
    page.get_by_role("tab", name="Down-mix & Loudness").click()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()
    return page.get_by_role("tabpanel").first


def audio_field(panel: Locator) -> Locator:
    """Where a recording is put in the tab Down-mix & Loudness."""
    return panel.locator(".block", has_text="Audio: upload or record it").first


def upload(panel: Locator, path: Path) -> None:
    """Put a file into the field, after the one that may lie there."""
    clear = audio_field(panel).get_by_role("button", name="Clear")
    if clear.count():
        clear.click()
    audio_field(panel).locator('input[type="file"]').set_input_files(path)
    expect(clear).to_be_visible(timeout=LONG_WAIT_MS)


def expect_audio(page: Page) -> None:
    """Wait until the upload, or the example, has arrived: a click before that would find no audio."""
    expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)


def cell(page: Page, row: str) -> str:
    """The last cell of a row of the table in sight, in plain figures."""
    text = (
        page.locator("tr", has=page.get_by_role("rowheader", name=row)).get_by_role("cell").last.inner_text()
    )
    return text.replace("−", "-")


def test_a_visitor_measures_a_file_after_mistakes_and_cancels_a_long_run(
    page: Page, address: str, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_loudness(page, address)
    measure = page.get_by_role("button", name="Measure", exact=True)
    # Without audio the page says what to do.
    expect(measure).to_be_disabled()
    expect(page.get_by_text("No audio yet").filter(visible=True)).to_be_visible()
    # A text file named wav ends in a sentence, and the page goes on.
    text = tmp_path / "notes.wav"
    text.write_text("This is not audio.")
    upload(panel, text)
    measure.click()
    expect(page.get_by_text("Can't read any audio")).to_be_visible(timeout=LONG_WAIT_MS)
    # A recording has figures and pictures.
    upload(panel, recording)
    measure.click()
    expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible(timeout=LONG_WAIT_MS)
    figures = aural.measure(read(recording))
    assert cell(page, "Integrated loudness") == f"{figures.integrated_lufs:.1f} LUFS"
    assert cell(page, "True peak") == f"{figures.true_peak_dbtp:.1f} dBTP"
    verdict = page.get_by_role("list", name="Verdicts").get_by_role("listitem").filter(has_text="True peak")
    shown = f"{figures.true_peak_dbtp:.1f}".replace("-", "−")
    expect(verdict).to_have_text(
        f"Good: True peak {shown} dBTP: within the −1 dBTP that most services ask for"
    )
    for label in ("Loudness over time", "Spectrogram", "Goniometer", "Loudness of each down-mix"):
        picture = page.locator(".aural-picture", has_text=label).locator("img").first
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.complete && image.naturalWidth > 300"), label
    expect(page.get_by_role("rowheader", name=re.compile("^mono_phase_safe"))).to_be_visible()
    spectrogram = page.locator(".aural-picture", has_text="Spectrogram").locator("img").first
    drawn = spectrogram.get_attribute("src")
    page.get_by_role("group", name="Frequency axis").get_by_role("radio", name="Linear").check()
    expect(spectrogram).not_to_have_attribute("src", drawn, timeout=LONG_WAIT_MS)
    # A long run shows its progress and can be cancelled; the earlier result stays, and says whose it is.
    prolong(monkeypatch, aural.loudness.pipeline, "compare_downmixes_steps")
    measure.click()
    expect(page.get_by_text("Down-mixing").first).to_be_visible(timeout=LONG_WAIT_MS)
    expect(measure).to_be_hidden()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Down-mixing").first).to_be_hidden()
    expect(measure).to_be_enabled()
    expect(result_line(page)).to_have_text("Result of recording.wav. Default settings.")
    expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible()


def test_a_visitor_masters_a_file_compares_and_downloads_it_and_makes_a_mistake(
    page: Page, address: str, recording: Path, tmp_path: Path
) -> None:
    panel = open_loudness(page, address)
    upload(panel, recording)
    page.get_by_role("tab", name="Master").click()
    master = page.get_by_role("button", name="Master", exact=True)
    done = page.get_by_text("Done: −14.0 LUFS")
    master.click()
    expect(done).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.get_by_role("button", name=re.compile("Before")).first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("After")).first).to_be_visible()
    assert cell(page, "Integrated loudness") == "-14.0 LUFS"
    for name, ending in (("24-bit WAV", "wav"), ("FLAC", "flac"), ("MP3", "mp3")):
        button = page.get_by_role("button", name=name)
        expect(button).to_be_enabled(timeout=LONG_WAIT_MS)
        with page.expect_download() as download:
            button.click()
        assert download.value.suggested_filename == f"recording-mastered.{ending}"
        loudness = aural.measure(read(download.value.path())).integrated_lufs
        assert loudness == pytest.approx(-14, abs=0.2)
    # Without a file there is nothing to run, and another file has no result yet.
    expect(result_line(page)).to_have_text("Result of recording.wav. Default settings.")
    audio_field(panel).get_by_role("button", name="Clear").click()
    expect(master).to_be_disabled()
    expect(page.get_by_text("No audio yet").filter(visible=True)).to_be_visible()
    expect(result_line(page)).to_have_text("Result of recording.wav. Default settings.")
    other = tmp_path / "other.wav"
    clip = read(recording)
    write(Clip(clip.samples / 2, clip.rate), other)
    upload(panel, other)
    expect(result_line(page)).to_contain_text("Another file: run again.")
    # Opening the advanced settings changes nothing.
    page.get_by_role("button", name=re.compile("^Advanced")).first.click()
    loudness_field = page.get_by_label("Loudness, LUFS")
    expect(loudness_field).to_have_value("")
    master.click()
    expect(result_line(page)).to_have_text("Result of other.wav. Default settings.", timeout=LONG_WAIT_MS)
    # Where a run fails by a setting, the earlier result stays, and says that the settings have changed.
    expect(page.get_by_role("button", name="MP3")).to_be_enabled(timeout=LONG_WAIT_MS)
    fill(loudness_field, "5")
    master.click()
    expect(page.get_by_text("must be from -60 to 0 LUFS")).to_be_visible(timeout=LONG_WAIT_MS)
    changed = "Settings changed: run again. Result of other.wav. Default settings."
    expect(result_line(page)).to_have_text(changed)
    page.wait_for_function(f"(node) => ({OPACITY})(node) < 0.5", arg=done.element_handle())
    fill(loudness_field, "")
    expect(result_line(page)).to_have_text("Result of other.wav. Default settings.")
    # The source of a target is shown.
    page.get_by_label("Target").filter(visible=True).click()
    page.get_by_role("option", name=re.compile("^Netflix")).click()
    expect(page.get_by_text("Netflix sound mix specifications")).to_be_visible()
    # A run by the keyboard: the result gets the focus.
    master.press("Enter")
    expect(result_line(page)).to_contain_text("Target: Netflix", timeout=LONG_WAIT_MS)
    expect(page.locator(".ab").filter(visible=True)).to_be_focused()


def test_a_visitor_takes_an_example_through_its_spectrogram(page: Page, address: str) -> None:
    open_loudness(page, address)
    page.get_by_role("button", name="Speech, mono").click()
    expect_audio(page)
    page.get_by_role("tab", name="Round trip").click()
    page.get_by_role("button", name="Resynthesize").click()
    row = page.get_by_role("rowheader", name=re.compile("^Spectral convergence"))
    expect(row).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name=re.compile("How hearing")).click()
    for label in ("Spectrogram before and after", "Equal-loudness contours", "mel scale", "leakage"):
        picture = page.locator(".aural-picture", has_text=label).locator("img").first
        expect(picture).to_be_visible(timeout=LONG_WAIT_MS)


def test_a_visitor_masters_an_album(page: Page, address: str, recording: Path) -> None:
    panel = open_loudness(page, address)
    page.get_by_role("tab", name="Album").click()
    expect(page.get_by_role("button", name="Master the album")).to_be_visible()
    panel.locator('input[type="file"]').last.set_input_files([recording, recording])
    expect(page.get_by_text(re.compile(r"[KM]B"))).to_have_count(2)
    page.get_by_role("button", name="Master the album").click()
    expect(page.get_by_role("rowheader", name="02 recording-mastered.wav")).to_be_visible(
        timeout=LONG_WAIT_MS
    )


def open_enhance(page: Page, address: str, path: Path | None = None) -> None:
    """The Enhance tab, with a recording or without."""
    page.goto(address)
    page.get_by_role("tab", name="Enhance").click()
    button = page.get_by_role("button", name="Enhance", exact=True)
    expect(button).to_be_visible()
    if path is not None:
        panel = page.get_by_role("tabpanel").filter(has=button)
        panel.locator('input[type="file"]').first.set_input_files(path)
        expect_audio(page)


def test_a_visitor_enhances_an_example_and_sends_it_on(page: Page, address: str) -> None:
    open_enhance(page, address)
    page.get_by_role("button", name="Phone call").click()
    expect_audio(page)
    page.get_by_label("Podcast").check()
    expect(page.get_by_text("de-essing")).to_be_visible()
    page.get_by_role("button", name="Enhance", exact=True).click()
    expect(page.get_by_text(re.compile("Done: −16.0 LUFS"))).to_be_visible(timeout=LONG_WAIT_MS)
    for version in ("Before", "After", "Background", "Reference"):
        expect(page.locator(".ab-version", has_text=version)).to_be_visible()
    # Found, and what changed: loudness from that of the call to that of a podcast.
    loudness = page.locator("tr", has=page.get_by_role("rowheader", name="Integrated loudness"))
    assert loudness.get_by_role("cell").all_inner_texts()[1] == "−16.0"
    # The example came with the sentence that it was made of.
    expect(page.get_by_role("rowheader", name=re.compile("^SI-SDR"))).to_be_visible()
    shown = page.locator(".aural-picture", has_text="Spectrograms").locator("img").first
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.complete && image.naturalWidth > 300")
    for name, file in (("MP3", "enhanced.mp3"), ("Background, WAV", "background.wav")):
        expect(page.get_by_role("button", name=name)).to_be_enabled(timeout=LONG_WAIT_MS)
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == f"phone_call-{file}"
    page.get_by_role("button", name="Send to Loudness").click()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()
    expect_audio(page)
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_role("rowheader", name="Maximum momentary loudness")).to_be_visible(
        timeout=LONG_WAIT_MS
    )
    assert cell(page, "Integrated loudness") == "-16.0 LUFS"


def test_a_visitor_makes_a_recording_sound_like_a_phone_and_enhances_it(
    page: Page, address: str, recording: Path
) -> None:
    open_enhance(page, address, recording)
    page.get_by_role("button", name=re.compile("^Simulate a phone")).click()
    expect(page.get_by_label("SNR, dB")).to_have_value("")
    page.get_by_role("button", name="Degrade").click()
    expect(page.get_by_text(re.compile("^Detected"))).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Use this recording").click()
    page.get_by_role("button", name=re.compile("^Compare with")).click()
    expect(page.get_by_role("button", name="Clear")).to_have_count(2, timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Enhance", exact=True).click()
    expect(page.get_by_role("rowheader", name=re.compile("^SI-SDR"))).to_be_visible(timeout=LONG_WAIT_MS)
    # Another recording comes next: the reference, which is not of it, goes with the old one.
    page.get_by_role("button", name="Clear").first.click()
    expect(page.get_by_role("button", name="Clear")).to_have_count(0)


def test_an_enhancement_shows_progress_and_can_be_cancelled(
    page: Page, address: str, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prolong(monkeypatch, aural.enhancement.pipeline, "_stages_steps")
    open_enhance(page, address, recording)
    page.get_by_role("button", name="Enhance", exact=True).click()
    expect(page.get_by_text("Enhancing").first).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.get_by_text("Enhancing").first).to_be_hidden()
    expect(page.get_by_role("button", name="Send to Loudness")).to_be_disabled()


def test_a_visitor_makes_a_loop_which_the_player_repeats(
    page: Page, address: str, recording: Path, tmp_path: Path
) -> None:
    page.goto(address)
    page.get_by_role("tab", name="Generate").click()
    page.get_by_role("button", name=re.compile("^Make a loop of your own sound")).click()
    page.locator(".block", has_text="Sound to loop").last.locator("input[type=file]").set_input_files(
        recording
    )
    page.get_by_label("Crossfade, s").fill("0.2")
    page.locator("#run-loop").click()
    expect(
        page.get_by_text(re.compile(r"^A loop of 1\.\d\d s, .* with a crossfade of 200 ms\.$"))
    ).to_be_visible(timeout=LONG_WAIT_MS)
    player = page.get_by_role("group", name="Loop and cut, at matched loudness: player")
    expect(player).to_have_attribute("data-state", "ready")
    expect(player.get_by_role("button", name="Loop", exact=True)).to_have_attribute("aria-pressed", "true")
    assert [text.splitlines()[1] for text in player.locator(".ab-version").all_inner_texts()] == [
        "Loop",
        "Without crossfade",
    ]
    player.locator(".ab-play").click()
    page.wait_for_timeout(2_500)  # longer than the loop
    expect(player).to_have_attribute("data-state", "playing")
    player.locator(".ab-play").click()
    wav = page.get_by_role("button", name="24-bit WAV").last
    expect(wav).to_be_enabled(timeout=LONG_WAIT_MS)
    with page.expect_download() as download:
        wav.click()
    assert download.value.suggested_filename == "recording-loop.wav"
    download.value.save_as(tmp_path / "loop.wav")
    expected = aural.loop(read(recording), crossfade_seconds=0.2).clip
    assert np.allclose(read(tmp_path / "loop.wav").samples, expected.samples, atol=2**-22)


def open_super_resolution(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("tab", name="Super-resolution").click()
    expect(page.get_by_role("button", name="Super-resolve", exact=True)).to_be_visible()


def shown(page: Page, label: str) -> Locator:
    """A picture, once it is there."""
    image = page.locator(".aural-picture", has_text=label).locator("img").first
    expect(image).to_be_visible(timeout=LONG_WAIT_MS)
    assert image.evaluate("image => image.complete && image.naturalWidth > 300"), label
    return image


def test_a_visitor_super_resolves_an_example_zooms_in_and_sends_it_on(page: Page, address: str) -> None:
    open_super_resolution(page, address)
    page.get_by_role("button", name="Speech at 8 kHz").click()
    expect(page.get_by_text(re.compile(r"^8,000 Hz, mono, 3\.4 s"))).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.get_by_label("Compare all methods")).not_to_be_checked()  # it takes several times as long
    page.get_by_label("Compare all methods").check()
    page.get_by_role("button", name="Super-resolve", exact=True).click()
    versions = page.locator(".ab-version")
    expect(versions).to_have_count(4, timeout=LONG_WAIT_MS)
    for version, name, rate in zip(
        versions.all(), ("Before", "Sinc", "LISA", "AURAL"), (8, 48, 48, 48), strict=True
    ):
        expect(version).to_contain_text(name)
        expect(version).to_contain_text(f"{rate} kHz")
    versions.nth(3).click()
    expect(versions.nth(3)).to_have_attribute("aria-pressed", "true")
    shown(page, "Spectrograms")
    # The zoom begins at the loudest moment; elsewhere the picture is another.
    first = shown(page, "Between the samples").get_attribute("src")
    position = page.get_by_label("number input for View position, s")
    assert float(position.input_value()) > 0
    position.fill("2.5")
    position.press("Enter")
    expect(
        page.locator(".aural-picture", has_text="Between the samples").locator("img").first
    ).not_to_have_attribute("src", first or "", timeout=LONG_WAIT_MS)
    button = page.get_by_role("button", name="FLAC")
    expect(button).to_be_enabled(timeout=LONG_WAIT_MS)
    with page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "speech_8k-48kHz.flac"
    assert read(download.value.path()).rate == 48_000
    page.get_by_role("button", name="Send to Loudness").click()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()
    expect_audio(page)


def test_presets_rate_and_factor_follow_each_other_and_what_if_tells_how_near_each_method_comes(
    page: Page, address: str, recording: Path
) -> None:
    open_super_resolution(page, address)
    page.get_by_role("button", name=re.compile("^Custom rate")).click()
    rate, factor = page.get_by_label("Sample rate, Hz"), page.get_by_label("Factor")
    expect(rate).to_have_value("")
    expect(factor).to_have_value("")
    page.get_by_role("radio", name="96 kHz").check()
    expect(rate).to_have_value("96000")
    fill(rate, "44100")
    expect(page.get_by_role("radio", name="44.1 kHz")).to_be_checked()
    fill(factor, "2.37")
    expect(rate).to_have_value("")
    expect(page.get_by_role("radio", name="44.1 kHz")).not_to_be_checked()
    page.get_by_role("radio", name="Automatic").check()
    expect(factor).to_have_value("")
    # A rate below the band is told in a sentence.
    button = page.get_by_role("button", name="Super-resolve", exact=True)
    page.get_by_role("tabpanel").filter(has=button).get_by_test_id("file-upload").set_input_files(recording)
    expect_audio(page)
    fill(rate, "100")
    button.click()
    expect(page.get_by_text("must be a whole number from 4000 to 192000")).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.locator(".ab-version")).to_have_count(0)
    page.get_by_role("radio", name="Automatic").check()
    expect(rate).to_have_value("")
    # What if the recording had only 8 kHz?
    page.get_by_role("button", name="Test with a known original").click()
    page.get_by_role("radio", name="8 kHz", exact=True).check()
    page.get_by_label("Compare all methods").check()
    button.click()
    expect(page.get_by_role("rowheader", name="LISA")).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.get_by_role("columnheader")).to_have_count(5)
    assert [each.inner_text() for each in page.get_by_role("rowheader").all()] == ["Sinc", "LISA", "AURAL"]
    expect(page.locator(".ab-version").first).to_contain_text("Original")


@pytest.mark.parametrize(
    ("tab", "choice"), [("Super-resolution", "Sinc"), ("Enhance", "Half of the noise reduction")]
)
def test_a_visitor_hears_the_microphone_live(page: Page, address: str, tab: str, choice: str) -> None:
    page.goto(address)
    page.get_by_role("tab", name=tab, exact=True).click()
    page.locator("button:visible", has_text="Live from the microphone").click()
    live = page.locator(".live:visible")
    live.get_by_label("Listen to").select_option(choice)
    live.get_by_role("button", name="Start").click()
    # Chromium's microphone beeps; what comes back is played, and how late it is stands there.
    expect(live.get_by_text("Latency, microphone to output")).to_be_visible(timeout=LONG_WAIT_MS)
    expect(live).to_have_attribute("data-latency", re.compile(r"[1-9]"), timeout=LONG_WAIT_MS)
    found = live.evaluate("node => ({ ...node.dataset })")
    assert found["state"] == "running"
    assert float(found["latency"]) > float(found["lookAhead"]) > 0
    live.get_by_role("button", name="Stop").click()
    expect(live.get_by_role("button", name="Start")).to_be_visible()
    expect(live.locator(".live-note")).to_be_empty()


def test_an_enhanced_recording_goes_on_to_super_resolution(page: Page, address: str, recording: Path) -> None:
    open_enhance(page, address, recording)
    page.get_by_role("button", name="Enhance", exact=True).click()
    send = page.get_by_role("button", name="Send to Super-resolution")
    expect(send).to_be_enabled(timeout=LONG_WAIT_MS)
    send.click()
    expect(page.get_by_role("button", name="Super-resolve", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^44,100 Hz, stereo, 2\.0 s"))).to_be_visible(timeout=LONG_WAIT_MS)


def open_generate(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("tab", name="Generate").click()


def set_advanced(page: Page, count: int, steps: int) -> None:
    """Open the advanced settings, and set how much is done."""
    page.get_by_role("button", name=re.compile("^Advanced")).click()
    fill(page.get_by_label("number input for Count"), str(count))
    fill(page.get_by_label("number input for Steps"), str(steps))


def test_a_visitor_picks_a_class_by_typing_and_by_its_group_and_generates_variations(
    page: Page, address: str
) -> None:
    open_generate(page, address)
    # By typing: what stands there is selected, so it is replaced.
    search = page.get_by_label("Sound", exact=True)
    search.click()
    page.wait_for_function("document.activeElement.selectionEnd - document.activeElement.selectionStart == 3")
    page.keyboard.type("bells")
    expect(page.get_by_role("option")).to_have_count(1)
    page.get_by_role("option", name="Church bells").click()
    expect(search).to_have_value("Church bells")
    # By its group.
    set_advanced(page, count=2, steps=2)
    expect(page.get_by_label("number input for Candidates")).to_have_value("2")
    fill(page.get_by_label("number input for Candidates"), "1")  # so that seeds are in order
    page.get_by_text("Nature", exact=True).click()
    page.get_by_role("button", name="Sea waves").click()
    expect(search).to_have_value("Sea waves")
    expect(page.get_by_label("Seed")).to_have_value("")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text("Classifier", exact=True)).to_have_count(2, timeout=LONG_WAIT_MS)
    message = page.get_by_text(re.compile(r"Sea waves, seed \d+\. The classifier recognised \d of 2"))
    seed = re.search(r"seed (\d+)", message.inner_text())[1]
    for number in range(2):
        label = f"Seed {int(seed) + number}"
        shown = page.locator(".aural-picture", has_text=label).locator("img")
        expect(shown).to_be_visible()
        assert shown.evaluate("image => image.complete && image.naturalWidth > 300"), label
    cards = page.locator(".aural-cards")
    expect(cards.get_by_role("button", name="Play", exact=True)).to_have_count(2)
    versions = [f"Seed {int(seed) + number}" for number in range(2)]
    expect(page.locator("#generate-player .ab-name")).to_have_text(versions)
    page.get_by_role("button", name="Keep seed").click()
    expect(page.get_by_label("Seed")).to_have_value(seed)
    expect(page.get_by_role("button", name="Send to Super-resolution")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    assert download.value.suggested_filename == f"sea_waves-seed-{seed}-all.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == [f"sea_waves-seed-{int(seed) + number}.wav" for number in range(2)]
        assert archive.testzip() is None
    page.get_by_role("button", name="Send to Super-resolution").last.click()
    expect(page.get_by_text(re.compile(r"^22,050 Hz, mono, 5\.0 s"))).to_be_visible(timeout=LONG_WAIT_MS)


def test_a_visitor_describes_a_sound_and_gets_the_best_of_two(page: Page, address: str) -> None:
    open_generate(page, address)
    words, sound = page.get_by_label("Describe a sound"), page.get_by_label("Sound", exact=True)
    words.press_sequentially("gunshot")
    expect(page.get_by_text('There is no class for "gunshot". The nearest: Fireworks')).to_be_visible()
    expect(sound).to_have_value("Fireworks")
    words.fill("a small kitten")
    expect(page.get_by_text("Found by names: Cat.")).to_be_visible()
    set_advanced(page, count=1, steps=2)
    fill(page.get_by_label("number input for Candidates"), "2")
    page.get_by_role("button", name="Generate", exact=True).click()
    message = page.get_by_text(re.compile(r"Cat, seed \d+\. .*The best of 2 by the classifier: seed \d+\."))
    expect(message).to_be_visible(timeout=LONG_WAIT_MS)
    # A class that is picked is another sound than the one described.
    page.get_by_text("Nature", exact=True).click()
    page.get_by_role("button", name="Sea waves").click()
    expect(sound).to_have_value("Sea waves")
    expect(words).to_have_value("")
    expect(page.get_by_text("Found by names")).to_have_count(0)


def test_the_spectrogram_emerges_and_a_generation_can_be_cancelled(
    page: Page, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = aural.generation.tab._Preview.watch
    step = itertools.count()

    def watch_longer(preview: Any, mels: Any) -> None:
        """From the 20th step on the rest takes at least 160 s, unless cancelled."""
        watch(preview, mels)
        time.sleep(2.0 * (next(step) >= 20))

    monkeypatch.setattr(aural.generation.tab._Preview, "watch", watch_longer)
    open_generate(page, address)
    set_advanced(page, count=2, steps=100)
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text(re.compile("^Generating")).first).to_be_visible(timeout=LONG_WAIT_MS)
    emerging = page.locator(".aural-picture img")
    expect(emerging).to_be_visible(timeout=LONG_WAIT_MS)
    first = emerging.get_attribute("src")
    expect(emerging).not_to_have_attribute("src", first or "", timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text(re.compile("^Generating"))).to_have_count(0)
    expect(page.get_by_role("button", name="Download all")).to_be_disabled()
    expect(page.get_by_text("Classifier", exact=True)).to_have_count(0)


def test_a_visitor_varies_an_upload_and_is_told_of_a_gap_without_an_end(
    page: Page, address: str, recording: Path
) -> None:
    open_generate(page, address)
    set_advanced(page, count=1, steps=2)
    page.get_by_role("button", name=re.compile("^From a sound")).click()
    expect(page.get_by_label("Gap start, s")).to_have_value("")
    page.get_by_test_id("file-upload").last.set_input_files(recording)
    expect_audio(page)
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text("Classifier", exact=True)).to_have_count(1, timeout=LONG_WAIT_MS)
    fill(page.get_by_label("Gap start, s"), "1")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text("A gap needs both a start and an end")).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.get_by_text("Classifier", exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Download all")).to_be_disabled()
