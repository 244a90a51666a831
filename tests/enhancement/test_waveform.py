"""The network on samples: any length, and no change at first."""

from __future__ import annotations

import pytest
import torch

from aural.enhancement.waveform import WaveformEnhancer
from tests.enhancement.signals import voice, white
from tests.enhancement.tiny import WAVEFORM


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 4_801])
def test_the_network_on_samples_keeps_any_length(length: int) -> None:
    samples = white(2)[:, :length]
    made = WaveformEnhancer(WAVEFORM).eval()(samples)
    assert made.shape == samples.shape
    assert made.isfinite().all()


def test_the_network_on_samples_starts_by_adding_nothing() -> None:
    samples = voice(0.1)
    assert torch.equal(WaveformEnhancer(WAVEFORM).eval()(samples), samples)
