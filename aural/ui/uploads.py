"""Upload fields that take audio and video by type and ending; `uploads.js` does so for the browser."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from aural.files import SUFFIXES
from aural.ui.fields import NoStubFile

_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
HEAD = (
    f"<script>{_SCRIPT.replace('SUFFIXES', json.dumps(sorted(SUFFIXES)))}</script>"  # for `launch(head=...)`
)


def media_files(label: str) -> gr.File:
    """A field for several audio or video files.

    The browser checks type and ending. A program's files are taken by their content, whatever their names.
    """
    field = gr.File(label=label, file_count="multiple", file_types=["audio", "video", *sorted(SUFFIXES)])
    field.__class__ = _class_for_any_name()
    return field


@cache
def _class_for_any_name() -> type[gr.File]:
    def process(self: gr.File, file: Any) -> Any:
        plain = gr.File.__new__(gr.File)
        plain.__dict__.update({**self.__dict__, "file_types": None})
        return gr.File._process_single_file(plain, file)

    return NoStubFile("File", (gr.File,), {"_process_single_file": process})
