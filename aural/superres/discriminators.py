"""Judges of extended sound, for training only: patches of spectra at three resolutions.

Source: Jang et al. 2021 (judges at several resolutions); see `aural.training.adversarial`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aural.superres.data import RATE
from aural.training.adversarial import Judges, Scores
from aural.training.losses import resolutions, scaled_spectra

FRONT_ENDS = resolutions(RATE, (512, 1024, 2048))


class Discriminators(Judges):
    """One convolutional judge for each resolution; it sees what was to be extended beside the result."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(len(FRONT_ENDS), width)

    def forward(self, samples: Tensor, given: Tensor) -> Scores:
        """Shape: samples, given: (batch, time); see `Scores` for the result."""
        pairs = zip(scaled_spectra(samples, FRONT_ENDS), scaled_spectra(given, FRONT_ENDS), strict=True)
        return self.judged([torch.stack(pair, 1) for pair in pairs])
