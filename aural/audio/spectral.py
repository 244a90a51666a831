"""Short-time spectra: the STFT and its exact inverse, mel bands, and magnitudes scaled to [0, 1] and back.

Magnitudes are amplitudes: the Hann window w is divided by half its sum, so a sine of amplitude 1 in the
middle of a bin reads 1 (0 dB). This module needs torch; nothing in `aural.audio` imports it by itself.

Sources: Griffin and Lim 1984 (inverse), Slaney 1998 (mel scale), Richardson 1972 and Lucy 1974 (mel inverse).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torchaudio.functional
from torch import Tensor

from aural.errors import OptionError

# No |x| <= 1 reads more than 2: |X| <= sum w |x| / (sum w / 2). A constant 1 does, and so reads +6 dB.
PEAK_MAGNITUDE = 2.0
# Scaled magnitudes are logarithmic above this amplitude and linear beneath it.
KNEE_DB = -100.0
KNEE_MAGNITUDE = 10 ** (KNEE_DB / 20)
# What the scale spans: from the knee up to the loudest magnitude that full-scale audio can have, 106 dB.
SPAN_DB = 20 * math.log10(1 + PEAK_MAGNITUDE / KNEE_MAGNITUDE)

SAME_CHANNELS = 1e-3  # correlations this close to 1 count as equal channels


@dataclass(frozen=True)
class FrontEnd:
    """How audio is cut into frames and bands.

    Raises:
        OptionError: a value out of range, an FFT shorter than the window, a hop beyond half the window.

    >>> FrontEnd().bins, FrontEnd().frames(5 * 22_050)
    (513, 425)
    """

    rate: int = 22_050  # Hz
    window: int = 1024  # samples under the periodic Hann window
    hop: int = 260  # samples from one frame to the next
    fft: int = 1024  # samples per transform, even; what exceeds the window is zero-padding
    mel_bands: int = 80  # triangles on the mel scale
    minimum_hz: float = 0.0  # lower edge of the lowest mel band
    maximum_hz: float | None = None  # upper edge of the highest mel band; None: half the rate

    def __post_init__(self) -> None:
        if min(self.rate, self.hop, self.mel_bands) < 1 or self.window < 2:
            raise OptionError("Rate, hop and mel bands must be at least 1, the window at least 2 samples.")
        if self.fft < self.window or self.fft % 2:
            raise OptionError(
                f"An FFT of {self.fft} samples does not fit a window of {self.window}. "
                f"Choose an even length of {self.window + self.window % 2} or more."
            )
        if not 0 <= self.minimum_hz < self.highest_hz <= self.rate / 2:
            raise OptionError(
                f"Mel bands must lie between 0 and {self.rate / 2:g} Hz (half the sample rate), "
                f"not from {self.minimum_hz:g} to {self.highest_hz:g} Hz."
            )
        # The inverse divides by Σw². Up to half a window of hop it is at least 1/2, and at least 1/4 at the
        # ends of the clip; beyond, it soon nears 0 (where NOLA fails) and multiplies rounding errors.
        if self.hop > self.window // 2:
            raise OptionError(
                f"A hop of {self.hop} leaves gaps between windows of {self.window} samples. "
                f"Choose a hop of {self.window // 2} or less."
            )

    @property
    def highest_hz(self) -> float:
        """Upper edge of the highest mel band."""
        return self.rate / 2 if self.maximum_hz is None else self.maximum_hz

    @property
    def bins(self) -> int:
        """Frequencies from 0 Hz to half the rate, both included."""
        return self.fft // 2 + 1

    def frames(self, length: int) -> int:
        """Frames for a number of samples: 1 + length / hop, rounded to the nearest, halves up.

        Frame n is centred on sample n · hop. Rounding, where other tools floor, leaves no sample further
        than half a hop from a centre, so the end of the clip is covered as well as its middle. For hop 10:

            centres       0---------1---------2
            14 samples    [============]             2 frames
            15 samples    [=============]            3 frames
        """
        return 1 + (length + self.hop // 2) // self.hop


DEFAULT_FRONT_END = FrontEnd()


def stft(samples: Tensor, front_end: FrontEnd = DEFAULT_FRONT_END) -> Tensor:
    """Short-time Fourier transform, in amplitude: |X| of a full-scale sine peaks at 1.

    The clip is taken to be silent before its start and after its end. (Reflecting it there, as other tools
    do, is impossible for a clip shorter than half a window.)

    Shape:
        samples: (..., time), at least 1 sample; result: (..., bins, frames), complex.
    """
    # Half a hop of silence gives the last samples their frame, see `FrontEnd.frames`.
    padded = torch.nn.functional.pad(samples.reshape(-1, samples.shape[-1]), (0, front_end.hop // 2))
    spectrum = torch.stft(
        padded,
        front_end.fft,
        front_end.hop,
        front_end.window,
        _window(front_end, samples),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.reshape(*samples.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: Tensor, length: int, front_end: FrontEnd = DEFAULT_FRONT_END) -> Tensor:
    """The samples whose `stft` is nearest to a spectrum; those it was made from, to 1e-6, if there are any.

    Frames are windowed again, added, and divided by Σw². Least squares asks for this, and it is exact where
    the windows themselves do not add up to a constant (hop 260 does not divide 1024).

    Shape:
        spectrum: (..., bins, frames), complex; result: (..., length).
    """
    window = _window(front_end, spectrum.real)
    margin = (front_end.fft - front_end.window) // 2
    frames = torch.fft.irfft(spectrum.transpose(-1, -2), front_end.fft)
    frames = frames[..., margin : margin + front_end.window] * window
    first = front_end.fft // 2 - margin
    inside = slice(first, first + length)
    samples = overlap_add(frames, front_end.hop)[..., inside]
    squares = window.square().expand(frames.shape[-2], -1)
    samples = samples / overlap_add(squares, front_end.hop)[..., inside]
    return torch.nn.functional.pad(samples, (0, length - samples.shape[-1]))


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """The sum of frames, each of which is cut into pieces of one hop, so that whole pieces are added; here 4:

        frame 0   [ 0 | 1 | 2 | 3 ]
        frame 1       [ 0 | 1 | 2 | 3 ]
        frame 2           [ 0 | 1 | 2 | 3 ]

    Where hop does not divide the length, the last piece is filled up with zeros. `torch.istft` takes twice
    as long on a CPU, and waits for a GPU, so that no CUDA graph can capture it.

    Shape:
        frames: (..., count, length); result: (..., time), at least the samples of all frames.
    """
    count, length = frames.shape[-2:]
    pieces = -(-length // hop)
    if pieces * hop > length:
        frames = torch.nn.functional.pad(frames, (0, pieces * hop - length))
    parts = frames.reshape(*frames.shape[:-1], pieces, hop)
    added = frames.new_zeros(*frames.shape[:-2], count + pieces - 1, hop)
    for number in range(pieces):
        added[..., number : number + count, :] += parts[..., number, :]
    return added.flatten(-2)


def mel_from_magnitude(magnitude: Tensor, front_end: FrontEnd = DEFAULT_FRONT_END) -> Tensor:
    """Mean magnitude in each mel band.

    Shape:
        magnitude: (..., bins, frames); result: (..., mel_bands, frames).
    """
    return _mel_filters_like(magnitude, front_end) @ magnitude


def magnitude_from_mel(mel: Tensor, front_end: FrontEnd = DEFAULT_FRONT_END, iterations: int = 20) -> Tensor:
    """A non-negative magnitude with the given mel bands: the smooth one among the many there are.

    Richardson-Lucy: a flat start is multiplied, again and again, by what the bands lack. Each step is two
    products of matrices, and what is silent stays exactly silent. After 20 steps the bands of music are met
    to about -60 dB, and the result is nearer to the true spectrum than that of non-negative least squares.

    Shape:
        mel: (..., mel_bands, frames); result: (..., bins, frames).
    """
    filters = _mel_filters_like(mel, front_end)
    tiny = torch.finfo(mel.dtype).tiny
    spread = filters.T / filters.sum(0).clamp_min(tiny)[:, None]
    # Bins outside every band (0 Hz, and above `maximum_hz`) have no weight and become 0.
    magnitude = spread @ mel
    for _ in range(iterations):
        magnitude = magnitude * (spread @ (mel / (filters @ magnitude).clamp_min(tiny)))
    return magnitude


def scale(magnitude: Tensor) -> Tensor:
    """Magnitudes on a logarithmic scale from 0 to 1: log(1 + magnitude / knee) / log(1 + 2 / knee).

    Silence is exactly 0; the knee of -100 dB, about the noise of 16 bits, is 0.057; a full-scale sine is
    0.943; and 1 is the most that samples within ±1 can reach. Samples beyond ±1 may exceed it: nothing is
    clipped and log(1 + x) has an inverse everywhere, so `unscale` gives back every magnitude.

    >>> [round(float(value), 3) for value in scale(torch.tensor([0.0, 1e-5, 1.0, 2.0]))]
    [0.0, 0.057, 0.943, 1.0]
    """
    return torch.log1p(magnitude / KNEE_MAGNITUDE) / math.log1p(PEAK_MAGNITUDE / KNEE_MAGNITUDE)


def unscale(scaled: Tensor) -> Tensor:
    """The magnitudes that `scale` was given; values below 0, which a network may produce, are silence.

    >>> round(float(unscale(scale(torch.tensor(0.25)))), 6)
    0.25
    """
    return torch.expm1(scaled.clamp_min(0) * math.log1p(PEAK_MAGNITUDE / KNEE_MAGNITUDE)) * KNEE_MAGNITUDE


def log_mel(samples: Tensor, front_end: FrontEnd = DEFAULT_FRONT_END) -> Tensor:
    """Mel bands of the magnitude, scaled to [0, 1].

    Shape:
        samples: (..., time); result: (..., mel_bands, frames).
    """
    return scale(mel_from_magnitude(stft(samples, front_end).abs(), front_end))


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # also if the first caller is in inference mode: a later one may train with it
def mel_filters(front_end: FrontEnd = DEFAULT_FRONT_END) -> Tensor:
    """Triangles on Slaney's mel scale, each of unit area, so that a band is a mean over its bins.

    Shape:
        result: (mel_bands, bins), float32, on the CPU; shared, so not to be written to.

    Raises:
        OptionError: more bands than the FFT can tell apart.
    """
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        front_end.bins,
        front_end.minimum_hz,
        front_end.highest_hz,
        front_end.mel_bands,
        front_end.rate,
        norm="slaney",
        mel_scale="slaney",
    )
    if not filters.sum(0).all():
        raise OptionError(
            f"{front_end.mel_bands} mel bands are too many for an FFT of {front_end.fft} samples at "
            f"{front_end.rate} Hz: some would be empty. Choose fewer bands or a longer window."
        )
    # Slaney's areas are 1 in Hz; in bins they are 1 after this.
    return (filters * (front_end.rate / front_end.fft)).T.contiguous()


def _mel_filters_like(values: Tensor, front_end: FrontEnd) -> Tensor:
    return _mel_filters_at(front_end, values.dtype, values.device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _mel_filters_at(front_end: FrontEnd, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copied to the device once: a copy at each call would wait for it, which a CUDA graph may not."""
    return mel_filters(front_end).to(device, dtype)


def _window(front_end: FrontEnd, like: Tensor) -> Tensor:
    window = torch.hann_window(front_end.window, dtype=like.dtype, device=like.device)
    return window * (2 / window.sum())


def channel_mix(correlation: Tensor) -> Tensor:
    """How to mix independent noises so that they correlate as channels do: L of the correlation L L^T.

    By Cholesky, row by row, so that equal channels get equal noises and the first one keeps its own. Channels
    that are as good as equal or inverse count as such: there the root would amplify rounding errors.

    Shape: correlation: (..., channels, channels), symmetric; result: the same, lower triangular.
    """
    same = (correlation.abs() > 1 - SAME_CHANNELS).to(correlation.dtype)
    target = correlation + same * (correlation.sign() - correlation)
    mix = torch.zeros_like(target)
    for row in range(target.shape[-1]):
        for column in range(row):
            pivot = mix[..., column, column]
            known = (mix[..., row, :column] * mix[..., column, :column]).sum(-1)
            value = (target[..., row, column] - known) / pivot.clamp_min(SAME_CHANNELS)
            mix[..., row, column] = torch.where(pivot > SAME_CHANNELS, value, 0.0)
        length = mix[..., row, :row].square().sum(-1)
        # Rounding may lead beyond 1.
        mix[..., row, :row] /= length.clamp_min(1).sqrt()[..., None]
        rest = (1 - length).clamp_min(0)
        mix[..., row, row] = torch.where(rest > SAME_CHANNELS, rest.sqrt(), 0.0)
    return mix
