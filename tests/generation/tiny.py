"""Checkpoints of a few kilobytes with random weights, for tests that do not depend on quality."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from aural.generation import classifier, waveform_classifier
from aural.generation import model as generator
from aural.training.checkpoints import save
from aural.vocoding import model as vocoder
from tests.checkpoints import instead

GENERATOR = generator.Config(channels=(32, 32, 32), groups=8, dropout=0.0)
VOCODER = vocoder.Config(width=16, layers=1, rounds=1)
CLASSIFIER = classifier.Config(stem=4, channels=(4, 8), features=8)
WAVEFORM_CLASSIFIER = waveform_classifier.Config(bands=4, taps=64, channels=(4, 8), features=8)


def write_checkpoints(folder: Path) -> None:
    """Write generator, vocoder and the two classifiers with their manifest; always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = generator.build(GENERATOR.to_dict())
        # Of clips that are neither silent nor at full scale.
        denoiser.conditioning.mean.fill_(0.3)
        denoiser.conditioning.deviation.fill_(0.15)
        save("generator", denoiser, GENERATOR.to_dict(), "MIT", folder=folder)
        save("vocoder", vocoder.build(VOCODER.to_dict()), VOCODER.to_dict(), "MIT", folder=folder)
        config = CLASSIFIER.to_dict()
        save("classifier", classifier.build(config), config, "MIT", folder=folder)
        config = WAVEFORM_CLASSIFIER.to_dict()
        save("waveform_classifier", waveform_classifier.build(config), config, "MIT", folder=folder)


@contextmanager
def checkpoints(folder: Path) -> Iterator[None]:
    """Replace the shipped checkpoints by tiny ones, in this process."""
    write_checkpoints(folder)
    with instead(folder):
        yield
