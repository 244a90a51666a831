"""How much of a denoiser's change a recording needs: all of it in noise, none where a voice is clean.

A denoiser errs a little everywhere: in clean speech its gains are off by a fraction of a dB, and a whisper it
takes for noise. So its change counts in full only around the moments where it removes something of weight, a
noise or a room, and otherwise only in the critical bands that it makes much softer: in pauses, and between
the harmonics.

The thresholds were chosen on recordings of the training's voices, see `aural.evaluation.recordings`. There,
what is removed by 10 dB or more in four seconds lies 33 dB or more below the voice in clean speech, singing,
held vowels, music, codecs and most whispers; and less than 25 dB in noise up to an SNR of 20 dB, rooms and
knocks.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from aural.enhancement.features import BARK_EDGES_HZ, FRONT_END
from aural.enhancement.level import ACTIVE_RMS

KEPT_DB, REMOVED_DB = (
    1.0,
    6.0,
)  # a band that gets softer by less stays as it is; one by more is changed in full
NOISE_DB = 10.0  # what gets softer by more was noise
CLEAN_DB, NOISY_DB = -35.0, -27.0  # of it, relative to the voice: less and more need no and all of the change
AROUND_FRAMES = 125  # on either side, 2 s
FIRST_BAND = 1  # what lies below 100 Hz is rumble, and no sign of noise
MIN_POWER = 1e-12


def need(mixture: Tensor, voice: Tensor) -> Tensor:
    """The share of the change from mixture to voice to be made, 0 to 1.

    Args:
        mixture: a recording whose voice is at `level.ACTIVE_RMS`.
        voice: what a denoiser makes of it.

    Shape:
        both: (1, bins, frames) under FRONT_END, complex; result: (1, bins, frames).
    """
    bands = _bands(mixture.device)
    before, after = (bands @ (x[0].real.square() + x[0].imag.square()) for x in (mixture, voice))
    softer_db = 10 * ((before + MIN_POWER) / (after + MIN_POWER)).log10()
    inside = ((softer_db - KEPT_DB) / (REMOVED_DB - KEPT_DB)).clamp(0, 1)
    noise = (before * (softer_db > NOISE_DB))[FIRST_BAND:].sum(0)
    around = functional.avg_pool1d(
        noise[None, None], 2 * AROUND_FRAMES + 1, 1, AROUND_FRAMES, count_include_pad=False
    )[0, 0]
    noise_db = 10 * (around / _voice_power() + MIN_POWER).log10()
    everywhere = ((noise_db - CLEAN_DB) / (NOISY_DB - CLEAN_DB)).clamp(0, 1)
    return (bands.T @ torch.maximum(inside, everywhere))[None]


@lru_cache(maxsize=4)
def _bands(device: torch.device) -> Tensor:
    """(bands, bins): 1 where a bin is in a critical band; the last one goes on to half the rate."""
    hz = torch.arange(FRONT_END.bins, device=device) * (FRONT_END.rate / FRONT_END.fft)
    edges = torch.tensor([*BARK_EDGES_HZ[:-1], float("inf")], device=device)
    return ((hz >= edges[:-1, None]) & (hz < edges[1:, None])).float()


@lru_cache(maxsize=1)
def _voice_power() -> float:
    """The sum over the bins of the mean power of a sound at ACTIVE_RMS, under the windows of FRONT_END."""
    window = torch.hann_window(FRONT_END.window, dtype=torch.float64)
    share = float(window.square().sum() / window.sum().square())
    return FRONT_END.fft / 2 * 4 * share * ACTIVE_RMS**2
