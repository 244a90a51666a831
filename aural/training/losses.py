"""How far two waveforms are apart to the ear, and two bundles of waveforms, of which each may be another.

Sources: Yamamoto et al. 2020 (several STFTs), Gritsenko et al. 2020, "A spectral energy distance for parallel
speech synthesis"; Gneiting and Raftery 2007 (energy score).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aural.audio.spectral import FrontEnd, scale, stft

# Powers of (-140 dB) squared: keeps the gradient of a magnitude finite at 0.
LEAST_POWER = 1e-14


def resolutions(rate: int, windows: Sequence[int] = (256, 512, 1024, 2048)) -> list[FrontEnd]:
    """STFTs from short windows, which see onsets, to long ones, which see harmonics; hops of a quarter."""
    return [FrontEnd(rate, window, window // 4, window) for window in windows]


def scaled_spectra(samples: Tensor, front_ends: Sequence[FrontEnd]) -> list[Tensor]:
    """The magnitudes at each resolution, scaled to [0, 1] on a logarithmic scale, see `spectral.scale`.

    Shape:
        samples: (batch, time); each result: (batch, bins, frames).
    """
    spectra = [torch.view_as_real(stft(samples, front_end)) for front_end in front_ends]
    return [scale((spectrum.square().sum(-1) + LEAST_POWER).sqrt()) for spectrum in spectra]


def spectral_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """The mean over the resolutions of mean |a - b| plus the log-spectral distance, in units of the scale.

    The second term, root mean square over frequency and mean over time, weighs bins more that are far apart.

    Shape:
        first, second: as from `scaled_spectra`; result: (), 1 for silence against the loudest noise, twice.
    """
    terms = []
    for a, b in zip(first, second, strict=True):
        difference = a - b
        frames = (difference.square().mean(-2) + LEAST_POWER).sqrt()
        terms.append(difference.abs().mean() + frames.mean())
    return torch.stack(terms).mean()


def energy_distance(
    first: Sequence[Tensor], second: Sequence[Tensor], real: Sequence[Tensor], repulsion: float
) -> tuple[Tensor, Tensor]:
    """Attraction to the real one minus repulsion between two that were made of the same input.

        loss = (d(first, real) + d(second, real)) / 2 - repulsion · d(first, second) / 2

    Without repulsion the best answer is the same every time, in the middle of all that would be right: noise
    loses its texture. With repulsion 1 the best answer is one drawn from what is right (the energy distance
    of two distributions is 0 only if they are the same). Between, texture is bought with distance to the one
    real example.

    Shape:
        first, second, real: as from `scaled_spectra`; result: (), the attraction and the loss.
    """
    attraction = (spectral_distance(first, real) + spectral_distance(second, real)) / 2
    if repulsion == 0:
        return attraction, attraction
    return attraction, attraction - repulsion / 2 * spectral_distance(first, second)
