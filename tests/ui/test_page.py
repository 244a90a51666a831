"""A page's buttons clear it, run the verb, show what came of it, encode the downloads; and cancel it all."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from aural.options import Place
from aural.ui.downloads import FORMATS
from aural.ui.page import View, page, result_file, wire

PLACES = (Place("here", "Here"), Place("there", "There"), Place("elsewhere", "Elsewhere"))


def work(sound: str) -> tuple[str, str]:
    """Make something of a sound."""
    return f"{sound}.wav", sound


@pytest.fixture
def demo() -> gr.Blocks:
    """One page of everything."""
    with gr.Blocks() as demo:
        sound = gr.Textbox()
        at = page("work", "Work", {})
        message, zoom = gr.Markdown(), gr.Slider()
        result, original, picture = result_file("Result", PLACES, PLACES[0]), gr.State(), gr.Image()
        wire(
            at,
            work,
            [sound],
            [result.file, original],
            View(lambda file, sound: (f"{file} of {sound}", 0.5), [result.file, original], [message, zoom]),
            result=result,
            more=View(lambda sound: f"{sound}.png", [original], [picture]),
        )
    assert set(result.send_to.buttons) == {"there", "elsewhere"}
    return demo


def kinds(components: Any) -> list[str]:
    return [type(one).__name__ for one in components]


def test_the_endpoint_is_named_after_the_page_and_the_rest_is_private(demo: gr.Blocks) -> None:
    public = {one.api_name for one in demo.fns.values() if one.api_visibility != "private"}
    assert public == {"work"}


def test_a_run_starts_on_an_empty_page_but_for_its_sliders(demo: gr.Blocks) -> None:
    clear, run, *_ = demo.fns.values()
    assert run.api_name == "work" and run.targets == clear.targets
    shown = ["Markdown", "File", "State", *["DownloadButton"] * 3, *["Button"] * 2]
    assert not clear.queue and kinds(clear.outputs) == shown
    message, result, original, *buttons = clear.fn()
    assert message is result is original is None and not any(button.interactive for button in buttons)


def test_what_came_of_it_is_shown_and_can_be_sent_on(demo: gr.Blocks) -> None:
    (show,) = [one for one in demo.fns.values() if kinds(one.outputs)[:2] == ["Markdown", "Slider"]]
    message, zoom, *buttons = show.fn("memo.wav", "memo")
    assert (message, zoom) == ("memo.wav of memo", 0.5)
    assert len(buttons) == 2 and all(button.interactive for button in buttons)


def test_a_cancelled_run_which_gradio_takes_for_a_success_shows_nothing(demo: gr.Blocks) -> None:
    *_, cancel = demo.fns.values()
    encode, more, show, _ = (demo.fns[number].fn for number in cancel.cancels)
    assert show(None, None) == more(None) == gr.skip()
    assert list(encode(None)) == [[gr.skip()] * 3]


def test_cancel_ends_all_that_follows_a_run_and_then_the_run(demo: gr.Blocks) -> None:
    """In this order: a run that is cancelled first submits what follows, which then has no number yet."""
    (cancel,) = [one for one in demo.fns.values() if one.cancels]
    cancelled = [demo.fns[number] for number in cancel.cancels]
    assert cancelled[-1].api_name == "work"
    assert [kinds(one.outputs)[0] for one in cancelled] == ["DownloadButton", "Image", "Markdown", "File"]
    assert len(cancelled[0].outputs) == len(FORMATS)


def test_one_output_alone_needs_no_list() -> None:
    with gr.Blocks() as demo:
        at = page("work", "Work", {})
        result, message = gr.File(), gr.Markdown()
        wire(at, work, [gr.Textbox()], [result], View(lambda file: f"It is {file}.", [result], [message]))
    clear, _, show, *_ = demo.fns.values()
    assert (clear.fn(), show.fn("memo.wav")) == ([None, None], "It is memo.wav.")
