"""Discriminators of completed mel bands, for training only: patches of the whole, middle and upper band.

Source: Chen et al. 2020, HiFiSinger (a discriminator for each band); see `aural.training.adversarial`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aural.training.adversarial import Outputs, PatchDiscriminators

# As shares of the mel bands: all, about 1.5 to 9 kHz, about 5 to 24 kHz.
BAND_SHARES = ((0.0, 1.0), (0.3, 0.72), (0.58, 1.0))


class Discriminators(PatchDiscriminators):
    """One convolutional discriminator for each of BAND_SHARES; it sees the completer's input and output."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(len(BAND_SHARES), width)

    def forward(self, mel: Tensor, given: Tensor) -> Outputs:
        """Shape: mel, given: (batch, mel_bands, frames); see `Outputs` for the result."""
        pair = torch.stack((mel, given), 1)
        bands = [slice(*(round(share * mel.shape[1]) for share in shares)) for shares in BAND_SHARES]
        return self.outputs([pair[:, :, band] for band in bands])
