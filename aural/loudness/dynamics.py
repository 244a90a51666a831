"""A look-ahead true-peak limiter and loudness-range control."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import maximum_filter1d, minimum_filter1d
from scipy.signal import oaconvolve

from aural.audio.clip import Samples, excerpt
from aural.audio.steps import Steps
from aural.loudness.meter import STEPS_PER_SECOND, Powers, integrated_lufs, loudness_range, lufs
from aural.loudness.true_peak import BATCH, BLOCK, HALF, TAPS, interpolated_peaks, largest_gain

OVERSAMPLING = 8  # finer than the meter's first search, so that little is left to correct
LOOK_AHEAD_SECONDS = 0.002
RELEASE_SECONDS = 0.08
HOLD_SECONDS = 0.1  # no release between peaks that are closer, such as the periods and beats of a bass
BLOCK_SECONDS = 4  # audio handled at a time

RIDE_SECONDS = 2.0  # speed of the level rider: slower than a phrase, faster than a scene
RIDE_FLOOR_LU = -20.0  # quieter passages count as pauses: their boost fades out over another 20 LU
RIDE_RISE_DB = 12.0  # largest boost
RIDE_SHARE = 0.9  # largest share of the level differences to remove


def limit_steps(
    samples: Samples, rate: int, gain_db: float, ceiling_dbtp: float
) -> Steps[tuple[Samples, float]]:
    """Apply a gain and hold the true peak at the ceiling. All channels get the same gain, so the image stays.

    The reduction r = 1 - gain that each interval between two samples requires is found on the oversampled
    signal. Gaps between peaks that are close are bridged, so that the gain follows no period or beat of a
    bass. Each sample takes the largest reduction required within the look-ahead, releases it exponentially,
    and is averaged over the past look-ahead. The gain is fully down when the peak arrives and never jumps.

        required  ________|__|_____     two peaks close together
        bridged   ________|--|_____
        held      ___|-------|_____     the largest within the look-ahead
        released  ___|-------\\_____
        mean      ____/------\\_____     fully down when the first peak arrives

    If nothing exceeds the ceiling, only the gain is applied.

    Shape: (channels, time) -> (channels, time). Returns the samples and the largest reduction in dB.
    """
    gain, ceiling = 10 ** (gain_db / 20), 10 ** (ceiling_dbtp / 20)
    look, hold = max(1, round(LOOK_AHEAD_SECONDS * rate)), max(1, round(HOLD_SECONDS * rate))
    smoothing = np.hanning(look + 2)[1:-1]
    smoothing /= smoothing.sum()
    length, block = samples.shape[1], BLOCK_SECONDS * rate
    limited = np.empty_like(samples)
    past = np.zeros(0)  # reductions just before this block
    deepest = 0.0
    for start in range(0, length, block):
        stop = min(start + block, length)
        # Sample n lies between the intervals n - 1 and n, so its window begins one interval earlier.
        required = _required_reductions(samples, start - 1 - hold, stop + look + hold, ceiling / gain)
        size = look + 2
        bridged = _bridge(required, hold)[hold : required.size - hold]
        held = maximum_filter1d(bridged, size, origin=-(size // 2))[: stop - start]
        if start == 0:
            past = np.full(look, held[0])  # as if held before the start: no time to fade in
        reductions = np.concatenate((past, _release(held, past[-1], RELEASE_SECONDS * rate)))
        past = reductions[-look:]
        if reductions.any():
            means = oaconvolve(reductions, smoothing)[look : look + stop - start]
            deepest = max(deepest, float(means.max()))
            limited[:, start:stop] = samples[:, start:stop] * (gain * (1 - means)).astype(np.float32)
        else:
            limited[:, start:stop] = samples[:, start:stop] * np.float32(gain)
        yield stop / length
    return limited, max(0.0, -20 * math.log10(1 - deepest))


def ride_gains(powers: Powers, seconds: float, range_max_lu: float) -> Powers:
    """Gains in dB, one every 10 ms, that reduce the loudness range to `range_max_lu`.

    The level over about 2 s is moved towards the integrated loudness by the smallest share that suffices.
    The share is found on the power sequence alone: a gain this slow changes K-weighted powers by its square.
    All zeros if the range is small enough, or does not exist.

    Shape: (steps,) -> (steps,).
    """
    integrated, measured = integrated_lufs(powers, seconds), loudness_range(powers, seconds)
    if integrated is None or measured is None or measured <= range_max_lu:
        return np.zeros(powers.size)
    window = np.hanning(int(RIDE_SECONDS * STEPS_PER_SECOND) + 2)[1:-1]
    level = oaconvolve(powers, window, mode="same") / oaconvolve(np.ones_like(powers), window, mode="same")
    distance = lufs(np.maximum(level, 0.0)) - integrated
    distance = np.maximum(distance, np.minimum(2 * RIDE_FLOOR_LU - distance, 0.0))

    def gains(share: float) -> Powers:
        return np.minimum(-share * distance, RIDE_RISE_DB)

    low, high = 0.0, RIDE_SHARE
    for _ in range(12):
        middle = (low + high) / 2
        ridden = loudness_range(powers * 10 ** (gains(middle) / 10), seconds)
        low, high = (low, middle) if ridden is None or ridden <= range_max_lu else (middle, high)
    return gains(high)


def apply_gains_steps(samples: Samples, rate: int, gains_db: Powers) -> Steps[Samples]:
    """Apply gains given every 10 ms, interpolated in dB. Shape: (channels, time) -> (channels, time)."""
    result = np.empty_like(samples)
    centres = (np.arange(gains_db.size) + 0.5) * rate / STEPS_PER_SECOND
    block = BLOCK_SECONDS * rate
    for start in range(0, samples.shape[1], block):
        piece = samples[:, start : start + block]
        curve = np.interp(np.arange(start, start + piece.shape[1]), centres, gains_db)
        result[:, start : start + block] = piece * (10 ** (curve / 20)).astype(np.float32)
        yield min(1.0, (start + block) / samples.shape[1])
    return result


def _required_reductions(samples: Samples, start: int, stop: int, ceiling: float) -> Powers:
    """1 - gain for each interval from `start` to `stop`; zero if the peak is below the ceiling."""
    rows = math.ceil((stop - start) / BLOCK)
    stretch = excerpt(samples, start - (HALF - 1), start + rows * BLOCK + HALF)
    if np.abs(stretch).max() * largest_gain(OVERSAMPLING) <= ceiling:
        return np.zeros(stop - start)
    peaks = np.zeros((rows, BLOCK), np.float32)
    for channel in stretch:
        segments = sliding_window_view(channel, BLOCK + TAPS - 1)[::BLOCK]
        for first in range(0, rows, BATCH):
            part = slice(first, first + BATCH)
            np.maximum(peaks[part], interpolated_peaks(segments[part], OVERSAMPLING), out=peaks[part])
    return 1 - ceiling / np.maximum(peaks.reshape(-1)[: stop - start].astype(np.float64), ceiling)


def _bridge(required: Powers, hold: int) -> Powers:
    """Fill gaps shorter than `hold` up to the lower side: a morphological closing, never below its input.

    The release follows the signal: none where a peak is about to come again, as in a bass, whose gain would
    otherwise be modulated by its own period; the usual one after a peak that stands alone, as a drum's.

    Shape: (intervals,) -> (intervals,). Each value depends on `hold` others to either side.
    """
    size = hold // 2 * 2 + 1
    return np.asarray(minimum_filter1d(maximum_filter1d(required, size), size))


def _release(held: Powers, before: float, release_samples: float) -> Powers:
    """r[n] = max(held[n], a r[n - 1]), a = exp(-1 / release): a running maximum once a^n is divided out."""
    with np.errstate(divide="ignore"):
        logarithms = np.log(np.concatenate(([before], held)))
    slope = np.arange(held.size + 1) / release_samples
    return np.exp(np.maximum.accumulate(logarithms + slope) - slope)[1:]
