"""The effective bandwidth of a sound, which the sample rate of its file does not tell.

A phone call at 48 kHz still ends at 4 kHz, and a small MP3 at 11 or 16 kHz. Such an end is an edge in the
spectrum. Four properties tell it from the natural slope of voices and instruments:

    content      below the edge the spectrum is filled with noise or dense partials, not a few lines
    silence      above it, up to half the rate, nothing comes near that level
    always       this holds in loud moments too: with an occasional hiss the band is not limited
    steepness    the level falls faster than its trend below the edge, and than dark recordings do

What is no content does not count above the edge: a few single lines, such as the whistle of a television or
the pilot of FM radio; windows whose highs are clicks; and images, the mirrored copies of the band that a
linear interpolation or a repetition of samples leaves (their fine structure is that of the band itself).

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

# Clicks: this share of a window's highs lies in so many cells
CLICK_CELL_SECONDS, CLICK_CELLS, CLICK_CONCENTRATION = 0.001, 6, 0.97

# Lines: so much above what is beside them, the nearest and the farthest bin of it, and how many at most
LINE_DB, LINE_BINS, MAX_LINES = 10.0, (6, 12), 6
MIN_LINE_HZ = 5_000.0
MAX_LINES_DB = 45.0  # above everything else; higher ones are the sound itself

# Images: mirrored around half an old rate, with the same fine structure over time
IMAGE_WINDOWS = 200  # of all segments
MIN_IMAGE_WINDOWS = 24
IMAGE_CORRELATION, IMAGE_CONTRAST = 0.53, 0.6
IMAGE_LAWS = (0, 1, 2)  # zeros between the samples, their repetition, and straight lines between them
IMAGE_DEVIATION_DB = 4.0
FINE_BINS = 8  # the level around a bin, on each side, that its fine structure is relative to
IMAGE_DB = 50.0  # below the loudest level; softer bins are not compared
MIN_IMAGE_BINS = 24

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
    found = yield from _profile_steps(clip, half)
    edge_hz = None
    if found is not None:
        profile, windows = found
        _remove_images(profile, windows)
        hz_per_bin = clip.rate / (2 * half)
        edge_hz = _edge_hz(_without_lines(profile, round(MIN_LINE_HZ / hz_per_bin)), hz_per_bin)
    if edge_hz is None:
        return Bandwidth(clip.rate / 2, is_limited=False)
    return Bandwidth(min(edge_hz, clip.rate / 2), is_limited=edge_hz < LIMITED * clip.rate / 2)


# The spectrum of the loud moments


def _profile_steps(clip: Clip, half: int) -> Steps[tuple[Levels, Levels] | None]:
    """The level of each frequency in the clip's loud moments, and in single windows, dB; None for silence.

    Shape: (half + 1,) and (windows, half + 1).
    """
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
    kept: list[NDArray[np.float32]] = []
    for power, (piece, end) in zip(powers, _segments(clip, half), strict=True):
        if power >= loudest * 10 ** (PAUSE_DB / 10):
            total = _window_powers(piece, window)
            loud, windows = _loud_power(total, _clicked(piece, len(window), clip.rate))
            kept.append(windows[: max(4, IMAGE_WINDOWS // len(powers))].copy())  # without all the others
            level_db = 10 * np.log10(loud / reference + 1e-30)
            level = np.round((np.clip(level_db, low_db, high_db) - low_db) / LEVEL_STEP_DB).astype(np.intp)
            histogram[bins, level] += 1
        yield min(1.0, end / clip.frames)
    reached = np.cumsum(histogram, axis=1) >= LOUD_SHARE * histogram[0].sum()
    profile: Levels = low_db + LEVEL_STEP_DB * np.argmax(reached, axis=1)
    np.maximum(profile, profile.max() - DEEPEST_DB, out=profile)
    levels_db = np.concatenate(kept).astype(np.float64)
    levels_db /= reference
    levels_db += 1e-30
    np.log10(levels_db, out=levels_db)
    levels_db *= 10
    return profile, levels_db


def _segments(clip: Clip, half: int) -> Iterator[tuple[Samples, int]]:
    """Pieces of about a second and where they end; a short remainder belongs to the last piece."""
    hops = max(1, round(SEGMENT_SECONDS * clip.rate / half))
    length = hops * half
    count = max(1, clip.frames // length)
    for index in range(count):
        # Windows overlap by half, and so do segments, so that none is missed between them.
        end = clip.frames if index == count - 1 else (index + 1) * length + half
        yield clip.samples[:, index * length : end], end


def _window_powers(samples: Samples, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """The power of each frequency in each window. Shape: (channels, time) -> (windows, bins).

    A sine of amplitude 1 has power 1; channels are averaged.
    """
    total = 0
    for cut in _cut(samples, len(window)):
        spectra = rfft(cut * window, axis=-1)
        total = total + (spectra.real**2 + spectra.imag**2) / np.float32(len(samples))
    return np.asarray(total)


def _cut(samples: Samples, size: int) -> Iterator[Samples]:
    """Each channel in windows that overlap by half. Shape: (channels, time) -> (windows, size) each."""
    frames = max(1, -(-(samples.shape[1] - size) // (size // 2)) + 1)
    length = (frames + 1) * (size // 2)
    for channel in samples:
        yield sliding_window_view(np.pad(channel, (0, length - len(channel))), size)[:: size // 2]


def _clicked(samples: Samples, size: int, rate: int) -> NDArray[np.bool_]:
    """Windows whose highs are clicks. Shape: (channels, time) -> (windows,)."""
    cell = max(1, round(CLICK_CELL_SECONDS * rate))
    highs = np.diff(samples, n=2, axis=1, prepend=samples[:, :1], append=samples[:, -1:]).astype(np.float32)
    cells = np.arange(0, size, cell)
    energies = np.sum([np.add.reduceat(np.square(cut), cells, axis=1) for cut in _cut(highs, size)], axis=0)
    loudest = np.sort(energies, axis=1)[:, -CLICK_CELLS:].sum(1)
    return np.asarray(loudest > CLICK_CONCENTRATION * energies.sum(1))


def _loud_power(total: NDArray[np.float32], clicked: NDArray[np.bool_]) -> tuple[Levels, NDArray[np.float32]]:
    """The power of each frequency in the loudest windows, without clicks; and these windows, loudest first.

    Shape: (windows, bins), (windows,) -> (bins,), (windows, bins).
    """
    # Where there are only clicks, they are the sound.
    inside = total[~clicked] if total[~clicked].any() else total
    frames = len(inside)
    rank = frames - 1 - round(CLICK_SHARE * frames)
    loud: Levels = np.partition(inside, rank, axis=0)[rank].astype(np.float64)
    return loud, inside[np.argsort(-inside.sum(1))]


# What does not count


def _without_lines(profile: Levels, lowest: int) -> Levels:
    """The levels without a few single lines; many are a sound's own partials. Shape: (bins,), both.

    Args:
        lowest: bin above which lines are sought.
    """
    near, far = LINE_BINS
    padded = np.pad(profile, far, mode="reflect")
    beside = np.max(
        [
            padded[far + offset : far + offset + len(profile)]
            for offset in range(-far, far + 1)
            if abs(offset) >= near
        ],
        axis=0,
    )
    peaks = np.flatnonzero(profile > beside + LINE_DB)
    peaks = peaks[peaks > lowest]
    groups = np.split(peaks, np.flatnonzero(np.diff(peaks) > near) + 1) if peaks.size else []
    cleaned = profile.copy()
    for group in groups:
        first, last = group[0] - near, min(group[-1] + near, len(profile) - 1)
        cleaned[first : last + 1] = np.minimum(cleaned[first : last + 1], max(profile[first], profile[last]))
    is_sound = profile.max() - cleaned.max() > MAX_LINES_DB
    return profile if len(groups) > MAX_LINES or is_sound else cleaned


def _remove_images(profile: Levels, windows: Levels) -> None:
    """Set the levels above half of an old rate to the lowest, if what is there mirrors what is below.

    Shape: profile: (bins,), changed in place; windows: (windows, bins), dB.
    """
    if len(windows) < MIN_IMAGE_WINDOWS:
        return
    fine = np.empty(windows.shape, np.float32)
    for start in range(0, len(windows), IMAGE_WINDOWS):
        some = windows[start : start + IMAGE_WINDOWS]
        sums = np.cumsum(np.pad(some, ((0, 0), (FINE_BINS + 1, FINE_BINS)), mode="edge"), axis=1)
        around = (sums[:, 2 * FINE_BINS + 1 :] - sums[:, : -2 * FINE_BINS - 1]) / (2 * FINE_BINS + 1)
        fine[start : start + IMAGE_WINDOWS] = some - around
    fine -= fine.mean(0)
    fine /= np.linalg.norm(fine, axis=0) + 1e-9
    correlation = fine.T @ fine
    heard = profile > profile.max() - IMAGE_DB
    scores = np.zeros(len(profile) + FINE_BINS)
    for total in range(4 * MIN_IMAGE_BINS, len(scores)):
        low = _mirrored(total, heard)
        if low.size >= MIN_IMAGE_BINS:
            scores[total] = correlation[low, total - low].mean()
    for total in np.flatnonzero(scores > IMAGE_CORRELATION).tolist():
        first, last = total - FINE_BINS, total + FINE_BINS + 1
        # Harmonics mirror each other around many places, and a band around half its rate.
        others = np.concatenate((scores[:first], scores[last : max(last, 2 * total - FINE_BINS)]))
        is_peak = scores[total] == scores[first:last].max()
        if is_peak and others.max(initial=0) < IMAGE_CONTRAST * scores[total]:
            low = _mirrored(total, heard)
            if _falls_as_images(profile, low, total - low):
                profile[total // 2 :] = profile.min()
                return


def _mirrored(total: int, heard: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Bins below half of `total` that are heard, as are those as far above. Shape: heard: (bins,)."""
    low = np.arange(max(FINE_BINS, total - len(heard) + 1), total // 2 - FINE_BINS)
    return low[heard[low] & heard[total - low]]


def _falls_as_images(profile: Levels, low: NDArray[np.intp], high: NDArray[np.intp]) -> bool:
    """Whether levels differ from their mirrored ones as interpolation of some order leaves them.

    Its response sinc^k is (sin(pi f / rate) / f)^k, and the sines of f and rate - f are equal.
    """
    ratio_db = 20 * np.log10(low / high)
    difference_db = profile[high] - profile[low]
    return any(
        np.median(np.abs(difference_db - order * ratio_db)) < IMAGE_DEVIATION_DB for order in IMAGE_LAWS
    )


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
