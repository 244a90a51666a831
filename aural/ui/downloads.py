"""Download buttons for a result, one for each format; each works once its file is written.

The result of a video file can be downloaded as one too: with the picture of the upload and the new sound.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from aural.audio import Clip, read, read_tags, write
from aural.audio.video import check_video, is_video, replace_sound
from aural.errors import InputError, OptionError
from aural.ui.endpoints import report_errors
from aural.ui.memory import decoding
from aural.ui.storage import sibling_path

FORMATS = {".wav": "24-bit WAV", ".flac": "FLAC", ".mp3": "MP3"}
OTHER_VIDEO = ".mkv"  # of a container that can be read only
MIN_WIDTH = 100  # pixels

Updates = list[gr.DownloadButton | dict[str, Any]]


def download_buttons() -> list[gr.DownloadButton]:
    """One button for each of `FORMATS`, and a hidden one for a video."""
    named = [gr.DownloadButton(text, interactive=False, min_width=MIN_WIDTH) for text in FORMATS.values()]
    return [*named, gr.DownloadButton("Video", interactive=False, min_width=MIN_WIDTH, visible=False)]


@report_errors
def encode(path: str, source: str | None = None) -> Generator[Updates, None, None]:
    """Write the result in every format, one after the other; the WAV already exists.

    Args:
        source: the upload; if it is a video file, the result becomes one too.
    """
    with decoding(path):
        clip = read(path)
        ready: Updates = []
        for suffix in FORMATS:
            encoded = path if Path(path).suffix == suffix else sibling_path(path, suffix)
            try:
                if encoded != path:
                    write(clip, encoded, tags=read_tags(path))
                ready.append(gr.DownloadButton(value=encoded, interactive=True))
            except OptionError:  # MP3 holds at most two channels
                ready.append(gr.DownloadButton(interactive=False))
            left = len(FORMATS) - len(ready)
            yield [*ready, *(gr.skip() for _ in range(left)), gr.DownloadButton(visible=False)]
        if source is not None and (video := _as_video(clip, path, Path(source))) is not None:
            yield [*(gr.skip() for _ in FORMATS), video]


def _as_video(clip: Clip, path: str, source: Path) -> gr.DownloadButton | None:
    """The button with the upload's picture and the new sound; None if the upload has no picture to copy."""
    suffix = source.suffix.lower() if is_video(source) else OTHER_VIDEO
    made = Path(sibling_path(path, suffix))
    try:
        check_video(source, made)
        replace_sound(source, clip, made)
    except (InputError, OptionError):
        return None
    return gr.DownloadButton(f"Video, {suffix[1:].upper()}", value=str(made), interactive=True, visible=True)
