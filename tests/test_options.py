"""Settings as texts: what `aural.options` reads off a dataclass, and what it makes of words."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from annotated_doc import Doc

from aural.enhancement import degrade
from aural.enhancement import pipeline as enhancement
from aural.errors import OptionError
from aural.generation import pipeline as generation
from aural.loudness import pipeline
from aural.options import REQUIRED, Field, describe, parse
from aural.resynthesis import pipeline as resynthesis
from aural.studio import pipeline as release
from aural.superres import pipeline as superres

COLOURS = ("red", "green")

ALL = [
    module.Options for module in (pipeline, resynthesis, enhancement, degrade, superres, generation, release)
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
