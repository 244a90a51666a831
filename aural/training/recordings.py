"""Recordings as a training keeps them: mono, 16 bits, at one rate, decoded once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aural.audio.files import read
from aural.audio.resample import resample_samples


def cache_folder() -> Path:
    """Where what was decoded is kept: `aural` under XDG_CACHE_HOME, or else under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aural"


def decoded(path: Path, rate: int) -> NDArray[np.int16]:
    """The mean of a file's channels at `rate` Hz, full scale at 32767: (time,).

    Raises:
        InputError: see `aural.audio.read`.
    """
    clip = read(path)
    samples = resample_samples(clip.samples, clip.rate, rate).mean(0)
    wave: NDArray[np.int16] = np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)
    return wave
