"""Patch discriminators of spectrograms, and the adversarial losses.

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
    """Several discriminators, each with its own picture of a sound and of the input it was made from."""

    steps: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList([PatchDiscriminator(2, width) for _ in range(count)])
        self.register_buffer("steps", torch.zeros(()))  # steps taken; saved with the weights

    def outputs(self, pictures: Sequence[Tensor]) -> Outputs:
        """Shape: a picture for each discriminator, (batch, 2, height, width); returns `Outputs`."""
        return [
            cast(PatchDiscriminator, discriminator).features(picture)
            for discriminator, picture in zip(self.discriminators, pictures, strict=True)
        ]

    def ramp(self, start: int) -> Tensor:
        """The weight of the adversarial losses: 0 for `start` steps, then rising to 1 over as many again."""
        return (self.steps / start - 1).clamp(0, 1)


class AdversarialLoss:
    """The losses of a generator and its discriminators, which are updated in turn.

    Args:
        discriminators: called with (sound, input of the generator), they return `Outputs`.
        adversarial, matching: weights of the generator's loss and of feature matching.
        start: steps without these losses, and again until their full weight.
    """

    def __init__(
        self, discriminators: PatchDiscriminators, adversarial: float, matching: float, start: int
    ) -> None:
        self.discriminators = discriminators
        self.adversarial, self.matching, self.start = adversarial, matching, start
        self.generated: Tensor | None = None  # the generator's last output; its loss comes first

    def generator_terms(
        self, generated: Tensor, real: Tensor, given: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted terms of the generator's loss, 0 before `start`, and values to log.

        Args:
            given: the input of the generator.
        """
        self.generated = generated.detach()
        ramp = self.discriminators.ramp(self.start)
        if ramp == 0:
            return torch.zeros_like(ramp), {}
        outputs: Outputs = self.discriminators(generated, given)
        with torch.no_grad():
            real_outputs: Outputs = self.discriminators(real, given)
        adversarial, matching = generator_loss(outputs), feature_matching_loss(outputs, real_outputs)
        total = ramp * (self.adversarial * adversarial + self.matching * matching)
        return total, {"adversarial": adversarial, "matching": matching}

    def discriminator_loss(
        self, module: nn.Module, real: Tensor, given: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The hinge loss between the real sound and the last generated one, and values to log.

        Args:
            module: the discriminators, as the training loop prepared them.
        """
        assert self.generated is not None, "the generator goes first"
        error = hinge(module(real, given), module(self.generated, given))
        self.discriminators.steps += 1
        return error, {"hinge": error}


def hinge(real: Outputs, generated: Outputs) -> Tensor:
    """The discriminators' loss: it is 0 if real scores exceed 1 and generated ones are below -1."""
    terms = [
        (1 - good[-1].float()).clamp_min(0).mean() + (1 + bad[-1].float()).clamp_min(0).mean()
        for good, bad in zip(real, generated, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(generated: Outputs) -> Tensor:
    """The generator's adversarial loss; it falls as the scores rise."""
    return -torch.stack([scores[-1].float().mean() for scores in generated]).mean()


def feature_matching_loss(generated: Outputs, real: Outputs) -> Tensor:
    """The mean distance between the discriminators' features of generated and real sound."""
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
