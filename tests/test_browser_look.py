"""What the page owes to every eye and ear: it fits the screen, can be read, and everything has a name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import aural.loudness.pipeline
from aural.audio import Clip, write
from tests.browser import LAYOUT_SHIFT, LONG_WAIT_MS, fill, prolong, result_line

pytestmark = pytest.mark.browser

TABS = {
    "Studio": ("One file", "Batch"),
    "Down-mix & Loudness": ("Measure", "Master", "Album", "Round trip"),
    "Enhance": (),
    "Super-resolution": (),
    "Generate": (),
}
# What a visitor can act on, and what groups it, by their roles.
NAMED = {
    "button", "link", "tab", "textbox", "spinbutton", "slider", "checkbox", "radio", "combobox",
    "group", "image",
}  # fmt: skip
CONTRAST = 4.5  # WCAG 2.2, level AA

# The worst contrast of each text in sight, where it is too low; colours as they come out on the screen.
FAINT = """(least) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = {};
  const rgba = (colour) => (known[colour] ??= (() => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  })());
  const over = (top, below, opacity) =>
    [0, 1, 2].map((i) => top[i] * top[3] * opacity + below[i] * (1 - top[3] * opacity));
  const ground = (node) => node
    ? over(rgba(getComputedStyle(node).backgroundColor), ground(node.parentElement), 1)
    : [255, 255, 255];
  const opacity = (node) => node ? getComputedStyle(node).opacity * opacity(node.parentElement) : 1;
  const luminance = (colour) => colour
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + [0.2126, 0.7152, 0.0722][i] * value, 0);
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    const isSeen = node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length;
    if (!text || !isSeen) continue;
    looked += 1;
    const behind = ground(node);
    const letters = over(rgba(getComputedStyle(node).color), behind, opacity(node));
    const [dark, light] = [letters, behind].map(luminance).sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < least) found.add(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return looked > 20 ? [...found] : ["hardly any text was found"];
}"""


def every_tab(page: Page) -> Iterator[str]:
    """Open each tab and each of its inner ones; yields its name."""
    for tab, inner in TABS.items():
        page.get_by_role("tab", name=tab, exact=True).click()
        for name in inner or (tab,):
            if inner:
                page.get_by_role("tab", name=name, exact=True).click()
            expect(page.get_by_role("button", name="Copy link").filter(visible=True).first).to_be_visible()
            yield name


def open_sections(page: Page) -> None:
    """Open all closed sections of the tab in sight."""
    closed = page.locator(".label-wrap:not(.open)").filter(visible=True)
    while closed.count():
        closed.first.click()


def measure(page: Page, address: str) -> None:
    """Load the page, and show a result in the tab Down-mix & Loudness."""
    page.emulate_media(reduced_motion="reduce")  # no colour is caught on its way to another
    page.goto(address)
    page.get_by_role("tab", name="Down-mix & Loudness").click()
    page.get_by_role("button", name="Quiet celesta").click()
    expect(page.get_by_role("button", name="Clear").first).to_be_visible(timeout=LONG_WAIT_MS)
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_role("rowheader", name="Integrated loudness")).to_be_visible(timeout=LONG_WAIT_MS)


@pytest.mark.parametrize("width", [390, 1600])
def test_the_page_stands_still_while_it_loads(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(LAYOUT_SHIFT)
    page.goto(address)
    expect(page.get_by_role("button", name="Use this recording").first).to_be_visible(timeout=LONG_WAIT_MS)
    page.wait_for_timeout(1_000)
    assert page.evaluate("window.shift") < 0.1


def test_every_tab_is_in_sight_and_nothing_scrolls_sideways(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(address)
    for name in every_tab(page):
        for width in (1600, 1024, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for shown in (*TABS, *next(inner for tab, inner in TABS.items() if name in (tab, *inner))):
                place = page.get_by_role("tab", name=shown, exact=True).bounding_box()
                assert place is not None and 0 <= place["x"] <= width - place["width"], (name, shown, width)
            assert page.locator(".overflow-menu").filter(visible=True).count() == 0, (name, width)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)


def test_everything_has_a_name_for_those_who_do_not_see_it_and_all_texts_stand_out_from_their_ground(
    page: Page, address: str
) -> None:
    measure(page, address)
    for picture in ("Loudness over time", "Spectrogram", "Goniometer", "Loudness of each down-mix"):
        expect(page.get_by_role("img", name=picture, exact=True)).to_be_visible()
    section = page.get_by_role("button", name="Raw data (JSON)").filter(visible=True)
    expect(section).to_have_attribute("aria-expanded", "false")
    section.click()
    expect(section).to_have_attribute("aria-expanded", "true")
    tree = page.context.new_cdp_session(page)
    nameless, named = [], set()
    for tab in every_tab(page):
        open_sections(page)
        for node in tree.send("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value")
            if node["ignored"] or role not in NAMED:
                continue
            if node.get("name", {}).get("value", "").strip():
                named.add(role)
            else:
                described = tree.send("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
                nameless.append((tab, role, described["nodeName"], described.get("attributes")))
        page.mouse.move(0, 0)
        for theme in ("light", "dark"):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
            assert page.evaluate(FAINT, CONTRAST) == [], (tab, theme)
    tree.detach()
    assert not nameless, nameless
    assert named >= NAMED - {"textbox"}, "the tree was not read"


def test_arrow_keys_open_the_neighbouring_tab_and_only_the_open_one_is_a_stop(
    page: Page, address: str
) -> None:
    page.goto(address)

    def tab(name: str) -> Locator:
        return page.get_by_role("tab", name=name, exact=True)

    def expect_open(name: str) -> None:
        expect(tab(name)).to_be_focused()
        expect(tab(name)).to_have_attribute("aria-selected", "true")
        expect(page.locator('[role="tab"][aria-selected="true"]', has_text=name)).to_have_count(1)

    outer = list(TABS)
    tab(outer[0]).focus()
    for name in (*outer[1:], outer[0]):  # round
        page.keyboard.press("ArrowRight")
        expect_open(name)
    for key, name in (("ArrowLeft", outer[-1]), ("Home", outer[0]), ("ArrowRight", outer[1])):
        page.keyboard.press(key)
        expect_open(name)
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()
    # A row within a tab is one of its own.
    inner = TABS[outer[1]]
    tab(inner[0]).focus()
    for key, name in (
        ("End", inner[-1]),
        ("ArrowRight", inner[0]),
        ("ArrowLeft", inner[-1]),
        ("Home", inner[0]),
    ):
        page.keyboard.press(key)
        expect_open(name)
    expect(tab(outer[1])).to_have_attribute("aria-selected", "true")
    # The Tab key leaves the row, and comes back to the open tab.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.role") != "tab"
    page.keyboard.press("Shift+Tab")
    expect_open(inner[0])
    # Those keys stay with fields, and with whoever holds a modifier.
    page.keyboard.press("Control+ArrowRight")
    expect_open(inner[0])
    page.get_by_role("tab", name="Generate").click()
    words = page.get_by_label("Describe a sound")
    words.fill("dog")
    words.press("ArrowLeft")
    assert words.evaluate("field => field.selectionStart") == 2
    page.get_by_role("button", name="Advanced").filter(visible=True).click()
    strength = page.get_by_role("slider").filter(visible=True).first
    before = strength.input_value()
    strength.press("ArrowRight")
    assert float(strength.input_value()) > float(before)
    expect(tab("Generate")).to_have_attribute("aria-selected", "true")


# Every text that is read out by itself, as it comes: [milliseconds, text].
HEARD = """() => {
  window.heard = [];
  const regions = ':is([role="status"], [role="alert"], [aria-live="polite"], [aria-live="assertive"])';
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const region = (target.nodeType === Node.TEXT_NODE ? target.parentElement : target)?.closest(regions);
      const text = region?.innerText.trim();
      if (text) heard.push([performance.now(), text]);
    }
  }).observe(document.documentElement, { subtree: true, childList: true, characterData: true });
}"""


def test_who_waits_by_the_keyboard_gets_to_the_result_and_hears_of_it_in_a_sentence(
    page: Page, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "memo.wav"
    time_s = np.arange(2 * 44_100) / 44_100
    write(Clip((0.1 * np.sin(2 * np.pi * 440 * time_s))[None].astype(np.float32), 44_100), path)
    page.goto(address)
    page.get_by_role("tab", name="Down-mix & Loudness").click()
    measure = page.get_by_role("button", name="Measure", exact=True)
    page.get_by_role("tabpanel").filter(has=measure).locator('input[type="file"]').first.set_input_files(path)
    page.evaluate(HEARD)
    # A result without a player: the line that names it.
    expect(measure).to_be_enabled(timeout=LONG_WAIT_MS)
    measure.press("Enter")
    line = page.locator("#result-measure")
    expect(line).to_be_focused(timeout=LONG_WAIT_MS)
    expect(line).to_have_text("Result of memo.wav. Default settings.")
    # One with a player.
    page.get_by_role("tab", name="Master", exact=True).click()
    master = page.get_by_role("button", name="Master", exact=True)
    player = page.locator(".ab").filter(visible=True)
    master.click()
    expect(player).to_be_focused(timeout=LONG_WAIT_MS)
    expect(player).to_be_in_viewport()
    expect(player).to_have_attribute("data-state", "ready", timeout=LONG_WAIT_MS)
    page.keyboard.press("b")
    expect(player).to_have_attribute("data-active", "1")
    told = [text for _, text in page.evaluate("heard")]
    assert told.count("Result of memo.wav. Default settings.") == 2
    assert not [text for text in told if "common." in text], told
    expect(master).to_be_visible()
    # Who types elsewhere meanwhile is not disturbed.
    page.get_by_role("button", name=re.compile("^Advanced")).filter(visible=True).first.click()
    loudness = page.get_by_label("Loudness, LUFS")
    fill(loudness, "-20")
    master.click()
    loudness.focus()
    expect(result_line(page)).to_have_text("Result of memo.wav. Loudness, LUFS: -20.", timeout=LONG_WAIT_MS)
    expect(page.get_by_role("button", name="MP3")).to_be_enabled(timeout=LONG_WAIT_MS)
    expect(loudness).to_be_focused()
    # Cancel takes the focus of the button in whose place it comes, and gives it back once it is pressed.
    # Meanwhile the progress is not read out all the time.
    prolong(monkeypatch, aural.loudness.pipeline, "_master_steps")
    page.evaluate("heard.length = 0")
    master.press("Enter")
    expect(page.locator("#cancel-master")).to_be_focused()
    page.wait_for_timeout(6_000)
    page.keyboard.press("Enter")
    expect(master).to_be_focused()
    expect(page.locator(".aural-spoken")).to_have_text("Cancelled.")
    heard = page.evaluate("heard")
    assert heard[-1][1] == "Cancelled." and len(heard) < 6, heard
