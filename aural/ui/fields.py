"""What the tabs' columns are made of: settings, examples, places for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import gradio as gr

from aural.ui.examples import Example

Field = TypeVar("Field", bound=gr.components.Component)

NOTHING = ""  # stands for None among the choices of a dropdown or a radio, which have no None


def slider(value: float, minimum: float, maximum: float, step: float, label: str, info: str) -> gr.Slider:
    """A slider whose number a program may set to anything: the pipeline refuses it in its own words."""
    return unchecked(gr.Slider(minimum, maximum, value, step=step, label=label, info=info))


def unchecked(component: Field) -> Field:
    """The same component, which leaves it to the pipeline to refuse a program's value, and to say why.

    `NOTHING` becomes None.
    """
    component.preprocess = lambda payload: None if payload == NOTHING else payload  # type: ignore[method-assign]
    return component


def keep_empty(fields: list[gr.Number]) -> None:
    """Gradio gives an empty number a 0 once its accordion opens, unless the page's load has emptied it."""
    page = gr.context.Context.root_block
    assert page is not None, "a tab is built inside Blocks"
    # A single output would take a list as its value.
    nothing = [None] * len(fields) if len(fields) > 1 else None
    page.load(lambda: nothing, None, fields, api_visibility="private", queue=False)


def picture(label: str) -> gr.Image:
    """A place for one of the pictures of `aural.ui.plots`."""
    return gr.Image(
        label=label,
        type="filepath",
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_classes="aural-picture",
    )


def examples_with_credits(
    examples: Sequence[Example], audio: gr.Audio, reference: gr.Audio | None = None
) -> None:
    """A button for each example, which puts it into the field; its reference too where there is a field."""
    rows = [[str(example.path)] for example in examples]
    fields = [audio]
    if reference is not None:
        rows = [[str(example.path), str(example.reference)] for example in examples]
        fields = [audio, reference]
    gr.Examples(rows, fields, example_labels=[example.title for example in examples])
    with gr.Accordion("Credits of the examples", open=False):
        gr.Markdown("\n".join(f"- {example.title}: {example.credit}" for example in examples))
