"""A small ESC-50 of tones, and scorers whose output is known."""

from __future__ import annotations

import numpy as np
import torch

from aural.audio.spectral import log_mel
from aural.evaluation.metrics import Floats
from aural.generation.data import LENGTH, Esc50
from aural.generation.evaluate_scorers import Scored
from aural.generation.evaluate_sounds import Waves

LABELS = (0, 10, 40)


def tones() -> Esc50:
    """Two clips of each of three classes in each fold: a tone of the class's pitch in noise of the clip's."""
    labels = torch.tensor(LABELS).repeat_interleave(10)
    folds = torch.arange(1, 6).repeat_interleave(2).repeat(len(LABELS))
    random, time = np.random.default_rng(0), np.arange(LENGTH) / 22_050
    waves = np.stack(
        [
            0.2 * np.sin(2 * np.pi * (200 + 90 * label) * time) + 0.02 * random.standard_normal(LENGTH)
            for label in labels.tolist()
        ]
    )
    whole = np.round(32767 * waves).clip(-32767, 32767).astype(np.int16)
    mel = log_mel(torch.from_numpy(whole.astype(np.float32) / 32767)).half()
    return Esc50(
        mel, whole, labels, folds, tuple(f"recording {number // 2}" for number in range(len(labels)))
    )


def pitch_scorer(waves: Waves) -> tuple[Floats, Floats]:
    """Knows the pitch of each class of `tones`."""
    spectrum = np.abs(np.fft.rfft(waves.astype(np.float64)))
    pitch_hz = np.fft.rfftfreq(waves.shape[1], 1 / 22_050)[spectrum.argmax(1)]
    scores = -np.abs(pitch_hz[:, None] - (200 + 90 * np.arange(50)))
    return np.column_stack((pitch_hz / 1000, np.log(spectrum[:, ::5000] + 1))), scores


def random_scored(per_class: int, seed: int, shift: float = 0.0) -> Scored:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.asarray(LABELS, np.int64), per_class)
    return Scored(
        random.standard_normal((len(labels), 6)) + shift, random.standard_normal((len(labels), 50)), labels
    )
