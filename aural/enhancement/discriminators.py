"""Judges of completed mel bands, for training only: patches of the whole, the middle and the upper band.

Sources: Isola et al. 2017 (patches), Lim and Ye 2017 (hinge loss), Kumar et al. 2019 (feature matching),
Chen et al. 2020, HiFiSinger (a judge for each band).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Scores = list[list[Tensor]]  # for each judge the features of each layer, the scores of the patches last

# As shares of the mel bands: all, about 1.5 to 9 kHz, about 5 to 24 kHz.
BAND_SHARES = ((0.0, 1.0), (0.3, 0.72), (0.58, 1.0))


class Discriminators(nn.Module):
    """One convolutional judge for each of BAND_SHARES; it sees what was to be completed beside the result."""

    turns: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.judges = nn.ModuleList([_judge(width) for _ in BAND_SHARES])
        self.register_buffer("turns", torch.zeros(()))  # that they have taken, so that a resumed run knows

    def forward(self, mel: Tensor, given: Tensor) -> Scores:
        """Shape: mel, given: (batch, mel_bands, frames); see `Scores` for the result."""
        pair = torch.stack((mel, given), 1)
        judged: Scores = []
        for judge, (low, high) in zip(self.judges, BAND_SHARES, strict=True):
            x = pair[:, :, round(low * mel.shape[1]) : round(high * mel.shape[1])]
            features = []
            for layer in judge.children():
                x = layer(x)
                features.append(x)
            judged.append(features)
        return judged


def hinge(real: Scores, made: Scores) -> Tensor:
    """The judges' loss: scores above 1 for the real, below -1 for the made."""
    terms = [
        (1 - good[-1].float()).clamp_min(0).mean() + (1 + bad[-1].float()).clamp_min(0).mean()
        for good, bad in zip(real, made, strict=True)
    ]
    return torch.stack(terms).mean()


def matching(made: Scores, real: Scores) -> Tensor:
    """The mean distance of the judges' features of the made from those of the real."""
    return torch.stack(
        [
            (a.float() - b.float()).abs().mean()
            for ours, theirs in zip(made, real, strict=True)
            for a, b in _pairs(ours, theirs)
        ]
    ).mean()


def _pairs(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(ours[:-1], theirs[:-1], strict=True))


def _judge(width: int) -> nn.Sequential:
    def layer(before: int, after: int, stride: int) -> nn.Module:
        return nn.Sequential(weight_norm(nn.Conv2d(before, after, 4, stride, padding=1)), nn.LeakyReLU(0.2))

    return nn.Sequential(
        layer(2, width, 2),
        layer(width, 2 * width, 2),
        layer(2 * width, 4 * width, 2),
        weight_norm(nn.Conv2d(4 * width, 1, 3, padding=1)),
    )
