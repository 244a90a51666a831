"""Buttons that send a result to another tab; `app.py` connects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from aural.options import Place


@dataclass(frozen=True)
class SendTo:
    """A result and the buttons that send it to other tabs."""

    file: gr.File | gr.Audio  # the result
    buttons: Mapping[str, gr.Button]  # by the id of the target tab


def send_buttons(places: Sequence[Place], own: Place, interactive: bool = False) -> dict[str, gr.Button]:
    """A button for every tab except `own`; they work once there is a result."""
    with gr.Row(elem_classes="aural-sending"):
        return {
            place.id: gr.Button(f"Send to {place.name}", size="sm", min_width=0, interactive=interactive)
            for place in places
            if place != own
        }


def switch_on(buttons: Mapping[str, gr.Button]) -> list[gr.Button]:
    """The update that enables the buttons."""
    return [gr.Button(interactive=True) for _ in buttons]
