"""Download buttons for a result, one for each format; each works once its file is written."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from aural.audio import read, read_tags, write
from aural.errors import OptionError
from aural.ui.endpoints import report_errors
from aural.ui.memory import decoding
from aural.ui.storage import sibling_path

FORMATS = {".wav": "24-bit WAV", ".flac": "FLAC", ".mp3": "MP3"}


def download_buttons() -> list[gr.DownloadButton]:
    """One button for each of `FORMATS`."""
    return [gr.DownloadButton(text, interactive=False, min_width=100) for text in FORMATS.values()]


@report_errors
def encode(path: str) -> Generator[list[gr.DownloadButton | dict[str, Any]], None, None]:
    """Write the result in every format, one after the other; the WAV already exists."""
    with decoding(path):
        yield from _encode(path)


def _encode(path: str) -> Generator[list[gr.DownloadButton | dict[str, Any]], None, None]:
    clip = read(path)
    ready: list[gr.DownloadButton] = []
    for suffix in FORMATS:
        encoded = path if Path(path).suffix == suffix else sibling_path(path, suffix)
        try:
            if encoded != path:
                write(clip, encoded, tags=read_tags(path))
            ready.append(gr.DownloadButton(value=encoded, interactive=True))
        except OptionError:  # MP3 holds at most two channels
            ready.append(gr.DownloadButton(interactive=False))
        yield [*ready, *(gr.skip() for _ in range(len(FORMATS) - len(ready)))]
