"""Tables of figures in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

MISSING = "–"


def markdown_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Collection[int] = (0,)
) -> str:
    """A table with text columns aligned left and figures aligned right."""
    rules = ["---" if number in text_columns else "---:" for number in range(len(headings))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def table_of_records(records: Mapping[str, Any], headings: Sequence[str]) -> str:
    """A line for each dataclass: its name, and its fields under the headings, in order."""
    rows = ([name, *map(short_cell, astuple(record))] for name, record in records.items())
    return markdown_table(["", *headings], rows)


def figure_cell(value: float | None, digits: int) -> str:
    """A figure with a fixed number of digits after the point; a dash if it is missing."""
    # Without a sign if it rounds to zero.
    return MISSING if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def short_cell(value: float | None) -> str:
    """A figure with about three significant digits; whole numbers in full, a dash if it is missing."""
    if value is None:
        return MISSING
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def target_cell(is_met: bool) -> str:
    """Whether a target is met."""
    return "met" if is_met else "**missed**"
