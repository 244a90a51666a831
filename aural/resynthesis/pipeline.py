"""Spectrogram round trip: clip -> magnitudes, optionally in mel bands -> clip.

Also the data for two pictures: leakage by window and zero-padding, and a clip's average spectrum.
Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_doc import Doc
from numpy.typing import ArrayLike, NDArray
from scipy.signal import get_window, welch

from aural.audio.clip import Clip, excerpt
from aural.audio.comparison import LSD_FLOOR, frame_distances
from aural.audio.resample import resample
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError, OptionError
from aural.options import Outcome, require, require_known, require_whole
from aural.vocoding import PHASE_SETTINGS, PhaseSetting, reconstruct

if TYPE_CHECKING:
    from torch import Tensor

    from aural.audio.spectral import FrontEnd

Values = NDArray[np.floating[Any]]

# Bins times frames of one channel: 6 minutes at 48 kHz, 13 at 22.05 kHz. Griffin-Lim needs 2.5 GB for it.
MAX_CELLS = 2**25
# Replaces minus infinity.
FLOOR_DB = -200.0
# Frames of the average spectrum taken at once.
PIECE_FRAMES = 512


@dataclass(frozen=True)
class Options:
    """The spectrogram, and how the sound is rebuilt from it.

    Raises:
        OptionError: a value out of range.
    """

    phase: Annotated[PhaseSetting, Doc(f"source of the phase, one of {', '.join(PHASE_SETTINGS)}")] = (
        "griffin_lim"
    )
    mel_bands: Annotated[int, Doc("number of mel bands, 8 to 512; 0 keeps every frequency bin")] = 80
    window: Annotated[
        int, Doc("length of the Hann window in samples, 64 to 16384; the FFT is the next power of two")
    ] = 1024
    hop: Annotated[int, Doc("samples between frames, at most half the window")] = 260
    iterations: Annotated[int, Doc("Griffin-Lim iterations, 1 to 1000; more is better and slower")] = 32
    momentum: Annotated[float, Doc("Griffin-Lim momentum, from 0 to below 1; higher converges faster")] = 0.99
    seed: Annotated[
        int, Doc("random seed for Griffin-Lim's first phase and the vocoder's noise, 0 to 2³² - 1")
    ] = 0
    rate: Annotated[int | None, Doc("sample rate of the spectrogram in Hz; None: from the clip")] = 22_050

    def __post_init__(self) -> None:
        require_known("phase setting", self.phase, PHASE_SETTINGS)
        if self.mel_bands != 0:
            require_whole("number of mel bands (0 for none)", self.mel_bands, 8, 512)
        require_whole("window", self.window, 64, 16_384)
        require_whole("hop", self.hop, self.window // 64, self.window // 2)
        require_whole("number of iterations", self.iterations, 1, 1000)
        require_whole("seed", self.seed, 0, 2**32 - 1)
        if self.rate is not None:
            require_whole("rate of the spectrogram", self.rate, 4000, 384_000)
        require("momentum", self.momentum, 0, 1)
        if self.momentum == 1:
            raise OptionError("Griffin-Lim does not converge with a momentum of 1. Choose one below 1.")


@dataclass(frozen=True)
class Result:
    """The rebuilt clip and its error."""

    clip: Clip  # channels, length, rate and level of the input
    spectrogram_before: NDArray[np.float32]  # (bands or bins, frames), 0 to 1, mean over the channels
    spectrogram_after: NDArray[np.float32]  # of the rebuilt clip
    seconds: Values  # (frames,), the middle of each frame
    frequency_hz: Values  # (bands or bins,), the middle of each row
    floor_db: float  # level of 0 in a spectrogram, in dB re a full-scale sine; quieter is also 0
    top_db: float  # level of 1; dB are linear in between
    spectral_convergence_db: float  # error of the magnitudes relative to the magnitudes; lower is better
    log_spectral_distance_db: float  # mean distance in dB between the two spectra; lower is better

    def figures(self) -> dict[str, Any]:
        """The figures, rounded to a hundredth."""
        return {
            "spectral_convergence_db": round(self.spectral_convergence_db, 2),
            "log_spectral_distance_db": round(self.log_spectral_distance_db, 2),
        }


@stepwise
def resynthesize(clip: Clip, options: Options | None = None) -> Steps[Result]:
    """Take a clip through its spectrogram and back.

    With the original phase and no mel bands the result equals the input to 1e-6; each other setting shows
    what it loses. With `Options.rate` the clip is resampled for the spectrogram and back.

    Both figures compare |S|, the magnitudes of the clip's STFT, with |S'|, those of the result, over all
    channels and bins at the spectrogram's rate:

    - spectral convergence: 20 lg(‖|S'| - |S|‖ / ‖|S|‖);
    - log-spectral distance: the root mean square over frequency, then the mean over time, of
      10 lg|S|² - 10 lg|S'|², with powers below 1e-8 (of an STFT whose window peaks at 1) taken as 1e-8.
      Papers on super-resolution leave out the factor 10.

    Silence comes back as silence, with figures of -200 dB and 0 dB.

    Raises:
        InputError: an empty or not finite clip, or one too long for the settings.
        OptionError: more mel bands than the window can tell apart at this rate, or settings that the vocoder
            is not made for.
        CheckpointError: the vocoder is not available.
    """
    import torch

    from aural.audio.spectral import KNEE_DB, SPAN_DB, scale

    options = options or Options()
    clip.require_finite()
    front_end = _front_end(options, clip)
    frequency_hz = _row_frequencies_hz(front_end, options)
    work = resample(clip, front_end.rate)

    samples = np.empty_like(work.samples)
    before = torch.zeros(len(frequency_hz), front_end.frames(work.frames))
    after = torch.zeros_like(before)
    error = energy = distance_db = 0.0
    for number in range(work.channels):
        yield number / work.channels
        steps = _channel_steps(work.samples[number], front_end, options)
        channel = yield from part(steps, number / work.channels, (number + 1) / work.channels)
        samples[number] = channel.samples
        before += channel.before / work.channels
        after += channel.after / work.channels
        error += channel.error
        energy += channel.energy
        distance_db += channel.distance_db / work.channels

    # Resampling twice can change the length by a few samples.
    rebuilt = resample(work.with_samples(samples), clip.rate)
    return Result(
        clip=clip.with_samples(excerpt(rebuilt.samples, 0, clip.frames)),
        spectrogram_before=scale(before).clamp(max=1).numpy(),
        spectrogram_after=scale(after).clamp(max=1).numpy(),
        seconds=np.arange(before.shape[1]) * (front_end.hop / front_end.rate),
        frequency_hz=frequency_hz,
        floor_db=KNEE_DB,
        top_db=KNEE_DB + SPAN_DB,
        spectral_convergence_db=float(_decibels(error / energy)) if energy else FLOOR_DB,
        log_spectral_distance_db=distance_db,
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `resynthesize`."""
    result = yield from resynthesize.steps(clip, options)
    message = (
        f"Spectral convergence {result.spectral_convergence_db:.1f} dB, "
        f"log-spectral distance {result.log_spectral_distance_db:.1f} dB."
    )
    return Outcome((result.clip,), result.figures(), message)


@dataclass(frozen=True)
class _Channel:
    """One channel after its round trip."""

    samples: NDArray[np.float32]  # (time,)
    before: Tensor  # (rows, frames), magnitude of the input in the rows of the picture
    after: Tensor  # of the rebuilt samples
    error: float  # sum of (|S'| - |S|)²
    energy: float  # sum of |S|²
    distance_db: float  # log-spectral distance


def _channel_steps(samples: NDArray[np.float32], front_end: FrontEnd, options: Options) -> Steps[_Channel]:
    import torch

    from aural.audio.spectral import magnitude_from_mel, mel_from_magnitude, stft

    def picture(magnitude: Tensor) -> Tensor:
        return mel_from_magnitude(magnitude, front_end) if options.mel_bands else magnitude

    spectrum = stft(torch.tensor(samples), front_end)
    magnitude = spectrum.abs()
    before = picture(magnitude)
    kept = magnitude_from_mel(before, front_end) if options.mel_bands else magnitude
    yield 0.1
    rebuilt = yield from part(
        reconstruct.steps(
            kept,
            options.phase,
            len(samples),
            front_end,
            original=spectrum,
            iterations=options.iterations,
            momentum=options.momentum,
            generator=torch.Generator().manual_seed(options.seed),
        ),
        0.1,
        0.9,
    )
    rebuilt_magnitude = stft(rebuilt, front_end).abs()
    return _Channel(
        samples=rebuilt.numpy(),
        before=before,
        after=picture(rebuilt_magnitude),
        error=float(torch.linalg.vector_norm(rebuilt_magnitude - magnitude, dtype=torch.float64)) ** 2,
        energy=float(torch.linalg.vector_norm(magnitude, dtype=torch.float64)) ** 2,
        distance_db=_log_spectral_distance_db(magnitude, rebuilt_magnitude, front_end),
    )


def _log_spectral_distance_db(magnitude: Tensor, other: Tensor, front_end: FrontEnd) -> float:
    # Half the sum of a Hann window is a quarter of its length: scales to a window with a peak of 1.
    before_db, after_db = (
        20 * (spectrum * (front_end.window / 4)).clamp_min(LSD_FLOOR**0.5).log10()
        for spectrum in (magnitude, other)
    )
    return float(frame_distances(before_db, after_db, axis=0).mean())


def _front_end(options: Options, clip: Clip) -> FrontEnd:
    from aural.audio.spectral import FrontEnd

    front_end = FrontEnd(
        rate=options.rate or clip.rate,
        window=options.window,
        hop=options.hop,
        fft=1 << (options.window - 1).bit_length(),
        mel_bands=options.mel_bands or FrontEnd.mel_bands,
    )
    most_seconds = MAX_CELLS // front_end.bins * front_end.hop / front_end.rate
    if clip.seconds > most_seconds:
        raise InputError(
            f"With these settings the limit is {most_seconds / 60:.1f} minutes of audio; the clip has "
            f"{clip.seconds / 60:.1f}. Cut the clip, or choose a longer hop or a lower rate."
        )
    return front_end


def _row_frequencies_hz(front_end: FrontEnd, options: Options) -> Values:
    """The frequency of each bin, or the centre of gravity of each mel band. Shape: (rows,)."""
    from aural.audio.spectral import mel_filters

    bin_hz = np.arange(front_end.bins) * (front_end.rate / front_end.fft)
    if not options.mel_bands:
        return bin_hz
    filters = mel_filters(front_end).numpy()
    return np.asarray(filters @ bin_hz / filters.sum(axis=1))


def _decibels(power: ArrayLike) -> Values:
    """Decibels of powers, at least FLOOR_DB."""
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))


@dataclass(frozen=True)
class Leakage:
    """The spectrum of a sine under two windows; 0 dB is the sine's true level."""

    frequency_bins: Values  # (points,), 0 to window / 2, in bins of the transform without zero-padding
    sine_bins: float  # frequency of the sine
    rectangular_db: Values  # (points,)
    hann_db: Values  # (points,)


def leakage(window: int = 1024, zero_padding: int = 8, sine_bins: float | None = None) -> Leakage:
    """The spectrum of a sine between two bins, under the rectangular and under the Hann window.

    The window causes the leakage: the rectangular one spreads a sine over all frequencies, the Hann window
    over a wider peak and little beyond. Zero-padding adds points to the same curve and removes no leakage;
    without it the curve is known only at whole bins, where the sine may read up to 3.9 dB too low.

    Args:
        window: samples, 64 to 16384.
        zero_padding: length of the transform in windows, 1 to 64.
        sine_bins: the sine's frequency in bins; None: halfway between two bins at an eighth of the rate.
    """
    require_whole("window", window, 64, 16_384)
    require_whole("zero-padding factor", zero_padding, 1, 64)
    if sine_bins is None:
        sine_bins = window // 8 + 0.5
    if not 0 < sine_bins < window / 2:
        raise OptionError(f"The sine must lie between 0 and {window // 2} bins, not at {sine_bins:g}.")
    sine = np.sin(2 * np.pi * sine_bins * np.arange(window) / window)

    def level_db(taper: Values) -> Values:
        return _decibels(np.abs(np.fft.rfft(sine * taper * (2 / taper.sum()), window * zero_padding)) ** 2)

    return Leakage(
        frequency_bins=np.arange(window * zero_padding // 2 + 1) / zero_padding,
        sine_bins=sine_bins,
        rectangular_db=level_db(np.ones(window)),
        hann_db=level_db(get_window("hann", window)),
    )


@dataclass(frozen=True)
class AverageSpectrum:
    """A clip's mean power spectrum."""

    frequency_hz: Values  # (bins,), 0 Hz to half the rate
    level_db: Values  # (bins,), 0 dB is a full-scale sine; silence is -200 dB


def average_spectrum(clip: Clip, window: int = 4096) -> AverageSpectrum:
    """Power in each frequency bin, averaged over time and channels (Welch 1967, Hann, half overlapping)."""
    require_whole("window", window, 64, 16_384)
    hop = window - window // 2
    frames = 1 + max(0, clip.frames - window) // hop
    power = np.zeros(window // 2 + 1)
    # In pieces, so that hours of audio need no more memory than a minute.
    for first in range(0, frames, PIECE_FRAMES):
        count = min(PIECE_FRAMES, frames - first)
        piece = excerpt(clip.samples, first * hop, (first + count - 1) * hop + window)
        mean_square = welch(piece, nperseg=window, detrend=False, scaling="spectrum")[1]
        # A full-scale sine has a mean square of 1/2.
        power += 2 * mean_square.mean(axis=0) * (count / frames)
    return AverageSpectrum(np.fft.rfftfreq(window, 1 / clip.rate), _decibels(power))
