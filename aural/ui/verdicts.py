"""Verdicts on a sound, one clause each, as chips that say by colour, shape and words how good it is."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["red", "amber", "green"]

LEVELS: dict[Level, str] = {"red": "Problem", "amber": "Warning", "green": "Good"}  # what the colours say
CSS = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Verdict:
    """One clause about a sound."""

    kind: str  # what is judged
    level: Level
    text: str


def chip_list(label: str, found: Iterable[Verdict]) -> str:
    """Verdicts as an HTML list with a name, to be styled by `CSS`; empty if there are none."""
    items = "".join(
        f'<li class="aural-{one.level}"><span class="aural-level">{LEVELS[one.level]}: </span>'
        f"{html.escape(one.text)}</li>"
        for one in found
    )
    return items and f'<ul class="aural-verdicts" aria-label="{html.escape(label)}">{items}</ul>'


def figure(value: float, decimals: int, *, sign: bool = False) -> str:
    """A number with a real minus sign, and a plus if `sign`.

    >>> figure(-34.6, 0), figure(1.94, 1, sign=True), figure(-0.2, 0)
    ('−35', '+1.9', '0')
    """
    rounded = round(value, decimals) + 0.0  # no negative zero
    return f"{rounded:{'+' if sign else ''}.{decimals}f}".replace("-", "−")
