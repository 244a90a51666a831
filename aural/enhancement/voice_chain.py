"""A podcast-style finish: high-pass, gentle compression, de-essing, then loudness and true peak.

All of it is causal and adds no delay. Levels are followed in steps of 1 ms; every channel gets the same gain,
so the stereo image stays. What is done does not depend on the blocks that a long file is handled in.

Source of the compressor: Giannoulis, Massberg and Reiss 2012, "Digital dynamic range compressor design",
feed-forward with a soft knee, the gain smoothed in decibels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from aural.audio.clip import Clip, Samples
from aural.audio.steps import Steps, part
from aural.errors import OptionError
from aural.loudness import pipeline as mastering
from aural.loudness.meter import measure

Values = NDArray[np.float64]

STEP_SECONDS = 0.001  # between two gains; straight lines in dB join them
LEVEL_SECONDS = 0.01  # over which the power is averaged: two periods of a deep voice
BLOCK_SECONDS = 4  # audio handled at a time
MIN_POWER = 1e-20  # stands for silence where a logarithm is taken
MIN_BAND_RATIO = 1.25  # a de-esser's band whose edges are nearer to each other is left out
MAX_RATE_SHARE = 0.45  # of the rate, where that band ends at the latest


@dataclass(frozen=True)
class Compressor:
    """Loud passages are turned down. Levels count from the integrated loudness of the whole clip."""

    threshold_lu: float = -2.0  # where it begins, the middle of the knee
    ratio: float = 2.5  # decibels that go in for one that comes out, above the threshold
    knee_db: float = 8.0  # width of the bend
    attack_seconds: float = 0.01
    release_seconds: float = 0.12


@dataclass(frozen=True)
class DeEsser:
    """The band of hissing consonants is turned down where it outweighs the rest."""

    low_hz: float = 4_000.0  # edges of the band that is turned down
    high_hz: float = 10_000.0
    threshold_db: float = -7.0  # level of the band against that of the whole sound, where it begins
    ratio: float = 3.0
    knee_db: float = 4.0
    attack_seconds: float = 0.002
    release_seconds: float = 0.04


@dataclass(frozen=True)
class VoiceChain:
    """Settings of a finish; `None` leaves a stage out."""

    loudness_lufs: float  # integrated loudness of the result
    ceiling_dbtp: float = -1.0  # largest true peak of the result
    high_pass_hz: float | None = 80.0  # -3 dB there, 12 dB per octave below
    compressor: Compressor | None = Compressor()
    de_esser: DeEsser | None = DeEsser()
    range_lu: float | None = None  # largest loudness range of the result


# What each preset does at its end; `restore` keeps the level and does nothing.
VOICE_CHAINS: Mapping[str, VoiceChain | None] = MappingProxyType(
    {
        "restore": None,
        "podcast": VoiceChain(-16.0),
        "voice_memo": VoiceChain(-18.0),
        "song_demo": VoiceChain(
            -14.0,
            high_pass_hz=30.0,
            compressor=Compressor(threshold_lu=0.0, ratio=1.5, attack_seconds=0.03, release_seconds=0.25),
            de_esser=None,
        ),
        "interview": VoiceChain(-16.0, range_lu=8.0),
    }
)


@dataclass(frozen=True)
class VoiceChainResult:
    """A finished clip and what was done to it."""

    clip: Clip  # rate, length and channels of the input
    compression_db: float  # largest reduction by the compressor
    de_essing_db: float  # largest reduction of the de-esser's band
    gain_db: float  # in front of the limiter
    limiting_db: float  # the limiter's largest reduction of a peak
    message: str  # the same in words, and whether the loudness is met

    def figures(self) -> dict[str, Any]:
        """The figures for people and programs, rounded to a hundredth."""
        names = ("compression_db", "de_essing_db", "gain_db", "limiting_db")
        return {**{name: round(getattr(self, name), 2) for name in names}, "message": self.message}


def voice_chain_steps(clip: Clip, finish: VoiceChain, mix: float = 1.0) -> Steps[VoiceChainResult]:
    """VoiceChain a clip: yields the share done, 0 to 1, and returns the result.

    Args:
        mix: share of what is filtered and compressed, 0 to 1; the rest is the clip as it came (parallel
            compression). The loudness is set after the mix, so 0 is the clip with no more than its level set.

    Silence comes back as it is.

    Raises:
        InputError: an empty clip, or samples that are not finite.
        OptionError: a setting out of range.
    """
    if not 0 <= mix <= 1:
        raise OptionError(f"The mix of the voice chain must be from 0 (dry) to 1 (wet), not {mix}.")
    measured = yield from part(measure.steps(clip), 0.0, 0.2)
    compression_db = de_essing_db = 0.0
    if measured.integrated_lufs is not None and mix > 0:
        steps = process_steps(clip.samples, clip.rate, finish, measured.integrated_lufs, mix)
        shaped, compression_db, de_essing_db = yield from part(steps, 0.2, 0.4)
        # Under the name of what it replaces, which is not needed any more and makes room.
        clip = clip.with_samples(shaped)
        del shaped
    options = mastering.Options(
        target=mastering.FREE,
        loudness_lufs=finish.loudness_lufs,
        ceiling_dbtp=finish.ceiling_dbtp,
        control_range=finish.range_lu is not None,
        range_lu=finish.range_lu,
    )
    mastered = yield from part(mastering.master.steps(clip, options), 0.4, 1.0)
    done = f"Compression up to {compression_db:.1f} dB, de-essing up to {de_essing_db:.1f} dB. "
    return VoiceChainResult(
        clip=mastered.clip,
        compression_db=compression_db,
        de_essing_db=de_essing_db,
        gain_db=mastered.gain_db,
        limiting_db=mastered.limiting_db,
        message=(done if compression_db or de_essing_db else "") + mastered.message,
    )


def process_steps(
    samples: Samples, rate: int, finish: VoiceChain, loudness_lufs: float, mix: float = 1.0
) -> Steps[tuple[Samples, float, float]]:
    """High-pass, compress and de-ess: all of a finish but the loudness.

    Shape: (channels, time) -> (channels, time). Returns the samples and the largest reductions, in dB, by the
    compressor and by the de-esser.

    Args:
        loudness_lufs: integrated loudness of the samples, which the compressor's threshold counts from.
    """
    channels, length = samples.shape
    step = max(1, round(STEP_SECONDS * rate))
    stages: list[_HighPass | _Compressor | _DeEsser] = []
    if finish.high_pass_hz is not None and finish.high_pass_hz < rate / 2:
        stages.append(_HighPass(finish.high_pass_hz, rate, channels))
    if finish.compressor is not None:
        stages.append(compressor := _Compressor(finish.compressor, rate, step, loudness_lufs))
    de_esser = None if finish.de_esser is None else _DeEsser.at_rate(finish.de_esser, rate, step, channels)
    if de_esser is not None:
        stages.append(de_esser)

    shaped = np.empty_like(samples)
    block = step * max(1, round(BLOCK_SECONDS / STEP_SECONDS))  # whole steps, so that it changes nothing
    for start in range(0, length, block):
        dry = samples[:, start : start + block]
        wet = np.zeros((channels, math.ceil(dry.shape[1] / step) * step))
        wet[:, : dry.shape[1]] = dry
        for stage in stages:
            wet = stage(wet)
        wet = wet[:, : dry.shape[1]]
        shaped[:, start : start + block] = wet if mix == 1 else dry + mix * (wet - dry)
        yield min(1.0, (start + block) / length)
    return (
        shaped,
        0.0 if finish.compressor is None else compressor.max_db,
        0.0 if de_esser is None else de_esser.max_db,
    )


class _HighPass:
    """A second-order Butterworth high-pass that remembers where it was."""

    def __init__(self, cutoff_hz: float, rate: int, channels: int) -> None:
        self.sections = butter(2, cutoff_hz, "highpass", fs=rate, output="sos")
        self.state = np.zeros((len(self.sections), channels, 2))

    def __call__(self, block: Values) -> Values:
        """Shape: (channels, time), both."""
        filtered, self.state = sosfilt(self.sections, block, zi=self.state)
        return np.asarray(filtered)


class _Compressor:
    """The whole sound is turned down while its level is above the threshold."""

    def __init__(self, settings: Compressor, rate: int, step: int, loudness_lufs: float) -> None:
        self.settings = settings
        self.threshold_db = loudness_lufs + settings.threshold_lu
        self.level = _LevelMeter(rate, step)
        self.reduction = _GainSmoother(settings.attack_seconds, settings.release_seconds, rate, step)

    @property
    def max_db(self) -> float:
        return self.reduction.max_db

    def __call__(self, block: Values) -> Values:
        """Shape: (channels, time), whole steps; both."""
        over_db = self.level(block) - self.threshold_db
        target_db = reduction_db(over_db, self.settings.ratio, self.settings.knee_db)
        return block * self.reduction.gains(target_db)


class _DeEsser:
    """A band is turned down while it has much of the whole level: out = in - (1 - gain) · band."""

    def __init__(self, settings: DeEsser, high_hz: float, rate: int, step: int, channels: int) -> None:
        self.settings = settings
        # Two poles at either edge; in the middle of the band the filter has no phase, and all of it goes.
        self.sections = butter(2, (settings.low_hz, high_hz), "bandpass", fs=rate, output="sos")
        self.state = np.zeros((len(self.sections), channels, 2))
        self.whole_level, self.band_level = _LevelMeter(rate, step), _LevelMeter(rate, step)
        self.reduction = _GainSmoother(settings.attack_seconds, settings.release_seconds, rate, step)

    @classmethod
    def at_rate(cls, settings: DeEsser, rate: int, step: int, channels: int) -> _DeEsser | None:
        """At this rate; `None` where it leaves too little of the band."""
        high_hz = min(settings.high_hz, MAX_RATE_SHARE * rate)
        if high_hz < MIN_BAND_RATIO * settings.low_hz:
            return None
        return cls(settings, high_hz, rate, step, channels)

    @property
    def max_db(self) -> float:
        return self.reduction.max_db

    def __call__(self, block: Values) -> Values:
        """Shape: (channels, time), whole steps; both."""
        band, self.state = sosfilt(self.sections, block, zi=self.state)
        over_db = self.band_level(band) - self.whole_level(block) - self.settings.threshold_db
        target_db = reduction_db(over_db, self.settings.ratio, self.settings.knee_db)
        return np.asarray(block - (1 - self.reduction.gains(target_db)) * band)


class _LevelMeter:
    """Power of all channels together, averaged over about `LEVEL_SECONDS`, in dB, once a step.

    The channels are added as they are for loudness: of a sine of 1 kHz it reads the LUFS, give or take 0.1.
    """

    def __init__(self, rate: int, step: int) -> None:
        self.step = step
        self.decay = math.exp(-step / (LEVEL_SECONDS * rate))
        self.state = np.zeros(1)

    def __call__(self, block: Values) -> Values:
        """Shape: (channels, time) -> (steps,)."""
        powers = np.square(block).reshape(len(block), -1, self.step).mean(axis=2).sum(axis=0)
        averaged, self.state = lfilter([1 - self.decay], [1, -self.decay], powers, zi=self.state)
        return np.asarray(10 * np.log10(np.maximum(averaged, MIN_POWER)))


class _GainSmoother:
    """Wanted reductions, one a step -> gains, one a sample, with attack and release."""

    def __init__(self, attack_seconds: float, release_seconds: float, rate: int, step: int) -> None:
        self.step = step
        self.attack, self.release = (
            1 - math.exp(-step / (seconds * rate)) for seconds in (attack_seconds, release_seconds)
        )
        self.last_db = self.max_db = 0.0

    def gains(self, target_db: Values) -> Values:
        """Shape: (steps,) -> (steps · step,)."""
        reductions_db = np.empty(target_db.size + 1)
        reductions_db[0] = value = self.last_db
        for number, target in enumerate(target_db.tolist(), 1):
            value += (self.attack if target > value else self.release) * (target - value)
            reductions_db[number] = value
        self.last_db, self.max_db = value, max(self.max_db, float(reductions_db.max()))
        if not reductions_db.any():
            return np.ones(target_db.size * self.step)
        # Each step leads from the reduction before to its own.
        ramp = np.arange(1, self.step + 1) / self.step
        curve_db = reductions_db[:-1, np.newaxis] + np.diff(reductions_db)[:, np.newaxis] * ramp
        return np.asarray(np.exp(curve_db.reshape(-1) * (-math.log(10) / 20)))


def reduction_db(over_db: Values, ratio: float, knee_db: float) -> Values:
    """How far to turn down what is so far above the threshold; a parabola joins the two slopes.

    y = 0                              below  -knee/2
        s (x + knee/2)² / (2 knee)     between,           s = 1 - 1/ratio
        s x                            above   knee/2

    Shape: any; both the same.

    >>> reduction_db(np.array([-10.0, 0.0, 10.0]), ratio=2.0, knee_db=8.0).tolist()
    [0.0, 0.5, 5.0]
    """
    slope = 1 - 1 / ratio
    bend = np.clip(over_db + knee_db / 2, 0, knee_db)
    straight = np.maximum(over_db - knee_db / 2, 0)
    return np.asarray(slope * (bend**2 / (2 * max(knee_db, 1e-9)) + straight))
