"""How much of a denoiser's change a recording needs: all of it in noise, none where a voice is clean.

A denoiser errs a little everywhere: in clean speech its gains are off by a fraction of a dB, and a whisper it
takes for noise. So its change counts in full only around the moments where it removes something of weight, a
noise or a room, and otherwise only in the critical bands that it makes much softer: in pauses, and between
the harmonics.

The thresholds were chosen on recordings of the training's voices, see `aural.evaluation.recordings`. There,
what is removed by 10 dB or more in four seconds lies 33 dB or more below the voice in clean speech, singing,
held vowels, music, codecs and most whispers; and less than 25 dB in noise up to an SNR of 20 dB, rooms and
knocks. Live sound is judged by its past alone, relative to the voice that was left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from aural.audio.spectral import FrontEnd
from aural.enhancement.denoiser_causal import Past, running_mean
from aural.enhancement.denoiser_convolutional import MASK_FRONT_END
from aural.enhancement.features import BARK_EDGES_HZ, FRONT_END
from aural.enhancement.level import ACTIVE_RMS

NOISE_DB = 10.0  # what gets softer by more was noise
AROUND_FRAMES = 125  # on either side, 2 s
FIRST_BAND = 1  # what lies below 100 Hz is rumble, and no sign of noise
MIN_POWER = 1e-12
MIN_LEVEL = 1e-37  # keeps silence from being divided by
NOISE_SO_FAR_FRAMES, VOICE_SO_FAR_FRAMES = 250, 500  # of live sound, 2 and 4 s


@dataclass(frozen=True)
class Thresholds:
    """Between none and all of the change, in dB."""

    kept: float  # a band that gets softer by less stays as it is, apart from noise
    removed: float  # one that gets softer by more is changed in full
    clean: float  # noise relative to the voice: less needs no change
    noisy: float  # more needs all of it


RECORDED = Thresholds(kept=1, removed=6, clean=-35, noisy=-27)
# The network of live sound errs more in clean voices.
LIVE = Thresholds(kept=8, removed=16, clean=-30, noisy=-22)


def need(mixture: Tensor, voice: Tensor) -> Tensor:
    """The share of the change from mixture to voice to be made, 0 to 1.

    Args:
        mixture: a recording whose voice is at `level.ACTIVE_RMS`.
        voice: what a denoiser makes of it.

    Shape:
        both: (1, bins, frames) under FRONT_END, complex; result: (1, bins, frames).
    """
    bands = _bands(FRONT_END, mixture.device)
    before, after = (bands @ _power(x) for x in (mixture, voice))
    inside, noise = _removed(RECORDED, before, after, MIN_POWER)
    around = functional.avg_pool1d(
        noise[None, None], 2 * AROUND_FRAMES + 1, 1, AROUND_FRAMES, count_include_pad=False
    )[0, 0]
    return _share(RECORDED, bands, inside, around / _voice_power())


def need_so_far(mixture: Tensor, voice: Tensor, past: Past) -> Tensor:
    """`need` of live sound at any level, by what was heard so far.

    Args:
        past: of the stream; changed.

    Shape:
        both: (channels, bins, frames) under MASK_FRONT_END, complex; result: (1, bins, frames).
    """
    bands = _bands(MASK_FRONT_END, mixture.device)
    before, after = (bands @ _power(x) for x in (mixture, voice))
    inside, noise = _removed(LIVE, before, after, MIN_POWER * before.sum(0))
    noise = running_mean(noise, past, "noise", NOISE_SO_FAR_FRAMES)
    left = running_mean(after[FIRST_BAND:].sum(0), past, "voice", VOICE_SO_FAR_FRAMES)
    return _share(LIVE, bands, inside, noise / left.clamp_min(MIN_LEVEL))


def _power(spectrum: Tensor) -> Tensor:
    """The mean over the channels. Shape: (channels, bins, frames) -> (bins, frames)."""
    return (spectrum.real.square() + spectrum.imag.square()).mean(0)


def _removed(
    thresholds: Thresholds, before: Tensor, after: Tensor, least: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The share of each band's change to be made for itself, and the power of the noise that was removed.

    Args:
        least: powers far below are none.

    Shape:
        before, after: (bands, frames); results: (bands, frames) and (frames,).
    """
    softer_db = 10 * ((before + least) / (after + least).clamp_min(MIN_LEVEL)).clamp_min(MIN_LEVEL).log10()
    inside = _rise(softer_db, thresholds.kept, thresholds.removed)
    return inside, (before * (softer_db > NOISE_DB))[FIRST_BAND:].sum(0)


def _share(thresholds: Thresholds, bands: Tensor, inside: Tensor, noise: Tensor) -> Tensor:
    """The share of the change of each bin.

    Shape:
        bands: (bands, bins); inside: (bands, frames); noise: (frames,), relative to the voice;
        result: (1, bins, frames).
    """
    everywhere = _rise(10 * (noise + MIN_POWER).log10(), thresholds.clean, thresholds.noisy)
    return (bands.T @ torch.maximum(inside, everywhere))[None]


def _rise(x: Tensor, low: float, high: float) -> Tensor:
    """From 0 at `low` to 1 at `high`."""
    return ((x - low) / (high - low)).clamp(0, 1)


@lru_cache(maxsize=8)
def _bands(front_end: FrontEnd, device: torch.device) -> Tensor:
    """(bands, bins): 1 where a bin is in a critical band; the last one goes on to half the rate."""
    hz = torch.arange(front_end.bins, device=device) * (front_end.rate / front_end.fft)
    edges = torch.tensor([*BARK_EDGES_HZ[:-1], float("inf")], device=device)
    return ((hz >= edges[:-1, None]) & (hz < edges[1:, None])).float()


@lru_cache(maxsize=1)
def _voice_power() -> float:
    """The sum over the bins of the mean power of a sound at ACTIVE_RMS, under the windows of FRONT_END."""
    window = torch.hann_window(FRONT_END.window, dtype=torch.float64)
    share = float(window.square().sum() / window.sum().square())
    return FRONT_END.fft / 2 * 4 * share * ACTIVE_RMS**2
