"""Judges of extended sound, for training only: patches of spectra at three resolutions.

Source: Jang et al. 2021 (judges at several resolutions); see `aural.training.adversarial`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from aural.superres.data import RATE
from aural.training.adversarial import PatchJudge, Scores
from aural.training.losses import resolutions, scaled_spectra

FRONT_ENDS = resolutions(RATE, (512, 1024, 2048))


class Discriminators(nn.Module):
    """One convolutional judge for each resolution; it sees what was to be extended beside the result."""

    turns: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.judges = nn.ModuleList([PatchJudge(2, width) for _ in FRONT_ENDS])
        self.register_buffer("turns", torch.zeros(()))  # that they have taken, so that a resumed run knows

    def forward(self, samples: Tensor, given: Tensor) -> Scores:
        """Shape: samples, given: (batch, time); see `Scores` for the result."""
        pairs = zip(scaled_spectra(samples, FRONT_ENDS), scaled_spectra(given, FRONT_ENDS), strict=True)
        return [
            cast(PatchJudge, judge).features(torch.stack(pair, 1))
            for judge, pair in zip(self.judges, pairs, strict=True)
        ]
