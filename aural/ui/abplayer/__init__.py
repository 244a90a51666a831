"""An A/B player for Gradio: switches between versions of a sound at matched loudness; with a blind ABX test.

Python measures the files and draws their outlines; the scripts play them, `player.css` styles the player.

This folder is the package `gradio-abplayer` too (`packages/abplayer`), so nothing in it imports AURAL.
"""

from __future__ import annotations

import math
from abc import ABCMeta
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import gradio as gr
import numpy as np
import soundfile
from gradio.component_meta import ComponentMeta, updateable
from gradio.data_classes import FileData, GradioModel, GradioRootModel
from numpy.typing import NDArray

__all__ = ["HEAD", "ABPlayer", "Outline", "Version", "matched_gains_db", "outline", "read_outline"]

MAX_VERSIONS = 4  # A to D

WAVEFORM_COLUMNS = 800
WAVEFORM_STEPS = 200  # of a waveform's height per full scale; a screen shows no finer steps

MONO_ON_TWO_DB = 10 * math.log10(2)

# Up to this size a browser decodes all versions into memory and switches to the sample; beyond, it streams.
DECODED_LIMIT_BYTES = 512 * 2**20

_FOLDER = Path(__file__).parent
# Joined into one function. The player comes last, because it starts at once and needs the others.
_SCRIPT = "\n".join(
    _FOLDER.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in ("engines", "abx", "player")
)
_STYLE = _FOLDER.joinpath("player.css").read_text(encoding="utf-8")
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
_START = """
if (window.startABPlayer) startABPlayer(element, props, watch);
else element.textContent = "The A/B player's script is missing: add its HEAD to launch(head=...).";
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


@dataclass(frozen=True)
class Outline:
    """What the player draws of a file: its waveform, in columns of equal duration."""

    rate: int  # in Hz
    channels: int
    seconds: float
    peaks: list[int]  # highest absolute sample in each column, in 1 / WAVEFORM_STEPS
    levels: list[int]  # root mean square in each column, in the same unit


class PlayerVersion(GradioModel):
    """One `Version` as sent to the browser, with the fields of its `Outline`."""

    label: str
    file: FileData
    loudness_lufs: float | None
    matched_gain_db: float
    rate: int
    channels: int
    seconds: float
    # The columns, with spaces between them: Gradio's page copies each value of a list on its own, several
    # times a second while a run tells its progress.
    peaks: str
    levels: str


class PlayerVersions(GradioRootModel):
    """The versions as sent to the browser. Gradio copies their files to its cache and fills in the URLs."""

    root: list[PlayerVersion]


class NoStubFile(ComponentMeta):
    """Gradio's metaclass, except that it does not write a .pyi file next to the module at every import."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        if "__init__" in namespace:
            namespace["__init__"] = updateable(namespace["__init__"])  # type: ignore[no-untyped-call]
        return ABCMeta.__new__(mcs, name, bases, namespace)


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
        decoded_limit_bytes: int = DECODED_LIMIT_BYTES,
        autoplay: bool = False,
        loop: bool = False,
    ) -> None:
        """All but the last three arguments are those of every Gradio component.

        Args:
            value: the versions.
            label: title of the player.
            visible: whether the player is shown.
            elem_id: id of the player's element, for CSS.
            render: whether the player is added to the page here.
            decoded_limit_bytes: up to this size a browser decodes all versions into memory, as float32, and
                switches to the sample; beyond, it streams them, and there is no blind test.
            autoplay: whether new versions play as soon as they are loaded, which browsers allow after a
                click. Those that the page opens with wait for the play button.
            loop: whether the button "Loop" is on at first.
        """
        super().__init__(
            value,
            label=label,
            html_template='<div class="ab-player"></div>',
            js_on_load=_START,
            apply_default_css=False,
            visible=visible,
            elem_id=elem_id,
            render=render,
            decoded_limit_bytes=decoded_limit_bytes,
            autoplay=autoplay,
            loop=loop,
            waveform_steps=WAVEFORM_STEPS,
        )

    @property
    def skip_api(self) -> bool:
        """Programs get the files from the endpoint instead."""
        return True

    def outline(self, path: str | Path) -> Outline:
        """The outline of a version's file. A subclass may read what `read_outline` cannot.

        Raises `soundfile.LibsndfileError` if the file cannot be read.
        """
        return read_outline(path)

    def preprocess(self, payload: PlayerVersions | None) -> None:  # type: ignore[override]
        """Nothing: the player is only an output."""

    def postprocess(self, value: Sequence[Version] | None) -> PlayerVersions | None:  # type: ignore[override]
        """Compute each version's outline and pass its file to Gradio.

        Raises as `outline` if a file cannot be read, and `ValueError` for more versions than there are
        letters.
        """
        if not value:
            return None
        if len(value) > MAX_VERSIONS:
            raise ValueError(f"An A/B player takes up to {MAX_VERSIONS} versions, not {len(value)}.")
        outlines = [self.outline(version.path) for version in value]
        gains_db = matched_gains_db([_playback_lufs(*pair) for pair in zip(value, outlines, strict=True)])
        return PlayerVersions(root=[_sent(*each) for each in zip(value, outlines, gains_db, strict=True)])


def matched_gains_db(loudness_lufs: Sequence[float | None]) -> list[float]:
    """Gain in dB, never above 0, that brings each version to the quietest one's loudness.

    A silent version, or one of unknown loudness, is not changed and does not count.

    >>> matched_gains_db([-9.0, -14.0, None, -math.inf])
    [-5.0, 0.0, 0.0, 0.0]
    """
    known = [loudness for loudness in loudness_lufs if _is_known(loudness)]
    return [min(known) - loudness if _is_known(loudness) else 0.0 for loudness in loudness_lufs]


def read_outline(path: str | Path) -> Outline:
    """The outline of a file, read in blocks.

    Raises `soundfile.LibsndfileError` if libsndfile cannot read the file.
    """
    with soundfile.SoundFile(path) as sound:
        width = _frames_per_column(sound.frames)
        blocks = sound.blocks(width * max(1, 2**18 // width), dtype="float32", always_2d=True)
        peaks, levels = _columns(blocks, width)
        return Outline(sound.samplerate, sound.channels, sound.frames / sound.samplerate, peaks, levels)


def outline(samples: NDArray[np.float32], rate: int) -> Outline:
    """The outline of samples, (time, channels), at a rate in Hz."""
    frames, channels = samples.shape
    peaks, levels = _columns([samples], _frames_per_column(frames))
    return Outline(rate, channels, frames / rate, peaks, levels)


def _is_known(loudness_lufs: float | None) -> TypeGuard[float]:
    return loudness_lufs is not None and math.isfinite(loudness_lufs)


def _playback_lufs(version: Version, drawn: Outline) -> float | None:
    """Loudness as played: mono is measured on one loudspeaker, but a browser plays it on two."""
    if not _is_known(version.loudness_lufs) or drawn.channels > 1:
        return version.loudness_lufs
    return version.loudness_lufs + MONO_ON_TWO_DB


def _sent(version: Version, drawn: Outline, matched_gain_db: float) -> PlayerVersion:
    return PlayerVersion(
        label=version.label,
        file=FileData(path=str(version.path)),
        loudness_lufs=version.loudness_lufs if _is_known(version.loudness_lufs) else None,
        matched_gain_db=matched_gain_db,
        rate=drawn.rate,
        channels=drawn.channels,
        seconds=drawn.seconds,
        peaks=" ".join(map(str, drawn.peaks)),
        levels=" ".join(map(str, drawn.levels)),
    )


def _frames_per_column(frames: int) -> int:
    return max(1, math.ceil(frames / WAVEFORM_COLUMNS))


def _columns(blocks: Iterable[NDArray[np.float32]], width: int) -> tuple[list[int], list[int]]:
    """Peak and root mean square of every `width` frames; blocks: (time, channels), cut at multiples of it."""
    peaks: list[int] = []
    levels: list[int] = []
    for block in blocks:
        columns = np.pad(block, ((0, -len(block) % width), (0, 0))).reshape(-1, width * block.shape[1])
        for values, found in ((peaks, np.abs(columns).max(1)), (levels, np.sqrt(np.mean(columns**2, 1)))):
            values.extend(np.rint(found * WAVEFORM_STEPS).astype(int).tolist())
    return peaks, levels
