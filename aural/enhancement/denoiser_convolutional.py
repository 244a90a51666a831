"""Stage 1 of enhancement, convolutional: a U-Net that masks a spectrum with 75 % overlap.

    spectrum ──> 192 bands ──> U-Net over frequency, half as many ──> gain per band ──────────> × spectrum
                               frames at the bottom, dilated in time └> filter per low bin ───> + filtered

Windows of 32 ms are 8 ms apart, so random errors of the mask average out. Every second frame is one of
`features.FRONT_END`, so spectra convert exactly. Each of the 160 bins below 5 kHz has its own
gain and 5 complex taps over neighbouring frames, which remove late reverberation and the noise between
harmonics. Above, each of 32 ERB bands has a gain. No gain exceeds 3.5 dB.

Sources: Valin 2018 (gains per band), Schröter et al. 2022 (filtering of the low bins), Ronneberger et al.
2015 (U-Net), Shi et al. 2016 (sub-pixel upsampling), Lea et al. 2017 (dilated convolutions in time), Glasberg
and Moore 1990 (ERB scale).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import FrontEnd, istft, stft
from aural.enhancement.features import FRONT_END, RATE, pitch
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

MASK_FRONT_END = FrontEnd(rate=RATE, window=1536, hop=384, fft=1536)
LOW_BINS = 160  # below 5 kHz each bin is its own band
HIGH_BANDS = 32
BANDS = LOW_BINS + HIGH_BANDS
TAPS = (-4, -2, -1, 0, 1)  # frames of 8 ms, relative to the filtered one
MAX_GAIN = 1.5
DILATIONS = (1, 2, 4, 8, 16)  # dilations of the blocks at the bottom, in frames of 16 ms; repeated as needed
MIN_POWER = 1e-10  # -100 dB


@dataclass(frozen=True)
class ConvolutionalConfig(NetworkConfig):
    """The size of the convolutional denoiser."""

    widths: tuple[int, int, int, int] = (32, 64, 96, 192)  # channels at 96, 48, 24 and 12 frequencies
    blocks: int = 6  # residual blocks at the bottom
    design: Literal["convolutional"] = "convolutional"  # tells a checkpoint from a recurrent one


@dataclass(frozen=True)
class BandMasks:
    """The masks of a mixture under MASK_FRONT_END, applied to all of its channels alike."""

    taps: Tensor  # (batch, offsets, LOW_BINS, frames), complex: the output of these filters is added
    gain: Tensor  # (batch, bins, frames), 0 to MAX_GAIN
    noise_gain: Tensor  # (batch, bins, frames), share of the mixture that is background, 0 to 1
    offsets: tuple[int, ...] = TAPS  # frames of the taps, relative to the filtered one

    def apply(self, spectrum: Tensor, earlier: Tensor | None = None) -> Tensor:
        """The speech in a spectrum (channels or batch, bins, frames), complex; one mask for all channels.

        Args:
            earlier: of a stream, as many of its frames before as the taps reach back; None: silence.
        """
        low = spectrum[:, :LOW_BINS]
        first, last = -self.offsets[0], self.offsets[-1]
        if earlier is None:
            padded = functional.pad(low, (first, last))
        else:
            padded = functional.pad(torch.cat((earlier[:, :LOW_BINS], low), -1), (0, last))
        frames = spectrum.shape[-1]
        filtered = self.gain[:, :LOW_BINS] * low
        for number, offset in enumerate(self.offsets):
            start = first + offset
            filtered = filtered + self.taps[:, number] * padded[..., start : start + frames]
        return torch.cat((filtered, self.gain[:, LOW_BINS:] * spectrum[:, LOW_BINS:]), dim=1)

    def background(self, spectrum: Tensor) -> Tensor:
        """The background in a spectrum: neither the voice nor its reverberation."""
        return self.noise_gain * spectrum


def band_masks(gains: Tensor, filters: Tensor, synthesis: Tensor, offsets: tuple[int, ...]) -> BandMasks:
    """The masks that a network's heads mean; where they are 0, the gain is 1 and the filter adds nothing.

    Args:
        offsets: frames of the taps, relative to the filtered one.

    Shape:
        gains: (batch, 2, BANDS, frames); filters: (batch, 2 · offsets, LOW_BINS, frames);
        synthesis: (bins, BANDS).
    """
    gain = MAX_GAIN * torch.sigmoid(10 * gains[:, 0] - math.log(MAX_GAIN - 1))
    noise_gain = torch.sigmoid(10 * gains[:, 1] - 2)
    batch, _, bins, frames = filters.shape
    real, imaginary = torch.tanh(filters).reshape(batch, 2, len(offsets), bins, frames).unbind(1)
    return BandMasks(torch.complex(real, imaginary), synthesis @ gain, synthesis @ noise_gain, offsets)


class ConvolutionalDenoiser(Pretrained):
    """Removes noise, late reverberation, clipping and codec artifacts; keeps the microphone's tone, the gain
    and the early reflections."""

    def __init__(self, config: ConvolutionalConfig = ConvolutionalConfig()) -> None:
        super().__init__()
        first, second, third, fourth = config.widths
        self.config = config
        self.front_end = MASK_FRONT_END
        bands = triangles()
        self.register_buffer("analysis", bands / bands.sum(1, keepdim=True), persistent=False)
        self.register_buffer("synthesis", bands.T.contiguous(), persistent=False)
        self.register_buffer("place", torch.linspace(-1, 1, BANDS)[:, None], persistent=False)
        self.entry = _Convolution(4, first, (5, 3), (2, 1))
        self.down = nn.ModuleList(
            [
                _Convolution(first, second, (3, 3), (2, 1)),
                _Convolution(second, third, (3, 3), (2, 2)),
                _Convolution(third, fourth, (3, 3), (2, 1)),
            ]
        )
        self.blocks = nn.Sequential(
            *(_Block(fourth, DILATIONS[number % len(DILATIONS)]) for number in range(config.blocks))
        )
        self.up = nn.ModuleList(
            [
                _Upsampling(fourth, third, third, 1),
                _Upsampling(third, second, second, 2),
                _Upsampling(second, first, first, 1),
            ]
        )
        self.exit = _Upsampling(first, 0, first, 1)
        self.gains = nn.Conv2d(first, 2, (3, 1), padding=(1, 0))
        self.filters = nn.Conv2d(first, 2 * len(TAPS), (3, 3), padding=1)
        for head in (self.gains, self.filters):
            assert head.bias is not None
            nn.init.normal_(head.weight, std=1e-2)
            nn.init.zeros_(head.bias)

    def forward(self, spectrum: Tensor) -> BandMasks:
        """The masks of a mixture whose voice is at `level.ACTIVE_RMS`.

        Shape:
            spectrum: (batch, bins, frames) under MASK_FRONT_END, complex.
        """
        frames = spectrum.shape[-1]
        with torch.autocast(spectrum.device.type, enabled=False):
            power = spectrum.real.square() + spectrum.imag.square()
            bands = torch.log10(self.get_buffer("analysis") @ power + MIN_POWER) / 2 + 3
            low = spectrum[:, :LOW_BINS]
            squeeze = (power[:, :LOW_BINS] + 1e-8).pow(-0.35)
            real, imaginary = (
                functional.pad(part * squeeze, (0, 0, 0, HIGH_BANDS)) for part in (low.real, low.imag)
            )
            place = self.get_buffer("place").expand_as(bands)
            x = torch.stack((bands, 3 * real, 3 * imaginary, place), 1)
            # At the bottom there are half as many frames.
            x = functional.pad(x, (0, frames % 2)).contiguous(memory_format=torch.channels_last)
        x = self.entry(x)
        skips = []
        for layer in self.down:
            skips.append(x)
            x = layer(x)
        x = self.blocks(x)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(x, skip)
        x = self.exit(x, None)[..., :frames]
        gains, filters = self.gains(x), self.filters(x[:, :, :LOW_BINS])
        with torch.autocast(spectrum.device.type, enabled=False):
            return band_masks(gains.float(), filters.float(), self.get_buffer("synthesis"), TAPS)


@dataclass(frozen=True)
class FrontEndMasks:
    """The masks of a mixture, for spectra under `features.FRONT_END`.

    A spectrum is converted to MASK_FRONT_END by way of its samples, masked there and converted back. The
    conversion is exact, because the window is the same and the frames only lie closer together.
    """

    fine: BandMasks
    mono: Tensor  # (1 or batch, bins, frames), complex, the mixture under FRONT_END
    fine_mono: Tensor  # the same under MASK_FRONT_END

    def apply(self, spectrum: Tensor) -> Tensor:
        """The speech in a spectrum (channels or batch, bins, frames), complex; one mask for all channels."""
        if spectrum is self.mono:
            return stft(self._voice, FRONT_END)
        return _to_front_end(self.fine.apply(self._to_fine(spectrum)), spectrum.shape[-1])

    def background(self, spectrum: Tensor) -> Tensor:
        """The background in a spectrum: neither the voice nor its reverberation."""
        return _to_front_end(self.fine.background(self._to_fine(spectrum)), spectrum.shape[-1])

    @property
    def f0_hz(self) -> Tensor:
        """(1 or batch, frames): the pitch of the denoised voice, also of unvoiced frames."""
        return self._pitch[0]

    @property
    def voicing(self) -> Tensor:
        """(1 or batch, frames): how periodic the denoised voice is, 0 to 1."""
        return self._pitch[1]

    @cached_property
    def _pitch(self) -> tuple[Tensor, Tensor]:
        return pitch(self._voice)

    @cached_property
    def _voice(self) -> Tensor:
        """The samples of the speech in the mixture."""
        return istft(self.fine.apply(self.fine_mono), _length(self.mono.shape[-1]), MASK_FRONT_END)

    def _to_fine(self, spectrum: Tensor) -> Tensor:
        return self.fine_mono if spectrum is self.mono else _to_mask_front_end(spectrum)


class FrontEndDenoiser(ConvolutionalDenoiser):
    """The network with the interface of `denoiser.Denoiser`: spectra and masks under FRONT_END."""

    def forward(self, spectrum: Tensor, conditioning: Tensor | None = None) -> FrontEndMasks:  # type: ignore[override]
        """The masks of a mixture.

        Shape:
            spectrum: (batch, bins, frames) under FRONT_END, complex; conditioning: not used.
        """
        del conditioning
        fine = _to_mask_front_end(spectrum)
        return FrontEndMasks(super().forward(fine), spectrum, fine)


def _length(frames: int) -> int:
    """The largest number of samples with so many frames under FRONT_END."""
    return (frames - 1) * FRONT_END.hop + FRONT_END.hop // 2 - 1


def _to_mask_front_end(spectrum: Tensor) -> Tensor:
    """A spectrum under FRONT_END as one under MASK_FRONT_END."""
    return stft(istft(spectrum, _length(spectrum.shape[-1]), FRONT_END), MASK_FRONT_END)


def _to_front_end(spectrum: Tensor, frames: int) -> Tensor:
    """A spectrum under MASK_FRONT_END as one under FRONT_END."""
    return stft(istft(spectrum, _length(frames), MASK_FRONT_END), FRONT_END)


def build_convolutional(config: Mapping[str, Any]) -> ConvolutionalDenoiser:
    """The network of a checkpoint's config."""
    return ConvolutionalDenoiser(ConvolutionalConfig.from_dict(config))


class _Convolution(nn.Module):
    """Convolution over (frequency, time), batch normalization, SiLU."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2 * dilation)
        self.convolution = nn.Conv2d(before, after, kernel, stride, padding, (1, dilation), bias=False)
        self.normalise = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        y = convolve_normalized(self.convolution, self.normalise, x)
        return functional.silu(y, inplace=not torch.is_grad_enabled())


class _Block(nn.Module):
    """Convolutions along frequency, then along time, with a residual connection."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.across = _Convolution(width, width, (3, 1))
        self.along = nn.Conv2d(
            width, width, (1, 3), padding=(0, dilation), dilation=(1, dilation), bias=False
        )
        self.normalise = nn.BatchNorm2d(width)
        nn.init.constant_(self.normalise.weight, 0.3)  # small at first

    def forward(self, x: Tensor) -> Tensor:
        y = convolve_normalized(self.along, self.normalise, self.across(x))
        if torch.is_grad_enabled():
            return functional.silu(x + y)
        return functional.silu(y.add_(x), inplace=True)


class _Upsampling(nn.Module):
    """Sub-pixel upsampling in frequency, and in time by `times`; adds the skip connection."""

    def __init__(self, before: int, skipped: int, after: int, times: int) -> None:
        super().__init__()
        self.after, self.times = after, times
        self.convolution = nn.Conv2d(before, 2 * times * after, 1)
        self.skip = nn.Conv2d(skipped, after, 1, bias=False) if skipped else None
        self.normalise = nn.BatchNorm2d(after)
        self.block = _Block(after) if skipped else None

    def forward(self, x: Tensor, skipped: Tensor | None) -> Tensor:
        batch, _, frequencies, frames = x.shape
        y = self.convolution(x).reshape(batch, self.after, 2, self.times, frequencies, frames)
        y = y.permute(0, 1, 4, 2, 5, 3).reshape(batch, self.after, 2 * frequencies, self.times * frames)
        y = y.contiguous(memory_format=torch.channels_last)
        if self.skip is not None:
            y = y + self.skip(skipped)
        result: Tensor = functional.silu(self.normalise(y))
        return result if self.block is None else self.block(result)


def convolve_normalized(convolution: nn.Conv2d, normalise: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Convolution and batch normalization; fused for inference, which saves a pass over the features."""
    if normalise.training or torch.is_grad_enabled():
        result: Tensor = normalise(convolution(x))
        return result
    mean, variance = normalise.get_buffer("running_mean"), normalise.get_buffer("running_var")
    factor = normalise.weight / (variance + normalise.eps).sqrt()
    return functional.conv2d(
        x,
        convolution.weight * factor[:, None, None, None],
        normalise.bias - mean * factor,
        convolution.stride,
        cast("tuple[int, int]", convolution.padding),
        convolution.dilation,
    )


def triangles() -> Tensor:
    """(BANDS, bins): the low bins as they are, triangles on the ERB scale above; columns add up to 1."""
    front_end = MASK_FRONT_END
    bin_hz = front_end.rate / front_end.fft
    edge, top = (21.4 * math.log10(1 + 0.00437 * hz) for hz in ((LOW_BINS - 1) * bin_hz, front_end.rate / 2))
    centres = (10 ** (torch.linspace(edge, top, HIGH_BANDS + 1, dtype=torch.float64) / 21.4) - 1) / 0.00437
    frequencies = torch.arange(front_end.bins, dtype=torch.float64) * bin_hz
    rising = (frequencies - centres[:-1, None]) / (centres[1:] - centres[:-1])[:, None]
    falling = torch.ones_like(rising)
    falling[:-1] = (centres[2:, None] - frequencies) / (centres[2:] - centres[1:-1])[:, None]
    weights = torch.zeros(BANDS, front_end.bins, dtype=torch.float64)
    weights[LOW_BINS:] = torch.minimum(rising, falling).clamp(0, 1)
    weights[:, :LOW_BINS] = 0
    weights[:LOW_BINS, :LOW_BINS] = torch.eye(LOW_BINS)
    # The first triangle starts at full weight, where the single bins end.
    weights[LOW_BINS:] /= weights[LOW_BINS:].sum(0).clamp_min(1e-9)
    return weights.float()
