"""A page's buttons run the verb, show what came of it, encode the downloads; and cancel it all."""

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
            source=original,
            more=View(lambda sound: f"{sound}.png", [original], [picture]),
        )
    assert set(result.send_to.buttons) == {"there", "elsewhere"}
    return demo


def kinds(components: Any) -> list[str]:
    return [type(one).__name__ for one in components]


def test_the_endpoint_is_named_after_the_page_and_the_rest_is_private(demo: gr.Blocks) -> None:
    public = {one.api_name for one in demo.fns.values() if one.api_visibility != "private"}
    assert public == {"work"}


def test_a_page_that_shows_its_result_while_it_is_made_starts_empty_and_others_keep_the_earlier_one() -> None:
    def cleared(clear: Any) -> list[list[Any]]:
        with gr.Blocks() as demo:
            at = page("work", "Work", {})
            message, result, original = gr.Markdown(), gr.File(), gr.State()
            view = View(lambda file: f"It is {file}.", [result], [message], clear)
            wire(at, work, [gr.Textbox()], [result, original], view)
        before_run = []
        for one in demo.fns.values():
            if one.api_name == "work":
                return before_run
            if one.fn and one.targets == [(at.run._id, "click")]:
                assert kinds(one.outputs) == ["Markdown", "File", "State"] and not one.queue
                before_run.append(one.fn())
        raise AssertionError("no run")

    assert cleared(None) == []
    assert cleared(lambda: ["Working"]) == [["Working", None, None]]


def test_what_came_of_it_is_shown_and_can_be_sent_on(demo: gr.Blocks) -> None:
    """The downloads are those of the new result, once they are encoded: until then there are none."""
    (show,) = [one for one in demo.fns.values() if kinds(one.outputs)[:2] == ["Markdown", "Slider"]]
    message, zoom, *buttons = show.fn(True, "memo.wav", "memo")
    assert (message, zoom) == ("memo.wav of memo", 0.5)
    downloads, sending = buttons[: len(FORMATS) + 1], buttons[len(FORMATS) + 1 :]
    assert not any(button.interactive or button.value for button in downloads)
    assert len(sending) == 2 and all(button.interactive for button in sending)


def test_a_cancelled_run_which_gradio_takes_for_a_success_shows_nothing(demo: gr.Blocks) -> None:
    (cancel,) = [one for one in demo.fns.values() if one.cancels]
    encode, more, show, _ = (demo.fns[number].fn for number in cancel.cancels)
    assert show(False, "memo.wav", "memo") == more(False, "memo") == gr.skip()
    assert list(encode(False, "memo.wav", "memo")) == [gr.skip()]


def test_cancel_ends_all_that_follows_a_run_and_then_the_run(demo: gr.Blocks) -> None:
    """In this order: a run that is cancelled first submits what follows, which then has no number yet."""
    (cancel,) = [one for one in demo.fns.values() if one.cancels]
    cancelled = [demo.fns[number] for number in cancel.cancels]
    assert cancelled[-1].api_name == "work"
    assert [kinds(one.outputs)[0] for one in cancelled] == ["DownloadButton", "Image", "Markdown", "File"]
    assert len(cancelled[0].outputs) == len(FORMATS) + 1  # a video
    assert kinds(cancelled[0].inputs)[-2:] == ["File", "State"]


def test_one_output_alone_needs_no_list() -> None:
    with gr.Blocks() as demo:
        at = page("work", "Work", {})
        result, message = gr.File(), gr.Markdown()
        wire(at, work, [gr.Textbox()], [result], View(lambda file: f"It is {file}.", [result], [message]))
    (show,) = [one for one in demo.fns.values() if one.fn and kinds(one.outputs) == ["Markdown"]]
    assert show.fn(True, "memo.wav") == "It is memo.wav."
