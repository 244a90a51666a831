"""Patch discriminators of pictures of sound, and the adversarial losses.

Sources: Isola et al. 2017 (patches), Lim and Ye 2017 (hinge loss), Kumar et al. 2019 (feature matching).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Outputs = list[list[Tensor]]  # for each discriminator the features of each layer, the patch scores last


class PatchDiscriminator(nn.Sequential):
    """Scores each patch of a picture: the higher, the more real it looks.

    Shape: (batch, channels, height, width) -> the features of each layer, the scores last.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            _layer(channels, width),
            _layer(width, 2 * width),
            _layer(2 * width, 4 * width),
            weight_norm(nn.Conv2d(4 * width, 1, 3, padding=1)),
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """The output of each layer."""
        features = []
        for layer in self:
            x = layer(x)
            features.append(x)
        return features


class PatchDiscriminators(nn.Module):
    """Several discriminators, each with pictures of its own: the sound, stacked on what it was made from."""

    steps: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList([PatchDiscriminator(2, width) for _ in range(count)])
        self.register_buffer("steps", torch.zeros(()))  # taken so far; a buffer, so that a resumed run knows

    def outputs(self, pictures: Sequence[Tensor]) -> Outputs:
        """Shape: a picture for each discriminator, (batch, 2, height, width); returns `Outputs`."""
        return [
            cast(PatchDiscriminator, discriminator).features(picture)
            for discriminator, picture in zip(self.discriminators, pictures, strict=True)
        ]

    def ramp(self, start: int) -> Tensor:
        """The weight of the adversarial losses: 0 for `start` steps, then rising to 1 over as many again."""
        return (self.steps / start - 1).clamp(0, 1)


def hinge(real: Outputs, generated: Outputs) -> Tensor:
    """The discriminators' loss: scores above 1 for the real, below -1 for the generated."""
    terms = [
        (1 - good[-1].float()).clamp_min(0).mean() + (1 + bad[-1].float()).clamp_min(0).mean()
        for good, bad in zip(real, generated, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(generated: Outputs) -> Tensor:
    """The generator's adversarial loss: the higher the scores, the lower."""
    return -torch.stack([scores[-1].float().mean() for scores in generated]).mean()


def feature_matching_loss(generated: Outputs, real: Outputs) -> Tensor:
    """The mean distance between the discriminators' features of the generated and of the real."""
    return torch.stack(
        [
            (a.float() - b.float()).abs().mean()
            for ours, theirs in zip(generated, real, strict=True)
            for a, b in _pairs(ours, theirs)
        ]
    ).mean()


def _pairs(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(ours[:-1], theirs[:-1], strict=True))


def _layer(before: int, after: int) -> nn.Module:
    return nn.Sequential(weight_norm(nn.Conv2d(before, after, 4, 2, padding=1)), nn.LeakyReLU(0.2))
