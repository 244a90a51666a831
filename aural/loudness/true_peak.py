"""True peak: the largest value between the samples, ITU-R BS.1770-5 annex 2.

A sampled signal may be higher between its samples than at them. The standard requires at least fourfold
oversampling at 48 kHz. Here the whole signal is searched at fourfold, and the highest places are then
measured at thirty-twofold, which misses less than 0.01 dB below 0.4 of the sample rate.

Two things make it fast. Interpolation is a product of short overlapping frames with a Toeplitz matrix, which
CPUs do fast. And an interpolated value is at most the largest sample near it times the sum of the filter's
absolute taps: the loudest blocks come first, and the rest are skipped once they cannot be higher.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aural.audio.clip import Samples, excerpt
from aural.audio.steps import Steps, stepwise

TAPS = 24  # per phase: flat to 0.42 of the sample rate
HALF = TAPS // 2
KAISER_BETA = 6.0
SHORT_REACH = 6  # 12 taps per phase, as in the standard's example and in libebur128
FRAME = 32  # outputs per row of the matrix product
BLOCK = 2048  # samples that are searched or skipped together
BATCH = 64  # blocks per matrix product: fits the cache
FINE_FACTOR = 32
FINE_BLOCKS = 16


@stepwise
def true_peak(samples: Samples, rate: int, short: bool = False) -> Steps[float]:
    """The largest absolute value of the continuous signal, linear.

    Args:
        samples: (channels, time).
        short: use the short interpolator of most other meters. Above 0.4 of the rate it reads up to a few
            tenths of a decibel more, or much less, so a ceiling for all meters must include it.
    """
    blocks = [_block_peaks(channel) for channel in samples]
    block_peaks = np.concatenate(blocks)
    channels = np.repeat(np.arange(len(blocks)), [b.size for b in blocks])
    starts = np.concatenate([np.arange(b.size) * BLOCK for b in blocks])
    order = np.argsort(-block_peaks, kind="stable")

    factor = oversampling(rate)
    bound = largest_gain(factor, short)
    best = float(block_peaks.max(initial=0.0))
    found: list[tuple[float, int, int]] = []
    for first in range(0, order.size, BATCH):
        batch = order[first : first + BATCH]
        if block_peaks[batch[0]] * bound <= best:
            break
        segments = _segments(samples, channels[batch], starts[batch])
        peaks = interpolated_peaks(segments, factor, short).max(axis=1)
        best = max(best, float(peaks.max()))
        found += zip(peaks.tolist(), channels[batch].tolist(), starts[batch].tolist(), strict=True)
        yield first / order.size
    found = sorted(found, reverse=True)[:FINE_BLOCKS]
    if found and not short:  # other meters do no second search
        where = np.array([(channel, start) for _, channel, start in found], dtype=np.intp)
        segments = _segments(samples, where[:, 0], where[:, 1])
        best = max(best, float(interpolated_peaks(segments, FINE_FACTOR).max()))
    return best


def oversampling(rate: int) -> int:
    """The factor of the first search. BS.1770-5 requires 4 at 48 kHz and less at higher rates."""
    return 4 if rate < 192_000 else 2


def largest_gain(factor: int, short: bool = False) -> float:
    """The most that an interpolated value can exceed the largest sample near it."""
    return float(np.abs(_interpolator(factor, short)).sum(axis=1).max())


def interpolated_peaks(segments: Samples, factor: int, short: bool = False) -> Samples:
    """The largest absolute value from each sample up to the next, the sample itself included.

    Shape: (rows, `HALF` - 1 samples before, time, `HALF` samples after) -> (rows, time); time is a multiple
    of `FRAME`. Beyond its ends the signal is zero.
    """
    rows, length = segments.shape[0], segments.shape[1] - TAPS + 1
    frames = sliding_window_view(segments, FRAME + TAPS - 1, axis=1)[:, ::FRAME]
    # One product per row: small enough that the BLAS stays in one thread, which is faster on a busy machine.
    between = np.ascontiguousarray(frames) @ _toeplitz(factor, short)
    np.abs(between, out=between)
    peaks: Samples = between.reshape(-1, factor - 1, FRAME).max(axis=1).reshape(rows, length)
    return np.maximum(peaks, np.abs(segments[:, HALF - 1 : HALF - 1 + length]), out=peaks)


def _block_peaks(channel: Samples) -> Samples:
    """The largest sample within the interpolator's reach of each block. Shape: (time,) -> (blocks,)."""
    whole = channel.size // BLOCK * BLOCK
    rest = excerpt(channel[np.newaxis, whole:], 0, BLOCK)
    peaks, heads, tails = np.hstack(
        [_peaks_and_edges(channel[:whole].reshape(-1, BLOCK)), _peaks_and_edges(rest)]
    )
    peaks[1:] = np.maximum(peaks[1:], tails[:-1])
    peaks[:-1] = np.maximum(peaks[:-1], heads[1:])
    return np.asarray(peaks)


def _peaks_and_edges(blocks: Samples) -> Samples:
    """The largest sample of each block, its beginning and its end. Shape: (blocks, BLOCK) -> (3, blocks)."""
    return np.stack(
        [np.maximum(b.max(axis=1), -b.min(axis=1)) for b in (blocks, blocks[:, :HALF], blocks[:, -HALF:])]
    )


def _segments(samples: Samples, channels: NDArray[np.intp], starts: NDArray[np.intp]) -> Samples:
    """The blocks at these starts with the context that the interpolator needs. Shape: (blocks, time)."""
    first, last = HALF - 1, BLOCK + HALF
    return np.concatenate(
        [excerpt(samples[c : c + 1], s - first, s + last) for c, s in zip(channels, starts, strict=True)]
    )


@cache
def _interpolator(factor: int, short: bool) -> NDArray[np.float64]:
    """Windowed sinc for 1/factor .. (factor - 1)/factor past a sample. Shape: (factor - 1, TAPS)."""
    positions = np.arange(1, factor)[:, np.newaxis] / factor
    offsets = np.arange(TAPS) - (HALF - 1)  # tap 0 is the sample HALF - 1 before
    distances = offsets - positions
    # The window is taken at the taps' own distances, so that every phase is centred on its position.
    if short:
        window = np.where(np.abs(distances) < SHORT_REACH, 1 + np.cos(np.pi * distances / SHORT_REACH), 0.0)
    else:
        window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (distances / HALF) ** 2)))
    taps = np.sinc(distances) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True))


@cache
def _toeplitz(factor: int, short: bool) -> Samples:
    """The matrix that maps a frame and its context to all values between its samples.

    Shape: (FRAME + TAPS - 1, (factor - 1) * FRAME), one position between the samples after the other.
    """
    taps = _interpolator(factor, short)
    matrix = np.zeros((FRAME + TAPS - 1, factor - 1, FRAME), np.float32)
    for output in range(FRAME):
        matrix[output : output + TAPS, :, output] = taps.T
    return matrix.reshape(FRAME + TAPS - 1, -1)
