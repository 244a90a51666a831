"""The page in the visitor's language: German, French, Spanish, or English for all others.

The app is written in English, and so are its results for programs and its log. `language.js` translates a
text as soon as it stands in the page, by the catalogue of the visitor's language, whoever wrote it: a
component, a script, or an event's answer. Texts that no script may change are translated where they are made:
choices when the page is sent, and the words of pictures when they are drawn.

`gr.I18n` translates labels, help and choices as they are at first. What comes later would stay English: new
labels, sentences with figures, tables, and all that a script writes. One way for all keeps a page in one
language.

A catalogue, `languages/de.json` for example, has a translation for each English text. `{0}` stands for what
differs from time to time, `{#0}` for a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

LANGUAGES = ("de", "fr", "es")
FOLDER = Path(__file__).with_name("languages")
TEXTS = "aural_texts"  # name of the catalogue in the page's configuration
PLACE = re.compile(r"\{#?(\d)\}")
SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

_of_page: ContextVar[str] = ContextVar("language of the page", default="en")


@cache
def catalogue(language: str) -> dict[str, str]:
    """The translations of the English texts into one of `LANGUAGES`."""
    texts: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def language_of(accepted: str) -> str:
    """The language for a visitor, by the header Accept-Language: of those there are, the one liked best."""
    liked = []
    for place, one in enumerate(accepted.split(",")):
        name, _, quality = one.strip().partition(";q=")
        try:
            liked.append((-float(quality or 1), place, name.split("-")[0].lower()))
        except ValueError:
            continue
    found = (name for quality, _, name in sorted(liked) if quality < 0 and name in ("en", *LANGUAGES))
    return next(found, "en")


@contextmanager
def speaking(scope: Scope) -> Iterator[str]:
    """While a page is answered, `for_the_page` is for its visitor, whose language this gives."""
    language = language_of(Headers(scope=scope).get("accept-language", ""))
    token = _of_page.set(language)
    try:
        yield language
    finally:
        _of_page.reset(token)


def for_the_page(config: dict[str, Any]) -> dict[str, Any]:
    """The app's configuration for the visitor of the page: with a catalogue, and choices translated."""
    spoken = _of_page.get()
    if spoken not in LANGUAGES:
        return config
    components = [
        {**component, "props": _with_choices(component["props"], spoken)}
        for component in config["components"]
    ]
    return {**config, "components": components, TEXTS: catalogue(spoken)}


def _with_choices(properties: dict[str, Any], spoken: str) -> dict[str, Any]:
    choices = properties.get("choices")
    if not choices:
        return properties
    return {**properties, "choices": [[translate(str(name), spoken), *rest] for name, *rest in choices]}


def head(language: str) -> str:
    """The scripts for a page in a language.

    Gradio would ask the browser, and has its own words in languages that AURAL has no catalogue for: half a
    page of each. So it is told.
    """
    told = f"""<script>
for (const [name, value] of Object.entries({{ language: "{language}", languages: ["{language}"] }}))
  Object.defineProperty(navigator, name, {{ value, configurable: true }});
</script>"""
    return told if language == "en" else f"{told}\n<script>{SCRIPT}</script>"


def say(text: str) -> str:
    """An English text of a picture, in the language of the visitor whose event draws it.

    Where it is not known, and for programs, it stays as it is.
    """
    from gradio.context import LocalContext

    headers = getattr(LocalContext.request.get(None), "headers", {})
    language = language_of(headers.get("accept-language", ""))
    return translate(text, language) if language in LANGUAGES else text


def translate(text: str, language: str) -> str:
    """A text in one of `LANGUAGES`; as it is where the catalogue does not have it.

    >>> translate("Time (s)", "de"), translate("80 mel bands", "de"), translate("80 moles", "de")
    ('Zeit (s)', '80 Mel-Bänder', '80 moles')
    """
    texts = catalogue(language)
    if text in texts:
        return texts[text]
    for pattern, translation in _patterns(language):
        if found := pattern.fullmatch(text):
            return PLACE.sub(partial(_value, found, language), translation)
    code, _, meaning = text.partition(": ")  # a down-mix
    return f"{code}: {texts[meaning]}" if meaning in texts else text


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """The texts with places for what differs, and their translations, the most particular first."""
    pairs = [pair for pair in catalogue(language).items() if PLACE.search(pair[0])]
    pairs.sort(key=lambda pair: -len(PLACE.sub("", pair[0])))
    return [(re.compile(PLACE.sub(r"(?P<value\1>.+?)", _escaped(text))), said) for text, said in pairs]


def _escaped(text: str) -> str:
    return re.sub(r"[.*+?^$()|[\]\\]", r"\\\g<0>", text)


def _value(found: re.Match[str], language: str, place: re.Match[str]) -> str:
    """What stands at a place of a text that was found."""
    text = found[f"value{place[1]}"]
    is_figure = re.fullmatch(r"[+−-]?\d+\.\d+", text)
    return text.replace(".", ",") if is_figure else translate(text, language)
