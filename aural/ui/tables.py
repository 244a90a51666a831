"""Tables of figures, as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDEST_NUMBER = 16  # characters; longer cells hold words and are left-aligned


class Name(str):
    """A cell with the name of something, which is the same in all languages and no number."""

    __slots__ = ()


@dataclass(frozen=True)
class Choice:
    """A row heading that can be pressed: a button with `data-key`."""

    key: str
    text: str


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> str:
    """An HTML table whose first column holds the row headings; format numbers by `number`."""
    head = "".join(f'<th scope="col">{_cell(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{_cell(first)}</th>'
        + "".join(f"<td{_attributes(cell)}>{_cell(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="prose aural-table"><table><caption>{_cell(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def number(value: float | None, decimals: int = 1) -> str:
    """A number as text, with a real minus sign; a dash for None.

    >>> number(-14), number(None), number(44_100, 0)
    ('−14.0', '–', '44,100')
    """
    return "–" if value is None else f"{value:,.{decimals}f}".replace("-", "−")


def _attributes(value: object) -> str:
    words = ' class="words"' if len(str(value)) > WIDEST_NUMBER else ""
    return f'{words} translate="no"' if isinstance(value, Name) else words


def _cell(value: object) -> str:
    if isinstance(value, Choice):
        key, text = html.escape(value.key), html.escape(value.text)
        return f'<button type="button" data-key="{key}">{text}</button>'
    return html.escape(str(value))
