"""Discriminators of extended sound, for training only: patches of spectra at three resolutions.

Source: Jang et al. 2021 (discriminators at several resolutions); see `aural.training.adversarial`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aural.superres.data import RATE
from aural.training.adversarial import Outputs, PatchDiscriminators
from aural.training.losses import resolutions, scaled_spectra

FRONT_ENDS = resolutions(RATE, (512, 1024, 2048))


class Discriminators(PatchDiscriminators):
    """One convolutional discriminator per resolution; it sees the extender's input and output."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(len(FRONT_ENDS), width)

    def forward(self, samples: Tensor, low: Tensor) -> Outputs:
        """Shape: samples, low: (batch, time); see `Outputs` for the result."""
        pairs = zip(scaled_spectra(samples, FRONT_ENDS), scaled_spectra(low, FRONT_ENDS), strict=True)
        return self.outputs([torch.stack(pair, 1) for pair in pairs])
