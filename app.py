"""AURAL: builds the Blocks from the tabs, loads the models on ZeroGPU, and launches the app."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aural.files import own_folder

# Before Gradio is imported: nothing about visitors is sent elsewhere, and files lie in a folder of our own.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_TEMP_DIR", own_folder("aural"))

import gradio as gr
from gradio.blocks import Block
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import Route

from aural import hub
from aural.audio import LIMITS
from aural.batch import tab as batch
from aural.batch.verbs import VERBS
from aural.enhancement import tab as enhancement
from aural.errors import AuralError, CheckpointError
from aural.generation import tab as generation
from aural.hub.device import check_setting, on_zero_gpu
from aural.loudness import tab as loudness
from aural.resynthesis import tab as resynthesis
from aural.studio import tab as studio
from aural.superres import tab as superres
from aural.ui import (
    api_page,
    card,
    fetch,
    first_visit,
    keyboard,
    links,
    mcp,
    memory,
    players,
    run_state,
    server,
    status,
    storage,
    uploads,
    verdicts,
)
from aural.ui.card import LinkCard
from aural.ui.compression import PageCompression
from aural.ui.endpoints import CALL_SECONDS, CALLS_AT_ONCE
from aural.ui.examples import FOLDER
from aural.ui.gate import Gate
from aural.ui.page import reveal
from aural.ui.theme import CSS, HEAD, HEADER, Studio

QUEUE_LENGTH = 24  # calls that may wait; further ones are refused
SESSIONS = 300  # kept at a time; each page, and each call without one, adds one of 0.8 MB

_log = logging.getLogger(__name__)


def build() -> gr.Blocks:
    """The app with all its tabs, not yet launched.

    Raises:
        AuralError: its files cannot be stored, or the device is missing; the sentence is for the operator.
    """
    check_setting()
    storage.open_folder()
    gr.set_static_paths([FOLDER, card.FOLDER])  # copies would be swept with the uploads
    places = tuple(dict.fromkeys(verb.place for verb in VERBS.values()))
    demo: gr.Blocks
    with gr.Blocks(title="AURAL") as demo:
        gr.HTML(HEADER)
        notice = gr.HTML(visible=False, elem_classes="aural-notice")
        with gr.Tabs():
            tabs = [
                studio.build(places, batch.section),
                loudness.build(places, resynthesis.section),
                enhancement.build(places),
                superres.build(places),
                generation.build(places),
            ]
        with gr.Accordion("System info", open=False) as about:
            state = gr.HTML(container=False)
        gr.on(
            [demo.load, about.expand],
            lambda: status.system_info(QUEUE_LENGTH, CALLS_AT_ONCE, CALL_SECONDS),
            None,
            state,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        links.connect(demo, tabs, notice)
        for send_to in (send_to for tab in tabs for send_to in tab.sends):
            for target in tabs:
                if target.id in send_to.buttons:
                    _connect_send_button(send_to.buttons[target.id], send_to.file, target.audio)
        pages = {page.name: page for tab in tabs for page in tab.pages}
        for button in (tab.album for tab in tabs if tab.album is not None):
            _connect_send_button(button, pages["batch"].inputs[0], pages["master_album"].inputs[0])
        api_page.describe(demo)
    # Closed to direct calls, which would skip the queue.
    demo.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=CALLS_AT_ONCE, api_open=False)
    return demo


def _connect_send_button(button: gr.Button, file: Block, field: Block) -> None:
    """Let a button send the file, or files, to another tab's field and open that tab."""
    way = reveal(field)
    button.click(
        lambda path: [path, *(gr.update(**change) for _, change in way)],
        file,
        [field, *(component for component, _ in way)],
        api_visibility="private",
        queue=False,
    )


def preload() -> None:
    """On ZeroGPU load the models of all verbs onto the GPU: calls run in forks. Elsewhere do nothing.

    Elsewhere models are loaded on demand. A model that is not available is logged, and reported to whoever
    needs it.
    """
    if not on_zero_gpu():
        return
    for name in hub.BUILDERS.keys() - hub.JUDGES:
        try:
            hub.load(name, device="cuda")
        except CheckpointError as error:
            _log.warning("%s", error)


def launch(demo: gr.Blocks, **settings: Any) -> None:
    """Serve the app with its theme and limits, behind its gate; settings are those of `gr.Blocks.launch`.

    Raises:
        AuralError: it cannot start; the sentence is for the operator.
    """
    serves_tools = mcp.install()
    api_page.install()
    fetch.install()
    server.install(demo)
    storage.start(demo)
    memory.start()
    _require_port(settings.get("server_name"), settings.get("server_port"))
    demo.launch(
        theme=Studio(),
        css=CSS + status.CSS + verdicts.CSS + generation.CSS + studio.CSS,
        i18n=gr.I18n(en={"common.complete": "Done."}),  # read out; Gradio has no words for it
        head=HEAD + keyboard.HEAD + players.HEAD + uploads.HEAD + run_state.HEAD + studio.HEAD,
        favicon_path=str(card.ICON),
        max_file_size=LIMITS.file_bytes,
        show_error=True,  # for what Gradio itself refuses, such as a text for a number
        ssr_mode=False,
        _frontend=False,  # no check that gives the page three seconds; another request has reached the server
        run_history=False,  # would list results whose files are deleted after a few hours
        enable_monitoring=False,
        mcp_server=serves_tools,
        state_session_capacity=SESSIONS,
        app_kwargs={
            "middleware": [Middleware(Gate, demo=demo), Middleware(PageCompression), Middleware(LinkCard)],
            "lifespan": storage.lifespan,
            "routes": [
                Route("/llms.txt", lambda _: FileResponse(api_page.ABOUT)),
                *first_visit.install(),
            ],
        },
        **settings,
    )


def _require_port(host: str | None, port: int | None) -> None:
    """Raise `AuralError` if a port that was asked for is taken; Gradio looks for a free one by itself."""
    if port is None:
        return
    host = (host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1").strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if sys.platform != "win32":  # there it would share a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = (
                "is taken" if getattr(error, "errno", 0) == errno.EADDRINUSE else f"can't be used ({error})"
            )
            raise AuralError(f"Port {port} of {host} {reason}. Choose another by --port.") from None


@contextmanager
def _ends_in_a_sentence() -> Iterator[None]:
    """As a program, tell the operator in one sentence why the app cannot start."""
    try:
        yield
    except AuralError as error:
        if __name__ != "__main__":
            raise
        sys.exit(f"AURAL can't start. {error}")


hub.prefetch()
preload()
with _ends_in_a_sentence():
    demo = build()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve AURAL in the browser.")
    parser.add_argument("--host", default=None, help="address to listen on (127.0.0.1; 0.0.0.0 on a Space)")
    parser.add_argument("--port", type=int, default=None, help="port to listen on (7860)")
    parser.add_argument("--share", action="store_true", help="make a public link that lasts a week at most")
    arguments = parser.parse_args()
    with _ends_in_a_sentence():
        launch(demo, server_name=arguments.host, server_port=arguments.port, share=arguments.share)
