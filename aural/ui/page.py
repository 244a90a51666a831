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
from aural.options import Place, Verb
from aural.ui import status
from aural.ui.downloads import download_buttons, encode
from aural.ui.endpoints import workload_of
from aural.ui.fields import skip_checks
from aural.ui.send_to import SendTo, send_buttons, switch_on

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
    sends: Sequence[SendTo]


def page(name: str, text: str, controls: Mapping[str, gr.components.Component]) -> Page:
    """Add the buttons of a verb to the tab being built.

    Args:
        text: of the button that runs it.
        controls: what a link to the page may set, by the names of the verb's settings. From now on they hand
            over whatever a program sends.
    """
    for control in controls.values():
        skip_checks(control)
    with gr.Row(elem_classes="aural-run"):
        run = gr.Button(text, variant="primary", min_width=120)
        cancel = gr.Button("Cancel", variant="stop", min_width=80)
        copy = gr.Button("Copy link", min_width=80)
    expected = gr.HTML(elem_classes="aural-expected", container=False)
    # Could be written in, so that it can be selected by the keyboard.
    link = gr.Textbox(label="Link with these settings", visible=False, interactive=True)
    # Now: Gradio forgets where a component stands once it has sent an event.
    ways: dict[Block, Ways] = {component: reveal(component) for component in (run, *controls.values())}
    return Page(name, run, cancel, copy, link, expected, controls, ways)


def show_estimate(
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
        sentence = status.estimate(verb, done, verb.kind(**settings))
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


@dataclass(frozen=True)
class View:
    """What a page shows of a result once it is there."""

    show: Callable[..., Any]  # the values of `inputs` -> those of `outputs`
    inputs: Sequence[Block]  # of the run's outputs
    outputs: Sequence[Block]
    clear: Callable[[], Sequence[Any]] | None = None  # those of `outputs` when a run starts; None: `empty`


@dataclass(frozen=True)
class ResultFile:
    """A page's result: its file, the buttons that download it, and those that send it to another tab."""

    file: gr.File
    downloads: Sequence[gr.DownloadButton]  # one for each format
    send_to: SendTo
    row: gr.Row  # of the downloads, to which a page may add more


def result_file(label: str, places: Sequence[Place], own: Place) -> ResultFile:
    """Add a result to the page being built.

    Args:
        label: of the file, which the page does not show.
        places: the tabs that results can be sent to.
        own: the tab at hand, which is left out.
    """
    with gr.Row() as row:
        downloads = download_buttons()
    buttons = send_buttons(places, own)
    file = gr.File(label=label, visible=False)
    return ResultFile(file, downloads, SendTo(file, buttons), row)


def wire(
    at: Page,
    function: Callable[..., Any],
    inputs: Sequence[Block],
    outputs: Sequence[Block],
    view: View,
    *,
    result: ResultFile | None = None,
    more: View | None = None,
    show_progress_on: gr.components.Component | None = None,
) -> None:
    """Let the page's buttons run a verb: clear the page, run, show, encode the downloads; or cancel.

    Args:
        function: the endpoint, named after the page.
        inputs: of the function, by its parameters in order.
        outputs: of the function, and after them what its last step yields for the page alone.
        result: its buttons work once there is a result; the downloads are made after all is shown.
        more: what is shown after the view, since it takes longer.
        show_progress_on: None: on all outputs that can be seen.
    """
    sending = {} if result is None else result.send_to.buttons
    event = at.run.click(
        function,
        list(inputs),
        list(outputs),
        api_name=at.name,
        concurrency_id="audio",
        show_progress_on=show_progress_on,
    )
    _clear_on_run(at, view, [*(result.downloads if result else ()), *sending.values()])

    def show(*values: Any) -> Any:
        updates = view.show(*values)
        return _unwrap([*(updates if len(view.outputs) > 1 else [updates]), *switch_on(sending)])

    private: dict[str, Any] = {"api_visibility": "private"}
    events = [event, event.success(show, list(view.inputs), [*view.outputs, *sending.values()], **private)]
    if more is not None:
        settings = {**private, "concurrency_id": "audio"}
        events.append(events[-1].success(more.show, list(more.inputs), list(more.outputs), **settings))
    if result is not None:
        settings = {**private, "concurrency_id": "encoding"}
        events.append(events[-1].success(encode, result.file, list(result.downloads), **settings))
    at.cancel.click(None, cancels=events, **private)


def _clear_on_run(at: Page, view: View, buttons: Sequence[gr.Button | gr.DownloadButton]) -> None:
    """A run starts on an empty page: what is shown belongs to the file at hand, or to none."""
    outputs = list(view.outputs)
    if view.clear is None:
        outputs = [one for one in outputs if not isinstance(one, gr.Slider)]
    at.run.click(
        lambda: _unwrap([*(view.clear() if view.clear else map(empty, outputs)), *map(empty, buttons)]),
        None,
        [*outputs, *buttons],
        api_visibility="private",
        queue=False,
    )


def empty(component: Block) -> Any:
    """The update that takes from a component what it shows, and from a button what it does."""
    if isinstance(component, gr.DownloadButton):
        return gr.DownloadButton(value=None, interactive=False)
    return gr.Button(interactive=False) if isinstance(component, gr.Button) else None


def _unwrap(updates: list[Any]) -> Any:
    """As Gradio takes it: of one output alone, not in a list."""
    return updates if len(updates) != 1 else updates[0]


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
