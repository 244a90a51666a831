"""Judges of completed mel bands, for training only: patches of the whole, the middle and the upper band.

Source: Chen et al. 2020, HiFiSinger (a judge for each band); see `aural.training.adversarial`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aural.training.adversarial import Judges, Scores

# As shares of the mel bands: all, about 1.5 to 9 kHz, about 5 to 24 kHz.
BAND_SHARES = ((0.0, 1.0), (0.3, 0.72), (0.58, 1.0))


class Discriminators(Judges):
    """One convolutional judge for each of BAND_SHARES; it sees what was to be completed beside the result."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(len(BAND_SHARES), width)

    def forward(self, mel: Tensor, given: Tensor) -> Scores:
        """Shape: mel, given: (batch, mel_bands, frames); see `Scores` for the result."""
        pair = torch.stack((mel, given), 1)
        bands = [slice(*(round(share * mel.shape[1]) for share in shares)) for shares in BAND_SHARES]
        return self.judged([pair[:, :, band] for band in bands])
