"""Perceptual distances between waveforms, and distances between sets of waveforms.

Sources: Yamamoto et al. 2020 (several STFTs), Gritsenko et al. 2020, "A spectral energy distance for parallel
speech synthesis"; Gneiting and Raftery 2007 (energy score).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from aural.audio.comparison import frame_distances
from aural.audio.hearing import threshold_in_quiet_db
from aural.audio.spectral import FrontEnd, scale, stft

# Powers of (-140 dB) squared: keeps the gradient of a magnitude finite at 0.
MIN_POWER = 1e-14
# Mean power of the voice band, fitted so that the result is closest to P.862.
SPEECH_POWER = 10**9.2
VOICE_HZ = (350.0, 3250.0)


def resolutions(rate: int, windows: Sequence[int] = (256, 512, 1024, 2048)) -> list[FrontEnd]:
    """STFTs with short windows, for onsets, to long ones, for harmonics; the hop is a quarter window."""
    return [FrontEnd(rate, window, window // 4, window) for window in windows]


def scaled_spectra(samples: Tensor, front_ends: Sequence[FrontEnd]) -> list[Tensor]:
    """The magnitudes at each resolution, scaled to [0, 1] on a logarithmic scale, see `spectral.scale`.

    Shape:
        samples: (batch, time); each result: (batch, bins, frames).
    """
    spectra = [torch.view_as_real(stft(samples, front_end)) for front_end in front_ends]
    return [scale((spectrum.square().sum(-1) + MIN_POWER).sqrt()) for spectrum in spectra]


def spectral_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """The mean over the resolutions of mean |a - b| plus the log-spectral distance, in units of the scale.

    The second term, root mean square over frequency and mean over time, gives large differences more weight.

    Shape:
        first, second: as from `scaled_spectra`; result: (); silence compared with the loudest noise gives 2.
    """
    terms = []
    for a, b in zip(first, second, strict=True):
        distance = frame_distances(a, b, axis=-2, smoothing=MIN_POWER).mean()
        terms.append((a - b).abs().mean() + distance)
    return torch.stack(terms).mean()


def energy_distance(
    first: Sequence[Tensor], second: Sequence[Tensor], real: Sequence[Tensor], repulsion: float
) -> tuple[Tensor, Tensor]:
    """Attraction to the real sound minus repulsion between two sounds generated from the same input.

        loss = (d(first, real) + d(second, real)) / 2 - repulsion · d(first, second) / 2

    Without repulsion, the optimum is always the centre of all plausible sounds, so noise loses its texture.
    With repulsion 1, it is a sample of the plausible sounds (the energy distance of two distributions is 0
    only if they are equal). Values in between trade closeness to the one real example for texture.

    Shape:
        first, second, real: as from `scaled_spectra`; result: (), the attraction and the loss.
    """
    attraction = (spectral_distance(first, real) + spectral_distance(second, real)) / 2
    if repulsion == 0:
        return attraction, attraction
    return attraction, attraction - repulsion / 2 * spectral_distance(first, second)


def perceptual_loss(
    estimate: Tensor,
    clean: Tensor,
    rate: int,
    *,
    colouration_db: float = 20.0,
    drift: tuple[float, float] = (3e-4, 5.0),
) -> Tensor:
    """Audible difference between an estimate and clean speech: a differentiable ITU-T P.862 (PESQ).

    Bark-band powers become loudness by Zwicker's law. Differences are summed over the bands, less a quarter
    of the softer loudness, which masks them. Added sound counts more than missing sound. The worst frames of
    each third of a second count most. As in P.862, a constant colouration, slow changes of gain and the level
    are compensated. Estimate and clean speech must be aligned in time.

    Args:
        colouration_db: the largest constant gain of a band that is compensated. P.862 allows 20 dB, with
            which a network learns to darken voices.
        drift: minimum and maximum gain that compensates the estimate's slow changes.

    Shape:
        estimate, clean: (batch, bins, frames), power of frames of about 32 ms, 16 ms apart, from 0 Hz to half
        the rate; result: (batch,), about 4.5 minus PESQ before its last mapping.
    """
    bands, threshold, widths, exponents = _bark_bands(estimate.shape[1], rate, estimate.device)
    estimate, clean = estimate[:, : bands.shape[1]], clean[:, : bands.shape[1]]
    first, last = (round(hz / 8_000 * (bands.shape[1] - 1)) for hz in VOICE_HZ)
    voice = clean[:, first:last].sum(1)
    active = (voice > 1e-3 * voice.amax(-1, keepdim=True)).to(clean)[:, None]
    clean_bands = bands @ (clean * _to_speech_power(voice))
    estimate_bands = bands @ (estimate * _to_speech_power(estimate[:, first:last].sum(1)))
    # The ear adapts to a frequency response: the clean speech gets that of the estimate, within limits.
    response = ((estimate_bands * active).sum(-1) + 1e3) / ((clean_bands * active).sum(-1) + 1e3)
    limit = 10 ** (colouration_db / 10)
    clean_bands = clean_bands * response.detach().clamp(1 / limit, limit)[..., None]
    # It also adapts to a drifting gain: the estimate follows the clean speech's audible power, smoothed.
    gains = (_audible(clean_bands, threshold) + 5e3) / (_audible(estimate_bands, threshold) + 5e3)
    decay = (0.8 * 0.2 ** torch.arange(12.0, device=gains.device)).flip(0)
    gains = functional.pad(gains.detach()[:, None], (len(decay) - 1, 0), value=1.0)
    estimate_bands = estimate_bands * functional.conv1d(gains, decay[None, None]).clamp(*drift)
    estimate_loudness = _loudness(estimate_bands, threshold, exponents)
    clean_loudness = _loudness(clean_bands, threshold, exponents)
    difference = estimate_loudness - clean_loudness
    masked = 0.25 * torch.minimum(estimate_loudness, clean_loudness)
    audible = (difference.abs() - masked).clamp_min(0) * widths
    added = ((estimate_bands + 50) / (clean_bands + 50)).pow(1.2)
    added = torch.where(added < 3, torch.zeros_like(added), added.clamp_max(12))
    symmetric = (audible.square().sum(1) * widths.sum() + 1e-6).sqrt()
    asymmetric = (audible * added).sum(1)
    softness = ((clean_bands.sum(1) + 1e5) / 1e7).pow(0.04)
    frames = (torch.stack((symmetric, asymmetric), 1) / softness[:, None]).clamp_max(45.0)
    if frames.shape[-1] > 20:
        frames = (frames.unfold(-1, 20, 10).pow(6).mean(-1) + 1e-9).pow(1 / 6)
    both = (frames.square().mean(-1) + 1e-9).sqrt()
    return 0.1 * both[:, 0] + 0.0309 * both[:, 1]


def _to_speech_power(voice: Tensor) -> Tensor:
    """The factor, (batch, 1, 1), that brings powers to the level that P.862's constants expect."""
    return (SPEECH_POWER / voice.mean(-1).clamp_min(MIN_POWER))[:, None, None]


def _audible(power: Tensor, threshold: Tensor) -> Tensor:
    return (power * (power > threshold)).sum(1)


def _loudness(power: Tensor, threshold: Tensor, exponents: Tensor) -> Tensor:
    """Zwicker's law in sone per Bark, of powers (batch, bands, frames)."""
    rise = (0.5 + 0.5 * power / threshold).pow(exponents) - 1
    return 0.1866 * (threshold / 0.5).pow(exponents) * rise.clamp_min(0)


@lru_cache(maxsize=4)
def _bark_bands(bins: int, rate: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The bins up to 8 kHz in half Barks; each band's threshold in quiet (Terhardt), width, exponent."""
    bin_hz = rate / 2 / (bins - 1)
    used = min(bins, 1 + int(8_000 / bin_hz))
    frequencies = torch.arange(used, dtype=torch.float64) * bin_hz
    barks = 6 * torch.asinh(frequencies / 600)  # Wang, Sekey and Gersho 1992
    # Below 500 Hz a half Bark holds one bin or none: a band is at least a bin wide.
    edges = [barks[1].item() / 2]
    while edges[-1] < barks[-1]:
        inside = barks[barks > edges[-1]]
        edges.append(max(edges[-1] + 0.5, (inside[0].item() + inside[min(1, len(inside) - 1)].item()) / 2))
    low, high = torch.tensor(edges[:-1]), torch.tensor(edges[1:])
    members = ((barks >= low[:, None]) & (barks < high[:, None])).to(torch.float64)
    kept = members.sum(1) > 0
    members, low, high = members[kept], low[kept], high[kept]
    khz = (members @ frequencies) / members.sum(1) / 1000
    threshold = (10 ** (threshold_in_quiet_db(khz).clamp_max(60) / 10))[:, None]
    # Loudness grows faster in the lowest four Barks.
    exponents = 0.23 * (6 / (high + 2)).clamp(1, 2).pow(0.15)
    constants = (members, threshold, (high - low)[:, None], exponents[:, None])
    return tuple(constant.float().to(device) for constant in constants)  # type: ignore[return-value]
