"""Stage 1 of enhancement: a recurrent denoiser that masks the spectrum.

    spectrum ──> 128 bands ──> U-Net over frequency, ──> gain per band, filter per low bin ──> × spectrum
                               GRUs over both axes  └──> noise gain, pitch, bands (pre-training)

The denoiser keeps the phase of the recording. Below 3 kHz, where harmonics are a few bins apart, each bin is
filtered by 5 complex taps over neighbouring frames, which removes part of the reverberation. Above, each band
on the ERB scale gets a real gain.

The convolutional alternative: `denoiser_convolutional`. `build_denoiser` builds whichever a checkpoint holds.

Sources: Valin 2018 (gains per band), Schröter et al. 2022 (filtering of the low bins), Le et al. 2021
(dual-path recurrence), Rong et al. 2024 (low bins kept, high bins in bands), Glasberg and Moore 1990 (ERB).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.enhancement.denoiser_convolutional import ConvolutionalConfig, FrontEndDenoiser
from aural.enhancement.features import FRONT_END, MAX_PITCH_HZ, MIN_PITCH_HZ
from aural.enhancement.unet import UNet
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

LOW_BINS = 96  # below 3 kHz each bin is its own band
HIGH_BANDS = 32
BANDS = LOW_BINS + HIGH_BANDS
TAPS = (-3, -2, -1, 0, 1)  # frames, relative to the filtered one
MAX_GAIN = 4.0
PITCH_BINS = 64  # from MIN_PITCH_HZ to MAX_PITCH_HZ on a logarithmic scale; one more means "unvoiced"


@dataclass(frozen=True)
class DenoiserConfig(NetworkConfig):
    """The size of the denoiser."""

    widths: tuple[int, int, int] = (24, 32, 64)  # channels at 64, 32 and 16 frequencies
    hidden: int = 48  # units of each direction of a GRU
    blocks: int = 2  # dual-path blocks


@dataclass(frozen=True)
class Masks:
    """The masks of a mixture, applied to all of its channels alike."""

    taps: Tensor  # (batch, TAPS, LOW_BINS, frames), complex: the filter of each low bin
    gain: Tensor  # (batch, bins, frames), for the bins above; not used below
    noise_gain: Tensor  # (batch, bins, frames), share of the mixture that is background
    pitch: Tensor  # (batch, PITCH_BINS + 1, frames), logits
    bands: Tensor  # (batch, BANDS, frames), predicted clean bands, for pre-training

    def apply(self, spectrum: Tensor) -> Tensor:
        """The speech in a spectrum (channels or batch, bins, frames), complex; one mask for all channels."""
        low = spectrum[:, :LOW_BINS]
        first, last = -TAPS[0], TAPS[-1]
        padded = functional.pad(low, (first, last))
        frames = spectrum.shape[-1]
        filtered = torch.zeros_like(low)
        for number, offset in enumerate(TAPS):
            start = first + offset
            filtered = filtered + self.taps[:, number] * padded[..., start : start + frames]
        return torch.cat((filtered, self.gain[:, LOW_BINS:] * spectrum[:, LOW_BINS:]), dim=1)

    def background(self, spectrum: Tensor) -> Tensor:
        """The background in a spectrum: neither the voice nor its reverberation."""
        return self.noise_gain * spectrum

    @property
    def voicing(self) -> Tensor:
        """(batch, frames): the probability that a frame has a pitch."""
        return 1 - self.pitch.softmax(1)[:, -1]

    @property
    def f0_hz(self) -> Tensor:
        """(batch, frames): the pitch, also of unvoiced frames; see `voicing`."""
        best = self.pitch[:, :-1].argmax(1, keepdim=True)
        near = (best + torch.arange(-2, 3, device=best.device)[:, None]).clamp(0, PITCH_BINS - 1)
        weights = self.pitch.gather(1, near).softmax(1)
        return pitch_of_bin((near * weights).sum(1))


class Denoiser(Pretrained, UNet):
    """Stage 1, recurrent: removes noise, reverberation and clipping and keeps the phase."""

    def __init__(self, config: DenoiserConfig = DenoiserConfig()) -> None:
        super().__init__(4, config.widths, config.hidden, config.blocks)
        first, _, third = config.widths
        self.config = config
        self.register_buffer("synthesis", _synthesis(), persistent=False)
        self.gains = nn.Conv2d(first, 3, (3, 1), padding=(1, 0))
        self.filters = nn.Conv2d(first, 2 * len(TAPS), (3, 3), padding=1)
        self.pitch = nn.Sequential(
            nn.Conv1d(third * 2, third, 3, padding=1), nn.SiLU(), nn.Conv1d(third, PITCH_BINS + 1, 1)
        )
        for head in (self.gains, self.filters):
            assert head.bias is not None
            nn.init.normal_(head.weight, std=1e-2)
            nn.init.zeros_(head.bias)

    def forward(
        self, spectrum: Tensor, conditioning: Tensor | None = None, hidden: Tensor | None = None
    ) -> Masks:
        """The masks of a mixture.

        Args:
            conditioning: from `features.conditioning`; None: unknown.
            hidden: True for bands to predict from the others; for pre-training.

        Shape:
            spectrum: (batch, bins, frames), complex; conditioning: (batch, 4, frames);
            hidden: (batch, BANDS, frames).
        """
        with torch.autocast(spectrum.device.type, enabled=False):
            power = spectrum.real.square() + spectrum.imag.square()
            bands = log_bands(power)
            low = spectrum[:, :LOW_BINS]
            parts = torch.stack((low.real, low.imag), 1) * (power[:, None, :LOW_BINS] + 1e-8).pow(-0.35)
            parts = functional.pad(parts, (0, 0, 0, HIGH_BANDS))
            seen = (torch.ones_like(bands) if hidden is None else (~hidden).float())[:, None]
            x = torch.cat((bands[:, None] * seen, parts * seen, seen), 1)
        x, skips = self.encode(x, conditioning)
        pitch = self.pitch(torch.cat((x.mean(2), x.amax(2)), 1))
        x = self.decode(x, skips)
        gains, filters = self.gains(x), self.filters(x[:, :, :LOW_BINS])
        with torch.autocast(spectrum.device.type, enabled=False):
            gains, filters = gains.float(), filters.float()
            # Where the heads are 0, the gain is 1 and the filter passes its own frame.
            gain = MAX_GAIN * torch.sigmoid(10 * gains[:, 0] - math.log(MAX_GAIN - 1))
            noise_gain = torch.sigmoid(10 * gains[:, 1])
            synthesis = self.get_buffer("synthesis")
            taps = torch.complex(*filters.unflatten(1, (2, len(TAPS))).mul(3).unbind(1))
            own = torch.tensor([float(offset == 0) for offset in TAPS], device=taps.device)
            return Masks(
                taps=taps + own[:, None, None],
                gain=synthesis @ gain,
                noise_gain=synthesis @ noise_gain,
                pitch=pitch.float(),
                bands=bands + 3 * gains[:, 2] if hidden is None else 3 * gains[:, 2],
            )


def build_denoiser(config: Mapping[str, Any]) -> Denoiser | FrontEndDenoiser:
    """The denoiser of a checkpoint's config, recurrent or convolutional."""
    if config.get("design") != "convolutional":
        return Denoiser(DenoiserConfig.from_dict(config))
    denoiser = FrontEndDenoiser(ConvolutionalConfig.from_dict(config))
    denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its types
    return denoiser


def log_bands(power: Tensor) -> Tensor:
    """Log mean power of each band, about 0 for a voice and -1 for silence.

    Shape:
        power: (batch, bins, frames); result: (batch, BANDS, frames).
    """
    bands = _analysis().to(power) @ power
    # -90 dB re a full-scale sine: well below the noise of any phone.
    return (bands + 1e-9).log10() / 4.5 + 1


def pitch_of_bin(number: Tensor) -> Tensor:
    """The frequency in Hz at a (fractional) pitch bin."""
    return MIN_PITCH_HZ * (MAX_PITCH_HZ / MIN_PITCH_HZ) ** (number / (PITCH_BINS - 1))


def bin_of_pitch(f0_hz: Tensor) -> Tensor:
    """The nearest pitch bin, an integer."""
    octaves = (f0_hz.clamp(MIN_PITCH_HZ, MAX_PITCH_HZ) / MIN_PITCH_HZ).log() / math.log(
        MAX_PITCH_HZ / MIN_PITCH_HZ
    )
    return (octaves * (PITCH_BINS - 1)).round().long()


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # cached: training needs it outside of inference mode too
def _analysis() -> Tensor:
    """(BANDS, bins): the mean over each band; low bins as they are, triangles above."""
    weights = _triangles()
    means: Tensor = weights / weights.sum(1, keepdim=True)
    return means


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # cached: training needs it outside of inference mode too
def _synthesis() -> Tensor:
    """(bins, BANDS): weights from band gains to bin gains; rows add up to 1."""
    return _triangles().T.contiguous()


def _triangles() -> Tensor:
    bins = FRONT_END.bins
    bin_hz = FRONT_END.rate / FRONT_END.fft
    # The ERB-rate scale of Glasberg and Moore 1990: 21.4 log10(1 + 0.00437 f).
    edge, top = (21.4 * math.log10(1 + 0.00437 * hz) for hz in ((LOW_BINS - 1) * bin_hz, FRONT_END.rate / 2))
    centres = (10 ** (torch.linspace(edge, top, HIGH_BANDS + 1, dtype=torch.float64) / 21.4) - 1) / 0.00437
    weights = torch.zeros(BANDS, bins, dtype=torch.float64)
    weights[:LOW_BINS, :LOW_BINS] = torch.eye(LOW_BINS)
    frequencies = torch.arange(bins, dtype=torch.float64) * bin_hz
    for number in range(1, HIGH_BANDS + 1):
        here, before = centres[number], centres[number - 1]
        rising = (frequencies - before) / (here - before)
        if number < HIGH_BANDS:
            falling = (centres[number + 1] - frequencies) / (centres[number + 1] - here)
        else:
            falling = torch.ones_like(frequencies)
        weights[LOW_BINS + number - 1] = torch.minimum(rising, falling).clamp(0, 1)
    weights[:, :LOW_BINS] *= (torch.arange(BANDS) < LOW_BINS)[:, None]
    # The first triangle starts at full weight, where the single bins end.
    weights[LOW_BINS:] /= weights[LOW_BINS:].sum(0).clamp_min(1e-9)
    return weights.float()
