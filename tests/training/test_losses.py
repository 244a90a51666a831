"""Distances between sounds, and what the energy distance asks of a model that has to guess."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aural.training.losses import energy_distance, resolutions, scaled_spectra, spectral_distance

FRONT_ENDS = resolutions(22_050, (256, 1024))


def spectra(samples: Tensor) -> list[Tensor]:
    return scaled_spectra(samples, FRONT_ENDS)


def noise(seed: int, count: int = 4) -> Tensor:
    return 0.1 * torch.randn(count, 8000, generator=torch.Generator().manual_seed(seed))


def distance(first: Tensor, second: Tensor) -> float:
    return float(spectral_distance(spectra(first), spectra(second)))


def test_a_sound_is_nowhere_but_at_itself_and_as_far_there_as_back() -> None:
    assert distance(noise(0), noise(0)) < 1e-6
    assert distance(noise(0), noise(1)) == pytest.approx(distance(noise(1), noise(0)))
    assert distance(noise(0), noise(1)) > 0.05


def test_6_db_more_are_twice_6_of_the_106_db_that_the_scale_spans() -> None:
    assert distance(noise(0), 2 * noise(0)) == pytest.approx(2 * 6.02 / 106.02, rel=0.01)


def test_the_phase_does_not_count() -> None:
    assert distance(noise(0), -noise(0)) < 1e-6


def test_a_silent_sound_has_a_finite_gradient() -> None:
    samples = torch.zeros(1, 4000, requires_grad=True)
    spectral_distance(spectra(samples), spectra(noise(0, 1)[:, :4000])).backward()
    assert samples.grad is not None
    assert samples.grad.isfinite().all()


def constant(value: float) -> list[Tensor]:
    return [torch.full((64, 1, 1), value)]


def drawn(seed: int, spread: float) -> list[Tensor]:
    return [spread * torch.randn(4096, 1, 1, generator=torch.Generator().manual_seed(seed))]


def test_without_repulsion_the_middle_is_the_best_guess_and_with_all_of_it_the_right_spread() -> None:
    """What is right is normal with spread 1; models guess with spreads of their own, from 0 to twice."""
    spreads = (0.0, 0.5, 1.0, 1.5, 2.0)

    def best(repulsion: float) -> float:
        losses = [
            float(energy_distance(drawn(1, spread), drawn(2, spread), drawn(0, 1.0), repulsion)[1])
            for spread in spreads
        ]
        return spreads[losses.index(min(losses))]

    assert best(0.0) == 0.0
    assert best(1.0) == 1.0


def test_the_attraction_is_the_mean_of_both_distances() -> None:
    attraction, loss = energy_distance(constant(0.0), constant(0.4), constant(0.1), 0.5)
    # Each distance counts the same difference twice, once in each of its terms.
    assert float(attraction) == pytest.approx(2 * (0.1 + 0.3) / 2, abs=1e-5)
    assert float(loss) == pytest.approx(0.4 - 0.5 / 2 * 2 * 0.4, abs=1e-5)
