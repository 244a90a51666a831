"""Stage 1 of enhancement for live sound: a causal U-Net that masks a spectrum, 40 ms late at most.

    spectrum ──> 192 bands ──> U-Net over frequency, half as many ──> gain per band ──────────> × spectrum
                               frames, causal dilations in time      └> filter per low bin ───> + filtered

Bands, masks and windows are those of `denoiser_convolutional`. The network sees the past and one frame more,
since it handles frames in pairs. All its inputs are relative to the level of the last two seconds, so a gain
on the recording is a gain on the result.

Sources: see `denoiser_convolutional`; van den Oord et al. 2016 (causal dilated convolutions).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.enhancement.denoiser_convolutional import (
    BANDS,
    HIGH_BANDS,
    LOW_BINS,
    MASK_FRONT_END,
    BandMasks,
    band_masks,
    convolve_normalized,
    triangles,
)
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

CAUSAL_TAPS = (-4, -3, -2, -1, 0)  # frames of 8 ms, relative to the filtered one
DILATIONS = (1, 2, 4, 8, 16, 32)  # of the blocks at the bottom, in frames of 16 ms; repeated as needed
LEVEL_FRAMES = 250  # 2 s, over which the level is taken
LEVEL_BINS = (3, 256)  # 94 Hz to 8 kHz: without rumble
MIN_LEVEL = 1e-14  # of the power, -140 dB
FLOOR = 1e-7  # of powers, relative to the level
PAIR, GROUP = 2, 4  # frames and bands that the first convolution takes together


@dataclass(frozen=True)
class CausalConfig(NetworkConfig):
    """The size of the causal denoiser."""

    widths: tuple[int, int, int] = (24, 40, 56)  # channels at 48, 24 and 12 frequencies
    blocks: int = 6  # residual blocks at the bottom
    design: Literal["causal"] = "causal"


@dataclass
class Past:
    """What the layers keep of earlier frames; at first nothing, which is like silence."""

    frames: dict[Hashable, Tensor] = field(default_factory=dict)

    def extend(self, layer: Hashable, x: Tensor, length: int) -> Tensor:
        """Put this many earlier frames of a layer's input before it, and keep the latest for the next time.

        Args:
            layer: any other key for what is no layer.

        Shape: (..., frames) -> (..., length + frames).
        """
        earlier = self.frames.get(layer)
        x = functional.pad(x, (length, 0)) if earlier is None else torch.cat((earlier, x), dim=-1)
        self.frames[layer] = x[..., x.shape[-1] - length :].clone()
        return x


class CausalDenoiser(Pretrained):
    """Removes noise, late reverberation, clipping and codec artifacts of live sound."""

    def __init__(self, config: CausalConfig = CausalConfig()) -> None:
        super().__init__()
        first, second, third = config.widths
        self.config = config
        self.front_end = MASK_FRONT_END
        bands = triangles()
        self.register_buffer("analysis", bands / bands.sum(1, keepdim=True), persistent=False)
        self.register_buffer("synthesis", bands.T.contiguous(), persistent=False)
        self.register_buffer("place", torch.linspace(-1, 1, BANDS)[:, None], persistent=False)
        self.entry = _Convolution(4, first, (7, 2 * PAIR), (GROUP, PAIR))
        self.down = nn.ModuleList(
            _Convolution(before, after, (3, 1), (2, 1))
            for before, after in ((first, second), (second, third))
        )
        self.blocks = nn.ModuleList(
            _Block(third, DILATIONS[number % len(DILATIONS)]) for number in range(config.blocks)
        )
        self.up = nn.ModuleList(
            _Upsampling(before, after) for before, after in ((third, second), (second, first))
        )
        self.hidden = _Convolution(first, 2 * first, (3, 1), (1, 1))
        self.gains = nn.Conv2d(2 * first, 2 * GROUP * PAIR, 1)
        self.filters = nn.Conv2d(2 * first, 2 * len(CAUSAL_TAPS) * GROUP * PAIR, 1)
        for head in (self.gains, self.filters):
            assert head.bias is not None
            nn.init.normal_(head.weight, std=1e-2)
            nn.init.zeros_(head.bias)

    def forward(self, spectrum: Tensor, past: Past | None = None) -> BandMasks:
        """The masks of a mixture; frames 2n and 2n + 1 depend on no later one.

        Args:
            past: of a stream whose frames are given piece by piece, an even number at a time; changed.

        Shape:
            spectrum: (batch, bins, frames) under MASK_FRONT_END, complex.
        """
        past = Past() if past is None else past
        frames = spectrum.shape[-1]
        with torch.autocast(spectrum.device.type, enabled=False):
            spectrum = functional.pad(spectrum, (0, frames % PAIR))
            x = self._features(spectrum, past)
        x = self.entry(x, past)
        skips = []
        for layer in self.down:
            skips.append(x)
            x = layer(x, past)
        for block in self.blocks:
            x = block(x, past)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(x, skip, past)
        x = self.hidden(x, past)
        gains, filters = self.gains(x), self.filters(x[:, :, : LOW_BINS // GROUP])
        with torch.autocast(spectrum.device.type, enabled=False):
            gains, filters = (_spread(part.float(), GROUP, PAIR)[..., :frames] for part in (gains, filters))
            return band_masks(gains, filters, self.get_buffer("synthesis"), CAUSAL_TAPS)

    def _features(self, spectrum: Tensor, past: Past) -> Tensor:
        """(batch, 4, BANDS, frames)."""
        power = spectrum.real.square() + spectrum.imag.square()
        level = self._level(power, past)
        power = power / level
        bands = torch.log10(self.get_buffer("analysis") @ power + FLOOR) / 2 + 1.5
        squeeze = (power[:, :LOW_BINS] + 10 * FLOOR).pow(-0.35) / level.sqrt()
        low = spectrum[:, :LOW_BINS]
        real, imaginary = (
            functional.pad(part * squeeze, (0, 0, 0, HIGH_BANDS)) for part in (low.real, low.imag)
        )
        place = self.get_buffer("place").expand_as(bands)
        return torch.stack((bands, real, imaginary, place), 1).contiguous(memory_format=torch.channels_last)

    def _level(self, power: Tensor, past: Past) -> Tensor:
        """The mean power of a bin over the last two seconds, or those there are. (batch, 1, frames)."""
        frames = power[:, LEVEL_BINS[0] : LEVEL_BINS[1]].mean(1, keepdim=True)
        return running_mean(frames, past, self, LEVEL_FRAMES).clamp_min(MIN_LEVEL)


def running_mean(x: Tensor, past: Past, step: Hashable, length: int) -> Tensor:
    """The mean over the last `length` frames, or those there are.

    Args:
        step: what the frames are kept under.

    Shape:
        (..., frames) -> (..., frames).
    """
    both = torch.stack((x, torch.ones_like(x)), 0)  # values and their number
    sums = past.extend(step, both, length - 1).double().cumsum(-1)
    sums = sums[..., length - 1 :] - functional.pad(sums, (1, 0))[..., : x.shape[-1]]
    return (sums[0] / sums[1]).to(x)


def build_causal_denoiser(config: Mapping[str, Any]) -> CausalDenoiser:
    """The network of a checkpoint's config."""
    return CausalDenoiser(CausalConfig.from_dict(config))


class _Convolution(nn.Module):
    """Convolution over (frequency, time), causal; batch normalization, SiLU."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.earlier = kernel[1] - stride[1]
        padding = (kernel[0] // 2, 0)
        self.convolution = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.normalise = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        if self.earlier:
            x = past.extend(self, x, self.earlier)
        return functional.silu(convolve_normalized(self.convolution, self.normalise, x))


class _Block(nn.Module):
    """Convolutions along frequency, then causal along time, with a residual connection."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.earlier = 2 * dilation
        self.across = _Convolution(width, width, (3, 1), (1, 1))
        self.along = nn.Conv2d(width, width, (1, 3), dilation=(1, dilation), bias=False)
        self.normalise = nn.BatchNorm2d(width)
        nn.init.constant_(self.normalise.weight, 0.3)  # small at first

    def forward(self, x: Tensor, past: Past) -> Tensor:
        y = past.extend(self, self.across(x, past), self.earlier)
        return functional.silu(x + convolve_normalized(self.along, self.normalise, y))


class _Upsampling(nn.Module):
    """Twice the frequencies by sub-pixel upsampling, the skip connection, and a block."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, 2 * after, 1)
        self.skip = nn.Conv2d(after, after, 1, bias=False)
        self.normalise = nn.BatchNorm2d(after)
        self.block = _Block(after)

    def forward(self, x: Tensor, skipped: Tensor, past: Past) -> Tensor:
        y = _spread(self.convolution(x), 2, 1) + self.skip(skipped)
        result: Tensor = self.block(functional.silu(self.normalise(y)), past)
        return result


def _spread(x: Tensor, bands: int, frames: int) -> Tensor:
    """Channels to places: (batch, c · bands · frames, f, n) -> (batch, c, bands · f, frames · n)."""
    batch, channels, frequencies, count = x.shape
    after = channels // (bands * frames)
    y = x.reshape(batch, after, bands, frames, frequencies, count).permute(0, 1, 4, 2, 5, 3)
    y = y.reshape(batch, after, bands * frequencies, frames * count)
    return y.contiguous(memory_format=torch.channels_last)
