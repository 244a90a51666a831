"""The effective bandwidth of a sound, which the sample rate of its file does not tell.

A phone call at 48 kHz still ends at 4 kHz, and a small MP3 at 11 or 16 kHz. Such an end is an edge in the
spectrum. Four properties tell it from the natural slope of voices and instruments:

    content      below the edge the spectrum is filled with noise or dense partials, not a few lines
    silence      above it, up to half the rate, nothing comes near that level
    always       this holds in loud moments too: with an occasional hiss the band is not limited
    steepness    the level falls faster than its trend below the edge, and than dark recordings do

The thresholds lie between what 71 full-band recordings of speech and music show, plain and darkened by 6 to
12 dB an octave, and what recordings show after low-passes, resamplers and codecs. Gentle low-passes (12 to
24 dB an octave) below 8 kHz look like a dark voice: some are missed, and some are placed too high.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import next_fast_len, rfft

from aural.audio.clip import Clip, Samples
from aural.audio.steps import Steps, stepwise
from aural.errors import InputError

Levels = NDArray[np.float64]

MIN_RATE = 4_000  # Hz
WINDOW_SECONDS = 0.032
SEGMENT_SECONDS = 1  # the loudest moments of each count
# A segment's level in each bin is the one that this share of its windows exceeds: two windows a second, as
# many as a click takes.
CLICK_SHARE = 0.035
LOUD_SHARE = 0.95  # of the segments must have nothing above the edge
PAUSE_DB = -40.0  # relative to the loudest segment; softer segments count as silent

# Histograms of levels, relative to the power of the loudest segment
LEVEL_RANGE_DB, LEVEL_STEP_DB = (-150.0, 30.0), 0.5
DEEPEST_DB = 110.0  # below the loudest level; lower levels are the window's own, and rounding

# The window's side lobes, with a margin: -48 dB from 3 to 6 bins away, then 60 dB a decade less.
LOBE_DB, LOBE_BINS, LEAKAGE_BINS = -48.0, 6, 64

# Candidate edges, on a logarithmic scale
MIN_EDGE_HZ = 1_500.0  # vowels have steep edges of their own below
STEPS_PER_OCTAVE = 48
FILLED = 18  # steps below an edge, over 3/8 of an octave, that have to be filled ...
FILLED_QUANTILE = 0.3  # ... except this share of them
APART = 2  # steps between these and the edge
TREND_TOLERANCE_DB = 4.0  # a drop below the trend may be smaller than one below the level by this much
MAX_TREND_DB = 20.0  # per octave
# Ratio to the edge's frequency: how far the level must have fallen there.
STEEP_DROPS_DB = {1.15: 22.0, 1.3: 26.0}
GENTLE_GAP, GENTLE_DROP_DB = 2.0, 42.0
LAST = 0.985  # of half the rate: "above" begins there at the latest
SLOPE_DB = 15.0  # the slope is followed down to this far below the filled range
# The ranges in which two joined lines are fitted to that slope and to the trend before it.
STEEP_OCTAVES, GENTLE_OCTAVES = (0.25, 0.35, 0.5, 0.7), (0.7, 1.0, 1.4)
MAX_TREND_BEFORE_KNEE_DB = 36.0  # per octave
STEEP_FALL_DB, GENTLE_FALL_DB = 60.0, 20.0  # per octave at least, after the knee
KNEE_DB = 6.0
LIMITED = 0.87  # of half the rate; above it the band ends with its rate, as after any resampling


@dataclass(frozen=True)
class Bandwidth:
    """Where a clip's band ends."""

    hz: float  # about -6 dB relative to the trend below it; half the rate without an edge
    is_limited: bool  # there is an edge, and room above it: below 0.87 of half the rate


@stepwise
def bandwidth(clip: Clip) -> Steps[Bandwidth]:
    """The effective bandwidth; for silence, and for sounds without an edge, it is half the rate.

    Args:
        clip: (channels, time), any rate from 4 kHz, any length from one sample. Channels are averaged as
            powers: the widest one counts. The level does not matter, from 1e-18 to 1e18 of full scale.

    Raises:
        InputError: an empty clip, samples that are not finite, or a rate below 4 kHz.

    >>> bandwidth(Clip(np.ones((1, 8_000), np.float32), 8_000))
    Bandwidth(hz=4000.0, is_limited=False)
    """
    clip.require_finite()
    if clip.rate < MIN_RATE:
        raise InputError(f"The sample rate is {clip.rate} Hz. Use audio with at least {MIN_RATE} Hz.")
    half = next_fast_len(round(WINDOW_SECONDS / 2 * clip.rate))
    profile = yield from _profile_steps(clip, half)
    edge_hz = None if profile is None else _edge_hz(profile, clip.rate / (2 * half))
    if edge_hz is None:
        return Bandwidth(clip.rate / 2, is_limited=False)
    return Bandwidth(min(edge_hz, clip.rate / 2), is_limited=edge_hz < LIMITED * clip.rate / 2)


# The spectrum of the loud moments


def _profile_steps(clip: Clip, half: int) -> Steps[Levels | None]:
    """The level of each frequency in the clip's loud moments, dB; None for silence. Shape: (half + 1,)."""
    powers = [sum(float(np.vdot(row, row)) for row in piece) for piece, _ in _segments(clip, half)]
    loudest = max(powers)
    if loudest == 0:
        return None
    reference = loudest / (clip.rate * SEGMENT_SECONDS)
    low_db, high_db = LEVEL_RANGE_DB
    histogram = np.zeros((half + 1, round((high_db - low_db) / LEVEL_STEP_DB) + 1), np.int32)
    bins = np.arange(half + 1)
    window = np.blackman(2 * half + 1)[:-1]
    window = (window * (2 / window.sum())).astype(np.float32)
    for power, (piece, end) in zip(powers, _segments(clip, half), strict=True):
        if power >= loudest * 10 ** (PAUSE_DB / 10):
            level_db = 10 * np.log10(_loud_power(piece, window) / reference + 1e-30)
            level = np.round((np.clip(level_db, low_db, high_db) - low_db) / LEVEL_STEP_DB).astype(np.intp)
            histogram[bins, level] += 1
        yield min(1.0, end / clip.frames)
    reached = np.cumsum(histogram, axis=1) >= LOUD_SHARE * histogram[0].sum()
    profile: Levels = low_db + LEVEL_STEP_DB * np.argmax(reached, axis=1)
    np.maximum(profile, profile.max() - DEEPEST_DB, out=profile)
    return profile


def _segments(clip: Clip, half: int) -> Iterator[tuple[Samples, int]]:
    """Pieces of about a second and where they end; a short remainder belongs to the last piece."""
    hops = max(1, round(SEGMENT_SECONDS * clip.rate / half))
    length = hops * half
    count = max(1, clip.frames // length)
    for index in range(count):
        # Windows overlap by half, and so do segments, so that none is missed between them.
        end = clip.frames if index == count - 1 else (index + 1) * length + half
        yield clip.samples[:, index * length : end], end


def _loud_power(samples: Samples, window: NDArray[np.float32]) -> Levels:
    """The power of each frequency in the loudest windows, without clicks. Shape: (channels, time) -> (bins,).

    A sine of amplitude 1 has power 1; channels are averaged.
    """
    size = len(window)
    frames = max(1, -(-(samples.shape[1] - size) // (size // 2)) + 1)
    length = (frames + 1) * (size // 2)
    total = np.zeros((frames, size // 2 + 1), np.float32)
    for channel in samples:
        padded = np.pad(channel, (0, length - len(channel)))
        spectra = rfft(sliding_window_view(padded, size)[:: size // 2] * window, axis=-1)
        total += spectra.real**2 + spectra.imag**2
    rank = frames - 1 - round(CLICK_SHARE * frames)
    loud: Levels = np.partition(total, rank, axis=0)[rank].astype(np.float64) / len(samples)
    return loud


# The edge


def _edge_hz(profile: Levels, hz_per_bin: float) -> float | None:
    """The frequency where a spectrum in dB ends. Shape: (bins,).

    level ──────┐ trend          S  drop below the level of the filled range
        filled  │ ╲              E  drop below its trend
                │   ╲
                │     ┌────      above: the highest level from here to half the rate
    ────────────┴─────┴─────> frequency
    f / 1.3     f    f x gap
    """
    octaves = np.log2(hz_per_bin * (len(profile) - 1) / MIN_EDGE_HZ)
    before = STEPS_PER_OCTAVE + FILLED + APART  # needed for the trend of the lowest candidate
    hz = MIN_EDGE_HZ * 2 ** (np.arange(-before, int(octaves * STEPS_PER_OCTAVE) + 1) / STEPS_PER_OCTAVE)
    smooth = _smooth(profile)
    highest_above = np.maximum.accumulate(smooth[::-1])[::-1]

    # Row k describes the filled range below candidate k.
    bins = np.round(hz / hz_per_bin).astype(np.intp)
    filled = np.sort(sliding_window_view(_without_leakage(profile)[bins], FILLED), axis=1)
    level, middle = filled[:, int(FILLED_QUANTILE * FILLED)], filled[:, FILLED // 2]
    trend = np.clip(middle[STEPS_PER_OCTAVE:] - middle[:-STEPS_PER_OCTAVE], -MAX_TREND_DB, 0)
    hz = hz[before:]
    level, middle = (values[STEPS_PER_OCTAVE : STEPS_PER_OCTAVE + len(hz)] for values in (level, middle))
    below_hz = hz * 2 ** (-(APART + FILLED / 2) / STEPS_PER_OCTAVE)  # the middle of the filled range

    def drops_db(gap: float) -> Levels:
        """How far the level has fallen at `gap` times the frequency."""
        first = np.ceil(hz * gap / hz_per_bin).astype(np.intp) + 1
        above = highest_above[np.minimum(first, int(LAST * (len(profile) - 1)))]
        from_trend = middle + trend[: len(hz)] * np.log2(hz * gap / below_hz) - above
        return np.minimum(level - above, from_trend + TREND_TOLERANCE_DB)

    def end_hz(candidate: int, gap: float, fall_db: float) -> float:
        """The end of the band that a candidate belongs to."""
        around = np.arange(int(below_hz[candidate] / hz_per_bin), int(gap * hz[candidate] / hz_per_bin) + 1)
        around = around[around < len(profile)]
        high = around[smooth[around] > level[candidate] - SLOPE_DB]
        last = min(int(high[-1] if high.size else around[-1]) + 1, len(profile) - 1)
        return _knee_hz(smooth, hz_per_bin, last * hz_per_bin, fall_db)

    edge = _first_peak(np.max([drops_db(gap) - drop for gap, drop in STEEP_DROPS_DB.items()], axis=0))
    # A gentle slope ends before a steep edge cuts off the rest: mostly the recording's own.
    gentle = drops_db(GENTLE_GAP) - GENTLE_DROP_DB
    gentle[hz * GENTLE_GAP > 0.95 * (hz[-1] if edge is None else hz[edge])] = -1
    slope = _first_peak(gentle)
    if slope is not None:
        return end_hz(slope, GENTLE_GAP, GENTLE_FALL_DB)
    return None if edge is None else end_hz(edge, max(STEEP_DROPS_DB), STEEP_FALL_DB)


def _knee_hz(smooth: Levels, hz_per_bin: float, end_hz: float, fall_db: float) -> float:
    """The knee of the slope that ends at `end_hz`, 6 dB down, from two joined lines fitted by least squares.

    The slope falls by at least `fall_db` per octave, and the trend before it by less than
    MAX_TREND_BEFORE_KNEE_DB. The narrowest range with such a knee decides; wider ones contain knees of the
    sound itself.
    """
    frequencies_hz = np.arange(len(smooth)) * hz_per_bin
    for octaves in STEEP_OCTAVES if fall_db == STEEP_FALL_DB else GENTLE_OCTAVES:
        x = np.arange(-round(octaves * STEPS_PER_OCTAVE), 1) / STEPS_PER_OCTAVE
        y = np.interp(end_hz * 2**x, frequencies_hz, smooth)
        fits = []
        for knee in x[4:-1]:
            lines = np.stack((np.ones_like(x), x, np.maximum(x - knee, 0)), axis=1)
            (_, before, change), _, _, _ = solution = np.linalg.lstsq(lines, y)
            if before + change < -fall_db:
                error = float(np.square(lines @ solution[0] - y).sum())
                fits.append((error, float(knee), float(before), float(change)))
        if fits:
            _, knee, before, change = min(fits)
            if before > -MAX_TREND_BEFORE_KNEE_DB:
                return float(end_hz * 2 ** min(knee - KNEE_DB / change, 0.0))
    # Without a knee in the narrow ranges, the slope is a gentle one.
    return end_hz if fall_db == GENTLE_FALL_DB else _knee_hz(smooth, hz_per_bin, end_hz, GENTLE_FALL_DB)


def _first_peak(margins: Levels) -> int | None:
    """The maximum of the first run of positive values."""
    positive = np.flatnonzero(margins > 0)
    if not positive.size:
        return None
    run = margins[positive[0] : positive[0] + STEPS_PER_OCTAVE // 2]
    return int(positive[0] + np.argmax(run))


def _without_leakage(profile: Levels) -> Levels:
    """The levels without the side lobes of the window around nearby lines."""
    explained = np.full_like(profile, -np.inf)
    for distance in range(3, min(LEAKAGE_BINS, len(profile) - 1)):
        lobe_db = LOBE_DB - 60 * np.log10(max(distance, LOBE_BINS) / LOBE_BINS)
        np.maximum(explained[distance:], profile[:-distance] + lobe_db, out=explained[distance:])
        np.maximum(explained[:-distance], profile[distance:] + lobe_db, out=explained[:-distance])
    return np.where(profile > explained, profile, profile.min())


def _smooth(profile: Levels) -> Levels:
    """Average the power of five neighbouring bins, the width of the window's main lobe."""
    powers = np.pad(10 ** (profile / 10), 2, mode="edge")
    smooth: Levels = 10 * np.log10(sliding_window_view(powers, 5).mean(axis=-1))
    return smooth
