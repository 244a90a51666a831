"""The page in other languages: complete catalogues, one language for a page, and none for programs."""

from __future__ import annotations

import ast
import re
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.context import LocalContext
from matplotlib.text import Text

import app
from aural.ui import first_visit, language, plots

PLACE = language.PLACE
ROOT = Path(app.__file__).parent
GRADIO = first_visit.ASSETS
WORDS = re.compile(r"[a-z]{3}")  # other texts are figures, units and codes
# Between the parts of a text: what is bold or an item of a list, sentences, and what commas divide.
BETWEEN = (r"\*\*|\n[-\s]*|^- ", r"(?<=[.;:]) ", r", ", r" \(|[:)]$")
# Of a component: what is shown of it in words. A button's value is its text, another's value is data.
SHOWN = ("label", "info", "placeholder")
TEXTS = {"button", "markdown", "html"}
# What is the same in every language.
NAMES = re.compile(
    r"LISA|RNNoise|DeepFilterNet 3|noisereduce|Griffin-Lim|DPM-Solver\+\+|Sinc|Podcast|Studio|mono|stereo"
    r"|quad|quad\(side\)|octagonal|\d\.\d\((side|back)\)|Spotify|YouTube|Tidal|Netflix|Alexa"
    r"|Google Assistant|Apple Music|Apple Podcasts|Amazon Music|Laptop|streaming|keep|stereo_\w+|mono_\w+"
)


@pytest.fixture(scope="module")
def components() -> list[dict[str, Any]]:
    """Those of the page, as it gets them."""
    config: Any = app.demo.get_config_file()
    return list(config["components"])


def texts_of(component: dict[str, Any]) -> set[str]:
    """What a component shows in words at first."""
    properties = component["props"]
    found = {properties.get(name) for name in SHOWN}
    found |= {choice for choice, _ in properties.get("choices") or []}
    if component["type"] in TEXTS:
        found.add(properties.get("value"))
    if component["type"] == "html":
        pieces = re.findall(r">([^<>]+)<", properties.get("value") or "")
        found = {*map(unescape, pieces), properties.get("label")}
    return {text.strip() for text in found if isinstance(text, str) and text.strip()}


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_all_catalogues_translate_the_same_texts_with_the_same_places(spoken: str) -> None:
    catalogue = language.catalogue(spoken)
    assert list(catalogue) == list(language.catalogue(language.LANGUAGES[0]))
    for text, translation in catalogue.items():
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(translation)), text
        assert translation.strip(), text


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_every_text_of_the_page_is_translated(spoken: str, components: list[dict[str, Any]]) -> None:
    missing = {text for component in components for text in texts_of(component) if not is_known(text, spoken)}
    assert not missing, "\n".join(sorted(missing))


def is_known(text: str, spoken: str, between: tuple[str, ...] = BETWEEN) -> bool:
    """Whether a text, or each of its parts, is translated or a name."""
    if not WORDS.search(text) or NAMES.fullmatch(text) or text in language.catalogue(spoken):
        return True
    if language.translate(text, spoken) != text:
        return True
    for level, separator in enumerate(between):
        parts = [part.strip() for part in re.split(separator, text) if part.strip()]
        if parts != [text]:
            return all(is_known(part, spoken, between[level:]) for part in parts)
    return False


def test_every_text_of_the_catalogues_is_one_of_the_app_or_of_gradio(
    components: list[dict[str, Any]],
) -> None:
    said = {text for component in components for text in texts_of(component)}
    for path in (ROOT / "aural").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    for path in [*(ROOT / "aural").rglob("*.js"), *GRADIO.glob("*.js")]:
        said.add(path.read_text(encoding="utf-8"))
    everything = " ".join(said).lower()
    unknown = [
        text
        for text in language.catalogue("de")
        if not all(word in everything for word in re.findall(r"[a-z]{4,}", text.lower()))
    ]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize(
    ("accepted", "spoken"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("fr-CA", "fr"),
        ("es-419,es;q=0.9", "es"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("nl-NL,nl;q=0.9,de;q=0.8,en;q=0.7", "de"),
        ("en;q=0.2, FR;q=0.4", "fr"),
        ("ja,pt;q=0.8", "en"),
        ("de;q=0", "en"),
        ("de;q=often", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_the_one_liked_best_of_those_that_there_are(accepted: str, spoken: str) -> None:
    assert language.language_of(accepted) == spoken


def test_a_page_gets_the_catalogue_of_its_visitor_and_programs_none(address: str) -> None:
    german = httpx.get(address, headers={"Accept-Language": "de-AT"}, timeout=60)
    english = httpx.get(address, headers={"Accept-Language": "it-IT"}, timeout=60)
    for page in german, english:
        assert "Accept-Language" in page.headers["vary"]
    assert 'language: "de"' in german.text and 'language: "en"' in english.text
    catalogue = f'"{language.TEXTS}":'
    assert catalogue in german.text and catalogue not in english.text
    assert "auralSay = " in german.text and "auralSay = " not in english.text
    config = httpx.get(f"{address}config", headers={"Accept-Language": "de-AT"}, timeout=60).text
    assert catalogue not in config and "Alles ausführen" not in config


@pytest.mark.parametrize(("accepted", "axis"), [("de", "Zeit (s)"), ("pl", "Time (s)"), (None, "Time (s)")])
def test_a_picture_speaks_the_language_of_the_visitor_who_lets_it_be_drawn(
    accepted: str | None, axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if accepted is not None:
        asked = httpx.Request("POST", "http://localhost", headers={"Accept-Language": accepted})
        request = gr.Request(headers=dict(asked.headers))
        monkeypatch.setattr(LocalContext, "request", _Holding(request))
    figure, axes = plots.make_panel()
    axes.set_xlabel("Time (s)")
    Path(plots.save(figure)).unlink()
    assert axes.get_xlabel() == axis
    assert all(isinstance(text, Text) for text in figure.findobj(Text))


def test_the_bars_of_a_picture_have_names_in_the_language_of_the_visitor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = httpx.Request("POST", "http://localhost", headers={"Accept-Language": "fr"})
    monkeypatch.setattr(LocalContext, "request", _Holding(gr.Request(headers=dict(asked.headers))))
    figure = plots.comparison_bars(["Left channel", "Mono (ITU)"], [-20.0, None], "LUFS")
    Path(plots.save(figure)).unlink()
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == ["Canal gauche", "Mono (UIT)"]


class _Holding:
    """In place of a context variable: always the same value."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self, _: Any = None) -> Any:
        """The value."""
        return self._value
