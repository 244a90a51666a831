"""Repair of what is no sound: damaged samples, a DC offset, and rumble below hearing.

All three decide over the level and the headroom of a recording, although nobody hears them. What is removed
below a cut-off is found at a low rate, by linear-phase filters, and subtracted: no channel changes its delay
or its polarity, and above the cut-off nothing changes at all.

Sources: Lipshitz and Vanderkooy (linear-phase filters as a difference); Kaiser 1974 (length of a filter).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.resample import resample_samples
from aural.audio.steps import Steps, part, stepwise

Values = NDArray[np.float64]

# Damaged samples
BLOCK_SECONDS = 0.01
MIN_EXCESS = 4.0  # 12 dB above all other sound: a damaged sample decides over the peak of the whole
THRESHOLD = 2.0  # relative to the peak of all other sound: beyond it, a sample is damaged
MAX_DAMAGED_SECONDS = 1e-4  # longer runs may be sound: a clap, a shot
MAX_RUNS = 4  # in a block; more may be sound
MAX_DAMAGED_BLOCKS, MAX_DAMAGED_SHARE = 4, 0.01

# Rumble
LOW_RATE = 600  # Hz: everything that is judged and removed lies far below half of it
EDGE_SECONDS = 1  # by which both ends are continued
PREDICTION_ORDER, PREDICTED_FROM = 150, 1_200
REPAIR_SECONDS = 10  # handled at a time
INFRASONIC_HZ, INFRASONIC_WIDTH_HZ = 20.0, 8.0  # middle and width of the transition
RUMBLE_HZ, RUMBLE_WIDTH_HZ = 70.0, 20.0  # removes up to 60 Hz, keeps from 80 Hz
ABOVE_HZ = 140.0  # end of the octave above, to which thunder and engines reach without a step
STOP_DB = 70.0
SIGNIFICANT_DB = 1.0  # change of the peak or the level by what is below 20 Hz
SIGNIFICANT_OFFSET = 0.01  # of the peak
DOMINANT_LEVEL = 0.5  # of the level of all else
DOMINANT_PEAK = 2.0  # 6 dB: the peak with rumble relative to the one without
LEVEL_SECONDS = 0.02
ACTIVE_PERCENTILE, ACTIVE_RANGE = 95.0, 10**-2.5  # as for the active level of speech
MIN_REST = 0.003  # of the level of the rumble: with less, nothing else is there
MAX_ABOVE = 10**-0.8  # -8 dB, relative to the rumble: brown noise has more
DEEP_HZ = 35.0  # music has little below, rumble has much
DEEP_SHARE = 0.5  # of the power between 35 and 70 Hz
# Rumble and hum are steady; notes and drums come and go. Flatness of noise is exp(-0.577) = 0.56.
STEADY_FLATNESS = 0.4
STEADY_WINDOW, STEADY_RANGE, STEADY_FRAMES = 150, 1e-2, 8


def mend_damaged(clip: Clip) -> tuple[Clip, int]:
    """Replace samples that tower over all other sound by the line between their neighbours.

    A damaged sample exceeds everything else by 12 dB, and is at most 0.1 ms long: no microphone gives that.
    A click in silence is sound, since there is no other.

    Returns the clip, the same if nothing is damaged, and the number of samples replaced.
    """
    block = max(8, round(BLOCK_SECONDS * clip.rate))
    starts = np.arange(0, clip.frames, block)
    peaks = np.stack(
        [
            np.maximum(np.maximum.reduceat(row, starts), -np.minimum.reduceat(row, starts))
            for row in clip.samples
        ]
    ).astype(np.float64)
    threshold = _damage_threshold(np.sort(peaks, axis=None)[::-1], clip.channels)
    if threshold is None:
        return clip, 0
    longest = max(2, round(MAX_DAMAGED_SECONDS * clip.rate))
    samples, count = clip.samples.copy(), 0
    for channel, number in zip(*np.nonzero(peaks > threshold), strict=True):
        # A little of the next blocks, so that no run is cut in two.
        first, last = starts[number] - longest, starts[number] + block + longest
        damaged = np.abs(excerpt(clip.samples[channel : channel + 1], first, last)[0]) > threshold
        runs = np.flatnonzero(np.diff(damaged, prepend=False, append=False)).reshape(-1, 2)
        if len(runs) > MAX_RUNS or (runs[:, 1] - runs[:, 0]).max() > longest:
            return clip, 0
        for start, stop in (runs + first).tolist():
            count += int(np.count_nonzero(np.abs(samples[channel, start:stop]) > threshold))
            before = samples[channel, start - 1] if start > 0 else 0.0
            after = samples[channel, stop] if stop < clip.frames else 0.0
            samples[channel, start:stop] = np.linspace(before, after, stop - start + 2)[1:-1]
    return clip.with_samples(samples), count


def _damage_threshold(falling: Values, channels: int) -> float | None:
    """The level above which samples are damaged; None if no few blocks tower over the rest.

    Shape: the peaks of all blocks, (blocks,).
    """
    most = channels * max(MAX_DAMAGED_BLOCKS, round(MAX_DAMAGED_SHARE * falling.size / channels))
    above, below = falling[:-1][:most], falling[1:][:most]
    gaps = np.flatnonzero((below > 0) & (above >= MIN_EXCESS * below))
    return THRESHOLD * float(below[gaps[-1]]) if gaps.size else None


@dataclass(frozen=True)
class Repaired:
    """A clip without damage and without what nobody hears, and what was done to it."""

    clip: Clip  # the very clip if there was nothing to repair
    message: str  # one sentence for each repair; or empty


@stepwise
def repair(clip: Clip, spared: Collection[int] = ()) -> Steps[Repaired]:
    """Mend damaged samples, then remove a DC offset and rumble, see `mend_damaged` and `remove_rumble`."""
    mended, count = mend_damaged(clip)
    cleaned, removed = yield from part(remove_rumble.steps(mended, spared), 0.1, 1.0)
    messages = [f"{count} damaged sample{'s' * (count > 1)} mended."] if count else []
    return Repaired(cleaned, " ".join([*messages, *([f"{removed} removed."] if removed else [])]))


@stepwise
def remove_rumble(clip: Clip, spared: Collection[int] = ()) -> Steps[tuple[Clip, str]]:
    """Remove a DC offset and what lies below 20 Hz, and rumble up to 60 Hz, where they would decide.

    Below 20 Hz, whatever changes the peak or the level by 1 dB is removed. Between 20 and 60 Hz is
    also music, so there it has to be at most 6 dB below all else, or to double the peak, and to be no music:
    mostly below 35 Hz, or as steady as noise and hum are.

    Args:
        spared: channels made for such lows (LFE). They only lose their offset.

    Returns the clip, the same if nothing had to be removed, and what was removed: "DC offset", "Infrasound",
    "Rumble" or "".
    """
    others = [channel for channel in range(clip.channels) if channel not in spared]
    lows = [_low_rate(clip.samples[channel], clip.rate) for channel in others]
    infrasonic = [_low_pass(low, INFRASONIC_HZ, INFRASONIC_WIDTH_HZ) for low in lows]
    rumble = [_low_pass(low, RUMBLE_HZ, RUMBLE_WIDTH_HZ) for low in lows]
    above = [_low_pass(low, ABOVE_HZ, RUMBLE_WIDTH_HZ) for low in lows]
    whole, audible, rest, band = (_Level() for _ in range(4))
    for first, last in _blocks(clip):
        x = clip.samples[others, first * clip.rate : last * clip.rate]
        deep, low = (_lows_at_rate(made, clip.rate, first, x.shape[1]) for made in (infrasonic, rumble))
        for level, samples in ((whole, x), (audible, x - deep), (rest, x - low), (band, low - deep)):
            level.add(samples, clip.rate)
        yield min(1.0, last / clip.seconds)
    decides = band.active > DOMINANT_LEVEL * rest.active or audible.peak > DOMINANT_PEAK * rest.peak
    has_rest = rest.active > MIN_REST * band.active
    if decides and has_rest and _is_rumble(*(np.array(made) for made in (infrasonic, rumble, above))):
        return _subtract(clip, dict(zip(others, rumble, strict=True)), spared), "Rumble"
    offset = max((abs(float(clip.samples[one].mean(dtype=np.float64))) for one in others), default=0.0)
    least = 10 ** (-SIGNIFICANT_DB / 20)
    is_offset = offset > SIGNIFICANT_OFFSET * audible.peak
    if is_offset or audible.peak < least * whole.peak or audible.active < least * whole.active:
        cleaned = _subtract(clip, dict(zip(others, infrasonic, strict=True)), spared)
        return cleaned, "DC offset" if is_offset else "Infrasound"
    return clip, ""


class WithoutLows:
    """A clip from about 70 Hz on, to judge its level by, in blocks of 10 s: no long clip is copied.

    Shape: (channels, time) each.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._lows = [
            _low_pass(_low_rate(row, clip.rate), RUMBLE_HZ, RUMBLE_WIDTH_HZ) for row in clip.samples
        ]

    def __iter__(self) -> Iterator[Samples]:
        rate = self._clip.rate
        for first, last in _blocks(self._clip):
            x = self._clip.samples[:, first * rate : last * rate]
            yield x - _lows_at_rate(self._lows, rate, first, x.shape[1])


class _Level:
    """The largest sample, and the root mean square of the active blocks of 20 ms, block by block."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._powers: list[Values] = []

    def add(self, samples: Samples, rate: int) -> None:
        """Shape: (channels, time), whole seconds but for the last."""
        if not samples.size:
            return
        self.peak = max(self.peak, float(samples.max()), -float(samples.min()))
        starts = np.arange(0, samples.shape[1], max(1, round(LEVEL_SECONDS * rate)))
        lengths = np.diff(np.append(starts, samples.shape[1]))
        energies = (np.add.reduceat(np.square(row, dtype=np.float64), starts) for row in samples)
        self._powers.append(sum(energies, np.zeros(starts.size)) / lengths)

    @property
    def active(self) -> float:
        """0 for silence."""
        powers = np.concatenate([*self._powers, np.zeros(1)])
        heard = powers[powers > 0]
        if heard.size == 0:
            return 0.0
        active = heard[heard >= ACTIVE_RANGE * np.percentile(heard, ACTIVE_PERCENTILE)]
        return float(np.sqrt(active.mean()))


def _is_rumble(infrasonic: Values, rumble: Values, above: Values) -> bool:
    """Whether what lies between 20 and 70 Hz is no music, and no part of a sound that reaches further up.

    Shape: (channels, time) each, at LOW_RATE: the sound up to 20, 70 and 140 Hz.
    """
    edge = EDGE_SECONDS * LOW_RATE
    band, octave = ((x - y)[:, edge:-edge] for x, y in ((rumble, infrasonic), (above, rumble)))
    power = np.square(band).sum()
    if np.square(octave).sum() > MAX_ABOVE * power:
        return False
    deep = np.array([_low_pass(row, DEEP_HZ, INFRASONIC_WIDTH_HZ) for row in band])
    deep_power = np.square(deep).sum()
    return bool(deep_power > DEEP_SHARE * (power - deep_power)) or _is_steady(band)


def _is_steady(band: Values) -> bool:
    """Whether a sound is as steady as noise or hum. Shape: (channels, time), at LOW_RATE.

    In every bin of the spectrum, the geometric mean of the power over time is compared with the arithmetic
    one: 1 for a steady tone, 0.56 for noise, near 0 where notes come and go.
    """
    if band.shape[1] < (STEADY_FRAMES + 1) * STEADY_WINDOW // 2:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(band, STEADY_WINDOW, axis=1)[:, :: STEADY_WINDOW // 2]
    spectra = np.fft.rfft(windows * np.hanning(STEADY_WINDOW), axis=-1)
    power = np.square(np.abs(spectra)).sum(0)
    mean = power.mean(0)
    inside = mean > STEADY_RANGE * mean.max()
    relative = power[:, inside] / mean[inside]
    return bool(np.exp(np.log(relative + 1e-12).mean()) > STEADY_FLATNESS)


def _subtract(clip: Clip, lows: dict[int, Values], spared: Collection[int]) -> Clip:
    """The clip without the lows of each channel, and the spared channels without their offset."""
    samples = np.empty_like(clip.samples)
    for first, last in _blocks(clip):
        part = slice(first * clip.rate, last * clip.rate)
        for channel, low in lows.items():
            x = clip.samples[channel, part]
            samples[channel, part] = x - _lows_at_rate([low], clip.rate, first, x.size)[0]
    for channel in spared:
        samples[channel] = clip.samples[channel] - clip.samples[channel].mean(dtype=np.float64)
    return clip.with_samples(samples)


def _blocks(clip: Clip) -> Iterator[tuple[int, int]]:
    """The first second of each block, and the one after its last."""
    seconds = math.ceil(clip.seconds)
    return ((first, min(first + REPAIR_SECONDS, seconds)) for first in range(0, seconds, REPAIR_SECONDS))


def _low_rate(channel: Samples, rate: int) -> Values:
    """A channel at LOW_RATE, from EDGE_SECONDS before its start to as long after its end.

    Beyond both ends it goes on as linear prediction says, so that neither an offset nor a hum ends there.

    Shape: (time,) -> (time,).
    """
    frames = channel.size * LOW_RATE // rate
    pieces = []
    for first in range(0, math.ceil(channel.size / rate), REPAIR_SECONDS):
        around = _reflected(channel, (first - 1) * rate, (first + REPAIR_SECONDS + 1) * rate)
        low = resample_samples(around[np.newaxis], rate, LOW_RATE)[0]
        pieces.append(low[LOW_RATE : LOW_RATE * (1 + REPAIR_SECONDS)])
    low = np.concatenate(pieces).astype(np.float64)[: max(frames, 1)]
    before = _continue(low[::-1], EDGE_SECONDS * LOW_RATE)[::-1]
    end = (math.ceil(channel.size / rate) + EDGE_SECONDS) * LOW_RATE
    return np.concatenate((before, low, _continue(low, end - low.size)))


def _reflected(channel: Samples, start: int, stop: int) -> Samples:
    """Samples from `start` to `stop`; beyond both ends they are mirrored at the point of the last one.

    Shape: (time,) -> (stop - start,).
    """
    if start >= 0 and stop <= channel.size:
        return channel[start:stop]
    last = channel.size - 1
    index = np.arange(start, stop)
    inside = np.clip(index, 0, last)
    mirrored = np.clip(2 * inside - index, 0, last)
    return np.where(index == inside, channel[inside], 2 * channel[inside] - channel[mirrored])


def _continue(past: Values, count: int) -> Values:
    """The next values by linear prediction, its coefficients by Burg's method, so that nothing grows.

    Shape: (time,) -> (count,).
    """
    known = past[-PREDICTED_FROM:]
    order = min(PREDICTION_ORDER, known.size // 3)
    forward, backward = known[1:].copy(), known[:-1].copy()
    coefficients = np.zeros(0)
    for _ in range(order):
        power = forward @ forward + backward @ backward
        reflection = 2 * (forward @ backward) / power if power > 0 else 0.0
        coefficients = np.append(coefficients - reflection * coefficients[::-1], reflection)
        forward, backward = (forward - reflection * backward)[1:], (backward - reflection * forward)[:-1]
    values = np.concatenate((known, np.zeros(count)))
    if not order:
        return np.full(count, known[-1])
    newest_last = coefficients[::-1]
    for number in range(known.size, values.size):
        values[number] = newest_last @ values[number - order : number]
    return values[known.size :]


def _lows_at_rate(lows: list[Values], rate: int, first: int, frames: int) -> Samples:
    """What `_low_rate` has made, at a clip's rate, from a second on. Shape: (channels, frames)."""
    start = (first - 1 + EDGE_SECONDS) * LOW_RATE
    around = [low[start : start + (math.ceil(frames / rate) + 2) * LOW_RATE] for low in lows]
    fast = resample_samples(np.array(around, np.float32), LOW_RATE, rate)
    return excerpt(fast, rate, rate + frames)


def _low_pass(low: Values, cutoff_hz: float, width_hz: float) -> Values:
    """Shape: (time,) at LOW_RATE, both."""
    from scipy.signal import firwin, kaiserord, oaconvolve  # takes long to import

    count, beta = kaiserord(STOP_DB, width_hz / (LOW_RATE / 2))
    taps = firwin(count | 1, cutoff_hz, window=("kaiser", beta), fs=LOW_RATE)
    return np.asarray(oaconvolve(low, taps, mode="same"))
