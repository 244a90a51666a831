"""The sounds that are scored: chosen, generated and vocoded once only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aural.audio.spectral import log_mel
from aural.generation import evaluate_sounds
from aural.generation.data import LENGTH, Esc50
from aural.generation.evaluate_sounds import Sounds
from aural.generation.pipeline import Options
from tests.generation.tones import LABELS, pitch_scorer

QUICK = Options(label="dog", steps=1, seed=0)


pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def test_classes_that_are_not_wanted_are_left_out(esc50: Esc50) -> None:
    real = evaluate_sounds.Real.of(esc50, [10])
    assert set(real.training.labels) == set(real.unseen.labels) == {10}
    assert len(real.training.labels) == 8 and len(real.unseen.labels) == 2
    assert set(real.training.sources).isdisjoint(real.unseen.sources)


def test_sounds_can_be_chosen_by_mask() -> None:
    sounds = Sounds(np.zeros((3, 5), np.int16), np.arange(3), np.arange(3))
    assert sounds.take(np.array([True, False, True])).labels.tolist() == [0, 2]


def test_generated_clips_are_kept_and_more_of_them_leave_the_first_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, seconds = evaluate_sounds.generated_sounds(tmp_path, (0, 10), 2, QUICK)
    assert first.waves.shape == (4, LENGTH) and first.labels.tolist() == [0, 0, 10, 10]
    assert seconds > 0
    more, _ = evaluate_sounds.generated_sounds(tmp_path, (0, 10), 3, QUICK)
    assert (more.waves[[0, 1, 3, 4]] == first.waves).all()
    other, _ = evaluate_sounds.generated_sounds(tmp_path, (0,), 2, replace(QUICK, seed=5))
    assert (other.waves != first.waves[:2]).any()

    def fail(*_: Any) -> None:
        raise AssertionError("generated again")

    monkeypatch.setattr(evaluate_sounds, "generate", fail)
    again, _ = evaluate_sounds.generated_sounds(tmp_path, (0, 10), 3, QUICK)
    assert (again.waves == more.waves).all()


def test_no_reported_clip_is_chosen_among_candidates(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        evaluate_sounds.generated_sounds(tmp_path, [0], 2, replace(QUICK, candidates=2))
    evaluate_sounds.generated_sounds(tmp_path, [0], 1, QUICK)
    (settings,) = tmp_path.glob("*/settings.json")
    assert "candidates" not in json.loads(settings.read_text())  # the folders of earlier versions serve


def test_real_clips_pass_the_vocoder_once(
    tmp_path: Path, esc50: Esc50, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = evaluate_sounds.Real.of(esc50, LABELS).unseen
    vocoded = evaluate_sounds.vocoded_sounds(tmp_path, unseen, "vocoder")
    assert vocoded.waves.shape == unseen.waves.shape and (vocoded.labels == unseen.labels).all()
    monkeypatch.delattr(evaluate_sounds, "audible")
    assert (evaluate_sounds.vocoded_sounds(tmp_path, unseen, "vocoder").waves == vocoded.waves).all()
    with pytest.raises(NameError):
        evaluate_sounds.vocoded_sounds(tmp_path, unseen, "griffin_lim")


def test_griffin_lim_gives_a_tone_back(esc50: Esc50) -> None:
    wave = esc50.waves[:1, :22_050]
    mel = log_mel(torch.from_numpy(wave.astype(np.float32) / 32767))
    audio = evaluate_sounds.audible(mel, "griffin_lim", 22_050).numpy()
    assert pitch_scorer(evaluate_sounds.sixteen_bits(audio))[1].argmax() == LABELS[0]
