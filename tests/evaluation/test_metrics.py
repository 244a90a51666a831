"""Distances with known closed forms, their invariances, and ratings of speech."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aural.audio import read
from aural.audio.resample import resample_samples
from aural.errors import InputError
from aural.evaluation.metrics import (
    DNSMOS_RATE,
    Floats,
    diversity,
    dnsmos,
    frechet_distance,
    mean_reciprocal_rank,
    nearest_similarity,
    ranks,
    top_k_accuracy,
)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape)


def with_covariance(count: int, covariance: Floats, mean: Floats, seed: int) -> Floats:
    """Samples with exactly the given mean and covariance."""
    x = normal(count, len(mean), seed=seed)
    x -= x.mean(0)
    whitened = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_two_gaussians_with_axes_in_common() -> None:
    # Where covariances commute the distance is |m₁ - m₂|² + Σ(σ₁ - σ₂)².
    turn = np.linalg.qr(normal(4, 4, seed=5))[0]
    first, second = np.array([1.0, 2.0, 3.0, 0.5]), np.array([2.0, 2.0, 1.0, 4.0])
    shift = np.array([1.0, -2.0, 0.0, 0.5])
    a = with_covariance(50, turn @ np.diag(first**2) @ turn.T, np.zeros(4), 1)
    b = with_covariance(70, turn @ np.diag(second**2) @ turn.T, shift, 2)
    expected = np.sum(shift**2) + np.sum((first - second) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_frechet_of_two_gaussians_with_no_axis_in_common() -> None:
    # In two dimensions the trace of the root of a matrix is √(trace + 2 √determinant).
    s1, s2 = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    product = s1 @ s2
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    a, b = (with_covariance(40, s, np.zeros(2), seed) for seed, s in enumerate((s1, s2)))
    assert frechet_distance(a, b) == pytest.approx(np.trace(s1) + np.trace(s2) - 2 * root, rel=1e-10)


@pytest.mark.parametrize("count", [3, 40, 500])
def test_frechet_of_a_set_with_itself_is_0_with_fewer_samples_than_values_too(count: int) -> None:
    x = normal(count, 128)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + 0.5) == pytest.approx(128 * 0.25, rel=1e-9)


def test_frechet_does_not_care_for_order_rotation_or_which_comes_first() -> None:
    a, b = normal(30, 64, seed=1), 1.5 * normal(45, 64, seed=2) + 0.1
    turn = np.linalg.qr(normal(64, 64, seed=3))[0]
    distance = frechet_distance(a, b)
    assert distance > 10
    assert frechet_distance(b, a[::-1]) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(a @ turn + 7, b @ turn + 7) == pytest.approx(distance, rel=1e-8)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, rel=1e-10)


@pytest.mark.parametrize(
    ("first", "second"),
    [(normal(1, 4), normal(9, 4)), (normal(9, 4), normal(9, 5)), (normal(9, 4), np.full((9, 4), np.nan))],
)
def test_frechet_fails_rather_than_guess(first: Floats, second: Floats) -> None:
    with pytest.raises(InputError):
        frechet_distance(first, second)


def test_ranks_count_the_classes_at_least_as_likely() -> None:
    scores = [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.5, 0.4, 0.1], [1.0, 1.0, 1.0]]
    places = ranks(scores, [1, 0, 1, 2])
    # The last row knows nothing: a classifier that says the same of all earns no top-1.
    assert places.tolist() == [1, 3, 2, 3]
    assert top_k_accuracy(places, 1) == 0.25
    assert top_k_accuracy(places, 3) == 1.0
    assert mean_reciprocal_rank(places) == pytest.approx((1 + 1 / 3 + 1 / 2 + 1 / 3) / 4)
    assert mean_reciprocal_rank(places, k=2) == pytest.approx((1 + 1 / 2) / 4)


def test_chance_level_of_50_classes() -> None:
    places = ranks(normal(20_000, 50), np.arange(20_000) % 50)
    assert top_k_accuracy(places, 5) == pytest.approx(5 / 50, abs=0.01)
    assert mean_reciprocal_rank(places) == pytest.approx(sum(1 / n for n in range(1, 11)) / 50, abs=0.005)


@pytest.mark.parametrize("labels", [[0], [0, 3], [-1, 0]])
def test_labels_must_fit_the_scores(labels: list[int]) -> None:
    with pytest.raises(InputError):
        ranks(np.eye(2, 3), labels)


def test_nearest_similarity_finds_copies_at_any_level_and_skips_the_same_source() -> None:
    x = normal(20, 16)
    assert nearest_similarity(2 * x, x) == pytest.approx(np.ones(20))
    sources = np.arange(20) // 2
    apart = nearest_similarity(x, x, sources, sources)
    pairs = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in x] for a in x])
    pairs[sources[:, None] == sources] = -1
    assert apart == pytest.approx(pairs.max(1))
    with pytest.raises(
        InputError, match=r"A sample has no others to compare with\. Add samples of other groups\."
    ):
        nearest_similarity(x, x, np.zeros(20), np.zeros(20))


def test_diversity_of_one_sound_is_0_of_unrelated_ones_1_and_of_opposites_above() -> None:
    assert diversity(np.arange(1, 4)[:, None] * np.ones((3, 5))) == pytest.approx(0, abs=1e-12)
    assert diversity(np.eye(6)) == pytest.approx(1)
    assert diversity([[1.0, 0.0], [-2.0, 0.0]]) == pytest.approx(2)


SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"


def speech_and_noise() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """5 s of speech at 48 kHz, and noise 10 dB weaker. Shape: (time,), both."""
    clean = read(SPEECH).samples[0, : 5 * 48_000]
    noise = normal(len(clean)).astype(np.float32)
    return clean, noise * np.float32(np.std(clean) / np.std(noise) * 10**-0.5)


def test_dnsmos_prefers_speech_without_noise() -> None:
    pytest.importorskip("speechmos")
    clean, noise = speech_and_noise()
    good, bad = dnsmos(clean, 48_000), dnsmos(clean + noise, 48_000)
    assert 1 < bad.overall < good.overall < 5
    assert bad.background + 1 < good.background


def test_dnsmos_gives_the_figures_of_its_package_and_brings_peaks_to_full_scale() -> None:
    package = pytest.importorskip("speechmos.dnsmos")
    clean, _ = speech_and_noise()
    low = resample_samples(clean[None], 48_000, DNSMOS_RATE)[0]
    loud = low / np.abs(low).max()
    theirs = package.run(loud, DNSMOS_RATE)
    for ours in (dnsmos(loud, DNSMOS_RATE), dnsmos(4 * loud, DNSMOS_RATE)):
        assert ours.overall == pytest.approx(theirs["ovrl_mos"], abs=1e-3)
        assert ours.speech == pytest.approx(theirs["sig_mos"], abs=1e-3)
        assert ours.background == pytest.approx(theirs["bak_mos"], abs=1e-3)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(16_000), np.full(16_000, np.nan), np.ones((2, 9))])
def test_dnsmos_rates_one_channel_of_finite_sound_only(samples: NDArray[np.float64]) -> None:
    with pytest.raises(
        InputError, match=r"Can't rate samples of the shape .*\. Choose one channel of finite samples"
    ):
        dnsmos(samples.astype(np.float32), DNSMOS_RATE)
