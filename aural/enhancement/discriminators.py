"""Judges of completed mel bands, for training only: patches of the whole, the middle and the upper band.

Source: Chen et al. 2020, HiFiSinger (a judge for each band); see `aural.training.adversarial`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from aural.training.adversarial import PatchJudge, Scores

# As shares of the mel bands: all, about 1.5 to 9 kHz, about 5 to 24 kHz.
BAND_SHARES = ((0.0, 1.0), (0.3, 0.72), (0.58, 1.0))


class Discriminators(nn.Module):
    """One convolutional judge for each of BAND_SHARES; it sees what was to be completed beside the result."""

    turns: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.judges = nn.ModuleList([PatchJudge(2, width) for _ in BAND_SHARES])
        self.register_buffer("turns", torch.zeros(()))  # that they have taken, so that a resumed run knows

    def forward(self, mel: Tensor, given: Tensor) -> Scores:
        """Shape: mel, given: (batch, mel_bands, frames); see `Scores` for the result."""
        pair = torch.stack((mel, given), 1)
        return [
            cast(PatchJudge, judge).features(
                pair[:, :, round(low * mel.shape[1]) : round(high * mel.shape[1])]
            )
            for judge, (low, high) in zip(self.judges, BAND_SHARES, strict=True)
        ]
