"""What the settings of a verb are, and whether they hold.

Programs, shells and links are told of the fields of an `Options` by `describe`; an `Options` checks itself by
`require` and the like. A field's comment is its help, so that a setting is described in one place. The names
in it that stand for choices (`one of PRESETS`) are written out.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
import sys
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from numbers import Integral, Real
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from aural.errors import OptionError, shortened

REQUIRED: Final = dataclasses.MISSING  # the default of a field that has none

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
NONE = ("", "none")  # what stands for None in a text

_CONSTANT = re.compile(r"\b[A-Z][A-Z_]{3,}\b")


@dataclass(frozen=True)
class Field:
    """One setting."""

    name: str
    kind: type  # bool, int, float or str
    optional: bool  # whether None is allowed
    default: Any  # REQUIRED where there is none
    choices: tuple[str, ...] | None  # of a Literal
    help: str  # what it means, its unit and its range; "" where the source is not at hand


def describe(options: type[Any]) -> tuple[Field, ...]:
    """The fields of a dataclass of settings, in order.

    >>> from aural.loudness.pipeline import Options
    >>> loudness = describe(Options)[1]
    >>> loudness.name, loudness.kind.__name__, loudness.optional, loudness.help
    ('loudness_lufs', 'float', True, "integrated loudness wanted, -60 to 0; None: the target's")
    """
    hints = get_type_hints(options)
    comments = _comments(options)
    return tuple(
        _field(field, hints[field.name], comments.get(field.name, ""))
        for field in dataclasses.fields(options)
    )


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


def require(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raise `OptionError` unless a setting is a number in its range."""
    # True is a number in Python, and to nobody else.
    if isinstance(value, bool) or not (isinstance(value, Real) and low <= value <= high):
        raise OptionError(f"The {name} must be from {low:g} to {high:g}{unit}, not {shortened(value)}.")


def require_whole(name: str, value: int, low: int, high: int) -> None:
    """Raise `OptionError` unless a setting is a whole number in its range."""
    if isinstance(value, bool) or not (isinstance(value, Integral) and low <= value <= high):
        raise OptionError(f"The {name} must be a whole number from {low} to {high}, not {shortened(value)}.")


def require_known(name: str, value: str, known: Iterable[str]) -> None:
    """Raise `OptionError` unless a setting is one of the names it may be."""
    names = list(known)
    if value not in names:
        raise OptionError(f'There is no {name} "{shortened(value)}": choose one of {", ".join(names)}.')


def require_switch(name: str, value: bool) -> None:
    """Raise `OptionError` unless a setting is on or off."""
    if not isinstance(value, bool):
        raise OptionError(f"The setting {name} must be on (true) or off (false), not {shortened(value)}.")


def _field(field: dataclasses.Field[Any], hint: Any, help_text: str) -> Field:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    (inner,) = [member for member in members if member is not type(None)]
    choices = get_args(inner) if get_origin(inner) is Literal else None
    return Field(
        field.name, str if choices else inner, type(None) in members, field.default, choices, help_text
    )


def _comments(options: type) -> dict[str, str]:
    """Field name -> the comment beside it."""
    try:
        source = inspect.cleandoc("\n" + inspect.getsource(options))
    except (OSError, TypeError):
        return {}
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    lines = {
        node.end_lineno: node.target.id
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    constants = vars(sys.modules[options.__module__])
    return {
        lines[token.start[0]]: _CONSTANT.sub(
            lambda match: _written_out(match[0], constants), token.string.lstrip("# ")
        )
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT and token.start[0] in lines
    }


def _written_out(name: str, constants: Mapping[str, Any]) -> str:
    """The value of a constant that holds choices, or the name itself."""
    value = constants.get(name)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (Mapping, tuple, list)):
        return ", ".join(map(str, value))
    return name
