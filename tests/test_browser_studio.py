"""The Studio tab in a real browser: verdicts, plan and preview of a file, before anything is clicked."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import Locator, Page, expect

import aural
from aural.audio import read, write
from aural.studio import tab
from aural.ui.examples import EXAMPLES, PHONE_EXAMPLES
from tests.browser import LONG_WAIT_MS, VIEWPORT
from tests.test_browser_look import CONTRAST, FAINT

pytestmark = pytest.mark.browser

MEMO = PHONE_EXAMPLES[0].path
SPEECH = next(example.path for example in EXAMPLES if example.title.startswith("Speech"))
PREVIEW = re.compile("^Preview: the loudest 10 s")


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean voice at the loudness of Apple Podcasts."""
    clip = aural.master(read(SPEECH), target="apple_podcasts").clip
    path = tmp_path_factory.mktemp("audio") / "episode.wav"
    write(clip, path)
    return path


def drop(page: Page, path: Path) -> None:
    """Hand a file to the drop zone, after the one that may lie there."""
    clear = page.get_by_role("button", name="Clear")
    if clear.count():
        clear.first.click()
        expect(clear).to_have_count(0)
    page.get_by_role("tabpanel").first.locator('input[type="file"]').first.set_input_files(path)


def chip(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.locator(".studio-verdicts li").filter(has_text=text)


def card(page: Page, title: str) -> Locator:
    """The card of an example."""
    return page.locator(".studio-example").filter(has_text=title)


def expect_preview(page: Page, after: str | re.Pattern[str] = "LUFS") -> None:
    player = page.get_by_role("group", name=PREVIEW)
    expect(player.locator(".ab-version").filter(has_text="Before")).to_be_visible(timeout=LONG_WAIT_MS)
    expect(player.locator(".ab-version").filter(has_text="After")).to_contain_text(
        after, timeout=LONG_WAIT_MS
    )


def expect_result(page: Page) -> None:
    expect(page.locator("#studio-player .ab[data-state=ready]")).to_be_visible(timeout=LONG_WAIT_MS)


def columns_of(page: Page) -> Locator:
    """The headings of the table of the stages."""
    details = page.locator(".label-wrap:not(.open)", has_text="Details")
    if details.is_visible():
        details.click()
    return page.locator(".aural-table").filter(has_text="Results by stage").get_by_role("columnheader")


def columns(page: Page) -> list[str]:
    return columns_of(page).all_inner_texts()


def test_a_dropped_memo_is_judged_planned_and_previewed_without_a_click_and_the_plan_may_change(
    page: Page, address: str
) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(address)
    drop(page, MEMO)
    expect(chip(page, "Speech")).to_be_visible(timeout=LONG_WAIT_MS)
    # The colour is said in a word too.
    expect(chip(page, re.compile(r"^Problem:\s*Band ends at 3\.\d kHz$"))).to_be_visible()
    expect(chip(page, re.compile(r"^Warning:\s*Noisy \(1\d dB SNR\)$"))).to_be_visible()
    expect(chip(page, re.compile(r"^Problem:\s*−28 LUFS: too quiet for Apple Podcasts$"))).to_be_visible()
    for switch in ("Clean up", "Restore highs", "Set loudness"):
        expect(page.get_by_role("checkbox", name=switch)).to_be_checked()
    expect(page.get_by_text(re.compile(r"^Band ends at 3\.\d kHz\.$"))).to_be_visible()
    expect_preview(page, "−16.0 LUFS")
    page.locator("#studio-preview .ab[data-state=ready]").wait_for()
    for theme in ("light", "dark"):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
        assert page.evaluate(FAINT, CONTRAST) == [], theme
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        expect(chip(page, "Speech")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
    # A changed plan replaces the preview, and the result takes its place.
    page.set_viewport_size(VIEWPORT)
    page.get_by_role("checkbox", name="Set loudness").uncheck()
    expect_preview(page, re.compile("−2[5-9]\\.\\d LUFS"))
    page.get_by_role("button", name="Do it all").click()
    expect_result(page)
    expect(page.get_by_role("group", name=PREVIEW)).to_be_hidden(timeout=LONG_WAIT_MS)
    assert columns(page) == ["Metric", "Before", "Enhanced", "Super-resolved"]
    # The same verdicts again, before and after.
    judged = page.locator(".studio-verdicts ul")
    expect(judged).to_have_count(3, timeout=LONG_WAIT_MS)
    expect(judged.nth(1)).to_have_accessible_name("Before")
    expect(judged.nth(1)).to_contain_text("Band ends at 3.")
    expect(judged.nth(2)).to_have_accessible_name("After")
    expect(judged.nth(2)).not_to_contain_text("Band ends")
    page.get_by_role("button", name="What changed").click()
    expect(page.get_by_text(re.compile("^What is loud changed by"))).to_be_visible()
    expect(page.get_by_role("img", name="Removed and added, at the same loudness")).to_be_visible()


def test_after_a_file_that_cannot_be_read_a_clean_one_at_its_target_has_every_stage_off_and_is_told_why(
    page: Page, address: str, episode: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("This is not audio.")
    page.goto(address)
    drop(page, text)
    told = page.locator(".studio-verdicts").get_by_role("alert")
    expect(told).to_contain_text("Can't read any audio in 'notes.wav'", timeout=LONG_WAIT_MS)
    expect(page.locator(".studio-verdicts li")).to_have_count(0)
    expect(page.get_by_role("group", name=PREVIEW)).to_be_hidden()
    drop(page, episode)
    expect(chip(page, re.compile(r"^Good:\s*Already clean$"))).to_be_visible(timeout=LONG_WAIT_MS)
    expect(told).to_have_count(0)
    for switch, reason in (
        ("Clean up", "Nothing to do: already clean."),
        ("Restore highs", re.compile("^Nothing to do: already full-band")),
        ("Set loudness", "Nothing to do: already −16 LUFS."),
    ):
        expect(page.get_by_role("checkbox", name=switch)).not_to_be_checked()
        expect(page.get_by_text(reason)).to_be_visible()
    expect(page.get_by_text(tab.NOTHING_ON)).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="On every service").click()
    row = page.locator("tr", has=page.get_by_role("rowheader", name="Spotify", exact=True))
    expect(row.get_by_role("cell")).to_have_text(["−14.0", "2.0", re.compile(r"^limited by 1\.\d dB$")])
    # A row's click plays the file so, at the service's level.
    row.click()
    expect(page.locator("#studio-service .ab-name")).to_have_text(["As it is", "Spotify"])
    expect(page.locator("#studio-service .ab[data-state=playing]")).to_be_visible()
    # Another target is another verdict, and another plan.
    page.get_by_label("Target").filter(visible=True).click()
    page.get_by_role("option", name=re.compile("^EBU R 128 \\(")).click()
    expect(chip(page, re.compile(r"−16 LUFS: too loud for EBU R 128"))).to_be_visible()
    expect(page.get_by_role("checkbox", name="Set loudness")).to_be_checked()
    # What is off is no version and no column.
    page.get_by_role("button", name="Do it all").click()
    expect_result(page)
    assert columns(page) == ["Metric", "Before", "Mastered"]
    # What one does after listening stands beside the downloads.
    for name in ("Strength", "Target"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator(f"#studio-{name.lower()} input").first).to_be_focused()
    share = page.locator("#studio-share")
    share.click()
    expect(share).to_have_text(re.compile("Cop"))
    expect(share).to_have_text("Share")


def test_several_files_become_a_batch_and_a_batch_an_album(page: Page, address: str, episode: Path) -> None:
    page.goto(address)
    given = page.evaluate_handle(
        """(content) => {
          const all = new DataTransfer();
          for (const name of ["one.wav", "two.wav"])
            all.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
          return all;
        }""",
        base64.b64encode(episode.read_bytes()).decode(),
    )
    page.dispatch_event("#studio-drop .upload-container", "drop", {"dataTransfer": given})
    expect(page.locator("#batch-files")).to_contain_text(re.compile("one.*two", re.DOTALL))
    expect(page.locator("#run-batch")).to_be_enabled()
    page.get_by_role("button", name="Master them as an album").click()
    expect(page.locator("#run-master_album")).to_be_enabled()
    tracks = page.get_by_role("tabpanel").filter(has=page.locator("#run-master_album")).last
    expect(tracks).to_contain_text(re.compile("one.*two", re.DOTALL))


def endless(started: list[str], ended: list[str]) -> Any:
    """Steps that go on until they are cancelled, which is noted with the file that they were for."""

    def steps(audio: str, *_: Any, **__: Any) -> Iterator[Any]:
        name = Path(audio).name
        started.append(name)
        try:
            for _ in range(1_800):
                time.sleep(0.1)
                yield gr.skip()
        finally:
            ended.append(name)

    return steps


def wait_for(page: Page, events: list[str], count: int = 1) -> None:
    for _ in range(LONG_WAIT_MS // 100):
        if len(events) >= count:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"only {events} after {LONG_WAIT_MS / 1000:g} s")


def test_an_analysis_ends_when_its_file_is_replaced(
    page: Page, address: str, episode: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    ended: list[str] = []
    page.goto(address)
    with monkeypatch.context() as patch:
        patch.setattr(tab, "_analyze", endless(started, ended))
        drop(page, MEMO)
        wait_for(page, started)
    drop(page, episode)
    wait_for(page, ended)
    assert ended == [MEMO.name]
    expect(chip(page, "Already clean")).to_be_visible(timeout=LONG_WAIT_MS)


def test_earlier_results_and_files_of_the_visitor_stay_until_they_are_removed(
    page: Page, address: str, episode: Path
) -> None:
    page.goto(address)
    drop(page, MEMO)
    expect(chip(page, "Speech")).to_be_visible(timeout=LONG_WAIT_MS)
    names = page.locator("#studio-player .ab-name")
    remove = page.get_by_role("button", name="Remove ticked")
    takes = page.get_by_role("group", name="Earlier results and added files").get_by_role("checkbox")
    page.get_by_role("button", name="Do it all").click()
    expect(names).to_have_text(["Before", "Enhanced", "Super-resolved", "Mastered"], timeout=LONG_WAIT_MS)
    expect(takes).to_have_count(0)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add a version from a file").click()
    chooser.value.set_files(episode)
    expect(names).to_have_text(["Before", "Enhanced", "Mastered", episode.stem], timeout=LONG_WAIT_MS)
    page.get_by_role("checkbox", name="Clean up").uncheck()
    page.get_by_role("button", name="Do it all").click()
    expect(columns_of(page)).to_have_text(
        ["Metric", "Before", "Super-resolved", "Mastered"], timeout=LONG_WAIT_MS
    )
    expect(names).to_have_text(["Before", "Super-resolved", "Mastered", episode.stem], timeout=LONG_WAIT_MS)
    page.get_by_role("checkbox", name=f"Take 1: {MEMO.name}. Default settings").check()
    expect(names).to_have_text(["Before", "Mastered", episode.stem, "Take 1"], timeout=LONG_WAIT_MS)
    remove.click()
    expect(names).to_have_text(["Before", "Super-resolved", "Mastered"], timeout=LONG_WAIT_MS)
    expect(remove).to_be_hidden()


def test_a_preview_ends_when_the_whole_is_started(
    page: Page, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    ended: list[str] = []
    page.goto(address)
    monkeypatch.setattr(tab, "_preview", endless(started, ended))
    drop(page, MEMO)
    wait_for(page, started)
    assert ended == []
    page.get_by_role("button", name="Do it all").click()
    wait_for(page, ended)
    expect_result(page)
    assert len(started) == 1
    # To Gradio's page, a call that was cancelled may be an error.
    expect(page.locator(".studio-working .error")).to_be_hidden()


def test_an_example_plays_before_and_after_at_the_first_click_without_a_run_and_is_judged_when_used(
    page: Page, address: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(address)
    example = card(page, "Far away in a hall")
    expect(example).to_contain_text("Room echo")
    for shown in page.locator(".studio-example").all():
        box = shown.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    player = page.locator("#studio-example-player .ab")
    expect(player).to_be_hidden()
    queued: list[str] = []
    page.on("request", lambda request: queued.append(request.url) if "/queue/join" in request.url else None)
    example.get_by_role("button", name="Before / After").click()
    expect(player).to_have_attribute("data-state", "playing", timeout=LONG_WAIT_MS)
    expect(player.locator(".ab-name")).to_have_text(["Before", "After"])
    expect(player.locator(".ab-facts")).to_contain_text(["−25.8 LUFS", "−16.0 LUFS"])
    page.wait_for_function("+document.querySelector('#studio-example-player .ab').dataset.position > 0.3")
    assert queued == []
    # Another example takes its place.
    card(page, "Phone call").get_by_role("button", name="Before / After").click()
    expect(player.locator(".ab-facts").first).to_contain_text("−28.3 LUFS")
    expect(player).to_have_attribute("data-state", "playing")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # As a visitor's own file it is analyzed and previewed instead.
    example.get_by_role("button", name="Use this recording").click()
    expect(player).to_be_hidden()
    expect(chip(page, re.compile(r"Room echo \(\d\.\d s\)"))).to_be_visible(timeout=LONG_WAIT_MS)
