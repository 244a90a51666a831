"""Links that last, and results that go from tab to tab, in a real browser."""

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Request, expect

import app
import aural.loudness.pipeline
from aural.audio import Clip, write
from aural.ui import estimates, jobs
from tests.browser import LONG_WAIT_MS, fill, prolong, result_line

pytestmark = pytest.mark.browser

RATE = 16_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    time_s = np.arange(2 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 330 * time_s) * np.exp(-2 * (time_s % 0.5))
    path = tmp_path_factory.mktemp("audio") / "recording.wav"
    write(Clip(tone[np.newaxis].astype(np.float32), RATE), path)
    return path


def upload(page: Page, address: str, tab: str, path: Path) -> None:
    """Put a file into the field of a tab that the link leads to."""
    page.goto(f"{address}?tab={tab}")
    expect(page.get_by_role("tab", name=tab, exact=False)).to_have_attribute("aria-selected", "true")
    page.get_by_role("tabpanel").first.locator('input[type="file"]').first.set_input_files(path)


def seen(page: Page, label: str) -> Locator:
    """The field of this label in the tab in sight."""
    return page.get_by_label(label).filter(visible=True)


def copied_link(page: Page) -> str:
    page.get_by_role("button", name="Copy link").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    field = page.get_by_label("Link with these settings")
    expect(field).to_have_value(re.compile(r"\?tab="))
    return field.input_value()


def expect_rest(page: Page) -> None:
    """Wait until the page has asked the server for nothing for 3 s; it must not ask for ever."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            asked.append(request.url)

    page.on("request", note)
    for _ in range(LONG_WAIT_MS // 3_000):
        asked.clear()
        page.wait_for_timeout(3_000)
        if not asked:
            break
    page.remove_listener("request", note)
    assert not asked


def test_a_link_sets_the_tab_and_its_controls(page: Page, address: str) -> None:
    page.goto(f"{address}?tab=enhance&strength=0.7&preset=podcast&seed=5")
    expect(page.get_by_role("tab", name="Enhance")).to_have_attribute("aria-selected", "true")
    expect(seen(page, "number input for Strength")).to_have_value("0.7")
    expect(page.get_by_role("radio", name="Podcast")).to_be_checked()
    # A setting of the closed section opens it, so that nothing acts unseen.
    expect(seen(page, "Seed").first).to_have_value("5")
    expect(page.get_by_label("Loudness, LUFS")).to_have_value("")


@pytest.mark.parametrize("name", ["studio", "release"])
def test_links_to_the_studio_work_by_its_name_and_by_its_verb(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}?tab={name}&target=spotify&strength=0.5")
    expect(page.get_by_label("number input for Strength")).to_have_value("0.5", timeout=LONG_WAIT_MS)
    expect(page.get_by_label("Target")).to_have_value(re.compile("^Spotify "))
    expect(page.get_by_role("tab", name="Studio")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_link_opens_a_section_within_a_tab(page: Page, address: str) -> None:
    page.goto(f"{address}?tab=master&target=tidal&limiter=false")
    expect(page.get_by_role("tab", name="Master", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("Tidal: -14 LUFS")).to_be_visible()
    expect(page.get_by_role("checkbox", name="True-peak limiter")).not_to_be_checked()


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_copied_link_outlives_the_server(fresh_page: Page) -> None:
    page = fresh_page  # which may read the clipboard
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    port = demo.server_port
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    try:
        page.goto(f"{demo.local_url}?tab=super_resolve")
        page.get_by_role("radio", name="LISA").check()
        page.get_by_role("radio", name="44.1 kHz").check()
        page.get_by_role("button", name="Test with a known original").click()
        page.get_by_role("radio", name="8 kHz", exact=True).check()
        link = copied_link(page)
        assert parse_qs(urlsplit(link).query) == {
            "tab": ["super_resolve"],
            "rate": ["44100"],
            "method": ["lisa"],
            "what_if_rate": ["8000"],
        }
        assert page.evaluate("navigator.clipboard.readText()") == link
    finally:
        demo.close()
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=port)
    try:
        page.goto(link)
        expect(page.get_by_role("radio", name="LISA")).to_be_checked()
        expect(page.get_by_role("radio", name="8 kHz", exact=True)).to_be_checked()
        expect(page.get_by_label("Sample rate, Hz")).to_have_value("44100")
    finally:
        demo.close()


def test_a_damaged_link_is_told_and_the_page_works(page: Page, address: str) -> None:
    page.goto(f"{address}?tab=enhance&strength=7&preset=%3Cb%3Eloud%3C/b%3E")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("strength to '7', which is not a number from 0 to 1")
    expect(alert).to_contain_text("preset to '<b>loud</b>', which is not an option")
    expect(seen(page, "number input for Strength")).to_have_value("1")


def expect_address(page: Page, query: str, *, has_job: bool = False) -> str:
    """Wait for what the browser's address asks for, and return the job that it names, or ""."""
    page.wait_for_function(
        """([query, hasJob]) => {
          const asked = new URLSearchParams(location.search);
          const job = asked.get("job");
          asked.delete("job");
          return String(asked) === query && Boolean(job) === hasJob;
        }""",
        arg=[query, has_job],
    )
    return parse_qs(urlsplit(page.evaluate("location.href")).query).get("job", [""])[0]


def test_the_address_follows_the_tab_and_its_settings(page: Page, address: str) -> None:
    page.goto(address)
    expect_address(page, "")
    page.get_by_role("tab", name="Enhance").click()
    expect_address(page, "tab=enhance")
    page.get_by_role("radio", name="Podcast").filter(visible=True).check()
    expect_address(page, "tab=enhance&preset=podcast")
    page.get_by_role("tab", name="Down-mix & Loudness").click()
    expect_address(page, "tab=measure")
    page.get_by_role("tab", name="Master", exact=True).click()
    expect_address(page, "tab=master")
    page.get_by_role("tab", name="Enhance").click()
    expect_address(page, "tab=enhance&preset=podcast")
    page.get_by_role("radio", name="Restore").filter(visible=True).check()
    expect_address(page, "tab=enhance")


def test_a_reload_and_a_second_window_find_file_run_and_result(
    page: Page, windows: list[Any], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stereo = tmp_path / "stereo.wav"
    noise = 0.05 * np.random.default_rng(0).standard_normal((2, 4 * RATE))
    write(Clip(noise.astype(np.float32), RATE), stereo)
    page.goto(f"{address}?tab=measure")
    measure = page.get_by_role("button", name="Measure", exact=True)
    expect(measure).to_be_disabled()
    page.get_by_role("tabpanel").first.locator('input[type="file"]').first.set_input_files(stereo)
    expect(measure).to_be_enabled()
    page.reload()
    expect(measure).to_be_enabled()  # the file is there
    measure.click()
    told = "Result of stereo.wav. Default settings."
    expect(result_line(page)).to_have_text(told, timeout=LONG_WAIT_MS)
    first = expect_address(page, "tab=measure", has_job=True)
    # Who runs it again now waits for three minutes.
    prolong(monkeypatch, aural.loudness.pipeline, "compare_downmixes_steps")
    page.reload()
    expect(result_line(page)).to_have_text(told)
    expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible()
    with page.context.expect_page() as opened:
        page.evaluate("window.open(location.href)")
    expect(result_line(opened.value)).to_have_text(told)
    opened.value.close()
    # A run goes on meanwhile, and can be cancelled.
    measure.click()
    expect(page.get_by_text("Down-mixing").first).to_be_visible(timeout=LONG_WAIT_MS)
    second = expect_address(page, "tab=measure", has_job=True)
    assert second != first
    page.reload()
    expect(page.get_by_text("Down-mixing").first).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Cancel").click()
    expect(measure).to_be_enabled()
    wait_until_ended(second)
    # Back leads to the earlier result.
    page.go_back()
    expect(result_line(page)).to_have_text(told)
    assert expect_address(page, "tab=measure", has_job=True) == first
    page.goto(f"{address}?tab=measure&job={'0' * 32}")
    expect(page.get_by_role("alert")).to_contain_text("no longer kept")
    # Gradio complains of its connections where a page is left during a run.
    left = ("AbortError", "Connection errored out")
    complaints = windows[0].complaints
    complaints[:] = [one for one in complaints if not any(words in one for words in left)]


def wait_until_ended(key: str) -> None:
    job = jobs.find(key)
    end = time.monotonic() + 30
    while job is not None and job.state == "running" and time.monotonic() < end:
        time.sleep(0.1)
    assert job is not None and job.state == "ended"


def test_without_a_link_the_first_tab_stands_open_and_the_state_of_the_machine_is_shown(
    page: Page, address: str
) -> None:
    page.goto(address)
    expect(page.get_by_role("tab", name="Studio")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="System info").click()
    expect(page.get_by_text("Models run on")).to_be_visible()
    for name in ("Extender", "Generator", "LISA"):
        expect(page.locator(".aural-machine li", has_text=name)).to_be_visible()


def test_the_expected_time_is_told_and_a_result_goes_round_all_tabs(
    page: Page, address: str, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enhanced, super-resolved, varied, enhanced again, mastered: each tab takes the last one's result."""
    monkeypatch.setattr(estimates, "_averages", {})  # as before the first run
    monkeypatch.setattr(estimates, "_started", set())
    upload(page, address, "enhance", recording)
    # The expected time is told before the first run.
    expect(
        page.get_by_text(re.compile(r"^\d+ to \d+ s\.|^Less than a second\.")).locator("visible=true")
    ).to_be_visible(timeout=LONG_WAIT_MS)
    for run, send, tab in (
        ("Enhance", "Send to Super-resolution", "Super-resolution"),
        ("Super-resolve", "Send to Generate", "Generate"),
        ("Generate", "Send to Enhance", "Enhance"),
        ("Enhance", "Send to Loudness", "Down-mix & Loudness"),
    ):
        expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)
        if run == "Generate":
            page.get_by_role("button", name=re.compile("^Advanced")).filter(visible=True).click()
            fill(seen(page, "number input for Count"), "1")
            fill(seen(page, "number input for Steps"), "2")
        page.get_by_role("button", name=run, exact=True).click()
        button = page.get_by_role("button", name=send).locator("visible=true").first
        expect(button).to_be_enabled(timeout=LONG_WAIT_MS)
        button.click()
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)
    expect_rest(page)
    page.get_by_role("tab", name="Master", exact=True).click()
    page.get_by_role("button", name="Master", exact=True).click()
    expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Send to Studio").locator("visible=true").click()
    expect(page.get_by_role("tab", name="Studio", exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)
