"""Make a sound a seamless loop: where its end comes, it goes on at its start.

Silence around the sound is left out. The loop ends near the end of the sound, where what follows is most like
the start, so that the waveforms are in phase. What follows the end fades out while the start fades in:

    sound   start━━━━━━━━━━━━━━━━━━━━━━━━━━end╲╲╲╲
    loop    ╱╱╱╱╱━━━━━━━━━━━━━━━━━━━━━━━━━━
            ╲╲╲╲╲ what follows the end

so the last sample of the loop leads into the first as it did in the sound. The fades are raised cosines,
scaled so that the power is constant at the correlation of the two (Fink, Holters and Zölzer 2016:
Signal-matched power-complementary cross-fading and dry-wet mixing): the level of noises has no dip, and that
of tones no bump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray

from aural.audio.clip import Clip, Samples
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError
from aural.options import Outcome, require

MIN_CROSSFADE_SECONDS, MAX_CROSSFADE_SECONDS = 0.01, 10.0
MAX_CROSSFADE_SHARE = 4  # of the sound, the fourth part
SILENCE_DB = -60.0  # beneath the peak, at both ends
MIN_SECONDS = 0.02  # of the sound
MIN_FRAMES = 8  # of the sound, at any rate
REACH_SECONDS = 10.0  # of the places where the loop may end, but it keeps half of the sound
# Of the places that differ by up to this much of the least (0.2 dB, and what rounding adds), the last counts.
MAX_DIFFERENCE, ROUNDING = 1.05, 1e-7
BLOCK_FRAMES = 2**16


@dataclass(frozen=True)
class Options:
    """How to make the loop.

    Raises:
        OptionError: a value out of range.
    """

    crossfade_seconds: Annotated[
        float,
        Doc("how long the end fades into the start, in seconds, 0.01 to 10; at most a quarter of the sound"),
    ] = 0.5

    def __post_init__(self) -> None:
        require("crossfade", self.crossfade_seconds, MIN_CROSSFADE_SECONDS, MAX_CROSSFADE_SECONDS, " s")


@dataclass(frozen=True)
class Result:
    """A loop, and what was measured at its seam."""

    clip: Clip
    start_seconds: float  # of the part of the input that became the loop
    end_seconds: float
    crossfade_seconds: float  # from the start of the loop on; maybe less than asked for
    similarity: (
        float  # of the two sounds in the crossfade, waveform and level: 1 alike, 0 not, -1 the reverse
    )
    seam_db: float  # level of the crossfade over that of its two sounds; 0: neither bump nor dip
    message: str  # what was done, in words

    def figures(self) -> dict[str, Any]:
        """All but the clip."""
        return {name: value for name, value in vars(self).items() if name != "clip"}


@stepwise
def loop(clip: Clip, options: Options | None = None) -> Steps[Result]:
    """Make a clip a seamless loop. Rate, channels, layout and level stay; all channels are cut alike.

    Where two sounds that differ are faded, peaks may exceed full scale, by 3 dB at most.

    Raises:
        InputError: a clip that is empty, silent, too short or not finite.
    """
    options = options or Options()
    clip.require_finite()
    yield 0.0
    start, stop = _sounding(clip.samples)
    least = max(MIN_FRAMES, math.ceil(MIN_SECONDS * clip.rate))
    if stop - start < least:
        raise InputError(
            f"The sound is too short for a loop ({1000 * (stop - start) / clip.rate:.0f} ms). "
            f"Choose one of at least {1000 * least / clip.rate:.0f} ms."
        )
    wanted = max(1, round(options.crossfade_seconds * clip.rate))
    frames = min(wanted, (stop - start) // MAX_CROSSFADE_SHARE)
    # Of a constant offset, which is no sound, fades that keep the power of noise would make a bump.
    offset = clip.samples[:, start:stop].mean(axis=1, keepdims=True, dtype=np.float64)
    yield 0.1
    last = stop - frames
    first = max(start + (stop - start + 1) // 2, last - round(REACH_SECONDS * clip.rate))
    sounds = clip.samples[:, first:stop], clip.samples[:, start : start + frames]
    end = first + (yield from part(_most_similar(*sounds, offset), 0.1, 0.9))
    fading_in, fading_out = (clip.samples[:, at : at + frames] - offset for at in (start, end))
    faded = _crossfade(fading_in, fading_out)
    samples = clip.samples[:, start:end].copy()
    samples[:, :frames] = faded + offset
    looped = clip.with_samples(samples)
    return Result(
        clip=looped,
        start_seconds=start / clip.rate,
        end_seconds=end / clip.rate,
        crossfade_seconds=frames / clip.rate,
        similarity=_ratio(
            2 * float(np.vdot(fading_in, fading_out)), _energy(fading_in) + _energy(fading_out)
        ),
        seam_db=_seam_db(faded, fading_in, fading_out),
        message=_message(looped, start, end, frames, wanted),
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `loop`."""
    result = yield from loop.steps(clip, options)
    return Outcome((result.clip,), result.figures(), result.message)


def _sounding(samples: Samples) -> tuple[int, int]:
    """The first frame that is not silent, and the one after the last. Raises `InputError` if all are."""
    peak = max(samples.max(), -samples.min())
    if peak == 0:
        raise InputError("The sound is silent. Choose another file.")
    floor = peak * np.float32(10 ** (SILENCE_DB / 20))
    return _first_above(samples, floor), samples.shape[1] - _first_above(samples[:, ::-1], floor)


def _first_above(samples: Samples, floor: np.float32) -> int:
    """The first frame above a level, which there is."""
    for start in range(0, samples.shape[1], BLOCK_FRAMES):  # no copy of hours
        above = (np.abs(samples[:, start : start + BLOCK_FRAMES]) > floor).any(axis=0)
        if above.any():
            return start + int(above.argmax())
    raise AssertionError("no frame is above the level")


def _most_similar(sound: Samples, pattern: Samples, offset: NDArray[np.float64]) -> Steps[int]:
    """Where a sound is most like a pattern; of places that are about as good, the last.

    The difference of two sounds a and b is |a - b|² / (|a|² + |b|²), so their levels count too.

    Args:
        sound: (channels, time), at least as long as the pattern.
        offset: (channels, 1), subtracted from both.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    length, frames = sound.shape[1], pattern.shape[1]
    size = next_fast_len(length, real=True)
    places = length - frames + 1
    products, energies, energy = np.zeros(places), np.zeros(places), 0.0
    for number, (row, template, mean) in enumerate(zip(sound, pattern, offset[:, 0], strict=True)):
        centred, sought = row - mean, template - mean
        spectrum = rfft(centred, size)
        spectrum *= rfft(sought, size).conj()
        products += irfft(spectrum, size)[:places]
        sums = np.concatenate(([0.0], np.cumsum(centred**2)))
        energies += sums[frames:] - sums[:places]
        energy += float(sought @ sought)
        yield (number + 1) / len(sound)
    total = energies + energy
    difference = 1 - 2 * products / np.where(total > 0, total, 1.0)
    is_low = difference <= MAX_DIFFERENCE * difference.min() + ROUNDING
    # In phase too: no place beside it is better.
    around = np.pad(difference, 1, constant_values=np.inf)
    is_low &= difference <= np.minimum(around[:-2], around[2:])
    return int(np.flatnonzero(is_low)[-1])


def _crossfade(fading_in: NDArray[np.float64], fading_out: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second sound fades into the first, at constant power."""
    share = _fade(fading_in.shape[1])
    energy = math.sqrt(_energy(fading_in) * _energy(fading_out))
    # Opposite sounds cancel out in the middle, and no gain would help.
    correlation = max(0.0, _ratio(float(np.vdot(fading_in, fading_out)), energy))
    power = share**2 + (1 - share) ** 2 + 2 * correlation * share * (1 - share)
    return np.asarray((share * fading_in + (1 - share) * fading_out) / np.sqrt(power))


def _fade(frames: int) -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * (np.arange(frames) + 0.5) / frames))


def _seam_db(
    faded: NDArray[np.float64], fading_in: NDArray[np.float64], fading_out: NDArray[np.float64]
) -> float:
    share = _fade(faded.shape[1])
    ratio = _ratio(_energy(faded), float(np.sum(share * fading_in**2 + (1 - share) * fading_out**2)))
    return 10 * math.log10(ratio) if ratio > 0 else 0.0


def _energy(samples: NDArray[np.float64]) -> float:
    return float(np.vdot(samples, samples))


def _ratio(value: float, whole: float) -> float:
    """0 of nothing."""
    return value / whole if whole > 0 else 0.0


def _message(looped: Clip, start: int, end: int, frames: int, wanted: int) -> str:
    start_seconds, end_seconds = start / looped.rate, end / looped.rate
    message = (
        f"A loop of {looped.seconds:.2f} s, from {start_seconds:.2f} to {end_seconds:.2f} s of the sound, "
        f"with a crossfade of {1000 * frames / looped.rate:.0f} ms."
    )
    if frames < wanted:
        message += " A longer crossfade needs a longer sound."
    return message
