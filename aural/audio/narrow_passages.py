"""Passages whose band ends far below that of the rest, such as a guest on the phone in a studio recording.

    highs   ▆▇▂▆▇▅▁______________▁▆▇▅▆    above 0.6 of the whole clip's band
            host   candidate      host

Speech and music have highs every second or so. A stretch of some seconds without any is a candidate, and its
own bandwidth decides: a dark passage of a full-band recording has no edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from aural.audio.bandwidth import SEGMENT_SECONDS, bandwidth
from aural.audio.clip import Clip
from aural.audio.steps import Steps, part, stepwise

Levels = NDArray[np.float64]

FRAME_SECONDS = 0.02
MIN_SECONDS = 4.0  # shortest passage
NARROW_SHARE = 0.6  # of the whole clip's band; below it a passage is narrow
MIN_CUTOFF_HZ = 3_000.0  # clips whose own band is hardly wider than a phone's have no narrow passages
CUTOFFS_PER_OCTAVE = 6
HIGHS_DB = -30.0  # relative to the loud moments' highs; softer frames have none
LOUD_SHARE = 0.98  # of the seconds are softer than a loud moment
SILENT_DB = -30.0  # relative to the loudest second; softer passages count as silent
ABOVE_EDGE = 1.25  # times its bandwidth: where a passage has no highs
BLOCK_SECONDS = 2.0  # of a candidate, whose bandwidth is read
NEARLY_ALL = 0.9  # of the blocks
INSET_SECONDS = 1.0  # of a candidate, at either end, that may be its neighbour's


@dataclass(frozen=True)
class Passage:
    """Where a clip's band is narrower than in the rest of it."""

    start: int  # first sample
    stop: int  # sample after the last
    bandwidth_hz: float


@stepwise
def narrow_passages(clip: Clip, bandwidth_hz: float) -> Steps[tuple[Passage, ...]]:
    """The passages, in order, of at least 4 s.

    Args:
        clip: (channels, time), any rate from 4 kHz. The widest channel counts.
        bandwidth_hz: of the whole clip.
    """
    highest_hz = NARROW_SHARE * bandwidth_hz
    if clip.seconds < MIN_SECONDS or highest_hz < MIN_CUTOFF_HZ:
        return ()
    octaves = np.arange(0, np.log2(highest_hz / MIN_CUTOFF_HZ), 1 / CUTOFFS_PER_OCTAVE)
    cutoffs_hz = np.append(highest_hz / 2**octaves, 0.0)
    levels_db = yield from part(_levels_steps(clip, cutoffs_hz), 0.0, 0.5)
    size = round(FRAME_SECONDS * clip.rate)
    has_highs = _has_highs(levels_db)
    found: list[Passage] = []
    candidates = list(_gaps(has_highs[0]))
    for number, (first, last) in enumerate(candidates):
        yield 0.5 + 0.5 * number / len(candidates)
        widest_hz, own_hz = _own_bandwidths_hz(clip, levels_db[-1], first, last)
        if widest_hz < highest_hz:
            row = int(np.flatnonzero(cutoffs_hz >= min(ABOVE_EDGE * own_hz, highest_hz))[-1])
            for start, stop in _gaps(has_highs[row, first:last]):
                end = clip.frames if first + stop == has_highs.shape[1] else (first + stop) * size
                found.append(Passage((first + start) * size, end, own_hz))
    return tuple(found)


def _own_bandwidths_hz(clip: Clip, levels_db: Levels, first: int, last: int) -> tuple[float, float]:
    """What nearly all blocks of a candidate stay below, and their median; infinite for silence.

    Shape: levels_db: (frames,), of all frequencies.
    """
    size = round(FRAME_SECONDS * clip.rate)
    inset, block = (round(seconds / FRAME_SECONDS) for seconds in (INSET_SECONDS, BLOCK_SECONDS))
    ends_hz = [
        bandwidth(clip.with_samples(clip.samples[:, start * size : (start + block) * size])).hz
        for start in range(first + inset, last - inset - block + 1, block)
        if levels_db[start : start + block].max() > levels_db.max() + SILENT_DB
    ]
    if not ends_hz:
        return np.inf, np.inf
    widest_hz, median_hz = np.quantile(ends_hz, (NEARLY_ALL, 0.5))
    return float(widest_hz), float(median_hz)


def _levels_steps(clip: Clip, cutoffs_hz: Levels) -> Steps[Levels]:
    """The level above each frequency, frame by frame, in dB. Shape: (cutoffs, frames)."""
    size = round(FRAME_SECONDS * clip.rate)
    window = np.hanning(size).astype(np.float32)
    starts = np.ceil(cutoffs_hz * size / clip.rate).astype(np.intp)
    length = size * round(SEGMENT_SECONDS / FRAME_SECONDS)
    powers = []
    for start in range(0, clip.frames - size + 1, length):
        piece = clip.samples[:, start : start + length]
        cut = piece[:, : piece.shape[1] // size * size].reshape(clip.channels, -1, size)
        spectra = rfft(cut * window, axis=-1)
        power = (spectra.real**2 + spectra.imag**2).max(axis=0)
        above = np.cumsum(power[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
        powers.append(above[:, starts])
        yield min(1.0, (start + length) / clip.frames)
    return 10 * np.log10(np.concatenate(powers).T + 1e-30)


def _has_highs(levels_db: Levels) -> NDArray[np.bool_]:
    """Frames that reach near the level of the loud moments. Shape: (cutoffs, frames), both.

    A single frame is a click.
    """
    frames = round(SEGMENT_SECONDS / FRAME_SECONDS)
    seconds = levels_db[:, : levels_db.shape[1] // frames * frames].reshape(len(levels_db), -1, frames)
    loud_db = np.quantile(seconds.max(axis=2), LOUD_SHARE, axis=1)
    high = np.pad(levels_db > loud_db[:, np.newaxis] + HIGHS_DB, ((0, 0), (1, 1)))
    return np.asarray(high[:, 1:-1] & (high[:, :-2] | high[:, 2:]))


def _gaps(has_highs: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Stretches (first frame, frame after the last) of at least 4 s without highs. Shape: (frames,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], has_highs, [True]))))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if (last - first) * FRAME_SECONDS >= MIN_SECONDS:
            yield first, last
