"""What a page tells of its run: that it needs a file first, that it runs, and what its result belongs to.

The run button works once there is a file, and gives way to Cancel during a run. A line above the result names
its file and its settings; when either has changed, it says so, and the result is dimmed. All of it happens in
the browser (`run_state.js`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from aural.ui import jobs
from aural.ui.fields import changed, new_file, page_value, takes_files

# Belongs into the page's head.
HEAD = "".join(
    f"<script>{Path(__file__).with_name(name).read_text(encoding='utf-8')}</script>"
    for name in ("address.js", "run_state.js")
)
PRIVATE: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


@dataclass(frozen=True)
class Controls:
    """What a run changes on its page."""

    name: str  # of the verb, used in links
    run: gr.Button
    cancel: gr.Button
    line: gr.HTML  # what the result belongs to
    is_done: gr.Checkbox  # whether the latest run was not cancelled; hidden
    inputs: list[Block]  # of the run, once it is connected


def require_file(at: Controls, field: Any) -> None:
    """Let the run button work only while there is a file."""
    if takes_files(field):
        at.run.interactive = False
        js = f"(file) => auralRuns.canRun('{at.name}', file)"
        new_file(field)(None, field, at.run, js=js, **PRIVATE)


def start(at: Controls, inputs: Sequence[Block], *, clears: bool) -> None:
    """Let Cancel take the place of the run button. Call it before the buttons are given other listeners.

    Args:
        inputs: of the run.
        clears: whether a run empties the page, instead of leaving the earlier result there.
    """
    begin = f"(...values) => auralRuns.start('{at.name}', {json.dumps(clears)}, ...values)"
    cancel = f"(...values) => auralRuns.cancel('{at.name}', ...values)"
    # The server hears of it first: where it does not, a run without a page goes on.
    at.cancel.click(jobs.cancel, None, None, **PRIVATE)
    for button, js in (at.run, begin), (at.cancel, cancel):
        button.click(None, list(inputs), [at.run, at.cancel, at.line], js=js, **PRIVATE)
    at.inputs.extend(inputs)


def follow(at: Controls, inputs: Sequence[Block], events: Sequence[Dependency]) -> None:
    """Tell what a result belongs to, and bring the run button back.

    Args:
        inputs: of the run.
        events: of the run, each of which follows the one before it; the second shows the result.
    """
    end = f"(...values) => auralRuns.end('{at.name}', ...values)"
    for ends in (*(event.failure for event in events), events[-1].then):
        ends(None, list(inputs), [at.run, at.cancel, at.line], js=end, **PRIVATE)
    fields = json.dumps([_field(one) for one in inputs], ensure_ascii=False)
    show = f"(...values) => auralRuns.show('{at.name}', {fields}, ...values)"
    events[1].success(None, list(inputs), at.line, js=show, **PRIVATE)
    tell = f"(...values) => auralRuns.line('{at.name}', values)"
    gr.on([changed(one) for one in inputs], None, list(inputs), at.line, js=tell, **PRIVATE)


def adopt(at: Controls, event: Dependency, setting: Block, inputs: Sequence[Block]) -> None:
    """After an event that sets a setting to what the run has chosen for it, the result still belongs to it.

    Args:
        inputs: of the run.
    """
    js = f"(...values) => auralRuns.adopt('{at.name}', {list(inputs).index(setting)}, values)"
    event.success(None, list(inputs), at.line, js=js, **PRIVATE)


def _field(component: Block) -> dict[str, Any] | None:
    """What the line needs to know of a setting; None for a file."""
    if takes_files(component):
        return None
    field = {"label": component.label, "value": page_value(component)}  # type: ignore[attr-defined]
    if isinstance(component, gr.Dropdown | gr.Radio):
        field["choices"] = component.choices
    return field
