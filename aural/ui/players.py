"""Listening: the A/B player at matched loudness, and an upload field that does not change the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile
from gradio.data_classes import FileData

from aural.audio import read, write
from aural.audio.decode import is_wrapped
from aural.ui import abplayer
from aural.ui.abplayer import (
    DECODED_LIMIT_BYTES,
    HEAD,
    WAVEFORM_COLUMNS,
    WAVEFORM_STEPS,
    NoStubFile,
    Outline,
    Version,
    matched_gains_db,
)
from aural.ui.memory import decoding
from aural.ui.storage import result_path
from aural.ui.theme import ACCENT_ON_DARK

__all__ = [
    "DECODED_LIMIT_BYTES",
    "HEAD",
    "WAVEFORM_COLUMNS",
    "WAVEFORM_STEPS",
    "ABPlayer",
    "Audio",
    "Version",
    "audio_input",
    "matched_gains_db",
    "playable",
]


class ABPlayer(abplayer.ABPlayer):
    """The A/B player, which also takes the formats that only FFmpeg reads, within the memory that is left.

    Its settings are those of `aural.ui.abplayer.ABPlayer`.
    """

    def __init__(self, value: Sequence[Version] | None = None, **settings: Any) -> None:
        super().__init__(value, decoded_limit_bytes=DECODED_LIMIT_BYTES, **settings)

    def outline(self, path: str | Path) -> Outline:
        """The outline of a version's file. Raises `InputError` if it cannot be read."""
        try:
            return super().outline(path)
        except soundfile.LibsndfileError:  # what only FFmpeg reads, such as M4A
            with decoding(str(path)):
                clip = read(path)
                drawn = abplayer.outline(clip.samples.T, clip.rate)
                del clip
            return drawn


class Audio(gr.Audio, metaclass=NoStubFile):
    """An audio field that passes paths on and looks at no file.

    Gradio's own one hands a visitor's file to ffmpeg, if that is installed, and so follows the references in
    a playlist to files of the server.
    """

    def preprocess(self, payload: FileData | None) -> str | None:
        """The path of the file as it was sent."""
        return payload.path if payload is not None and payload.path else None

    def postprocess(self, value: str | Path | None) -> FileData | None:  # type: ignore[override]
        """The file as it lies there."""
        return FileData(path=str(value), orig_name=Path(value).name) if value else None


def audio_input(label: str, *, elem_id: str | None = None) -> Audio:
    """An upload or microphone field whose event gets the path of the original file.

    As a NumPy array Gradio would pass 16 bits, and its trimming tool would write 44.1 kHz.
    """
    return Audio(
        label=label,
        sources=["upload", "microphone"],
        type="filepath",
        format=None,
        editable=False,
        buttons=["download"],
        waveform_options=gr.WaveformOptions(waveform_color="#8b8b94", waveform_progress_color=ACCENT_ON_DARK),
        elem_id=elem_id,
    )


def playable(path: str) -> str:
    """The file, or a WAV copy if not every browser decodes it from its first sample."""
    if Path(path).suffix.lower() in (".wav", ".flac") and _is_playable(path):
        return path
    decoded = result_path(path, "decoded.wav")
    with decoding(path):
        write(read(path), decoded)
    return decoded


def _is_playable(path: str) -> bool:
    """Whether every browser decodes this WAV or FLAC: an M4A may have such a name, or a WAV hold AC-3."""
    try:
        info = soundfile.info(path)
        is_plain = info.subtype.startswith("PCM_") or info.subtype in ("FLOAT", "DOUBLE")  # ADPCM is not
        return is_plain and info.format in ("WAV", "WAVEX", "RF64", "FLAC") and not is_wrapped(path)
    except soundfile.LibsndfileError:
        return False
