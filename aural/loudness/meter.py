"""Loudness, loudness range and true peak: ITU-R BS.1770-5, EBU R 128, EBU Tech 3341 and 3342.

All loudness figures are computed from the K-weighted power in steps of 10 ms: integrated loudness, range,
momentary and short-term loudness are windows over this sequence. Steps of 10 ms instead of the usual 100
find the maximum momentary loudness of a burst at any position (EBU Tech 3341, test 13).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray
from scipy.signal import lfilter

from aural.audio import LIMITS, Clip
from aural.audio.clip import Samples
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError
from aural.loudness.downmix import fold_matrix
from aural.loudness.layouts import AUTO, layout_of, loudness_weights, require_layout
from aural.loudness.true_peak import true_peak
from aural.loudness.weighting import k_weighting
from aural.options import Outcome

Powers = NDArray[np.float64]

STEPS_PER_SECOND = 100
MOMENTARY_STEPS = 40  # 400 ms
SHORT_TERM_STEPS = 300  # 3 s
BLOCK_STEPS = 10  # gating blocks of 400 ms overlap by 75 %; range windows of 3 s come ten a second
OFFSET_DB = -0.691  # makes a 997 Hz full-scale sine in one front channel read -3.01 LUFS
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
RANGE_GATE_LU = -20.0
SILENCE_LUFS = -200.0  # the logarithm of zero inside the meter; never shown

BLOCK_SECONDS = 4  # audio handled at a time; whole seconds contain whole steps at any rate
SMALLEST_STATE = 1e-50  # below it a decaying filter reaches denormal numbers, a hundred times slower
FULL_SCALE = 1 - 2**-15  # the largest positive sample of a 16-bit file


@dataclass(frozen=True)
class Options:
    """How to measure.

    Raises:
        OptionError: a layout that does not exist.
    """

    layout: Annotated[str, Doc("the channel layout by FFmpeg's name; auto: read from the file")] = AUTO

    def __post_init__(self) -> None:
        require_layout(self.layout)


@dataclass(frozen=True)
class Loudness:
    """The readings of a loudness meter; `None` for a figure that does not exist, as in silence."""

    integrated_lufs: float | None  # gated loudness of the whole
    range_lu: float | None  # loudness range, LRA; needs 3 s
    momentary_max_lufs: float | None  # loudest 400 ms
    short_term_max_lufs: float | None  # loudest 3 s
    true_peak_dbtp: float | None  # largest value between samples, any channel
    sample_peak_dbfs: float | None  # largest sample, any channel
    peak_to_loudness_lu: float | None  # true peak above integrated loudness, PLR
    correlation: float | None  # of left and right (Lo and Ro of surround), -1 to 1; None if one is silent
    mono_loss_db: float | None  # level of (L + R) / 2 relative to the channels; None for mono
    full_scale_samples: int  # samples at or beyond full scale, probably clipped
    seconds: float  # duration
    rate: int  # Hz
    channels: int
    layout: str  # FFmpeg's name
    notes: tuple[str, ...] = ()  # remarks on these figures
    powers: Powers = field(
        default_factory=lambda: np.zeros(0), repr=False, compare=False
    )  # see `step_powers`

    def after_gain(self, gain_db: float) -> Loudness:
        """The readings of the same clip with a gain that leaves it below full scale, without measuring it."""
        powers = self.powers * 10 ** (gain_db / 10)
        integrated = integrated_lufs(powers, self.seconds)
        peak_dbtp, sample_dbfs = (
            None if peak is None else peak + gain_db for peak in (self.true_peak_dbtp, self.sample_peak_dbfs)
        )
        assert sample_dbfs is None or sample_dbfs < 0
        return replace(
            self,
            integrated_lufs=integrated,
            range_lu=loudness_range(powers, self.seconds),
            momentary_max_lufs=maximum_lufs(powers, MOMENTARY_STEPS),
            short_term_max_lufs=maximum_lufs(powers, SHORT_TERM_STEPS),
            true_peak_dbtp=peak_dbtp,
            sample_peak_dbfs=sample_dbfs,
            peak_to_loudness_lu=None if integrated is None or peak_dbtp is None else peak_dbtp - integrated,
            full_scale_samples=0,
            powers=powers,
        )

    def history(self) -> tuple[Powers, Powers, Powers]:
        """Times in s, momentary and short-term LUFS at those times, ten per second; NaN if there is none.

        A window has the time of its end, as on a meter. Shape: (points,) each.
        """
        momentary = lufs(window_powers(self.powers, MOMENTARY_STEPS))[::BLOCK_STEPS]
        short_term = np.full(momentary.size, np.nan)
        if self.powers.size >= SHORT_TERM_STEPS:
            complete = lufs(window_powers(self.powers, SHORT_TERM_STEPS))[::BLOCK_STEPS]
            short_term[momentary.size - complete.size :] = complete
        times = (np.arange(momentary.size) * BLOCK_STEPS + MOMENTARY_STEPS) / STEPS_PER_SECOND
        momentary[momentary <= SILENCE_LUFS] = np.nan
        short_term[short_term <= SILENCE_LUFS] = np.nan
        return times, momentary, short_term

    def figures(self) -> dict[str, Any]:
        """All figures rounded to a hundredth; `None` if a figure does not exist."""
        names = (f.name for f in fields(self) if f.name not in ("notes", "powers"))
        rounded = {n: round(v, 2) if isinstance(v := getattr(self, n), float) else v for n in names}
        return {**rounded, "notes": list(self.notes)}


@stepwise
def measure(clip: Clip, layout: str = AUTO) -> Steps[Loudness]:
    """Measure a clip's loudness, peaks and stereo image.

    Args:
        clip: (channels, time), any rate from 4 kHz, up to eight channels.
        layout: FFmpeg's name of the channel layout, if the file's is missing or wrong.

    Raises `InputError` for an empty clip or samples that are not finite, `OptionError` for a layout that
    does not fit. Source: ITU-R BS.1770-5; EBU Tech 3341 and 3342.
    """
    clip.require_finite()
    if clip.rate < LIMITS.min_rate:
        raise InputError(
            f"K-weighting needs {LIMITS.min_rate} Hz or more, not {clip.rate}. Resample the audio."
        )
    name = layout_of(clip, layout)
    weights = loudness_weights(name)
    to_stereo = fold_matrix(name, "stereo") if clip.channels > 1 else None

    numerator, denominator = k_weighting(clip.rate)
    states = np.zeros((clip.channels, denominator.size - 1))
    powers: list[Powers] = []
    gram = np.zeros((2, 2))
    block = BLOCK_SECONDS * clip.rate
    for start in range(0, clip.frames, block):
        samples = clip.samples[:, start : start + block].astype(np.float64)
        if to_stereo is not None:
            stereo = to_stereo @ samples
            gram += stereo @ stereo.T
        weighted, states = lfilter(numerator, denominator, samples, zi=states)
        states[np.abs(states) < SMALLEST_STATE] = 0.0
        powers.append(weights @ step_powers(weighted, clip.rate))
        yield 0.6 * min(1.0, (start + block) / clip.frames)
    sequence = np.concatenate(powers)

    peak = yield from part(true_peak.steps(clip.samples, clip.rate), 0.6, 1.0)
    sample_peak = max(float(clip.samples.max()), -float(clip.samples.min()))
    integrated = integrated_lufs(sequence, clip.seconds)
    peak_dbtp = decibels(peak)
    correlation, mono_loss = (None, None) if to_stereo is None else _image(gram)
    return Loudness(
        integrated_lufs=integrated,
        range_lu=loudness_range(sequence, clip.seconds),
        momentary_max_lufs=maximum_lufs(sequence, MOMENTARY_STEPS),
        short_term_max_lufs=maximum_lufs(sequence, SHORT_TERM_STEPS),
        true_peak_dbtp=peak_dbtp,
        sample_peak_dbfs=decibels(sample_peak),
        peak_to_loudness_lu=None if integrated is None or peak_dbtp is None else peak_dbtp - integrated,
        correlation=correlation,
        mono_loss_db=mono_loss,
        full_scale_samples=_count_full_scale(clip.samples) if sample_peak >= FULL_SCALE else 0,
        seconds=clip.seconds,
        rate=clip.rate,
        channels=clip.channels,
        layout=name,
        notes=tuple(_notes(clip, name, integrated)),
        powers=sequence,
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `measure`."""
    loudness = yield from measure.steps(clip, options.layout)
    return Outcome((), loudness.figures(), " ".join(loudness.notes), after=loudness)


def step_powers(weighted: Powers, rate: int) -> Powers:
    """Mean square in steps of 10 ms. Shape: (channels, time) -> (channels, steps).

    If 10 ms are not whole samples (22,050 Hz, 11,025 Hz), the borders are rounded to the nearest sample. An
    incomplete last step is padded with silence, as on a meter that keeps running.
    """
    steps = math.ceil(weighted.shape[1] * STEPS_PER_SECOND / rate)
    borders = np.round(np.arange(steps) * rate / STEPS_PER_SECOND).astype(np.intp)
    squares = np.square(weighted, out=weighted)
    energies = np.add.reduceat(squares, borders[borders < weighted.shape[1]], axis=1)
    return np.asarray(energies * (STEPS_PER_SECOND / rate))


def window_powers(powers: Powers, steps: int) -> Powers:
    """Mean power in windows of `steps` steps, one step apart. Shape: (time,) -> (time - steps + 1,).

    A sequence shorter than the window gives one window padded with silence, as on a meter just started.
    """
    if powers.size <= steps:
        return np.array([powers.sum() / steps])
    sums = np.cumsum(np.concatenate(([0.0], powers)))
    return np.asarray(np.maximum(sums[steps:] - sums[:-steps], 0.0) / steps)


def maximum_lufs(powers: Powers, steps: int) -> float | None:
    """The loudest window of `steps` steps; `None` for silence."""
    return _level_or_none(float(lufs(window_powers(powers, steps).max())))


def loudness_lufs(clip: Clip) -> float | None:
    """Gated loudness of a clip, BS.1770-5; `None` for silence. Errors: see `measure`."""
    return measure(clip).integrated_lufs


def integrated_lufs(powers: Powers, seconds: float) -> float | None:
    """Gated loudness, BS.1770-5 annex 1: blocks of 400 ms every 100 ms, above -70 LUFS, then above -10 LU.

    Audio shorter than a block is one block of its own length. `None` if all blocks are below the first gate.
    """
    if seconds < MOMENTARY_STEPS / STEPS_PER_SECOND:
        return gated_lufs([powers.sum(keepdims=True) / (seconds * STEPS_PER_SECOND)])
    return gated_lufs([gating_blocks(powers, seconds)])


def gating_blocks(powers: Powers, seconds: float) -> Powers:
    """Power of each complete gating block of 400 ms. Shape: (steps,) -> (blocks,)."""
    return window_powers(_drop_incomplete(powers, seconds), MOMENTARY_STEPS)[::BLOCK_STEPS]


def gated_lufs(blocks: Sequence[Powers]) -> float | None:
    """Gated loudness over the blocks of one file or several (the loudness of an album)."""
    pooled = np.concatenate(blocks)
    audible = pooled[lufs(pooled) > ABSOLUTE_GATE_LUFS]
    if audible.size == 0:
        return None
    gate = lufs(audible.mean()) + RELATIVE_GATE_LU
    return float(lufs(audible[lufs(audible) > gate].mean()))


def loudness_range(powers: Powers, seconds: float) -> float | None:
    """Loudness range, EBU Tech 3342: 10th to 95th percentile of the short-term loudness above both gates.

    `None` for audio shorter than one window of 3 s, and for silence.
    """
    if seconds < SHORT_TERM_STEPS / STEPS_PER_SECOND:
        return None
    windows = window_powers(_drop_incomplete(powers, seconds), SHORT_TERM_STEPS)[::BLOCK_STEPS]
    audible = windows[lufs(windows) > ABSOLUTE_GATE_LUFS]
    if audible.size == 0:
        return None
    levels = np.sort(lufs(audible))
    levels = levels[levels > lufs(audible.mean()) + RANGE_GATE_LU]
    low, high = (levels[round((levels.size - 1) * share)] for share in (0.10, 0.95))
    return float(high - low)


def _drop_incomplete(powers: Powers, seconds: float) -> Powers:
    """The steps without an incomplete last one."""
    return powers[: math.floor(seconds * STEPS_PER_SECOND + 1e-6)]


def lufs(power: Powers | np.float64) -> Powers:
    """Loudness of a K-weighted power summed over the channels; at least `SILENCE_LUFS`."""
    floor = 10 ** ((SILENCE_LUFS - OFFSET_DB) / 10)
    return np.asarray(OFFSET_DB + 10 * np.log10(np.maximum(power, floor)))


def decibels(amplitude: float) -> float | None:
    """20 log10 of an amplitude, `None` for zero."""
    return 20 * math.log10(amplitude) if amplitude > 0 else None


def _level_or_none(level: float) -> float | None:
    return level if level > SILENCE_LUFS else None


def _image(gram: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Correlation of left and right and the level lost in (L + R) / 2, from their 2 x 2 Gram matrix.

    rho = sum(L R) / sqrt(sum L² sum R²); the loss is the power of (L + R) / 2 against the channels' mean.
    """
    (left, both), (_, right) = gram.tolist()
    if left + right == 0:
        return None, None
    correlation = min(1.0, max(-1.0, both / math.sqrt(left * right))) if left * right > 0 else None
    kept = 0.5 + both / (left + right)
    return correlation, min(0.0, 10 * math.log10(max(kept, 1e-10)))


def _count_full_scale(samples: Samples) -> int:
    """Samples at or beyond full scale, counted in pieces to need no large array."""
    return sum(
        int(np.count_nonzero(np.abs(channel[start : start + 2**16]) >= FULL_SCALE))
        for channel in samples
        for start in range(0, channel.size, 2**16)
    )


def _notes(clip: Clip, layout: str, integrated: float | None) -> Iterator[str]:
    if clip.layout is not None and clip.layout != layout:
        yield f"The file names the layout {clip.layout}; it was measured as {layout}."
    if integrated is None:
        yield "Nothing is louder than -70 LUFS: silence has no integrated loudness."
    if clip.seconds < MOMENTARY_STEPS / STEPS_PER_SECOND:
        yield (
            "Shorter than the 400 ms of a gating block: the integrated loudness is that of the whole, "
            "while momentary and short-term loudness count silence around it."
        )
    elif clip.seconds < SHORT_TERM_STEPS / STEPS_PER_SECOND:
        yield "Shorter than 3 s: no loudness range, and the short-term loudness counts silence around it."
