"""The active level of a recording, which ignores pauses and single clicks.

The networks are trained at one active level; the pipeline scales a recording to it, and the result back.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aural.audio.clip import Samples

ACTIVE_RMS = 10 ** (-26 / 20)  # active level of the training recordings
BLOCK = 768  # samples per block, 16 ms at 48 kHz
LOUD_PERCENTILE = 95.0
ACTIVE_RANGE_DB = 25.0  # below the loud blocks

Powers = NDArray[np.float64]


def block_powers(samples: Samples) -> Powers:
    """Mean square over the channels and over each block of 768 samples; the last one may be shorter.

    Shape: (channels, time) -> (blocks,). Pieces of a multiple of 768 samples may be measured one by one.
    """
    squares = np.square(samples, dtype=np.float32).mean(0)
    starts = np.arange(0, squares.size, BLOCK)
    lengths = np.diff(np.append(starts, squares.size))
    return np.add.reduceat(squares, starts, dtype=np.float64) / lengths


def active_rms(powers: Powers) -> float:
    """Root mean square of the active blocks; 0 for silence.

    A block is active within 25 dB of the 95th percentile of the blocks that are not silent.
    """
    heard = powers[powers > 0]
    if heard.size == 0:
        return 0.0
    loud = np.percentile(heard, LOUD_PERCENTILE)
    active = heard[heard >= loud * 10 ** (-ACTIVE_RANGE_DB / 10)]
    return float(np.sqrt(active.mean()))


def active_level(samples: Samples) -> float:
    """`active_rms` of samples at any level, such as some whose squares would leave float32.

    Shape: (channels, time).
    """
    # A long recording is measured in pieces, to need no large temporary array.
    size = 256 * BLOCK
    return active_level_of([samples[:, start : start + size] for start in range(0, samples.shape[1], size)])


def active_level_of(pieces: Iterable[Samples]) -> float:
    """The same of a recording in pieces of a multiple of 768 samples, but for the last; asked for twice."""
    peak = max(float(max(piece.max(), -piece.min())) for piece in pieces)
    if peak == 0:
        return 0.0
    return peak * active_rms(np.concatenate([block_powers(piece / np.float32(peak)) for piece in pieces]))
