"""A result that goes on to another tab: the buttons beside it, which `app.py` wires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from aural.options import Place


@dataclass(frozen=True)
class SendTo:
    """What `app.py` sends on to other tabs."""

    file: gr.File | gr.Audio  # the result
    buttons: Mapping[str, gr.Button]  # by the id of the tab that each leads to


def send_buttons(places: Sequence[Place], own: Place, interactive: bool = False) -> dict[str, gr.Button]:
    """A button for each tab but one's own, which the tab at hand switches on once there is a result."""
    with gr.Row(elem_classes="aural-sending"):
        return {
            place.id: gr.Button(f"Send to {place.name}", size="sm", min_width=0, interactive=interactive)
            for place in places
            if place != own
        }


def switch_on(buttons: Mapping[str, gr.Button]) -> list[gr.Button]:
    """The buttons' update once there is a result."""
    return [gr.Button(interactive=True) for _ in buttons]
