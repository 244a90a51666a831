"""What hears the sounds: two classifiers of ours, and CLAP where its weights can be had.

The development judge hears spectrograms and may choose weights, guidance and steps; the reporting judge hears
samples, was trained on other folds, and chooses nothing.

Sources: Elizalde et al. 2023 and Wu et al. 2023 (CLAP).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
from aural.evaluation.metrics import Floats, Integers
from aural.generation import clap
from aural.generation.classifier import Classifier
from aural.generation.classifier import load as load_classifier
from aural.generation.evaluate_sounds import Sounds, Waves, batches, floats
from aural.generation.waveform_classifier import WaveformClassifier
from aural.generation.waveform_classifier import load as load_waveform_classifier
from aural.hub.download import Unavailable

# 16-bit waves (clips, time) at 22,050 Hz -> features (clips, width) and scores of the classes (clips, 50).
Scorer = Callable[[Waves], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Scored:
    """A scorer's output for each clip."""

    features: Floats  # (clips, width)
    scores: Floats  # (clips, classes)
    labels: Integers  # (clips,)

    def take(self, chosen: NDArray[Any]) -> Scored:
        """The clips selected by a mask or by indices."""
        return Scored(self.features[chosen], self.scores[chosen], self.labels[chosen])


def score(sounds: Sounds, scorer: Scorer) -> Scored:
    """The scorer's output for each clip."""
    outputs = [scorer(part) for part in batches(sounds.waves)]
    features, scores = (np.concatenate(column) for column in zip(*outputs, strict=True))
    return Scored(features, scores, sounds.labels)


def first_of_each(scored: Scored, count: int) -> Scored:
    """The first clips of each class."""
    chosen = [np.flatnonzero(scored.labels == label)[:count] for label in np.unique(scored.labels)]
    return scored.take(np.concatenate(chosen))


def development_scorer(model: Classifier | None = None) -> Scorer:
    """The classifier of spectrograms, trained on folds 1-4; None is the shipped one."""
    classifier = model or load_classifier()

    @torch.inference_mode()
    def scorer(waves: Waves) -> tuple[Floats, Floats]:
        mel = log_mel(floats(waves)).to(classifier.mean)
        features = classifier.features(mel)
        logits = classifier.head(features)
        return features.cpu().double().numpy(), logits.cpu().double().numpy()

    return scorer


def reporting_scorer(model: WaveformClassifier | None = None) -> Scorer:
    """The classifier of samples, trained on folds 2-5; None is the shipped one.

    Raises:
        CheckpointError: the shipped one is not available.
    """
    classifier = model or load_waveform_classifier()

    @torch.inference_mode()
    def scorer(waves: Waves) -> tuple[Floats, Floats]:
        features = classifier.features(floats(waves).to(classifier.head.weight))
        logits = classifier.head(features)
        return features.cpu().double().numpy(), logits.cpu().double().numpy()

    return scorer


def clap_scorer() -> Scorer | None:
    """CLAP, which compares sounds with sentences; None if its weights cannot be had."""
    try:
        return scorer_of_clap(clap.load())
    except Unavailable as failure:
        logging.getLogger(__name__).info("CLAP: %s", failure)
        return None


def scorer_of_clap(model: clap.Clap) -> Scorer:
    """CLAP as a scorer: the similarity to "This is a sound of ..."."""

    def scorer(waves: Waves) -> tuple[Floats, Floats]:
        features = model.sounds(floats(waves).numpy(), DEFAULT_FRONT_END.rate)
        return features, features @ model.classes.T

    return scorer
