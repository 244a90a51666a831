"""A verb's page: run and cancel buttons, link, estimate and result.

A tab holds one or more pages; `app.py` gets them in a `Tab`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from aural.errors import AuralError
from aural.options import Place, Verb
from aural.ui import run_state, status
from aural.ui.downloads import download_buttons, encode
from aural.ui.endpoints import NO_AUDIO, NO_FILES, workload_of
from aural.ui.fields import changed, skip_checks, takes_files
from aural.ui.jobs import outlive
from aural.ui.send_to import SendTo, send_buttons, switch_on

Ways = Sequence[tuple[Block, Mapping[str, Any]]]
COPY_LINK = "Copy link"


@dataclass(frozen=True)
class Page(run_state.Controls):
    """The controls of one verb."""

    copy: gr.Button  # creates the link
    link: gr.Textbox  # shows it
    expected: gr.HTML  # how long a run will take
    controls: Mapping[str, gr.components.Component]  # by their names in links
    ways: Mapping[Block, Ways]  # what reveals `run` and each control


@dataclass(frozen=True)
class Tab:
    """The parts of a tab that `app.py` connects."""

    id: str
    audio: gr.Audio  # receives what other tabs send
    pages: Sequence[Page]
    sends: Sequence[SendTo]
    album: gr.Button | None = None  # sends the files of the batch to the album


def page(
    name: str, text: str, controls: Mapping[str, gr.components.Component], *, is_line_below: bool = True
) -> Page:
    """Add the buttons of a verb to the tab being built.

    Args:
        text: label of the run button.
        controls: what a link may set, by the names of the verb's settings. From now on they pass on any value
            that a program sends.
        is_line_below: what follows is the result. Else render the page's `line` above it.
    """
    for control in controls.values():
        skip_checks(control)
    with gr.Row(elem_classes="aural-run"):
        run = gr.Button(text, variant="primary", min_width=120, elem_id=f"run-{name}")
        cancel = gr.Button("Cancel", variant="stop", min_width=120, visible=False, elem_id=f"cancel-{name}")
        copy = gr.Button(COPY_LINK, min_width=80, elem_id=f"copy-{name}")
    expected = gr.HTML(elem_classes="aural-expected", container=False)
    # Interactive, so that it can be selected by keyboard.
    link = gr.Textbox(label="Link with these settings", visible=False, interactive=True)
    line = gr.HTML(elem_id=f"result-{name}", elem_classes="aural-line", container=False, render=is_line_below)
    # Now, because Gradio forgets a component's place once it has sent an event.
    ways: dict[Block, Ways] = {component: reveal(component) for component in (run, *controls.values())}
    return Page(name, run, cancel, line, gr.Checkbox(visible=False), [], copy, link, expected, controls, ways)


def show_estimate(
    at: Page,
    verb: Verb,
    inputs: Mapping[str, gr.components.Component],
    workload: Callable[..., float] | None = None,
) -> None:
    """Show how long a run will take, whenever the inputs change.

    Args:
        inputs: what the time depends on, by the names of the verb's arguments.
        workload: replaces the verb's own workload.
    """

    files = {name: field for name, field in inputs.items() if takes_files(field)}
    lacking = ""
    if files:
        has_audio = any(isinstance(field, gr.Audio) for field in files.values())
        at.expected.value = lacking = f"<p>{NO_AUDIO if has_audio else NO_FILES}</p>"

    def tell(*values: Any) -> str:
        settings = dict(zip(inputs, values, strict=True))
        if files and not any(settings[name] for name in files):
            return lacking
        try:
            done = (workload or workload_of(verb))(**settings)
        except (AuralError, TypeError):  # unusable: the run will report it
            return ""
        sentence = status.estimate(verb, done, verb.kind(**settings))
        return f"<p>{sentence}</p>" if done else ""

    gr.on(
        [changed(field) for field in inputs.values()],
        tell,
        list(inputs.values()),
        at.expected,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )


@dataclass(frozen=True)
class View:
    """What a page shows of a result."""

    show: Callable[..., Any]  # the values of `inputs` -> those of `outputs`
    inputs: Sequence[Block]  # of the run's outputs; the first is never None
    outputs: Sequence[Block]
    clear: Callable[[], Sequence[Any]] | None = None  # `outputs` when a run starts; None: the earlier result


@dataclass(frozen=True)
class ResultFile:
    """A page's result: its file, the buttons that download it, and those that send it to another tab."""

    file: gr.File
    downloads: Sequence[gr.DownloadButton]  # one for each format, and one for a video
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
    source: gr.State | None = None,
    more: View | None = None,
    show_progress_on: gr.components.Component | None = None,
) -> None:
    """Connect the page's buttons: clear, run, show and encode the downloads; or cancel.

    Args:
        function: the endpoint; its API name is that of the page.
        inputs: in the order of the function's parameters.
        outputs: of the function; the last ones may be for the page alone.
        result: its buttons are enabled once there is a result; downloads are encoded last.
        source: the path of the file that the result was made from, one of the outputs; if it is a video, the
            result can be downloaded as one.
        more: shown after the view, because it takes longer.
        show_progress_on: None: the line above the result.
    """
    sending = {} if result is None else result.send_to.buttons
    downloads = () if result is None else result.downloads
    run_state.require_file(at, inputs[0])
    # First, because Gradio runs what hangs on one click in order, each to its end.
    run_state.start(at, inputs, clears=view.clear is not None)
    if view.clear is not None:
        _clear_on_run(at, view.clear, view.outputs, outputs)
    event = at.run.click(
        outlive(at.name, function, lambda *given: given[: len(inputs)]),
        list(inputs),
        list(outputs),
        api_name=at.name,
        concurrency_id="audio",
        # On one small component: Gradio copies the values of all that show a progress, each time it is told.
        show_progress_on=show_progress_on or at.line,
    )

    def show(*values: Any) -> Any:
        updates = view.show(*values)
        shown = updates if len(view.outputs) > 1 else [updates]
        # Until they are encoded, the downloads would be those of an earlier result.
        return _unwrap([*shown, *map(empty, downloads), *switch_on(sending)])

    # The views of all pages wait for each other, because they may read files too.
    outputs_of_view = [*view.outputs, *downloads, *sending.values()]
    shown = after(at, event, show, view.inputs, outputs_of_view, concurrency_id="showing")
    events = [event, shown]
    if more is not None:
        events.append(after(at, shown, more.show, more.inputs, more.outputs, concurrency_id="audio"))
    if result is not None:
        encoded = [result.file] if source is None else [result.file, source]
        events.append(after(at, events[-1], encode, encoded, downloads, concurrency_id="encoding"))
    cancel_on_click(at, events)
    run_state.follow(at, inputs, events)


def after(
    at: Page,
    event: Dependency,
    show: Callable[..., Any],
    inputs: Sequence[Block],
    outputs: Sequence[Block],
    **settings: Any,
) -> Dependency:
    """Let a function or generator follow a run, or what follows one, unless the run was cancelled.

    To Gradio's page, a cancelled run was a success too.
    """

    @functools.wraps(show)
    def checked(is_done: bool, *values: Any) -> Any:
        return show(*values) if is_done else gr.skip()

    @functools.wraps(show)
    def generate(is_done: bool, *values: Any) -> Any:
        yield from show(*values) if is_done else [gr.skip()]

    function: Any = generate if inspect.isgeneratorfunction(show) else checked
    # From it Gradio counts the inputs and finds where it hands in the progress.
    first = inspect.Parameter("is_done", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    function.__signature__ = inspect.Signature([first, *inspect.signature(show).parameters.values()])
    following: Dependency = event.success(
        function,
        [at.is_done, *inputs],
        list(outputs),
        js=f"(_, ...values) => [auralRuns.isDone('{at.name}'), ...values]",
        api_visibility="private",
        **settings,
    )
    return following


def cancel_on_click(at: Page, events: Sequence[Dependency]) -> None:
    """Let the page's button cancel events, each of which follows the one before it.

    Last first: to Gradio's page, a cancelled event was a success, and would have submitted the one after it.
    """
    at.cancel.click(None, cancels=list(reversed(events)), api_visibility="private")


def _clear_on_run(
    at: Page, clear: Callable[[], Sequence[Any]], shown: Sequence[Block], results: Sequence[Block]
) -> None:
    """Empty the page when a run starts that shows its result while it is made."""
    others = [one for one in results if one not in shown]
    at.run.click(
        lambda: [*clear(), *map(empty, others)],
        None,
        [*shown, *others],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )


def empty(component: Block) -> Any:
    """The update that empties a component and disables a button."""
    if isinstance(component, gr.DownloadButton):
        return gr.DownloadButton(value=None, interactive=False)
    return gr.Button(interactive=False) if isinstance(component, gr.Button) else None


def _unwrap(updates: list[Any]) -> Any:
    """The updates as Gradio expects them: a single one is not in a list."""
    return updates if len(updates) != 1 else updates[0]


def reveal(component: Block) -> Ways:
    """The tabs and closed sections around a component, each with the change that makes it visible.

    Call it while the page is built. The changes are arguments of `gr.update`.
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
