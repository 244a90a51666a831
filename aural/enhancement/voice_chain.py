"""The voice chain: high-pass, gentle compression, de-essing, then loudness and true peak.

No stage adds delay. Gains change in steps of 1 ms and are the same for every channel, so the image stays.
All stages are causal, but for the high-pass of a clip with an LFE: there it has no phase, so that the LFE,
which it leaves alone, keeps its polarity and its time against the other channels. The result does not depend
on the blocks that a long file is processed in.

Source of the compressor: Giannoulis, Massberg and Reiss 2012, "Digital dynamic range compressor design",
feed-forward with a soft knee, the gain smoothed in decibels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, oaconvolve, sosfilt, sosfreqz

from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.steps import Steps, part
from aural.errors import OptionError
from aural.loudness import pipeline as mastering
from aural.loudness.layouts import layout_of, lfe_channels
from aural.loudness.meter import Loudness, measure

Values = NDArray[np.float64]

STEP_SECONDS = 0.001  # between two gains; linear in dB between them
LEVEL_SECONDS = 0.01  # averaging time of the level: two periods of a deep voice
BLOCK_SECONDS = 4  # processed at once
LINEAR_PERIODS = 3  # of the cut-off, to either side: there the impulse response is 100 dB down
MIN_POWER = 1e-20  # floor for logarithms
MIN_BAND_RATIO = 1.25  # narrowest band of a de-esser, upper to lower edge
MAX_RATE_SHARE = 0.45  # highest upper edge of that band, relative to the rate


@dataclass(frozen=True)
class Compressor:
    """Turns loud passages down. Levels are relative to the integrated loudness of the clip."""

    threshold_lu: float = -2.0  # middle of the knee
    ratio: float = 2.5  # dB of input per dB of output above the threshold
    knee_db: float = 8.0  # width of the knee
    attack_seconds: float = 0.01
    release_seconds: float = 0.12


@dataclass(frozen=True)
class DeEsser:
    """Turns the band of sibilants down where it dominates."""

    low_hz: float = 4_000.0  # lower edge of the band
    high_hz: float = 10_000.0
    threshold_db: float = -7.0  # threshold of the level of the band relative to the whole sound
    ratio: float = 3.0
    knee_db: float = 4.0
    attack_seconds: float = 0.002
    release_seconds: float = 0.04


@dataclass(frozen=True)
class VoiceChain:
    """Settings of a voice chain; `None` switches a stage off."""

    loudness_lufs: float  # integrated loudness of the result
    ceiling_dbtp: float = -1.0  # largest true peak of the result
    high_pass_hz: float | None = 80.0  # -3 dB there, 12 dB per octave below
    compressor: Compressor | None = Compressor()
    de_esser: DeEsser | None = DeEsser()
    range_lu: float | None = None  # largest loudness range of the result

    @property
    def changes_tone(self) -> bool:
        """Whether it does more than set the loudness."""
        return any(stage is not None for stage in (self.high_pass_hz, self.compressor, self.de_esser))


# The voice chain of each preset; `restore` has none and keeps the level.
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
    """The processed clip, and what the voice chain did."""

    clip: Clip  # rate, length and channels of the input
    compression_db: float  # maximum gain reduction of the compressor
    de_essing_db: float  # maximum gain reduction of the de-esser
    gain_db: float  # before the limiter
    limiting_db: float  # maximum gain reduction of the limiter
    message: str  # the same in words, and whether the loudness target is met
    loudness: Loudness  # loudness of the clip

    def figures(self) -> dict[str, Any]:
        """The figures, rounded to a hundredth."""
        names = ("compression_db", "de_essing_db", "gain_db", "limiting_db")
        return {**{name: round(getattr(self, name), 2) for name in names}, "message": self.message}


def voice_chain_steps(
    clip: Clip, chain: VoiceChain, mix: float = 1.0, loudness_lufs: float | None = None
) -> Steps[VoiceChainResult]:
    """Run a voice chain: yields the share done, 0 to 1, and returns the result.

    Args:
        mix: dry (0) to wet (1), for parallel compression. The loudness is set after the mix, so 0 changes
            only the level.
        loudness_lufs: integrated loudness of the clip, if known; None: measured if needed.

    Silence stays unchanged.

    Raises:
        InputError: an empty clip, or samples that are not finite.
        OptionError: a setting out of range.
    """
    if not 0 <= mix <= 1:
        raise OptionError(f"The mix of the voice chain must be from 0 (dry) to 1 (wet), not {mix}.")
    compression_db = de_essing_db = 0.0
    changes_tone = mix > 0 and chain.changes_tone
    if changes_tone and loudness_lufs is None:
        measured = yield from part(measure.steps(clip), 0.0, 0.2)
        loudness_lufs = measured.integrated_lufs
    if changes_tone and loudness_lufs is not None:
        lfe = lfe_channels(layout_of(clip))
        steps = process_steps(clip.samples, clip.rate, chain, loudness_lufs, mix, lfe)
        shaped, compression_db, de_essing_db = yield from part(steps, 0.2, 0.4)
        # Replaces the input, to free its memory.
        clip = clip.with_samples(shaped)
        del shaped
    options = mastering.Options(
        target=mastering.FREE,
        loudness_lufs=chain.loudness_lufs,
        ceiling_dbtp=chain.ceiling_dbtp,
        control_range=chain.range_lu is not None,
        range_lu=chain.range_lu,
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
        loudness=mastered.after,
    )


def process_steps(
    samples: Samples,
    rate: int,
    chain: VoiceChain,
    loudness_lufs: float,
    mix: float = 1.0,
    lfe: Collection[int] = (),
) -> Steps[tuple[Samples, float, float]]:
    """High-pass, compress and de-ess: the voice chain without the loudness.

    Shape: (channels, time) -> (channels, time). Returns the samples and the maximum gain reductions, in dB,
    of the compressor and of the de-esser.

    Args:
        loudness_lufs: integrated loudness of the samples; the compressor's threshold is relative to it.
        lfe: low-frequency effects channels. They are not high-passed, and no level counts them, as in
            loudness; the gains are those of the other channels.
    """
    channels, length = samples.shape
    step = max(1, round(STEP_SECONDS * rate))
    high_pass: _HighPass | _LinearPhaseHighPass | None = None
    if chain.high_pass_hz is not None and chain.high_pass_hz < rate / 2:
        high_pass = (
            _LinearPhaseHighPass(samples, chain.high_pass_hz, rate, lfe)
            if lfe
            else _HighPass(samples, chain.high_pass_hz, rate)
        )
    stages: list[_Compressor | _DeEsser] = []
    if chain.compressor is not None:
        stages.append(compressor := _Compressor(chain.compressor, rate, step, loudness_lufs, lfe))
    de_esser = None if chain.de_esser is None else _DeEsser.at_rate(chain.de_esser, rate, step, channels, lfe)
    if de_esser is not None:
        stages.append(de_esser)

    shaped = np.empty_like(samples)
    block = step * max(1, round(BLOCK_SECONDS / STEP_SECONDS))  # whole steps, so that blocks change nothing
    for start in range(0, length, block):
        dry = samples[:, start : start + block]
        wet = np.zeros((channels, math.ceil(dry.shape[1] / step) * step))
        wet[:, : dry.shape[1]] = dry if high_pass is None else high_pass(start, start + dry.shape[1])
        for stage in stages:
            wet = stage(wet)
        wet = wet[:, : dry.shape[1]]
        shaped[:, start : start + block] = wet if mix == 1 else dry + mix * (wet - dry)
        yield min(1.0, (start + block) / length)
    return (
        shaped,
        0.0 if chain.compressor is None else compressor.max_db,
        0.0 if de_esser is None else de_esser.max_db,
    )


class _HighPass:
    """A second-order Butterworth high-pass with its state: the blocks come one after another."""

    def __init__(self, samples: Samples, cutoff_hz: float, rate: int) -> None:
        self.samples = samples
        self.sections = butter(2, cutoff_hz, "highpass", fs=rate, output="sos")
        self.state = np.zeros((len(self.sections), len(samples), 2))

    def __call__(self, start: int, stop: int) -> Values:
        """Shape: (channels, stop - start)."""
        filtered, self.state = sosfilt(self.sections, self.samples[:, start:stop], zi=self.state)
        return np.asarray(filtered)


class _LinearPhaseHighPass:
    """The same magnitude without phase, as a symmetric impulse response; spared channels stay as they are.

    The high-pass above turns what is below its cut-off by up to 180 degrees. Where it spares a channel, that
    would set the lows of the others against it.
    """

    def __init__(self, samples: Samples, cutoff_hz: float, rate: int, spared: Collection[int]) -> None:
        self.samples = samples
        self.filtered = [channel for channel in range(len(samples)) if channel not in spared]
        self.half = math.ceil(LINEAR_PERIODS * rate / cutoff_hz)
        sections = butter(2, cutoff_hz, "highpass", fs=rate, output="sos")
        response = np.abs(sosfreqz(sections, np.linspace(0, np.pi, 4 * self.half + 1))[1])
        impulse = np.fft.irfft(response)
        self.taps = np.concatenate((impulse[-self.half :], impulse[: self.half + 1]))

    def __call__(self, start: int, stop: int) -> Values:
        """Shape: (channels, stop - start)."""
        result = self.samples[:, start:stop].astype(np.float64)
        around = excerpt(self.samples, start - self.half, stop + self.half)[self.filtered]
        result[self.filtered] = oaconvolve(around, self.taps[np.newaxis], mode="valid", axes=1)
        return result


class _Compressor:
    """Turns the sound down while its level is above the threshold."""

    def __init__(
        self, settings: Compressor, rate: int, step: int, loudness_lufs: float, lfe: Collection[int]
    ) -> None:
        self.settings = settings
        self.threshold_db = loudness_lufs + settings.threshold_lu
        self.level = _LevelMeter(rate, step, lfe)
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
    """Turns a band down while it dominates: out = in - (1 - gain) · band."""

    def __init__(
        self, settings: DeEsser, high_hz: float, rate: int, step: int, channels: int, lfe: Collection[int]
    ) -> None:
        self.settings = settings
        # Two poles at either edge; zero phase in the middle of the band, where the subtraction is complete.
        self.sections = butter(2, (settings.low_hz, high_hz), "bandpass", fs=rate, output="sos")
        self.state = np.zeros((len(self.sections), channels, 2))
        self.whole_level, self.band_level = (_LevelMeter(rate, step, lfe) for _ in range(2))
        self.reduction = _GainSmoother(settings.attack_seconds, settings.release_seconds, rate, step)

    @classmethod
    def at_rate(
        cls, settings: DeEsser, rate: int, step: int, channels: int, lfe: Collection[int] = ()
    ) -> _DeEsser | None:
        """The de-esser at this rate; `None` if too little of the band is left."""
        high_hz = min(settings.high_hz, MAX_RATE_SHARE * rate)
        if high_hz < MIN_BAND_RATIO * settings.low_hz:
            return None
        return cls(settings, high_hz, rate, step, channels, lfe)

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
    """Power of all channels but the LFE in dB, averaged over about `LEVEL_SECONDS`, once per step.

    Powers of channels add up as for loudness: a sine of 1 kHz reads its LUFS within 0.1.
    """

    def __init__(self, rate: int, step: int, lfe: Collection[int]) -> None:
        self.step, self.lfe = step, list(lfe)
        self.decay = math.exp(-step / (LEVEL_SECONDS * rate))
        self.state = np.zeros(1)

    def __call__(self, block: Values) -> Values:
        """Shape: (channels, time) -> (steps,)."""
        powers = np.square(block).reshape(len(block), -1, self.step).mean(axis=2)
        powers = np.delete(powers, self.lfe, axis=0).sum(axis=0)
        averaged, self.state = lfilter([1 - self.decay], [1, -self.decay], powers, zi=self.state)
        return np.asarray(10 * np.log10(np.maximum(averaged, MIN_POWER)))


class _GainSmoother:
    """Target reductions per step -> gains per sample, with attack and release."""

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
        # Linear in dB from the last reduction to this one.
        ramp = np.arange(1, self.step + 1) / self.step
        curve_db = reductions_db[:-1, np.newaxis] + np.diff(reductions_db)[:, np.newaxis] * ramp
        return np.asarray(np.exp(curve_db.reshape(-1) * (-math.log(10) / 20)))


def reduction_db(over_db: Values, ratio: float, knee_db: float) -> Values:
    """Gain reduction for a level above the threshold; a parabola joins the two slopes.

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
