"""Verbs, their settings, and checks of the settings.

A slice declares each of its verbs once, as a `Verb` in its `verb.py`; `aural.batch.verbs` collects them all.
`describe` lists the fields of an `Options` for programs, shells and links; an `Options` checks itself by
`require` and its relatives. The `Doc` of a field's annotation is its help, so that a setting is described in
one place.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from numbers import Integral, Real
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from annotated_doc import Doc

from aural.errors import OptionError, shorten

REQUIRED: Final = dataclasses.MISSING  # the default of a field that has none

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
NONE = ("", "none")  # what stands for None in a text

STAGES_JOINED = "+"  # between the names of the stages that a run has, see `by_stage`


@dataclass(frozen=True)
class Field:
    """One setting."""

    name: str
    kind: type  # bool, int, float or str
    optional: bool  # whether None is allowed
    default: Any  # REQUIRED if there is none
    choices: tuple[str, ...] | None  # of a Literal
    help: str  # meaning, unit and range; "" without a `Doc`


@dataclass(frozen=True)
class Place:
    """A tab of the page."""

    id: str  # in links
    name: str  # on the buttons that send a result there


@dataclass(frozen=True)
class Estimate:
    """How long a kind of run takes on the reference machine: two cores, no GPU."""

    start_seconds: float  # extra for the first run, which loads libraries and models
    run_seconds: float  # for any length: pictures, files
    seconds_per_workload: float  # for one second of one channel
    on_card: bool = False  # whether it runs a network, on a GPU if there is one
    card_speed: float = 1.0  # minimum speed-up by a GPU


@dataclass(frozen=True)
class Outcome:
    """The result of a verb."""

    clips: Sequence[Any]  # of `aural.audio.Clip`; none of `measure`
    figures: dict[str, Any]  # nested, ready for JSON
    message: str  # the result in words
    # `aural.loudness.meter.Loudness` of input and result, if the verb has measured them.
    before: Any = None
    after: Any = None


def _usual_kind(**_: Any) -> str:
    return ""


def by_setting(name: str) -> Callable[..., str]:
    """For `Verb.kind`: the kind of a run is the value of this setting."""
    return lambda **settings: str(settings.get(name) or "")


def by_stage(switches: Mapping[str, str]) -> Callable[..., str]:
    """For `Verb.kind` of a verb with stages: the names of those that are on, "" if all are.

    >>> kind = by_stage({"enhance": "enhancement", "master": "mastering"})
    >>> kind(enhancement=False, mastering=True), kind(enhancement=False, mastering=False), kind(seed=3)
    ('master', '+', '')

    Args:
        switches: stage -> the setting that switches it, which is on by default.
    """

    def kind(**settings: Any) -> str:
        on = [stage for stage, switch in switches.items() if settings.get(switch, True)]
        return "" if len(on) == len(switches) else STAGES_JOINED.join(on) or STAGES_JOINED

    return kind


@dataclass(frozen=True, eq=False)  # compared by identity
class Verb:
    """A verb, as declared for page, shell, links, batch and estimates."""

    name: str  # in the library, in a shell, in links, and of its endpoint
    help: str  # one sentence
    home: str  # the module with its `Options` and `outcome_steps`, imported on demand
    place: Place  # of its page
    ending: str | None = None  # of the result's name, such as "enhanced.wav"; None: it creates no sound
    needs_sound: bool = True  # False: it can start from nothing
    keeps_length: bool = True  # False: its result cannot be the sound of a video
    measures: bool = False  # whether its outcome contains the loudness of the input
    # By the kind of run; "" is the usual kind. Empty for a verb that consists of others.
    estimates: Mapping[str, Estimate] = field(default_factory=lambda: MappingProxyType({}))
    kind: Callable[..., str] = _usual_kind  # the kind of a run, from its settings by name
    workload: Callable[..., float] | None = None  # from its arguments by name; None: channels times seconds
    # Memory that a run takes at most, per byte of its sound as float32, from reading to writing.
    memory_factor: float = 8.0
    # From its settings by name and the source's rate: that of the result in Hz; None: it is the source's.
    result_rate: Callable[[Mapping[str, Any], int], float] | None = None
    stages: tuple[Verb, ...] = ()  # the verbs it consists of, in order
    batch_name: str = ""  # in the section Batch; empty: not offered there
    # Settings that the section Batch offers, each with the name of its control.
    batch_settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def options(self) -> type[Any]:
        """The frozen dataclass of its settings."""
        chosen: type[Any] = import_module(self.home).Options
        return chosen

    def outcome_steps(self, clip: Any, options: Any) -> Generator[float, None, Outcome]:
        """Run it in steps: yields the share done, 0 to 1.

        Args:
            clip: an `aural.audio.Clip`; None only if no sound is needed.
            options: of the class `self.options`.
        """
        outcome: Outcome = yield from import_module(self.home).outcome_steps(clip, options)
        return outcome


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
    """The value of a text; "none" and an empty text mean None if that is allowed.

    Raises:
        OptionError: the text is no value of this field.
    """
    word = text.strip()
    shown = repr(shorten(word))
    if field.optional and word.lower() in NONE:
        return None
    if field.kind is bool:
        if word.lower() in TRUE + FALSE:
            return word.lower() in TRUE
        raise OptionError(f"{field.name} must be true or false, not {shown}.")
    if field.choices is not None and word not in field.choices:
        raise OptionError(f"{field.name} must be one of {', '.join(field.choices)}, not {shown}.")
    if field.kind is str:
        return word
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(f"{field.name} must be a number, not {shown}.")
    if field.kind is int:
        if not value.is_integer():
            raise OptionError(f"{field.name} must be a whole number, not {shown}.")
        return int(value)
    return value


def take_texts(options: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with numbers and switches that were sent as text as what they mean.

    >>> from aural.loudness.pipeline import Options
    >>> take_texts(Options, {"target": "free", "loudness_lufs": "-16.5", "limiter": "off"})
    {'target': 'free', 'loudness_lufs': -16.5, 'limiter': False}

    Raises:
        OptionError: the text means no value of its setting.
    """
    numeric = {field.name: field for field in describe(options) if field.kind is not str}
    return {
        name: parse(numeric[name], value) if name in numeric and isinstance(value, str) else value
        for name, value in settings.items()
    }


def require(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raise `OptionError` unless a setting is a number in its range."""
    # In Python True is a number.
    if isinstance(value, bool) or not (isinstance(value, Real) and low <= value <= high):
        raise OptionError(f"The {name} must be from {low:g} to {high:g}{unit}, not {_shown(value)}.")


def require_whole(name: str, value: int, low: int, high: int) -> None:
    """Raise `OptionError` unless a setting is a whole number in its range."""
    if isinstance(value, bool) or not (isinstance(value, Integral) and low <= value <= high):
        raise OptionError(f"The {name} must be a whole number from {low} to {high}, not {_shown(value)}.")


def require_known(name: str, value: str, known: Iterable[str]) -> None:
    """Raise `OptionError` unless a setting is one of the names it may be."""
    names = list(known)
    if value not in names:
        raise OptionError(f'There is no {name} "{shorten(value)}". Choose one of {", ".join(names)}.')


def require_switch(name: str, value: bool) -> None:
    """Raise `OptionError` unless a setting is on or off."""
    if not isinstance(value, bool):
        raise OptionError(f"The setting {name} must be on (true) or off (false), not {_shown(value)}.")


def _shown(value: object) -> str:
    """A value for a message that says where it is a text.

    >>> _shown("0.5"), _shown(0.5), _shown("")
    ('the text "0.5"', '0.5', 'empty')
    """
    return f'the text "{shorten(value)}"' if isinstance(value, str) and value else shorten(value)


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    hint, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    (inner,) = [member for member in members if member is not type(None)]
    choices = get_args(inner) if get_origin(inner) is Literal else None
    help_text = next((note.documentation for note in notes if isinstance(note, Doc)), "")
    return Field(
        field.name, str if choices else inner, type(None) in members, field.default, choices, help_text
    )
