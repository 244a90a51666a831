"""Parts of the tabs: settings, examples and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.blocks import Block

from aural.ui.abplayer import NoStubFile
from aural.ui.examples import Example

PATHS = r"(given) => [given ?? []].flat().map((file) => file.path).join('\n')"
_paths: WeakKeyDictionary[Block, gr.Textbox] = WeakKeyDictionary()  # of the files in a field
# By the id of a field: what the page begins with, where programs that leave it out get another value.
PAGE_VALUES: dict[str, Any] = {}
NOTHING = ""  # stands for None among the choices of a dropdown or a radio


def slider(value: float, minimum: float, maximum: float, step: float, label: str, info: str) -> gr.Slider:
    """A slider with a line that explains it."""
    return gr.Slider(minimum, maximum, value, step=step, label=label, info=info)


def page_value(component: Any) -> Any:
    """What the page begins with in a field."""
    return PAGE_VALUES.get(component.elem_id, component.value)


def skip_checks(component: gr.components.Component) -> None:
    """Pass a program's value on unchecked, so that the verb reports errors; `NOTHING` becomes None."""
    # The class is changed because every update of a page replaces a component by a new one of its class.
    component.__class__ = _unchecked_class(type(component))


@cache
def _unchecked_class(kind: type[gr.components.Component]) -> type[gr.components.Component]:
    def preprocess(_: gr.components.Component, payload: Any) -> Any:
        return None if payload == NOTHING else payload

    return NoStubFile(kind.__name__, (kind,), {"preprocess": preprocess})


def takes_files(field: Block) -> bool:
    """Whether a field is one for files."""
    return isinstance(field, gr.Audio | gr.File)


def changed(field: Any) -> Any:
    """The event that a field has another value, or other files."""
    return new_file(field) if takes_files(field) else field.change


def new_file(field: gr.Audio | gr.File) -> Any:
    """The event that a field has another file, other files, or none.

    Gradio's own event `change` also comes whenever it hands the field its value anew, which it does at every
    event of the page for what was shown late: with a listener on the server that is a loop without an end.
    Paths differ only where files do.
    """
    if field not in _paths:
        _paths[field] = paths = gr.Textbox(visible=False)
        field.change(
            None, field, paths, js=PATHS, api_visibility="private", queue=False, show_progress="hidden"
        )
    return _paths[field].change


def picture(label: str) -> gr.Image:
    """An image for one of the pictures of `aural.ui.plots`."""
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
    """A button for each example, which fills the upload field, and the reference field if there is one."""
    rows = [[str(example.path)] for example in examples]
    fields = [audio]
    if reference is not None:
        rows = [[str(example.path), str(example.reference)] for example in examples]
        fields = [audio, reference]
    gr.Examples(rows, fields, example_labels=[example.title for example in examples])
    credits_of(examples)


def credits_of(examples: Sequence[Example]) -> None:
    """Author, work and licence of each example, folded."""
    with gr.Accordion("Example credits", open=False):
        gr.Markdown("\n".join(f"- {example.title}: {example.credit}" for example in examples))
