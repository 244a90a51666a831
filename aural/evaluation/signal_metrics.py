"""Metrics of what an ear notices and PESQ, STOI and SI-SDR forgive: levels, noise floor, width, harmonics.

Sources: IEC 61260-1 (octave and third-octave bands), Boersma 1993 (harmonics-to-noise ratio). All compare
samples at the same time: align an estimate that is delayed first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aural.audio.clip import Clip, Samples
from aural.errors import InputError

Floats = NDArray[np.float64]

WINDOW_SECONDS = 0.085  # resolves the third-octave band at 100 Hz, which is 23 Hz wide
ACTIVE_DB = -30.0  # a frame this far below the loudest one, or further, is a pause
ABSENT_DB = -60.0  # a band this far below the whole has no level to compare
QUIET_SHARE = 0.1  # of the frames, the quietest: there the noise floor is measured
HARMONICITY_HZ = 8_000.0  # harmonics and noise above it do not count
FRAME_SECONDS = 0.08  # six periods of the lowest pitch
MAX_HARMONICITY = 1 - 1e-5  # 50 dB: a window of a moving tone has no more
SILENT_DBFS = -60.0  # a clip that never exceeds it is silent
SILENCE_SECONDS = 0.05
LOWEST_DB = -200.0  # instead of the logarithm of zero


def active_level(samples: Samples, rate: int) -> float:
    """Root mean square of the frames of 20 ms that are within 30 dB of the loudest; 0 for silence.

    Shape:
        samples: (channels, time)
    """
    powers = _block_powers(samples, max(1, rate // 50))
    if not powers.max(initial=0.0):
        return 0.0
    return float(np.sqrt(powers[powers >= powers.max() * 10 ** (ACTIVE_DB / 10)].mean()))


def band_centres_hz(
    bands_per_octave: int, low_hz: float = 100.0, high_hz: float = 16_000.0
) -> tuple[float, ...]:
    """Centres of octave (1) or third-octave (3) bands: powers of two times 1 kHz, IEC 61260-1.

    >>> band_centres_hz(1)
    (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
    >>> len(band_centres_hz(3))
    23
    """
    steps = np.arange(-10 * bands_per_octave, 10 * bands_per_octave + 1) / bands_per_octave
    centres = 1_000 * 2.0**steps
    # Nominal frequencies are rounded: the third of an octave called 100 Hz is centred at 99.2.
    return tuple(float(hz) for hz in centres if low_hz * 0.98 <= hz <= high_hz * 1.02)


def band_level_errors_db(
    estimate: Samples, reference: Samples, rate: int, bands_per_octave: int = 3, high_hz: float = 16_000.0
) -> dict[float, float]:
    """How much louder the estimate is in each band of the reference's active frames.

    Bands more than 60 dB below the reference's whole level are left out, and those that end above `high_hz`
    or half the rate.

    Shape:
        estimate, reference: (channels, time), alike

    Returns:
        centre of the band (Hz) -> error (dB); positive: too loud.

    Raises:
        InputError: shapes that differ, a silent reference.
    """
    _require_alike(estimate, reference)
    made, right = (_powers(samples, rate).mean(0) for samples in (estimate, reference))
    hz = _bins_hz(rate)
    frames = right.sum(1)
    if not frames.max():
        raise InputError("The reference is silent, so there is nothing to compare. Leave silent clips out.")
    active = frames >= frames.max() * 10 ** (ACTIVE_DB / 10)
    made, right = made[active].mean(0), right[active].mean(0)
    smallest = right.sum() * 10 ** (ABSENT_DB / 10)
    half = 2 ** (0.5 / bands_per_octave)
    errors = {}
    for centre in band_centres_hz(bands_per_octave):
        band = (hz >= centre / half) & (hz < centre * half)
        # The nominal end of a band exceeds a round limit by a little, as 17,959 Hz does 16 kHz x 2 ** (1/6).
        if centre * half > min(high_hz * half, rate / 2) * 1.001 or right[band].sum() < smallest:
            continue
        errors[centre] = _decibels(made[band].sum()) - _decibels(right[band].sum())
    return errors


def loudness_change_lu(
    estimate: Clip, reference: Clip, integrated_lufs: Callable[[Clip], float | None]
) -> float:
    """How much louder the estimate is, in LU.

    Args:
        integrated_lufs: the meter, ITU-R BS.1770-5; None for silence.

    Raises:
        InputError: one of the two has no loudness.
    """
    made, right = integrated_lufs(estimate), integrated_lufs(reference)
    if made is None or right is None:
        raise InputError("Silence has no loudness, so there is nothing to compare. Leave silent clips out.")
    return made - right


def floor_step_db(samples: Samples, rate: int, cutoff_hz: float) -> float:
    """Density of the noise floor just above a cut-off relative to just below it, in dB; 0: it goes on.

    The floor is that of the quietest tenth of the frames, by their level below 0.7 of the cut-off. It is
    compared between 0.71 and 0.9 of the cut-off and from 1.1 times it to half an octave above.

    Shape:
        samples: (channels, time)

    Raises:
        InputError: a cut-off without room for both bands.
    """
    hz = _bins_hz(rate)
    below = (hz >= cutoff_hz / 2**0.5) & (hz <= 0.9 * cutoff_hz)
    above = (hz >= 1.1 * cutoff_hz) & (hz <= min(cutoff_hz * 2**0.5, 0.95 * rate / 2))
    if not (below.any() and above.any()):
        raise InputError(
            f"The noise floor around {cutoff_hz:g} Hz can't be measured at {rate} Hz. Choose another cut-off."
        )
    powers = _powers(samples, rate).mean(0)
    # Frames are chosen by other frequencies: the quietest ones of the same would be below their mean.
    levels = powers[:, hz < 0.7 * cutoff_hz].sum(1)
    quiet = np.argsort(levels, kind="stable")[: max(1, round(QUIET_SHARE * len(levels)))]
    lower, upper = (powers[quiet][:, band].mean() for band in (below, above))
    return _decibels(upper) - _decibels(lower)


def band_correlation(samples: Samples, rate: int, low_hz: float, high_hz: float) -> float:
    """Correlation of two channels within a band: 1 for mono, 0 if unrelated, -1 if one is inverted.

    Shape:
        samples: (2, time)

    Raises:
        InputError: another number of channels, or a channel that is silent in this band.
    """
    if len(samples) != 2:
        raise InputError(f"A correlation needs two channels, not {len(samples)}. Choose a stereo clip.")
    left, right = np.fft.rfft(samples.astype(np.float64))
    hz = np.fft.rfftfreq(samples.shape[1], 1 / rate)
    left, right = (values[(hz >= low_hz) & (hz < high_hz)] for values in (left, right))
    energy = float(np.vdot(left, left).real * np.vdot(right, right).real)
    if not energy:
        raise InputError("A channel is silent in this band, so there is no correlation. Choose another band.")
    return float(np.vdot(left, right).real / energy**0.5)


def harmonics_to_noise_db(
    samples: Samples, rate: int, low_hz: float = 75.0, high_hz: float = 1_000.0
) -> float:
    """Harmonics-to-noise ratio up to 8 kHz of a held tone, in dB, by autocorrelation: Boersma 1993.

    Of an autocorrelation r at the pitch period, the harmonics have the share r of the power and the noise has
    the rest. The median over the active frames.

    Args:
        low_hz, high_hz: the range of pitch.

    Shape:
        samples: (channels, time); the channels are added up.

    Raises:
        InputError: silence, or too short.
    """
    size = round(FRAME_SECONDS * rate)
    mono = samples.mean(0).astype(np.float64)
    if len(mono) < size or not mono.any():
        raise InputError(f"A tone must be heard for {FRAME_SECONDS} s at least. Choose a longer clip.")
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[:: size // 2]
    powers = np.square(frames).mean(1)
    frames = frames[powers >= powers.max() * 10 ** (ACTIVE_DB / 10)]
    window = np.hanning(size)
    own, correlations = (
        _autocorrelations(values, rate)
        for values in (window[None], (frames - frames.mean(1)[:, None]) * window)
    )
    correlations = correlations / own
    first, last = int(rate / high_hz), int(np.ceil(rate / low_hz))
    ratios = [_peak(values, first, last) for values in correlations]
    return float(10 * np.log10(np.median([ratio / (1 - ratio) for ratio in ratios])))


def clip_level_dbfs(samples: Samples, rate: int) -> float:
    """`active_level` in dB relative to full scale; -200 for silence. Shape: (channels, time)."""
    return _decibels(active_level(samples, rate) ** 2)


def silence_rate(clips: list[Samples], rate: int) -> float:
    """Share of the clips that never exceed -60 dBFS, as a root mean square over 50 ms.

    Shape:
        clips: (channels, time) each

    Raises:
        InputError: no clips.
    """
    if not clips:
        raise InputError("There are no clips to measure. Add some.")
    size = max(1, round(SILENCE_SECONDS * rate))
    loudest = [_block_powers(clip, size).max(initial=0.0) for clip in clips]
    return float(np.mean([_decibels(power) <= SILENT_DBFS for power in loudest]))


def _require_alike(estimate: Samples, reference: Samples) -> None:
    if estimate.shape != reference.shape or estimate.ndim != 2:
        raise InputError(
            f"Can't compare signals of the shapes {estimate.shape} and {reference.shape}. Align them first."
        )


def _block_powers(samples: Samples, size: int) -> Floats:
    """Mean square over the channels and each block; the last one may be shorter. Shape: (blocks,)."""
    squares = np.square(samples, dtype=np.float64).mean(0)
    starts = np.arange(0, squares.size, size)
    lengths = np.diff(np.append(starts, squares.size))
    return np.asarray(np.add.reduceat(squares, starts) / lengths if squares.size else squares)


def _window(rate: int) -> int:
    return int(2 ** round(np.log2(WINDOW_SECONDS * rate)))


def _bins_hz(rate: int) -> Floats:
    return np.asarray(np.fft.rfftfreq(_window(rate), 1 / rate), np.float64)


def _powers(samples: Samples, rate: int) -> Floats:
    """|X|² of frames that overlap by half. Shape: (channels, time) -> (channels, frames, bins)."""
    size = _window(rate)
    padded = np.pad(samples, ((0, 0), (0, max(0, size - samples.shape[1]))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[:, :: size // 2]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(size + 1)[:-1])) ** 2, np.float64)


def _autocorrelations(frames: Floats, rate: int) -> Floats:
    """Of each frame below 8 kHz, relative to lag 0. Shape: (frames, size) -> (frames, size)."""
    size = frames.shape[1]
    spectra = np.abs(np.fft.rfft(frames, 2 * size)) ** 2
    spectra[:, np.fft.rfftfreq(2 * size, 1 / rate) > HARMONICITY_HZ] = 0
    correlations = np.fft.irfft(spectra)[:, :size]
    # A constant frame, of which no power is left, has no correlation at any lag.
    return np.asarray(correlations / np.maximum(correlations[:, :1], np.finfo(float).tiny))


def _peak(values: Floats, first: int, last: int) -> float:
    """The highest value from `first` to `last`, between samples too: the vertex of a parabola."""
    place = first + int(np.argmax(values[first : last + 1]))
    before, here, after = values[place - 1 : place + 2]
    bend = before - 2 * here + after
    top = here - (after - before) ** 2 / (8 * bend) if bend < 0 else here
    return float(np.clip(top, 1e-5, MAX_HARMONICITY))


def _decibels(power: float) -> float:
    return float(10 * np.log10(max(power, 10 ** (LOWEST_DB / 10))))
