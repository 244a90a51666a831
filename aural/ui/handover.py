"""A result that goes on to another tab: the buttons beside it, which `app.py` wires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import gradio as gr

TabId = Literal["loudness", "super_resolve"]

TAB_NAMES: dict[TabId, str] = {"loudness": "Down-mix & Loudness", "super_resolve": "Super-resolution"}


@dataclass(frozen=True)
class Handover:
    """What `app.py` sends on to other tabs."""

    file: gr.File | gr.Audio  # the result
    buttons: Mapping[TabId, gr.Button]  # by the tab that each leads to


def send_buttons(*tabs: TabId) -> dict[TabId, gr.Button]:
    """A button for each of these tabs, which the tab at hand switches on once there is a result."""
    return {tab: gr.Button(f"Send to {TAB_NAMES[tab]}", interactive=False) for tab in tabs}
