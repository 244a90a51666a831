"""What hears the sounds: two classifiers of ours, and CLAP where its weights can be had.

The development judge hears spectrograms and may choose weights, guidance and steps; the reporting judge hears
samples, was trained on other folds, and chooses nothing.

Sources: Elizalde et al. 2023 and Wu et al. 2023 (CLAP).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aural.audio.resample import resample_samples
from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
from aural.evaluation.metrics import Floats, Integers
from aural.generation.classes import CLASSES, title
from aural.generation.classifier import Classifier
from aural.generation.classifier import load as load_classifier
from aural.generation.evaluate_sounds import Sounds, Waves, batches, floats
from aural.generation.waveform_classifier import WaveformClassifier
from aural.generation.waveform_classifier import load as load_waveform_classifier
from aural.hub.download import TIMEOUT_SECONDS, Unavailable, download

CLAP = "laion/clap-htsat-unfused"
CLAP_RATE = 48_000

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
    """CLAP, which compares sounds with sentences; None if its weights cannot be downloaded."""
    from huggingface_hub import constants
    from transformers import AutoProcessor, ClapModel

    try:
        # The library itself waits very long for a Hub that does not answer.
        cache = Path(constants.HF_HUB_CACHE)
        download(CLAP, "main", {"config.json": False}, cache=cache, timeout_seconds=TIMEOUT_SECONDS)
        model: Any = ClapModel.from_pretrained(CLAP)
        loader: Any = AutoProcessor
        return scorer_of_clap(model.eval(), loader.from_pretrained(CLAP))
    except (Unavailable, OSError) as error:
        logging.getLogger(__name__).info("CLAP: %s", error)
        return None


def scorer_of_clap(model: Any, processor: Any) -> Scorer:
    """A `ClapModel` and its processor as a scorer: the similarity to "This is a sound of ..."."""
    texts = [f"This is a sound of {title(name).lower()}." for name in CLASSES]

    def directions(output: Any) -> Tensor:
        # Releases of transformers differ in whether they wrap the projection.
        embedding: Tensor = getattr(output, "pooler_output", output)
        return torch.nn.functional.normalize(embedding, dim=-1)

    with torch.inference_mode():
        sentences = directions(
            model.get_text_features(**processor(text=texts, padding=True, return_tensors="pt"))
        )

    @torch.inference_mode()
    def scorer(waves: Waves) -> tuple[Floats, Floats]:
        samples = resample_samples(floats(waves).numpy(), DEFAULT_FRONT_END.rate, CLAP_RATE)
        inputs = processor(audio=list(samples), sampling_rate=CLAP_RATE, return_tensors="pt")
        features = directions(model.get_audio_features(**inputs))
        return features.double().numpy(), (features @ sentences.T).double().numpy()

    return scorer
