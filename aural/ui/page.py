"""A verb's page: its run and cancel buttons, its link, and what the run will take.

A tab holds one page or several; `app.py` gets them all in a `Tab`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from aural.errors import AuralError
from aural.options import Verb
from aural.ui import machine
from aural.ui.endpoints import workload_of
from aural.ui.fields import unchecked
from aural.ui.handover import Handover

Ways = Sequence[tuple[Block, Mapping[str, Any]]]


@dataclass(frozen=True)
class Page:
    """The place of one verb."""

    name: str  # the verb's, by which a link leads here
    run: gr.Button
    cancel: gr.Button
    copy: gr.Button  # makes the link
    link: gr.Textbox  # shows it
    expected: gr.HTML  # what a run will take
    controls: Mapping[str, gr.components.Component]  # by the name that links know them by
    ways: Mapping[Block, Ways]  # to the page, of `run`, and to each control


@dataclass(frozen=True)
class Tab:
    """What a tab hands to `app.py`."""

    id: str
    audio: gr.Audio  # takes what other tabs send
    pages: Sequence[Page]
    handovers: Sequence[Handover]


def page(name: str, text: str, controls: Mapping[str, gr.components.Component]) -> Page:
    """Add the buttons of a verb to the tab being built.

    Args:
        text: of the button that runs it.
        controls: what a link to the page may set, by the names of the verb's settings. From now on they hand
            over whatever a program sends.
    """
    for control in controls.values():
        unchecked(control)
    with gr.Row(elem_classes="aural-run"):
        run = gr.Button(text, variant="primary", min_width=120)
        cancel = gr.Button("Cancel", variant="stop", min_width=80)
        copy = gr.Button("Copy link", min_width=80)
    expected = gr.HTML(elem_classes="aural-expected", container=False)
    # Could be written in, so that it can be selected by the keyboard.
    link = gr.Textbox(label="Link to this page with these settings", visible=False, interactive=True)
    # Now: Gradio forgets where a component stands once it has sent an event.
    ways: dict[Block, Ways] = {component: reveal(component) for component in (run, *controls.values())}
    return Page(name, run, cancel, copy, link, expected, controls, ways)


def expect(
    at: Page,
    verb: Verb,
    inputs: Mapping[str, gr.components.Component],
    workload: Callable[..., float] | None = None,
) -> None:
    """Say what a run will take, as soon as the inputs change.

    Args:
        inputs: on which that depends, by the names of the verb's arguments.
        workload: in the place of the verb's own, from the inputs' values by name.
    """

    def tell(*values: Any) -> str:
        settings = dict(zip(inputs, values, strict=True))
        try:
            done = (workload or workload_of(verb))(**settings)
        except (AuralError, TypeError):  # nothing that can be used: the run will say so
            return ""
        sentence = machine.expectation(verb, done, verb.kind(**settings))
        return f"<p>{sentence}</p>" if done else ""

    gr.on(
        [field.change for field in inputs.values()],  # type: ignore[attr-defined]
        tell,
        list(inputs.values()),
        at.expected,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )


def reveal(component: Block) -> Ways:
    """What shows a component: each of the tabs and closed sections around it, with what to change of it.

    To be asked while the page is built; the changes are for `gr.update`, which has to be made anew each time.
    """
    found: list[tuple[Block, Mapping[str, Any]]] = []
    around: Block | None = component
    while around is not None:
        if isinstance(around, gr.Tab) and isinstance(around.parent, gr.Tabs):
            found.append((around.parent, {"selected": around.id}))
        elif isinstance(around, gr.Accordion) and not around.open:
            found.append((around, {"open": True}))
        around = around.parent
    return found[::-1]
