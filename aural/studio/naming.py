"""What a recording sounds like that is neither speech nor music: a class of ESC-50, by our classifier.

Importing this module does not import torch.
"""

from __future__ import annotations

import logging

import numpy as np

from aural.audio import Clip
from aural.audio.resample import resample
from aural.errors import CheckpointError
from aural.generation.classes import CLASSES
from aural.studio.excerpt import loudest

CLASSIFIED_SECONDS = 5.0  # the classifier was trained on clips of this length
# Probability from which a class is named. Of the sounds of fold 5 that are taken for neither speech nor
# music, 122 of 195 are named, 116 of them rightly (`python -m aural.studio.evaluate`).
CONFIDENT = 0.7

_log = logging.getLogger(__name__)


def sounds_like(clip: Clip) -> str | None:
    """The class of ESC-50 that a clip sounds like; None if the classifier is not confident or not there."""
    try:
        label, probability = likeliest(clip)
    except CheckpointError as error:
        _log.warning("No sound is named: %s", error)
        return None
    return label if probability >= CONFIDENT else None


def likeliest(clip: Clip) -> tuple[str, float]:
    """The likeliest class of the loudest 5 s, in mono, and its probability.

    Raises:
        CheckpointError: the shipped classifier is not available.
    """
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
    from aural.generation.classifier import classify

    heard = loudest(clip, CLASSIFIED_SECONDS)
    mono = Clip(heard.samples.mean(axis=0, keepdims=True, dtype=np.float32), heard.rate)
    samples = resample(mono, DEFAULT_FRONT_END.rate).samples
    probability, label = classify(log_mel(torch.tensor(samples)))[0].cpu().max(0)
    return CLASSES[int(label)], float(probability)
