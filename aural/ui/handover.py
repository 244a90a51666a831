"""A result that goes on to another tab: the buttons beside it, which `app.py` wires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import gradio as gr

TabId = Literal["loudness", "enhance", "super_resolve", "generate", "release"]

TAB_NAMES: dict[TabId, str] = {
    "loudness": "Loudness",
    "enhance": "Enhance",
    "super_resolve": "Super-resolution",
    "generate": "Generate",
    "release": "Release",
}


@dataclass(frozen=True)
class Handover:
    """What `app.py` sends on to other tabs."""

    file: gr.File | gr.Audio  # the result
    buttons: Mapping[TabId, gr.Button]  # by the tab that each leads to


def send_buttons(*own: TabId, interactive: bool = False) -> dict[TabId, gr.Button]:
    """A button for each tab but one's own, which the tab at hand switches on once there is a result."""
    with gr.Row(elem_classes="aural-sending"):
        return {
            tab: gr.Button(f"Send to {name}", size="sm", min_width=0, interactive=interactive)
            for tab, name in TAB_NAMES.items()
            if tab not in own
        }


def switched(buttons: Mapping[TabId, gr.Button], on: bool) -> list[gr.Button]:
    """The buttons' update: on once there is a result, off while there is none."""
    return [gr.Button(interactive=on) for _ in buttons]
