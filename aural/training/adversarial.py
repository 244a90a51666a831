"""Judges that look at patches of a picture of sound, and what they and the judged are to make small.

Sources: Isola et al. 2017 (patches), Lim and Ye 2017 (hinge loss), Kumar et al. 2019 (feature matching).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Scores = list[list[Tensor]]  # for each judge the features of each layer, the scores of the patches last


class PatchJudge(nn.Sequential):
    """Says of each patch how real it looks.

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
        """What each layer makes of it."""
        features = []
        for layer in self:
            x = layer(x)
            features.append(x)
        return features


class Judges(nn.Module):
    """Judges, each of pictures of its own, of sound beside what it was made of."""

    turns: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList([PatchJudge(2, width) for _ in range(count)])
        self.register_buffer("turns", torch.zeros(()))  # that they have taken, so that a resumed run knows

    def judged(self, pictures: Sequence[Tensor]) -> Scores:
        """Shape: a picture for each judge, (batch, 2, height, width); see `Scores` for the result."""
        return [
            cast(PatchJudge, judge).features(picture)
            for judge, picture in zip(self.judges, pictures, strict=True)
        ]

    def heed(self, start: int) -> Tensor:
        """How much they are heeded: not at all for `start` turns, in full after as many again."""
        return (self.turns / start - 1).clamp(0, 1)


def hinge(real: Scores, made: Scores) -> Tensor:
    """The judges' loss: scores above 1 for the real, below -1 for the made."""
    terms = [
        (1 - good[-1].float()).clamp_min(0).mean() + (1 + bad[-1].float()).clamp_min(0).mean()
        for good, bad in zip(real, made, strict=True)
    ]
    return torch.stack(terms).mean()


def persuasion(made: Scores) -> Tensor:
    """The loss of what is judged: the lower the more real it looks."""
    return -torch.stack([scores[-1].float().mean() for scores in made]).mean()


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


def _layer(before: int, after: int) -> nn.Module:
    return nn.Sequential(weight_norm(nn.Conv2d(before, after, 4, 2, padding=1)), nn.LeakyReLU(0.2))
