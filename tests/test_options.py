"""Settings as texts: what `aural.options` reads off a dataclass, and what it makes of words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_doc import Doc

import aural
from aural.enhancement import degrade
from aural.enhancement import pipeline as enhancement
from aural.errors import OptionError
from aural.generation import loop
from aural.generation import pipeline as generation
from aural.loudness import pipeline
from aural.options import (
    REQUIRED,
    Field,
    describe,
    parse,
    require,
    require_switch,
    require_whole,
    take_texts,
)
from aural.resynthesis import pipeline as resynthesis
from aural.studio import pipeline as release
from aural.superres import pipeline as superres
from aural.ui.endpoints import with_options
from tests.loudness.signals import tone

COLOURS = ("red", "green")

ALL = [
    module.Options
    for module in (pipeline, resynthesis, enhancement, degrade, superres, generation, loop, release)
]


@dataclass(frozen=True)
class Options:
    """Settings of every kind."""

    name: Annotated[str, Doc("whatever you like")]
    colour: Annotated[str, Doc(f'one of {", ".join(COLOURS)}; "red" is warm')] = "red"
    method: Annotated[Literal["fast", "fine"], Doc("how")] = "fine"
    count: Annotated[int, Doc("how many, 1 to 8")] = 1
    share: Annotated[float | None, Doc("0 to 1; None: all")] = None
    loud: bool = False


def field(name: str) -> Field:
    return next(one for one in describe(Options) if one.name == name)


def test_fields_come_with_kind_default_and_documentation() -> None:
    assert [one.name for one in describe(Options)] == list(Options.__dataclass_fields__)
    assert field("name") == Field("name", str, False, REQUIRED, None, "whatever you like")
    assert field("colour").help == 'one of red, green; "red" is warm'
    assert field("method").choices == ("fast", "fine")
    assert field("count") == Field("count", int, False, 1, None, "how many, 1 to 8")
    assert (field("share").kind, field("share").optional) == (float, True)
    assert field("loud").help == ""


@pytest.mark.parametrize("options", ALL, ids=lambda options: options.__module__)
def test_every_setting_of_every_verb_is_explained(options: type) -> None:
    for one in describe(options):
        assert one.help, one.name
        assert "\n" not in one.help


@pytest.mark.parametrize("options", ALL, ids=lambda options: options.__module__)
def test_every_default_survives_as_text(options: type) -> None:
    for one in describe(options):
        if one.default is not REQUIRED:
            assert parse(one, str(one.default)) == one.default


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("share", "0.25", 0.25),
        ("share", "none", None),
        ("share", "", None),
        ("count", "3", 3),
        ("count", "3.0", 3),
        ("loud", "Yes", True),
        ("loud", "off", False),
        ("method", "fast", "fast"),
        ("name", " a name ", "a name"),
    ],
)
def test_texts_become_values(name: str, text: str, value: object) -> None:
    found = parse(field(name), text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("share", "half"),
        ("share", "nan"),
        ("share", "inf"),
        ("count", "1.5"),
        ("count", "none"),
        ("count", "1e400"),
        ("loud", "2"),
        ("loud", ""),
        ("method", "slow"),
    ],
)
def test_texts_that_are_no_value_are_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(OptionError, match=rf"^{name} must be .*\.$"):
        parse(field(name), text)


@pytest.mark.parametrize(
    ("name", "sent", "taken"),
    [
        ("share", "0.5", 0.5),
        ("share", " 1e-1 ", 0.1),
        ("share", 0.5, 0.5),
        ("share", None, None),
        ("count", "3", 3),
        ("count", "3.0", 3),
        ("loud", "true", True),
        ("loud", "off", False),
        ("name", "0.5", "0.5"),
        ("colour", "1", "1"),
    ],
)
def test_a_number_sent_as_text_is_taken(name: str, sent: object, taken: object) -> None:
    found = take_texts(Options, {"other": "1", name: sent})
    assert found == {"other": "1", name: taken} and type(found[name]) is type(taken)


@pytest.mark.parametrize(
    ("verb", "settings", "expected"),
    [
        (aural.master, {"target": "free", "loudness_lufs": "-20", "limiter": "no"}, -20.0),
        (aural.master, {"target": "free", "loudness_lufs": -20}, -20.0),
    ],
)
def test_the_library_takes_numbers_as_text(verb: Any, settings: dict[str, Any], expected: float) -> None:
    assert verb(tone(48_000, [(1, -30)]), **settings).after.integrated_lufs == pytest.approx(
        expected, abs=0.1
    )


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: require("strength", "0.5", 0, 1), 'The strength must be from 0 to 1, not the text "0.5".'),
        (lambda: require("strength", 1.5, 0, 1), "The strength must be from 0 to 1, not 1.5."),
        (lambda: require("strength", "", 0, 1), "The strength must be from 0 to 1, not empty."),
        (
            lambda: require_whole("rate", "48000", 4_000, 384_000),
            'The rate must be a whole number from 4000 to 384000, not the text "48000".',
        ),
        (
            lambda: require_switch("loop", "true"),
            'The setting loop must be on (true) or off (false), not the text "true".',
        ),
    ],
)
def test_a_text_for_a_number_is_told_to_be_text(check: Callable[[], None], message: str) -> None:
    with pytest.raises(OptionError) as raised:
        check()
    assert str(raised.value) == message


def test_an_endpoint_takes_numbers_as_text() -> None:
    @with_options(Options)
    def run(audio: str, options: Options) -> Iterator[tuple[str, Options]]:
        yield audio, options

    (result,) = run("a.wav", "a name", count="3", share="0.25", loud="true")
    assert result == ("a.wav", Options("a name", count=3, share=0.25, loud=True))
    with pytest.raises(OptionError, match=r"^share must be a number, not 'half'\.$"):
        run("a.wav", "a name", share="half")


@pytest.mark.parametrize("name", ["loudness_lufs", "limiter"])
@pytest.mark.parametrize("letter", ["9", "x", "["])
def test_a_long_text_is_not_repeated_whole(name: str, letter: str) -> None:
    field = next(field for field in describe(pipeline.Options) if field.name == name)
    with pytest.raises(OptionError) as refusal:
        parse(field, 5_000 * letter)
    assert len(str(refusal.value)) < 1_000 and str(refusal.value).endswith("…'.")
