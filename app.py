"""AURAL: builds the Blocks from the tabs and launches them; nothing else."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

# Before Gradio is imported: a visitor's audio is nobody else's business.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from aural.audio import LIMITS
from aural.enhancement import tab as enhancement
from aural.generation import tab as generation
from aural.loudness import tab as loudness
from aural.superres import tab as superres
from aural.ui.storage import KEPT_SECONDS
from aural.ui.theme import CSS, HEADER, Studio

QUEUE_LENGTH = 24  # calls that may wait; one more is told that the queue is full
CALLS_AT_ONCE = 2
CLEAN_EVERY_SECONDS = 3600


def build() -> gr.Blocks:
    """The app with all its tabs, not yet launched."""
    demo: gr.Blocks
    with gr.Blocks(title="AURAL", delete_cache=(CLEAN_EVERY_SECONDS, KEPT_SECONDS)) as demo:
        gr.HTML(HEADER)
        with gr.Tabs() as tabs:
            mastering_input = loudness.build()
            enhanced = enhancement.build()
            resolving_input, resolved = superres.build()
            generated = generation.build()
        inputs = {"loudness": mastering_input, "super_resolve": resolving_input}
        for handover in (enhanced, resolved, *generated):
            for tab, button in handover.buttons.items():
                button.click(
                    partial(_open, tab),
                    handover.file,
                    [inputs[tab], tabs],
                    api_visibility="private",
                    queue=False,
                )
    demo.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=CALLS_AT_ONCE)
    return demo


def _open(tab: str, file: str) -> tuple[str, gr.Tabs]:
    """Hand a file to a tab and show it."""
    return file, gr.Tabs(selected=tab)


def launch(demo: gr.Blocks, **settings: Any) -> None:
    """Serve the app with its look and limits; settings are those of `gr.Blocks.launch`."""
    demo.launch(
        theme=Studio(),
        css=CSS + generation.CSS,
        max_file_size=LIMITS.file_bytes,
        show_error=True,  # what Gradio itself refuses (a text for a number) is told in its own words
        ssr_mode=False,
        run_history=False,  # it would list results whose files are deleted after a few hours
        **settings,
    )


demo = build()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve AURAL in the browser.")
    parser.add_argument("--host", default=None, help="address to listen on (127.0.0.1; 0.0.0.0 on a Space)")
    parser.add_argument("--port", type=int, default=None, help="port to listen on (7860)")
    parser.add_argument("--share", action="store_true", help="make a public link that lasts a week at most")
    arguments = parser.parse_args()
    launch(demo, server_name=arguments.host, server_port=arguments.port, share=arguments.share)
