"""The loss of the convolutional denoiser, for targets with the recording's microphone and gain.

Nothing here synchronizes with the device, so a training step can be captured as a CUDA graph. Frequencies
above `solid_hz` do not count: there a codec left holes in the target.

Sources: Braun and Tashev 2020 (compressed magnitudes and spectra), ITU-T P.862 (`losses.perceptual_loss`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aural.audio.spectral import FrontEnd, istft, stft
from aural.enhancement.denoiser_convolutional import MASK_FRONT_END, BandMasks
from aural.enhancement.denoiser_mixtures import Mixture, active_rms
from aural.enhancement.features import RATE
from aural.enhancement.level import ACTIVE_RMS
from aural.training.losses import perceptual_loss

# Powers under the STFT. A voice at ACTIVE_RMS has 3e-5 to 1e-3 where it is loud; the floor is 60 dB below.
FLOOR = 2e-10
TINY = 1e-12
ERB_HZ = (100.0, 16_000.0)  # where the levels of bands are compared
ERB_BANDS = 33
ACTIVE_DB = 30.0  # below the loudest frame


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the loss."""

    magnitude: float = 120.0  # squared error of compressed magnitudes
    spectrum: float = 20.0  # squared error of compressed complex spectra
    logarithm: float = 0.05  # per dB of mean absolute error of bins
    perceptual: float = 0.4  # perceptual loss (P.862)
    level: float = 0.12  # per dB of mean error of the long-term level per ERB
    resolutions: float = 1.0  # spectral distance at other resolutions
    noise: float = 20.0  # squared error of the compressed background
    compression: float = 0.3
    colouration_db: float = 3.0  # linear filtering up to this gain is ignored by the perceptual loss


class DenoiserLoss:
    """The loss, with its constants on the device."""

    def __init__(self, where: torch.device, weights: Weights = Weights()) -> None:
        self.weights = weights
        self.others = [FrontEnd(RATE, size, size // 4, size) for size in (512, 2048)]
        self.hz = _frequencies(MASK_FRONT_END, where)
        # Each ERB counts the same, so a bin counts less the higher it is.
        self.importance = 1 / (0.00437 * self.hz + 1)
        self.other_hz = [_frequencies(front_end, where) for front_end in self.others]
        self.bands = _erb_bands(self.hz)
        self.band_tops = torch.tensor([_hz_of_erb(number + 1) for number in range(ERB_BANDS)], device=where)

    def __call__(
        self, masks: BandMasks, spectrum: Tensor, mixture: Mixture
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and its unweighted terms by name."""
        weights = self.weights
        with torch.no_grad():
            clean, noise = (stft(wave, MASK_FRONT_END) for wave in (mixture.speech, mixture.noise))
        estimate = masks.apply(spectrum)
        wave = istft(estimate, mixture.speech.shape[-1], MASK_FRONT_END)
        power, target = _power(estimate), _power(clean)
        solid = self.hz <= mixture.solid_hz[:, None]  # (batch, bins)
        weight = self.importance * solid
        weight = (weight / weight.mean())[..., None]

        low = weights.compression / 2
        magnitude = (weight * ((power + TINY).pow(low) - (target + TINY).pow(low)).square()).mean()
        difference = estimate * (power + TINY).pow(low - 0.5) - clean * (target + TINY).pow(low - 0.5)
        complex_error = (weight * _power(difference)).mean()
        logarithm = (weight * (((power + FLOOR) / (target + FLOOR)).log10() * 10).abs()).mean()
        speaks = (active_rms(mixture.speech) > 0.1 * ACTIVE_RMS).to(power)
        spoken = speaks.sum().clamp_min(1)
        perceptual = perceptual_loss(
            power[..., ::2], target[..., ::2], RATE, colouration_db=weights.colouration_db
        )
        perceptual = (perceptual.clamp_max(10) * speaks).sum() / spoken
        level_db = self._level_errors_db(power, target, mixture.solid_hz)
        level = (level_db.abs().mean(-1) * speaks).sum() / spoken
        bias_db = (level_db.mean(-1) * speaks).sum() / spoken
        distance = self._distance(wave, mixture)
        background = _power(masks.background(spectrum))
        noise_error = (
            weight * ((background + TINY).pow(low) - (_power(noise) + TINY).pow(low)).square()
        ).mean()
        total = (
            weights.magnitude * magnitude
            + weights.spectrum * complex_error
            + weights.logarithm * logarithm
            + weights.perceptual * perceptual
            + weights.level * level
            + weights.resolutions * distance
            + weights.noise * noise_error
        )
        return total, {
            "loss": total,
            "magnitude": magnitude,
            "complex": complex_error,
            "logarithm_db": logarithm,
            "perceptual": perceptual,
            "level_db": level,
            "level_bias_db": bias_db,
            "distance": distance,
            "noise": noise_error,
        }

    def _level_errors_db(self, power: Tensor, target: Tensor, solid_hz: Tensor) -> Tensor:
        """Level error of each ERB over the active frames, (batch, ERB_BANDS); 0 above `solid_hz`."""
        frames = target.sum(1)
        active = (frames > frames.amax(-1, keepdim=True) * 10 ** (-ACTIVE_DB / 10)).to(power)
        shares = (active / active.sum(-1, keepdim=True).clamp_min(1))[:, :, None]
        given, right = ((self.bands @ (values @ shares)).squeeze(-1) for values in (power, target))
        # The exact level of a band without voice is inaudible.
        floor = right.amax(-1, keepdim=True).clamp_min(FLOOR) * 1e-5
        return 10 * ((given + floor) / (right + floor)).log10() * (self.band_tops <= solid_hz[:, None])

    def _distance(self, wave: Tensor, mixture: Mixture) -> Tensor:
        """Distance of floored log magnitudes and compressed magnitudes at other resolutions."""
        terms = []
        for front_end, hz in zip(self.others, self.other_hz, strict=True):
            power, target = (_power(stft(x, front_end)) for x in (wave, mixture.speech))
            weight = (hz <= mixture.solid_hz[:, None]) / (0.00437 * hz + 1)
            weight = (weight / weight.mean())[..., None]
            logarithm = ((power + FLOOR) / (target + FLOOR)).log10().abs() / 2
            compressed = ((power + TINY).pow(0.15) - (target + TINY).pow(0.15)).abs()
            terms.append((weight * (logarithm + 4 * compressed)).mean())
        return torch.stack(terms).mean()


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _frequencies(front_end: FrontEnd, where: torch.device) -> Tensor:
    return torch.arange(front_end.bins, device=where) * (front_end.rate / front_end.fft)


def _hz_of_erb(edge: int) -> float:
    """The lower edge of an ERB band in Hz, after Glasberg and Moore 1990."""
    low, high = (21.4 * math.log10(1 + 0.00437 * hz) for hz in ERB_HZ)
    erb = low + (high - low) * edge / ERB_BANDS
    return float((10 ** (erb / 21.4) - 1) / 0.00437)


def _erb_bands(hz: Tensor) -> Tensor:
    """(ERB_BANDS, bins): 1 where a bin is in a band."""
    edges = torch.tensor([_hz_of_erb(number) for number in range(ERB_BANDS + 1)], device=hz.device)
    return ((hz >= edges[:-1, None]) & (hz < edges[1:, None])).float()
