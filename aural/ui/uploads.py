"""Upload fields that take audio and video by type and ending; `uploads.js` does so for the browser."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData
from gradio.utils import NamedString

from aural.files import SUFFIXES
from aural.ui.abplayer import NoStubFile

_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
HEAD = (
    f"<script>{_SCRIPT.replace('SUFFIXES', json.dumps(sorted(SUFFIXES)))}</script>"  # for `launch(head=...)`
)


class File(gr.File, metaclass=NoStubFile):
    """A field for files whose content counts, whatever a program calls them.

    Gradio's own refuses endings that it does not know, and makes an empty file for each that it takes.
    """

    def _process_single_file(self, f: FileData) -> NamedString:
        return NamedString(f.path)  # type: ignore[no-untyped-call]


def media_files(label: str) -> File:
    """A field for several audio or video files; the browser checks type and ending."""
    return File(label=label, file_count="multiple", file_types=["audio", "video", *sorted(SUFFIXES)])
