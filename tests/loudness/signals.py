"""Test signals for loudness meters, made from their definitions in EBU Tech 3341 and 3342.

Levels are peak dBFS of each channel, as the definitions give them: a stereo sine of 1 kHz in phase at
-23 dBFS reads -23 LUFS.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, oaconvolve

from aural.audio import Clip

SILENCE = -np.inf  # dBFS
LONGEST_SECONDS = 110

Segment = tuple[float, float]  # seconds, peak dBFS


def amplitude(level_db: float) -> float:
    """The linear factor of a level; 0 for `SILENCE`."""
    return float(10 ** (level_db / 20))


def tone(rate: int, segments: Sequence[Segment], channels_db: Sequence[float | None] = (0.0, 0.0)) -> Clip:
    """A 1 kHz sine in phase in all channels, its level changing from segment to segment.

    Args:
        channels_db: what to add to the level of each channel; `None` for a silent one.
    """
    borders = [round(sum(s for s, _ in segments[:count]) * rate) for count in range(len(segments) + 1)]
    sine = _sine(rate)[: borders[-1]].copy()
    for (_, level_db), start, stop in zip(segments, borders, borders[1:], strict=False):
        sine[start:stop] *= amplitude(level_db)
    gains = [0.0 if level is None else amplitude(level) for level in channels_db]
    return Clip(np.array(gains, np.float32)[:, np.newaxis] * sine, rate)


def peak_tone(rate: int, divisor: int, phase_degrees: float, peak: float) -> Clip:
    """Half a second of stereo sine at `rate / divisor` with fades of 10 ms: tests 15 to 19 of Tech 3341."""
    time = np.arange(rate // 2)
    sine = peak * np.sin(2 * np.pi * time / divisor + np.deg2rad(phase_degrees))
    fade = np.minimum(1.0, np.minimum(time, time[::-1]) / (0.01 * rate))
    return Clip(np.tile((fade * sine).astype(np.float32), (2, 1)), rate)


def burst_between_samples(rate: int, offset: int) -> Clip:
    """One period at a quarter of the rate, amplitude 1, inside a sine at a sixth of it, amplitude 0.5.

    Made phase-continuous at four times the rate, low-passed and thinned out from sample `offset` on:
    tests 20 to 23 of Tech 3341.
    """
    around = 0.5 * np.sin(2 * np.pi * np.arange(24 * 1000) / 24)  # whole periods: ends where the burst begins
    burst = np.sin(2 * np.pi * np.arange(16) / 16)
    low_pass = firwin(1023, 0.5 * rate, fs=4 * rate, window=("kaiser", 8.0))
    fine = oaconvolve(np.concatenate([around, burst, around]), low_pass, mode="same")
    return Clip(np.tile(fine[offset::4].astype(np.float32), (2, 1)), rate)


def programme(rate: int, seconds: float, seed: int = 0) -> Clip:
    """Noise that moves like a stereo programme: pink, in phrases and syllables, some of them quiet.

    There is nothing above 0.4 of the rate, where meters of true peak begin to differ.
    """
    random = np.random.default_rng(seed)
    frames = round(seconds * rate)
    spectra = np.fft.rfft(random.standard_normal((3, frames)))
    frequencies = np.fft.rfftfreq(frames, 1 / rate)
    spectra *= (frequencies < 0.4 * rate) / np.sqrt(np.maximum(frequencies, 20.0))
    common, left, right = np.fft.irfft(spectra, frames)
    level_db = _wandering_db(random, rate, frames, 2.0, -32) + _wandering_db(random, rate, frames, 0.1, -9)
    samples = np.stack([common + 0.5 * left, common + 0.5 * right]) * 10 ** (level_db / 20)
    return Clip((0.9 * samples / np.abs(samples).max()).astype(np.float32), rate)


def _wandering_db(
    random: np.random.Generator, rate: int, frames: int, pace_seconds: float, lowest_db: float
) -> NDArray[np.float64]:
    """A level that goes in straight lines from one random value to the next."""
    position = np.arange(frames) / (rate * pace_seconds)
    knots = np.arange(int(position[-1]) + 2)
    return np.interp(position, knots, random.uniform(lowest_db, 0, knots.size))


@cache
def _sine(rate: int) -> NDArray[np.float32]:
    """The longest sine that is needed; each test cuts its own from it."""
    sine: NDArray[np.float64] = np.sin(2 * np.pi * 1000 / rate * np.arange(LONGEST_SECONDS * rate))
    return sine.astype(np.float32)
