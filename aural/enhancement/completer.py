"""Stage 2 of enhancement: a completer that restores the bands a phone lost.

    speech, mixture ──> 96 mel bands ──> U-Net ──> mel bands of the studio ──> missing power × carrier

It only adds power, so words and pitch stay as spoken.

Sources: Dietz et al. 2002 (a band copied up and shaped as carrier), Lim and Ye 2017 (hinge loss).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import channel_mix, mel_filters, mel_from_magnitude, scale, unscale
from aural.enhancement.features import FRONT_END
from aural.enhancement.unet import UNet
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

MIN_POWER = 1e-12
COPIED_BINS = (48, 64)  # first and number: the carrier repeats them
COMPLETED_HZ = (4_000.0, 6_000.0)  # below: only a noise floor is added; above: all that is missing
FLOOR_DB = -50.0  # level of that floor, relative to the loudest frame of its band
CORRELATION_FRAMES = 16  # on either side, 256 ms, over which channels are correlated
NOISE_CROSSOVER_HZ = (3_000.0, 9_000.0)  # where the carrier changes from copied voice to noise


@dataclass(frozen=True)
class CompleterConfig(NetworkConfig):
    """The size of the completer."""

    widths: tuple[int, int, int] = (32, 48, 80)  # channels at 48, 24 and 12 frequencies
    hidden: int = 64  # units of each direction of the GRU


class Completer(Pretrained, UNet):
    """Stage 2: predicts the mel bands of a studio recording from those the phone kept."""

    def __init__(self, config: CompleterConfig = CompleterConfig()) -> None:
        super().__init__(5, config.widths, config.hidden, 2)
        self.config = config
        self.exit = nn.Conv2d(config.widths[0], 2, (3, 3), padding=1)

    def forward(self, denoised: Tensor, noisy: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """The completed mel bands. All mel bands are on the scale of `spectral.scale`.

        Shape:
            denoised, noisy, result: (batch, mel_bands, frames); conditioning: (batch, 4, frames).
        """
        # A band that never has any power was cut off; its peak and its mean level show that.
        place = torch.linspace(-1, 1, denoised.shape[1], device=denoised.device)[:, None]
        x = torch.stack(
            (
                denoised,
                noisy,
                noisy.mean(-1, keepdim=True).expand_as(noisy),
                noisy.amax(-1, keepdim=True).expand_as(noisy),
                place.expand_as(noisy),
            ),
            1,
        )
        x = self.decode(*self.encode(x, conditioning))
        residual, gate = self.exit(x).float().unbind(1)
        completed: Tensor = denoised + torch.sigmoid(gate) * residual
        return completed

    def complete(
        self, denoised: Tensor, noisy: Tensor, conditioning: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The missing part of a spectrum, to be added to it; one prediction for all channels.

        Args:
            noisy: the mixture before denoising, mixed down to one channel.
            generator: for the noise in the carrier, on the CPU.

        Shape:
            denoised: (channels, bins, frames), complex; noisy: (1, bins, frames), complex;
            conditioning: (1, 4, frames); result: (channels, bins, frames), complex.
        """
        mels = mel_from_magnitude(denoised.abs(), FRONT_END)
        mel = mels.square().mean(0, keepdim=True).sqrt()
        completed = unscale(self(scale(mel), scale(mel_from_magnitude(noisy.abs(), FRONT_END)), conditioning))
        # The balance of the channels in the existing bands also holds in the missing ones.
        balance = mels.square().mean(1, keepdim=True)
        balance = (balance / balance.mean(0, keepdim=True).clamp_min(MIN_POWER)).sqrt()
        noise = _noise(denoised, generator)
        return render(denoised, mels, mel, completed, generator, noise) * balance


def build_completer(config: Mapping[str, Any]) -> Completer:
    """The completer of a checkpoint's config."""
    return Completer(CompleterConfig.from_dict(config))


def render(
    spectrum: Tensor,
    mels: Tensor,
    present: Tensor,
    completed: Tensor,
    generator: torch.Generator | None,
    noise: Tensor | None = None,
) -> Tensor:
    """A carrier shaped to what the completed mel bands have more than the present ones.

    Args:
        noise: see `carrier`.

    Shape:
        spectrum, result: (batch or channels, bins, frames), complex; mels: the spectrum's bands, (batch or
        channels, mel_bands, frames); present, completed: bands of all channels together, (batch or 1,
        mel_bands, frames).
    """
    missing = _limit_low_band(missing_magnitude(present, completed), completed)
    return carrier(spectrum, mels, generator, noise) * _bands_to_bins(missing)


def missing_magnitude(present: Tensor, target: Tensor) -> Tensor:
    """The magnitude to add so that powers reach the target; 0 where nothing is missing."""
    power = target.square() - present.square()
    # Clamped, because the slope of the square root is infinite at 0.
    return torch.where(power > 0, power.clamp_min(1e-14).sqrt(), 0.0)


def _noise(spectrum: Tensor, generator: torch.Generator) -> Tensor:
    """Noise that is correlated over channels as their spectra are in the copied band, over half a second.

    So what is made is as wide as what it continues. Of one channel it is white noise.

    Shape: (channels, bins, frames), complex, both.
    """
    noises = torch.cat([_white(spectrum, generator) for _ in range(len(spectrum))])
    if len(spectrum) == 1:
        return noises
    first, period = COPIED_BINS
    parts = torch.view_as_real(spectrum[:, first : first + period].transpose(1, 2).contiguous()).flatten(2)
    parts = parts.transpose(0, 1)  # (frames, channels, 2 * period)
    product = (parts @ parts.transpose(1, 2)).permute(1, 2, 0)
    product = functional.avg_pool1d(
        product, 2 * CORRELATION_FRAMES + 1, 1, CORRELATION_FRAMES, count_include_pad=False
    ).permute(2, 0, 1)
    root = product.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
    correlation = product / (root[:, :, None] * root[:, None]).clamp_min(MIN_POWER**2)
    correlation.diagonal(dim1=1, dim2=2).fill_(1)
    mix = channel_mix(correlation.clamp(-1, 1)).to(noises.dtype)
    return torch.einsum("fck,kbf->cbf", mix, noises)


def _white(spectrum: Tensor, generator: torch.Generator | None) -> Tensor:
    """Complex noise of mean magnitude 1. Shape: (channels, bins, frames) -> (1, bins, frames)."""
    gaussian = torch.randn(1, *spectrum.shape[1:], 2, generator=generator).to(spectrum.device)
    # The mean magnitude of a complex normal number is √(π/2).
    return torch.view_as_complex(gaussian) * math.sqrt(2 / math.pi)


def carrier(
    spectrum: Tensor, mels: Tensor, generator: torch.Generator | None, noise: Tensor | None = None
) -> Tensor:
    """A spectrum with a flat envelope and mean magnitude 1, to be shaped.

    The band that every phone passes, 1.5 to 3.5 kHz, is whitened and repeated upwards, so the highs pulse
    with the voice's pitch. Towards the top it fades into noise, as in real voices. (A copied partial keeps a
    fitting phase: the period is an even number of bins and the hop is half the transform, so the phase
    advances by whole turns too many.)

    Args:
        noise: of mean magnitude 1, (channels, bins, frames), complex; None: one for all channels.

    Shape:
        spectrum: (channels, bins, frames), complex; mels: (channels, mel_bands, frames); result: as spectrum.
    """
    bins = spectrum.shape[1]
    first, period = COPIED_BINS
    whitened = spectrum[:, first : first + period] / (_bands_to_bins(mels)[:, first : first + period] + 1e-6)
    numbers = torch.arange(bins, device=spectrum.device)
    copied = whitened[:, (numbers - first) % period]
    if noise is None:
        noise = _white(spectrum, generator)
    low_hz, high_hz = NOISE_CROSSOVER_HZ
    share = ((numbers * (FRONT_END.rate / FRONT_END.fft) - low_hz) / (high_hz - low_hz)).clamp(0, 1)[:, None]
    return (1 - share).sqrt() * copied + share.sqrt() * noise


def _limit_low_band(missing: Tensor, completed: Tensor) -> Tensor:
    """Below COMPLETED_HZ, limit what is added to a noise floor below the loudest frame of each band.

    A phone passes the low band, where phase matters for intelligibility: noise would blur the words.

    Shape: (batch, mel_bands, frames), all.
    """
    filters = mel_filters(FRONT_END).to(missing)
    centres_hz = (filters @ torch.arange(FRONT_END.bins).to(missing)) / filters.sum(1)
    centres_hz = centres_hz * (FRONT_END.rate / FRONT_END.fft)
    low_hz, high_hz = COMPLETED_HZ
    share = ((centres_hz - low_hz) / (high_hz - low_hz)).clamp(0, 1)[:, None]
    floor = completed.amax(-1, keepdim=True) * 10 ** (FLOOR_DB / 20)
    return share * missing + (1 - share) * torch.minimum(missing, floor)


def _bands_to_bins(mel: Tensor) -> Tensor:
    """Mel bands -> bins, (..., mel_bands, frames) -> (..., bins, frames): a bin is the mean of its bands."""
    filters = mel_filters(FRONT_END).to(mel)
    return (filters / filters.sum(0).clamp_min(1e-9)).T @ mel
