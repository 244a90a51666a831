"""The spectrograms of a result, and the switch of their frequency axis.

A run draws them with the default axis, the ear's. With the other one they are drawn anew, from the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import ArrayLike

from aural.audio import probe, read
from aural.ui import plots
from aural.ui.abplayer import matched_gains_db
from aural.ui.endpoints import Updates, report_errors
from aural.ui.fields import picture
from aural.ui.memory import decoding

AXES = {"erb": "As the ear hears", "linear": "Linear"}
DEFAULT_AXIS: plots.Scale = "erb"
PITCHES = plots.COLUMNS  # more would not be seen


@dataclass(frozen=True)
class Drawn:
    """What a picture shows, so that it can be drawn again."""

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    ends_hz: tuple[tuple[float | None, float | None], ...]  # upper limit of each band, and the earlier one
    gains_db: tuple[float, ...]  # to the loudness of the quietest
    pitch: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())  # s and Hz

    def sounds(self) -> Iterator[plots.Sound]:
        """Read the files one by one."""
        each = zip(self.paths, self.labels, self.ends_hz, self.gains_db, strict=True)
        for path, label, ends_hz, gain_db in each:
            with decoding(path):
                clip = read(path)
                yield plots.Sound(label, clip.samples, clip.rate, *ends_hz, gain_db)
                del clip


def draw(
    sounds: Sequence[plots.Sound],
    paths: Sequence[str],
    loudness_lufs: Sequence[float | None],
    pitch_s: ArrayLike = (),
    pitch_hz: ArrayLike = (),
) -> tuple[str, Drawn]:
    """The picture of several sounds at matched loudness, and what it takes to draw it again.

    Args:
        paths: their files.
        loudness_lufs: integrated; None: unknown, shown unchanged.
        pitch_s: times of the pitch, s.
        pitch_hz: the pitch there; NaN leaves a gap.
    """
    gains_db = matched_gains_db(loudness_lufs)
    sounds = [replace(sound, gain_db=gain_db) for sound, gain_db in zip(sounds, gains_db, strict=True)]
    drawn = plots.save(plots.spectrogram_versions(sounds, pitch_s, pitch_hz, DEFAULT_AXIS))
    step = max(1, len(np.atleast_1d(pitch_s)) // PITCHES)
    seconds, hertz = (tuple(np.atleast_1d(values)[::step].tolist()) for values in (pitch_s, pitch_hz))
    return drawn, Drawn(
        tuple(map(str, paths)),
        tuple(sound.label for sound in sounds),
        tuple((sound.end_hz, sound.old_end_hz) for sound in sounds),
        tuple(gains_db),
        (seconds, hertz),
    )


def spectrogram_section(label: str) -> tuple[gr.Image, gr.State]:
    """Add the picture and its switch to the page being built.

    Returns:
        the picture, and a state for what was `Drawn`.
    """
    image, shown = picture(label), gr.State()
    axis = gr.Radio(
        [(title, key) for key, title in AXES.items()],
        value=DEFAULT_AXIS,
        label="Frequency axis",
        elem_classes="aural-axis",
    )
    settings: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_id": "showing",
        "trigger_mode": "always_last",
    }
    axis.input(report_errors(_redraw), [shown, axis], image, show_progress_on=image, **settings)
    # A new result comes with the default axis.
    shown.change(report_errors(_keep_axis), [shown, axis], image, show_progress="hidden", **settings)
    return image, shown


def _redraw(shown: Drawn | None, axis: plots.Scale) -> Updates:
    """The picture with the chosen axis."""
    if shown is None:
        yield gr.skip()
        return
    if len(shown.paths) == 1:
        (sound,) = shown.sounds()
        yield plots.save(plots.spectrogram(sound.samples, sound.rate, scale=axis))
    else:
        rate = max(probe(path).rate for path in shown.paths)
        yield plots.save(plots.spectrogram_versions(shown.sounds(), *shown.pitch, axis, rate))


def _keep_axis(shown: Drawn | None, axis: plots.Scale) -> Updates:
    """The picture of a new result with the axis of the earlier one."""
    if axis == DEFAULT_AXIS:
        yield gr.skip()
    else:
        yield from _redraw(shown, axis)
