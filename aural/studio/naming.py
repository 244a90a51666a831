"""What a sound is called that is neither speech nor music: a class of ESC-50, by CLAP or our classifier.

Importing this module does not import torch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aural.audio import Clip
from aural.audio.resample import resample
from aural.errors import CheckpointError
from aural.generation import clap
from aural.generation.classes import CLASSES, title
from aural.studio.excerpt import loudest

CLASSIFIED_SECONDS = 5.0  # the classifier was trained on clips of this length
# Probability from which a class is named. Of the sounds of fold 5 that are taken for neither speech nor
# music, the classifier names 122 of 195, 116 of them rightly (`python -m aural.studio.evaluate`). CLAP was
# not measured: its weights could not be had.
CONFIDENT = 0.7

By = Literal["classifier", "CLAP"]
BY_NAMES: dict[By, str] = {"classifier": "AURAL's classifier", "CLAP": "CLAP"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Heard:
    """The class that a recording is likeliest to be."""

    label: str  # one of CLASSES
    probability: float
    by: By  # what heard it

    @property
    def message(self) -> str:
        """What it sounds like, and by what this was found."""
        return f"Sounds like: {title(self.label).lower()} (by {BY_NAMES[self.by]})"


def sounds_like(clip: Clip) -> Heard | None:
    """What a clip sounds like: by CLAP if it is loaded, otherwise by the shipped classifier.

    None if neither is there, or the one that is there is not confident.
    """
    try:
        heard = likeliest(clip, clap.ready())
    except CheckpointError as error:
        _log.warning("No sound is named: %s", error)
        return None
    return heard if heard.probability >= CONFIDENT else None


def likeliest(clip: Clip, model: clap.Clap | None = None) -> Heard:
    """The likeliest class of the loudest 5 s, in mono.

    Args:
        model: a loaded CLAP model; None: the shipped classifier.

    Raises:
        CheckpointError: the shipped classifier is not available.
    """
    heard = loudest(clip, CLASSIFIED_SECONDS)
    mono = Clip(heard.samples.mean(axis=0, keepdims=True, dtype=np.float32), heard.rate)
    probabilities = (
        _by_classifier(mono) if model is None else model.class_probabilities(mono.samples, mono.rate)[0]
    )
    label = int(np.argmax(probabilities))
    return Heard(CLASSES[label], float(probabilities[label]), "classifier" if model is None else "CLAP")


def _by_classifier(mono: Clip) -> np.ndarray:
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
    from aural.generation.classifier import classify

    samples = resample(mono, DEFAULT_FRONT_END.rate).samples
    return classify(log_mel(torch.tensor(samples)))[0].double().cpu().numpy()
