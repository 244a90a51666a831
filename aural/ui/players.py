"""Listening: an A/B player at matched loudness, and an upload field that does not change the file.

Python measures the files and draws their outlines; `player/*.js` plays them, `players.css` styles the player.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeGuard

import gradio as gr
import numpy as np
import soundfile
from gradio.data_classes import FileData, GradioModel, GradioRootModel
from numpy.typing import NDArray

from aural.audio import read, write
from aural.audio.decode import is_wrapped
from aural.ui.fields import NoStubFile
from aural.ui.memory import decoding
from aural.ui.storage import result_path
from aural.ui.theme import ACCENT_ON_DARK

WAVEFORM_COLUMNS = 800
WAVEFORM_STEPS = 200  # of a waveform's height per full scale; a screen shows no finer steps

MONO_ON_TWO_DB = 10 * math.log10(2)

# Up to this size a browser decodes all versions into memory and switches to the sample; beyond, it streams.
DECODED_LIMIT_BYTES = 512 * 2**20

# Joined into one function. The player comes last, because it starts at once and needs the others.
_SCRIPT = "\n".join(
    Path(__file__).with_name("player").joinpath(f"{name}.js").read_text(encoding="utf-8")
    for name in ("engines", "abx", "player")
)
_STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
# Belongs into the page's head, once for all its players: as a component's property the script would be sent
# with each of them, and copied in the browser whenever one changes.
HEAD = f"""
<style>{_STYLE}</style>
<script>
function startABPlayer(element, props, watch) {{
{_SCRIPT}
}}
</script>
"""


@dataclass(frozen=True)
class Version:
    """One of the files to compare.

    WAV and FLAC keep versions aligned to the sample. Lossy files may start a few milliseconds late, and no
    browser decodes all formats.
    """

    label: str  # of the button
    path: str | Path
    loudness_lufs: float | None = None  # integrated; None or not finite: unknown, played unchanged


class PlayerVersion(GradioModel):
    """One `Version` as sent to the browser."""

    label: str
    file: FileData
    loudness_lufs: float | None
    matched_gain_db: float
    rate: int
    channels: int
    seconds: float
    peaks: list[int]  # highest absolute sample in each column, in 1 / WAVEFORM_STEPS
    levels: list[int]  # root mean square in each column, in the same unit


class PlayerVersions(GradioRootModel):
    """The versions as sent to the browser. Gradio copies their files to its cache and fills in the URLs."""

    root: list[PlayerVersion]


class ABPlayer(gr.HTML, metaclass=NoStubFile):
    """Plays two to four versions of a sound; switching between them is gapless and keeps the position.

    "Matched loudness", on by default, turns the louder versions down to the integrated loudness of the
    quietest, because listeners prefer the louder of two otherwise equal sounds. A region can be looped. A
    blind test (ABX) gives a p-value for the difference between two versions. The page needs `HEAD`:
    `launch(head=HEAD)`.

    Value: list of `Version`, or None for an empty player. It is not part of the API.
    """

    data_model = PlayerVersions

    def __init__(
        self,
        value: Sequence[Version] | None = None,
        *,
        label: str = "Compare",
        visible: bool | Literal["hidden"] = True,
        elem_id: str | None = None,
        render: bool = True,
    ) -> None:
        super().__init__(
            value,
            label=label,
            html_template='<div class="ab-player"></div>',
            js_on_load="startABPlayer(element, props, watch);",
            apply_default_css=False,
            visible=visible,
            elem_id=elem_id,
            render=render,
            decoded_limit_bytes=DECODED_LIMIT_BYTES,
            waveform_steps=WAVEFORM_STEPS,
        )

    @property
    def skip_api(self) -> bool:
        """Programs get the files from the endpoint instead."""
        return True

    def preprocess(self, payload: PlayerVersions | None) -> None:  # type: ignore[override]
        """Nothing: the player is only an output."""

    def postprocess(self, value: Sequence[Version] | None) -> PlayerVersions | None:  # type: ignore[override]
        """Compute each version's outline and pass its file to Gradio.

        Raises `InputError` if a file cannot be read.
        """
        if not value:
            return None
        versions = [_player_version(version) for version in value]
        gains_db = matched_gains_db([_playback_lufs(version) for version in versions])
        for version, gain_db in zip(versions, gains_db, strict=True):
            version.matched_gain_db = gain_db
        return PlayerVersions(root=versions)


def matched_gains_db(loudness_lufs: Sequence[float | None]) -> list[float]:
    """Gain in dB, never above 0, that brings each version to the quietest one's loudness.

    A silent version, or one of unknown loudness, is not changed and does not count.

    >>> matched_gains_db([-9.0, -14.0, None, -math.inf])
    [-5.0, 0.0, 0.0, 0.0]
    """
    known = [loudness for loudness in loudness_lufs if _is_known(loudness)]
    return [min(known) - loudness if _is_known(loudness) else 0.0 for loudness in loudness_lufs]


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


def _is_known(loudness_lufs: float | None) -> TypeGuard[float]:
    return loudness_lufs is not None and math.isfinite(loudness_lufs)


def _playback_lufs(version: PlayerVersion) -> float | None:
    """Loudness as played: mono is measured on one loudspeaker, but a browser plays it on two."""
    if version.loudness_lufs is None or version.channels > 1:
        return version.loudness_lufs
    return version.loudness_lufs + MONO_ON_TWO_DB


def _player_version(version: Version) -> PlayerVersion:
    try:
        with soundfile.SoundFile(version.path) as sound:
            rate, channels, frames = sound.samplerate, sound.channels, sound.frames
            width = _frames_per_column(frames)
            blocks = sound.blocks(width * max(1, 2**18 // width), dtype="float32", always_2d=True)
            peaks, levels = _outline(blocks, width)
    except soundfile.LibsndfileError:  # what only FFmpeg reads, such as M4A
        with decoding(str(version.path)):
            clip = read(version.path)
            rate, channels, frames = clip.rate, clip.channels, clip.frames
            peaks, levels = _outline([clip.samples.T], _frames_per_column(frames))
            del clip
    return PlayerVersion(
        label=version.label,
        file=FileData(path=str(version.path)),
        loudness_lufs=version.loudness_lufs if _is_known(version.loudness_lufs) else None,
        matched_gain_db=0.0,
        rate=rate,
        channels=channels,
        seconds=frames / rate,
        peaks=peaks,
        levels=levels,
    )


def _frames_per_column(frames: int) -> int:
    return max(1, math.ceil(frames / WAVEFORM_COLUMNS))


def _outline(blocks: Iterable[NDArray[np.float32]], width: int) -> tuple[list[int], list[int]]:
    """Peak and root mean square of every `width` frames; blocks: (time, channels), cut at multiples of it."""
    peaks: list[int] = []
    levels: list[int] = []
    for block in blocks:
        columns = np.pad(block, ((0, -len(block) % width), (0, 0))).reshape(-1, width * block.shape[1])
        for values, found in ((peaks, np.abs(columns).max(1)), (levels, np.sqrt(np.mean(columns**2, 1)))):
            values.extend(np.rint(found * WAVEFORM_STEPS).astype(int).tolist())
    return peaks, levels
