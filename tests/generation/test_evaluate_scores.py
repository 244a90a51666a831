"""The scores of sounds whose figures are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aural.generation import evaluate_scorers, evaluate_scores, evaluate_sounds
from aural.generation.data import Esc50
from tests.generation.tones import LABELS, pitch_scorer, random_scored

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def test_real_clips_of_one_kind_are_near_and_their_classes_found(esc50: Esc50) -> None:
    real = evaluate_sounds.Real.of(esc50, LABELS)
    rows = evaluate_scores.compare(real, {"the same again": real.unseen}, pitch_scorer)
    (of_floor, _), (of_real, _), (again, _) = rows.values()
    assert (of_real.clips, of_real.top_1, of_real.map_10) == (6, 1.0, 1.0)
    assert of_floor.top_1 is None and of_floor.clips == 24
    # Heard a second time, fold 5 has the same figures, and no distance to itself.
    assert again.fad == of_real.fad
    assert again.fad_unseen == pytest.approx(0, abs=1e-9)
    assert of_real.fad_unseen is None


def test_a_shift_of_the_features_is_the_distance_pooled_and_within_classes() -> None:
    training = random_scored(40, seed=0)
    moved = replace(training, features=training.features + 2)
    row = evaluate_scores.quality(moved, training, random_scored(8, seed=1))
    assert row.fad == pytest.approx(6 * 4)
    assert row.fad_class == pytest.approx(6 * 4)


def test_few_clips_are_farther_than_many_from_the_same_distribution() -> None:
    # Why there is a column for 8 clips a class: at different sizes distances are not comparable.
    row = evaluate_scores.quality(
        random_scored(200, seed=1), random_scored(300, seed=0), random_scored(8, seed=2)
    )
    assert row.fad is not None and row.fad_small is not None
    assert 0 < 4 * row.fad < row.fad_small


def test_a_spectrogram_is_like_itself_at_any_shift_but_its_own_recording_does_not_count() -> None:
    others = torch.rand(5, 20, 108, generator=torch.Generator().manual_seed(0))
    apart, recordings = np.full(5, -1), np.arange(5)
    roll_loops = torch.roll(others, 17, dims=2)
    assert evaluate_scores.nearest_shape(roll_loops, others, apart, recordings) == pytest.approx(
        np.ones(5), abs=1e-5
    )
    assert (evaluate_scores.nearest_shape(roll_loops, others, recordings, recordings) < 0.5).all()


def test_novelty_tells_copies_from_new_clips(esc50: Esc50) -> None:
    real = evaluate_sounds.Real.of(esc50, LABELS)
    training = evaluate_scorers.score(real.training, pitch_scorer)
    copies = replace(real.training, sources=np.full(24, -1))
    originals = evaluate_scores.Originals.of(real.training, training)
    of_copies = evaluate_scores.novelty(copies, training, originals)
    of_real = evaluate_scores.novelty(real.training, training, originals)
    assert of_copies.nearest == pytest.approx(1) and of_copies.shape == pytest.approx(1, abs=1e-4)
    assert of_real.nearest < 1 and of_real.shape < of_copies.shape
    assert of_copies.diversity == of_real.diversity
    # A sine of 0.2, -14 dB, has a power 3 dB beneath that; K-weighting adds a little to high notes.
    assert -18 < of_real.loudness_lufs < -12
    assert of_real.active == 1


def test_silent_clips_can_be_measured(esc50: Esc50) -> None:
    real = evaluate_sounds.Real.of(esc50, LABELS)
    training = evaluate_scorers.score(real.training, evaluate_scorers.development_scorer())
    silent = replace(real.unseen, waves=np.zeros_like(real.unseen.waves))
    silent.waves[0] = real.unseen.waves[0]
    scored = evaluate_scorers.score(silent, evaluate_scorers.development_scorer())
    originals = evaluate_scores.Originals.of(real.training, training)
    assert evaluate_scores.novelty(silent, scored, originals).active == pytest.approx(1 / 6)
    assert evaluate_scores.quality(scored, training, scored).clips == 6
