"""The ways to enhance that are compared: nothing, two peers, and the app by its settings.

Peers run at 48 kHz with their default settings, and a known delay is compensated. Packages: `noisereduce`
(its default, non-stationary gating) and `pyrnnoise` (RNNoise, its own model).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from aural.audio import Clip
from aural.enhancement.data import RATE, Wave

Method = Callable[[Wave], Wave]  # (time,) at RATE, both

# RNNoise's delay in frames of 10 ms, from its correlation with clean speech; a test checks it.
RNNOISE_LATE_FRAMES = 2
RNNOISE_FULL_SCALE = 32_768


@dataclass(frozen=True)
class Row:
    """One method."""

    label: str
    build: Callable[[], Method]  # imports and loads its dependencies
    package: str | None = None  # the package it needs


def unprocessed() -> Method:
    """The phone's recording."""
    return lambda recording: recording


def noisereduce() -> Method:
    """Spectral gating with the package's defaults: a threshold that follows the noise."""
    from noisereduce import reduce_noise

    return lambda recording: np.asarray(reduce_noise(y=recording, sr=RATE), np.float32)


def rnnoise() -> Method:
    """RNNoise through its C interface, without rounding to 16 bits, and with its delay compensated."""
    from pyrnnoise.rnnoise import FRAME_SIZE, create, destroy, lib

    sample = ctypes.POINTER(ctypes.c_float)

    def method(recording: Wave) -> Wave:
        late = RNNOISE_LATE_FRAMES * FRAME_SIZE
        frames = np.zeros((-(-(len(recording) + late) // FRAME_SIZE), FRAME_SIZE), np.float32)
        frames.reshape(-1)[: len(recording)] = RNNOISE_FULL_SCALE * recording
        state = create()
        for frame in frames:
            lib.rnnoise_process_frame(state, frame.ctypes.data_as(sample), frame.ctypes.data_as(sample))
        destroy(state)
        frames /= RNNOISE_FULL_SCALE
        return frames.reshape(-1)[late : late + len(recording)]

    return method


def ours(**options: Any) -> Callable[[], Method]:
    """The app's enhancement with these options, the others at their defaults."""

    def build() -> Method:
        from aural.enhancement.pipeline import Options, enhance

        chosen = Options(**options)
        return lambda recording: enhance(Clip(recording[None], RATE), chosen).clip.samples[0]

    return build


ROWS = {
    "unprocessed": Row("unprocessed", unprocessed),
    "noisereduce": Row("noisereduce", noisereduce, "noisereduce"),
    "rnnoise": Row("RNNoise, by pyrnnoise", rnnoise, "pyrnnoise"),
    "stage_1": Row("stage 1 alone: noise reduction", ours(completion=False)),
    "stage_2": Row("stage 2 alone: completion", ours(noise_reduction=False)),
    "both": Row("**both stages, the default**", ours()),
    "griffin_lim": Row("both, Griffin-Lim", ours(setting="griffin_lim")),
    "vocoder": Row("both, vocoder", ours(setting="vocoder")),
    "waveform": Row("both, waveform", ours(setting="waveform")),
}


def is_installed(row: str) -> bool:
    """Whether the row's package can be imported."""
    package = ROWS[row].package
    return package is None or find_spec(package) is not None


def label(row: str) -> str:
    """The row's name, with the version of its package."""
    name, package = ROWS[row].label, ROWS[row].package
    try:
        return f"{name} {version(package)}" if package else name
    except PackageNotFoundError:
        return name


@cache
def ready(row: str) -> Method:
    """The row's method after a warm-up run, which loads models and allocates buffers."""
    method = ROWS[row].build()
    method(np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32))
    return method
