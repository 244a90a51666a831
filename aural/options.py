"""What the settings of a verb are: the fields of its `Options`, told to programs, shells and links.

The `Doc` of a field's annotation is its help, so that a setting is described in one place.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from annotated_doc import Doc

from aural.errors import OptionError

REQUIRED: Final = dataclasses.MISSING  # the default of a field that has none

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
NONE = ("", "none")  # what stands for None in a text


@dataclass(frozen=True)
class Field:
    """One setting."""

    name: str
    kind: type  # bool, int, float or str
    optional: bool  # whether None is allowed
    default: Any  # REQUIRED where there is none
    choices: tuple[str, ...] | None  # of a Literal
    help: str  # what it means, its unit and its range; "" without a `Doc`


def describe(options: type[Any]) -> tuple[Field, ...]:
    """The fields of a dataclass of settings, in order.

    >>> from aural.loudness.pipeline import Options
    >>> loudness = describe(Options)[1]
    >>> loudness.name, loudness.kind.__name__, loudness.optional, loudness.help
    ('loudness_lufs', 'float', True, 'integrated loudness in LUFS, -60 to 0; None: from the target')
    """
    hints = get_type_hints(options, include_extras=True)
    return tuple(_field(field, hints[field.name]) for field in dataclasses.fields(options))


def parse(field: Field, text: str) -> Any:
    """The value that a text stands for; "none", or nothing at all, is None where that is allowed.

    Raises:
        OptionError: the text is no value of this field.
    """
    word = text.strip()
    if field.optional and word.lower() in NONE:
        return None
    if field.kind is bool:
        if word.lower() in TRUE + FALSE:
            return word.lower() in TRUE
        raise OptionError(f"{field.name} must be true or false, not {word!r}.")
    if field.choices is not None and word not in field.choices:
        raise OptionError(f"{field.name} must be one of {', '.join(field.choices)}, not {word!r}.")
    if field.kind is str:
        return word
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(f"{field.name} must be a number, not {word!r}.")
    if field.kind is int:
        if not value.is_integer():
            raise OptionError(f"{field.name} must be a whole number, not {word!r}.")
        return int(value)
    return value


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    hint, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    (inner,) = [member for member in members if member is not type(None)]
    choices = get_args(inner) if get_origin(inner) is Literal else None
    help_text = next((note.documentation for note in notes if isinstance(note, Doc)), "")
    return Field(
        field.name, str if choices else inner, type(None) in members, field.default, choices, help_text
    )
