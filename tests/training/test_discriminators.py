"""Discriminators of waveforms: what affects their scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from aural.training.adversarial import feature_matching_loss, generator_loss, hinge
from aural.training.discriminators import PeriodDiscriminator, SpectrogramDiscriminator

DISCRIMINATORS = [lambda: PeriodDiscriminator(3, 2), lambda: SpectrogramDiscriminator(256, 4)]


def noise(seed: int, batch: int = 2) -> Tensor:
    return 0.1 * torch.randn(batch, 2001, generator=torch.Generator().manual_seed(seed))


def seeded(index: int) -> nn.Module:
    torch.manual_seed(0)
    return DISCRIMINATORS[index]()


@pytest.mark.parametrize("index", [0, 1])
def test_any_length_gives_the_features_of_each_layer_and_then_scores(index: int) -> None:
    discriminator = seeded(index)
    for length in (1999, 2000, 2001):
        features = discriminator(noise(0)[:, :length])
        assert len(features) == 6
        assert features[-1].shape[:2] == (2, 1)
        assert all(values.isfinite().all() for values in features)


@pytest.mark.parametrize("index", [0, 1])
def test_each_learns_what_is_real_and_what_it_is_made_to_follow(index: int) -> None:
    discriminator = seeded(index)
    tone = 0.1 * torch.sin(torch.arange(2001) * 0.3).expand(2, -1)
    optimizer = torch.optim.Adam(discriminator.parameters(), 3e-3)
    for step in range(40):
        real, made = [discriminator(tone)], [discriminator(noise(step))]
        optimizer.zero_grad()
        hinge(real, made).backward()
        optimizer.step()
    assert generator_loss([discriminator(tone)]) < generator_loss([discriminator(noise(99))]) - 1
    waves = noise(98).requires_grad_()
    made, real = [discriminator(waves)], [discriminator(tone)]
    (generator_loss(made) + feature_matching_loss(made, real)).backward()
    assert waves.grad is not None
    assert waves.grad.isfinite().all()
    assert waves.grad.abs().amax() > 0


@pytest.mark.parametrize("index", [0, 1])
def test_silence_has_a_finite_gradient(index: int) -> None:
    silence = torch.zeros(1, 2000, requires_grad=True)
    generator_loss([seeded(index)(silence)]).backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()


def test_periods_do_not_see_the_level_and_spectra_see_the_sign_of_time() -> None:
    by_period, by_spectrum = seeded(0), seeded(1)
    torch.testing.assert_close(by_period(0.1 * noise(0))[-1], by_period(noise(0))[-1], rtol=0, atol=1e-3)
    assert not torch.allclose(
        by_spectrum(noise(0).flip(-1))[-1], by_spectrum(noise(0))[-1].flip(2), atol=1e-4
    )
