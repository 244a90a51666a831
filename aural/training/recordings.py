"""Recordings for training: mono, at one rate, decoded once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aural.audio.decode import read
from aural.audio.resample import resample_samples

Wave = NDArray[np.int16] | NDArray[np.float32]


def cache_folder() -> Path:
    """Where decoded recordings are cached: `aural` under XDG_CACHE_HOME, or else under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aural"


def decode(path: Path, rate: int, exact: bool = False) -> Wave:
    """The mean of a file's channels at `rate` Hz: (time,), full scale 32767; or 1, as floats, if exact.

    Raises:
        InputError: see `aural.audio.read`.
    """
    clip = read(path)
    samples = resample_samples(clip.samples, clip.rate, rate).mean(0)
    if exact:
        exactly: Wave = samples
        return exactly
    wave: Wave = np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)
    return wave
