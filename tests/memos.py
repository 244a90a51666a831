"""A short recording for tests that need a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aural.audio import Clip, write

RATE = 16_000


def write_memo(path: Path, hz: float = 440.0, channels: int = 1) -> str:
    """Two seconds of a tone that is struck every half second; returns the path."""
    time_s = np.arange(2 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * hz * time_s) * np.exp(-3 * (time_s % 0.5))
    write(Clip(np.stack([tone] * channels).astype(np.float32), RATE), path)
    return str(path)
