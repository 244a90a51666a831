"""Patch discriminators and the adversarial losses."""

from __future__ import annotations

import pytest
import torch

from aural.training.adversarial import PatchDiscriminator, feature_matching_loss, generator_loss, hinge


def test_a_discriminator_scores_each_patch() -> None:
    features = PatchDiscriminator(2, 4).features(torch.randn(3, 2, 64, 48))
    assert [tuple(feature.shape[:2]) for feature in features] == [(3, 4), (3, 8), (3, 16), (3, 1)]
    assert features[-1].shape[2:] == (8, 6)


def test_hinge_is_0_for_sure_discriminators_and_2_for_those_that_cannot_tell() -> None:
    sure, unsure = [[torch.full((2, 1), 1.5)]], [[torch.zeros(2, 1)]]
    assert float(hinge(sure, [[-sure[0][0]]])) == 0
    assert float(hinge(unsure, unsure)) == 2


def test_the_generator_loss_falls_with_the_scores() -> None:
    assert float(generator_loss([[torch.tensor([2.0, 4.0])]])) == -3


def test_feature_matching_leaves_the_scores_out() -> None:
    first, second = torch.zeros(2, 3), torch.ones(2, 3)
    assert float(feature_matching_loss([[first, first]], [[second, second]])) == pytest.approx(1)
    assert float(feature_matching_loss([[first, first]], [[first, second]])) == 0
