"""The page for German, French and Spanish visitors: one language, whoever wrote a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect

from aural.ui import language
from tests.browser import LONG_WAIT_MS, result_line
from tests.test_browser_look import TABS as NAMED_TABS
from tests.test_browser_look import open_sections

pytestmark = pytest.mark.browser

# Collects every text that comes into the page, before it is translated.
COLLECT = """
window.texts = new Set();
(() => {
  const NAMES = ["aria-label", "aria-valuetext", "placeholder", "title", "alt"];
  const SKIPPED = "script, style, textarea, code, pre, .json-node, footer, .file-name, .ab-name";
  const note = (node, text) => {
    if (text?.trim() && node.parentElement?.closest(SKIPPED) === null) texts.add(text.trim());
  };
  const all = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = root; node; node = walker.nextNode())
      if (node.nodeType === Node.TEXT_NODE) note(node, node.nodeValue);
      else if (node.nodeType === Node.ELEMENT_NODE)
        for (const name of NAMES) note(node, node.getAttribute(name));
  };
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes, attributeName } of changes)
      if (type === "childList") addedNodes.forEach(all);
      else note(target, attributeName ? target.getAttribute(attributeName) : target.nodeValue);
  }).observe(document, { subtree: true, childList: true, characterData: true, attributeFilter: NAMES });
})();
"""
TABS = len(NAMED_TABS)
# English words that no text of another language has.
ENGLISH = re.compile(r"\b(the|and|of|is|was|are|with|for|from|this|your|file|sound|noise)\b")


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Callable[[str], Page]]:
    """Opens the app for a visitor who speaks a language."""
    with ExitStack() as opened:

        def visit(locale: str) -> Page:
            page = opened.enter_context(chromium.new_context(locale=locale)).new_page()
            page.add_init_script(COLLECT)
            page.goto(address)
            return page

        yield visit


def english_in(page: Page, spoken: str) -> set[str]:
    """The texts that came into the page and are still English."""
    seen = page.evaluate("[...texts].map((text) => [text, auralSay(text)])")
    assert len(seen) > 200
    translations = {*language.catalogue(spoken).values(), *(shown for text, shown in seen if shown != text)}
    return {
        text
        for text, shown in seen
        if shown == text and text not in translations and ENGLISH.search(text.lower())
    }


def said(page: Page, text: str) -> str:
    """What the page says for an English text."""
    answer: str = page.evaluate(f"auralSay({json.dumps(text)})")
    return answer


def test_a_whole_visit_to_studio_is_german(visit: Callable[[str], Page]) -> None:
    page = visit("de-DE")
    german = language.catalogue("de")
    page.get_by_role("button", name=german["Use this recording"]).nth(1).click()
    expect(page.locator(".studio-verdicts li").first).to_contain_text(german["Speech"])
    expect(page.locator("#studio-preview .ab[data-state=ready]")).to_be_visible(timeout=LONG_WAIT_MS)
    page.locator("#run-release").click()
    expect(page.locator("#studio-player .ab[data-state=ready]")).to_be_visible(timeout=LONG_WAIT_MS)
    expect(page.locator(".studio-verdicts ul")).to_have_count(3, timeout=LONG_WAIT_MS)
    open_sections(page)
    expect(page.locator("table caption", has_text=german["Results by stage"])).to_be_visible()
    page.locator("#studio-player .ab-head .ab-small").click()
    page.get_by_role("checkbox", name=german["Clean up"]).uncheck()
    expect(result_line(page)).to_contain_text(german["Settings changed: run again."])
    expect(result_line(page)).to_contain_text(german["Default settings"])
    assert not english_in(page, "de")


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_every_tab_is_in_the_language_of_its_visitor(visit: Callable[[str], Page], spoken: str) -> None:
    page = visit(f"{spoken}-{spoken.upper()}")
    catalogue = language.catalogue(spoken)
    expect(page.locator("html")).to_have_attribute("lang", spoken)
    expect(page.locator("#run-release")).to_have_text(catalogue["Do it all"])
    tabs = page.get_by_role("tab").filter(visible=True)
    for tab in tabs.all()[:TABS]:
        tab.click()
        for inner in tabs.all()[TABS:]:  # first those of the tab before, until the page follows
            if inner.is_visible():
                inner.click()
                open_sections(page)
        open_sections(page)
    assert not english_in(page, spoken)
    fields = page.locator("input").evaluate_all("(nodes) => nodes.map((node) => node.value)")
    assert catalogue["Dog"] in fields, "what is chosen"


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_sentences_figures_lists_and_names_are_translated_and_names_of_files_are_not(
    visit: Callable[[str], Page], spoken: str
) -> None:
    page = visit(f"{spoken}-{spoken.upper()}")
    expect(page.locator("#run-release")).to_be_visible()
    catalogue = language.catalogue(spoken)

    def filled(text: str, *values: str) -> str:
        found = catalogue[text]
        for place, value in enumerate(values):
            found = re.sub(rf"\{{#?{place}\}}", value, found)
        return found

    echo, band = filled("Room echo ({#0} s)", "0,8"), filled("Band ends at {#0} kHz", "13,3")
    assert said(page, "Room echo (0.8 s)") == echo
    assert said(page, "Room echo (0.8 s), Band ends at 13.3 kHz") == f"{echo}, {band}"
    assert said(page, " Already clean\n") == f" {catalogue['Already clean']}\n"
    dog = catalogue["Dog"] if spoken == "de" else catalogue["Dog"].lower()
    expected = filled("The classifier didn't hear {0}. Try again?", dog)
    assert said(page, "The classifier didn't hear a dog. Try again?") == expected
    for kept in ("Best of Bach.wav", "0:01.2", "", "48,000", "Room echo", "Dogma (5 dB SNR)", ", Dogma; "):
        assert said(page, kept) == kept


def test_others_get_english_of_gradio_too(visit: Callable[[str], Page]) -> None:
    page = visit("it-IT")
    expect(page.locator("#studio-drop")).to_contain_text("Click to Upload")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("footer")).to_contain_text("Built with Gradio")
    assert not page.evaluate("'auralSay' in window")
