"""The loudest stretch of a clip: what a preview plays, and what stands for a long recording."""

from __future__ import annotations

import numpy as np

from aural.audio import Clip

STEP_SECONDS = 0.1


def loudest(clip: Clip, seconds: float) -> Clip:
    """The stretch of this length with the most energy; the clip itself if it is no longer.

    Stretches begin at multiples of 0.1 s. The energy is that of all channels together.
    """
    frames, step = round(seconds * clip.rate), max(1, round(STEP_SECONDS * clip.rate))
    if clip.frames <= frames:
        return clip
    starts = np.arange(0, clip.frames, step)
    energies = np.zeros(starts.size)
    for channel in clip.samples:
        energies += np.add.reduceat(np.square(channel), starts, dtype=np.float64)
    sums = np.concatenate(([0.0], np.cumsum(energies)))
    width = max(1, frames // step)
    start = int(np.argmax(sums[width:] - sums[:-width])) * step
    first = min(start, clip.frames - frames)
    return clip.with_samples(np.ascontiguousarray(clip.samples[:, first : first + frames]))
