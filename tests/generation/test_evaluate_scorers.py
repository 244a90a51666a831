"""The classifiers that score the clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from aural.audio.spectral import log_mel
from aural.generation import evaluate_scorers
from aural.generation.clap import Clap
from aural.generation.data import Esc50

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def test_development_scorer_ranks_as_the_classifier_does(esc50: Esc50) -> None:
    from aural.generation.classifier import classify

    _, scores = evaluate_scorers.development_scorer()(esc50.waves[::10])
    probabilities = classify(log_mel(torch.from_numpy(esc50.waves[::10].astype(np.float32) / 32767)))
    assert torch.softmax(torch.from_numpy(scores), -1).numpy() == pytest.approx(
        probabilities.numpy(), abs=1e-5
    )


def test_reporting_scorer_ranks_as_its_classifier_does(esc50: Esc50) -> None:
    from aural.generation.waveform_classifier import load

    features, scores = evaluate_scorers.reporting_scorer()(esc50.waves[::10])
    samples = torch.from_numpy(esc50.waves[::10].astype(np.float32) / 32767)
    assert scores == pytest.approx(load()(samples).detach().numpy(), abs=1e-5)
    assert features.shape[0] == len(samples) and (features >= 0).all()


def test_clap_scores_by_the_likeness_of_sound_and_sentence(esc50: Esc50) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    audio = {
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "hidden_size": 16,
    }
    torch.manual_seed(0)
    config = ClapConfig(
        text_config=text | {"vocab_size": 99, "projection_dim": 16},
        audio_config=audio | {"num_attention_heads": [2, 2]},
        projection_dim=16,
    )
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")

    def processor(text: list[str] | None = None, audio: Any = None, **settings: Any) -> dict[str, Any]:
        if audio is not None:
            return dict(extractor(audio, **settings))
        assert text is not None and len(text) == 50 and "chirping birds" in text[14]
        return {"input_ids": torch.arange(150).reshape(50, 3) % 90 + 2}

    scorer = evaluate_scorers.scorer_of_clap(Clap(ClapModel(config), processor))
    features, scores = scorer(esc50.waves[:3])
    assert features.shape == (3, 16) and scores.shape == (3, 50)
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert (np.abs(scores) <= 1 + 1e-5).all() and (scores.std(1) > 0).all()
