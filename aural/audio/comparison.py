"""A sound compared with a reference: SNR, SI-SDR, PESQ, STOI and the log-spectral distance.

Sources: Le Roux et al. 2019 (SI-SDR), ITU-T P.862.2 (PESQ, wide band; by the package `pesq`), Taal et al.
2011 (STOI; by the package `pystoi`), Kim et al. 2022 and AP-BWE (the log-spectral distance).

All compare samples at the same time: align an estimate that is delayed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aural.audio.resample import resample_samples
from aural.errors import InputError

Floats = NDArray[np.float64]
Spectra = TypeVar("Spectra", bound=Any)  # a NumPy array or a PyTorch tensor

LSD_WINDOW = 2048  # samples of the Hann window
LSD_HOP = 512
LSD_FLOOR = 1e-8  # of |X|²; anything below counts as equal
PIECE = 2**20  # samples processed at a time
BLOCK = (
    512  # frames in memory at a time: their spectra take 17 MB, those of ten minutes would take a gigabyte
)

PESQ_RATE = 16_000
# The reference code has room for 50 utterances and writes past its end at the next. An utterance and the gap
# after it take 0.4 s at least, so that many do not fit in here.
PESQ_MAX_SECONDS = 15
PESQ_MIN_SECONDS = 0.25

# STOI takes 30 frames at once, of 256 samples at 10 kHz, half overlapping, leaving out silent ones.
STOI_MIN_SECONDS = (30 * 128 + 256) / 10_000
STOI_FAILED = 1e-5  # the package's result if too few frames are left


def snr_db(estimate: ArrayLike, reference: ArrayLike) -> float:
    """Signal-to-noise ratio in dB; the noise is the difference, and without any the ratio is infinite.

    Shape:
        estimate, reference: (..., time), of equal shape.

    Raises:
        InputError: shapes that differ, a silent reference, values that are not finite.
    """
    x, y = _signals(estimate, reference)
    _require_sound(y, "reference")
    signal = noise = np.float64(0)
    for start in range(0, y.shape[-1], PIECE):
        a, b = (values[..., start : start + PIECE] for values in (x, y))
        signal, noise = signal + _energy(b), noise + _energy(a - b)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal / noise))


def si_sdr_db(estimate: ArrayLike, reference: ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio in dB; above 100 if only the level differs.

    The signal is the part of the estimate that is a multiple of the reference, the distortion is the rest.
    No mean is subtracted; several channels share one multiple.

    Shape:
        estimate, reference: (..., time), of equal shape.

    Raises:
        InputError: shapes that differ, a silent signal, values that are not finite.
    """
    x, y = _signals(estimate, reference)
    _require_sound(y, "reference")
    _require_sound(x, "estimate")
    signal = np.sum(x * y, dtype=np.float64) / _energy(y) * y
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(_energy(signal) / _energy(x - signal)))


def pesq_wideband(estimate: ArrayLike, reference: ArrayLike, rate: int) -> float:
    """Quality of speech as listeners would rate it, 1.04 (bad) to 4.64 (the reference itself): PESQ-WB.

    Measured at 16 kHz, so nothing above 8 kHz counts, on the mean of all channels. Levels may differ. Clips
    longer than 15 s are cut into equal pieces; the result is the mean over pieces with speech.

    Shape:
        estimate, reference: (time,) or (channels, time), alike, 0.25 s at least.

    Raises:
        InputError: shapes that differ, too short, a silent signal, a reference without speech, values that
            are not finite, the package is missing.
    """
    try:
        from pesq import NoUtterancesError, pesq
    except ImportError as error:
        raise InputError(
            'PESQ is not installed. Run "pip install pesq", which needs a C compiler.'
        ) from error

    x, y = _speech(estimate, reference, rate, PESQ_MIN_SECONDS, "PESQ")
    x, y = (resample_samples(samples[None], rate, PESQ_RATE)[0] for samples in (x, y))
    pieces = -(-len(y) // (PESQ_MAX_SECONDS * PESQ_RATE))
    scores = []
    for result, original in zip(np.array_split(x, pieces), np.array_split(y, pieces), strict=True):
        if not original.any():
            continue
        _require_sound(result, "estimate")
        try:
            scores.append(float(pesq(PESQ_RATE, original, result, "wb")))
        except NoUtterancesError:
            continue
    if not scores:
        raise InputError("PESQ finds no speech in the reference. Choose one with speech.")
    return float(np.mean(scores))


def stoi(estimate: ArrayLike, reference: ArrayLike, rate: int) -> float:
    """Share of speech that would be understood, 0 to 1 (the reference itself): STOI, not the extended one.

    Measured at 10 kHz, so nothing above 5 kHz counts, on the mean of all channels.

    Shape:
        estimate, reference: (time,) or (channels, time), alike, 0.41 s at least.

    Raises:
        InputError: shapes that differ, too short, a silent signal, too little speech, values that are not
            finite, the package is missing.
    """
    try:
        import pystoi
    except ImportError as error:
        raise InputError('STOI is not installed. Run "pip install pystoi".') from error

    x, y = _speech(estimate, reference, rate, STOI_MIN_SECONDS, "STOI")
    score = float(pystoi.stoi(y, x, rate))
    if score == STOI_FAILED:
        raise InputError(
            f"STOI needs {STOI_MIN_SECONDS:.2f} s of sound in the reference. Choose a longer one."
        )
    return score


def log_spectral_distance(
    estimate: ArrayLike, reference: ArrayLike, *, rate: int = 1, low_hz: float = 0, high_hz: float = np.inf
) -> float:
    """Distance between the logarithms of two power spectra: root mean square over frequency, mean over time.

    log10 |X|² clamped at 1e-8, Hann window 2048, hop 512, ends reflected, X not normalised: what the papers
    on VCTK at 48 kHz report. Other definitions give other figures for the same files.

    Shape:
        estimate, reference: (..., time), of equal shape, more than 1024 samples.

    Args:
        rate: Hz; needed for low_hz and high_hz only.
        low_hz, high_hz: the bins that count, for the distance above or below a cut-off.

    Raises:
        InputError: shapes that differ, too few samples, no bin between the two, values that are not finite.
    """
    (distance,) = log_spectral_distances(estimate, reference, [(low_hz, high_hz)], rate=rate)
    return distance


def log_spectral_distances(
    estimate: ArrayLike, reference: ArrayLike, bands_hz: Sequence[tuple[float, float]], *, rate: int
) -> list[float]:
    """`log_spectral_distance` of each of several bands, from the same spectra.

    Args:
        bands_hz: the lowest and the highest frequency of each band.
    """
    x, y = _signals(estimate, reference)
    _require_window(x)
    bins_hz = np.fft.rfftfreq(LSD_WINDOW, 1 / rate)
    selected = [(bins_hz >= low_hz) & (bins_hz <= high_hz) for low_hz, high_hz in bands_hz]
    for bins, (low_hz, high_hz) in zip(selected, bands_hz, strict=True):
        if not bins.any():
            raise InputError(f"No frequency lies between {low_hz:g} and {high_hz:g} Hz. Widen the band.")
    distances: list[list[Floats]] = [[] for _ in bands_hz]
    for a, b in zip(_magnitudes(x), _magnitudes(y), strict=True):
        logs = [np.log10(np.maximum(values**2, LSD_FLOOR)) for values in (a, b)]
        for collected, bins in zip(distances, selected, strict=True):
            collected.append(frame_distances(logs[0][..., bins], logs[1][..., bins], axis=-1))
    return [float(np.mean(np.concatenate(collected, axis=-1))) for collected in distances]


def frame_distances(first: Spectra, second: Spectra, axis: int, smoothing: float = 0.0) -> Spectra:
    """The log-spectral distance of each frame: root mean square over frequency.

    All log-spectral distances in AURAL are means of these over time. They differ in what the logarithms are
    taken of: the window, the lower limit, and whether the unit is log10 |X|² or dB.

    Args:
        first, second: logarithms of two spectra, both NumPy arrays or both PyTorch tensors.
        axis: along which the bins lie.
        smoothing: added under the root, to keep its gradient finite where the spectra are equal.
    """
    squares = (first - second) ** 2
    distances: Spectra = (squares.mean(axis) + smoothing) ** 0.5
    return distances


def matching_gain(estimate: ArrayLike, reference: ArrayLike) -> float:
    """The factor that brings an estimate to the level of its reference; 1 if either is silent.

    It minimises the squared difference between the magnitudes of the two spectra. The same for the samples
    would be near 0 if phases differ, as they do after a vocoder, although both are equally loud.

    Shape:
        estimate, reference: (..., time), of equal shape, more than 1024 samples.

    Raises:
        InputError: shapes that differ, too few samples, values that are not finite.
    """
    x, y = _signals(estimate, reference)
    _require_window(x)
    product = energy = 0.0
    for a, b in zip(_magnitudes(x), _magnitudes(y), strict=True):
        product += float(np.sum(a * b))
        energy += float(np.sum(a**2))
    return product / energy if product else 1.0


def _magnitudes(samples: NDArray[Any]) -> Iterator[Floats]:
    """|X| of the STFT, a block of frames at a time. Shape: (..., time) -> (..., frames, bins)."""
    half = LSD_WINDOW // 2
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(half, half)], mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, LSD_WINDOW, axis=-1)[..., ::LSD_HOP, :]
    window = np.hanning(LSD_WINDOW + 1)[:-1]
    for start in range(0, frames.shape[-2], BLOCK):
        yield np.abs(np.fft.rfft(frames[..., start : start + BLOCK, :] * window))


def _signals(estimate: ArrayLike, reference: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as floating-point arrays; float32 stays so, for long clips."""
    x, y = np.asarray(estimate), np.asarray(reference)
    if x.shape != y.shape or x.size == 0:
        raise InputError(f"Can't compare signals of the shapes {x.shape} and {y.shape}. Align them first.")
    x, y = (values if values.dtype.kind == "f" else values.astype(np.float64) for values in (x, y))
    for values in (x, y):
        if not np.isfinite(values).all():
            count = int(np.count_nonzero(~np.isfinite(values)))
            raise InputError(
                f"{count} samples are not finite, so nothing can be measured. Check where they come from."
            )
    return x, y


def _speech(
    estimate: ArrayLike, reference: ArrayLike, rate: int, min_seconds: float, measure: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both mixed to one channel; raises `InputError` if they are too short. Shape: (time,)."""
    x, y = _signals(estimate, reference)
    if x.shape[-1] < min_seconds * rate:
        raise InputError(f"{measure} needs at least {min_seconds:.2f} s of sound. Choose a longer clip.")
    x, y = (samples.mean(0) if samples.ndim == 2 else samples for samples in (x, y))
    _require_sound(y, "reference")
    _require_sound(x, "estimate")
    return x, y


def _energy(samples: NDArray[Any]) -> np.float64:
    """As a NumPy number, by which one may divide even if it is 0."""
    return np.sum(samples**2, dtype=np.float64)


def _require_sound(samples: NDArray[Any], name: str) -> None:
    if not samples.any():
        raise InputError(f"The {name} is silent, so there is nothing to compare. Leave silent clips out.")


def _require_window(samples: NDArray[Any]) -> None:
    if samples.shape[-1] <= LSD_WINDOW // 2:
        raise InputError(f"A spectral comparison needs more than {LSD_WINDOW // 2} samples.")
