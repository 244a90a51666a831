"""The reporting judge: its filters, what its answer depends on, and its training on tones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aural.errors import OptionError
from aural.generation import train_waveform_classifier
from aural.generation.data import Esc50
from aural.generation.train_classifier import figures
from aural.generation.train_waveform_classifier import (
    TINY,
    Recipe,
    batch_sampler,
    main,
    places,
)
from aural.generation.train_waveform_classifier import (
    train_waveform_classifier as train,
)
from aural.generation.waveform_classifier import (
    UNSEEN_FOLD,
    Config,
    WaveformClassifier,
    build,
    gabor_filters,
)
from aural.training.loop import Settings
from tests.generation.esc50 import write_esc50

RATE = 22_050
PLAIN = Recipe(seconds=(2.0,), speed_octaves=0, tilt=0, mixed=0, noise=0, silenced=0)


def tone(hz: float, seconds: float = 1.0) -> Tensor:
    return torch.sin(2 * np.pi * hz * torch.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def tiny() -> WaveformClassifier:
    torch.manual_seed(0)
    return build(TINY.to_dict()).eval()


@pytest.mark.parametrize("hz", [120, 440, 1_000, 4_000, 9_000])
def test_at_first_a_tone_is_loudest_in_its_band_and_steady(hz: float) -> None:
    model = WaveformClassifier(Config()).eval()
    response = torch.fft.rfft(gabor_filters(model.config), 8_192).abs()[: model.config.bands]
    centres = response.argmax(1) * RATE / 8_192
    envelopes = model.envelopes(tone(hz)[None]).detach()[0]
    loudest = envelopes.mean(1).argmax()
    assert abs(np.log2(float(centres[loudest]) / hz)) < 0.2
    # A pair of filters hears the envelope, not the wave.
    assert envelopes[loudest].std() < 0.2


def test_the_level_of_a_clip_changes_nothing(tiny: WaveformClassifier) -> None:
    clip = (tone(440) * torch.linspace(0, 1, RATE))[None]
    torch.testing.assert_close(tiny(0.01 * clip), tiny(clip), atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", [1, 300, 8_192, 110_250])
def test_any_length_and_silence_have_finite_features(tiny: WaveformClassifier, length: int) -> None:
    for samples in (torch.zeros(2, length), torch.rand(2, length) - 0.5):
        features, logits = tiny.features(samples), tiny(samples)
        assert features.shape == (2, 8) and logits.shape == (2, 50)
        assert features.isfinite().all() and logits.isfinite().all() and features.min() >= 0


def test_samples_of_another_shape_are_refused(tiny: WaveformClassifier) -> None:
    with pytest.raises(OptionError, match=r"needs the shape \(batch, time\), not \(8, 1, 100\)"):
        tiny(torch.zeros(8, 1, 100))


def test_batches_depend_on_the_generator_alone(esc50: Esc50) -> None:
    sample = batch_sampler(esc50, 8, Config(), Recipe())
    first, again, other = (sample(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.samples, again.samples) and torch.equal(first.labels, again.labels)
    assert first.samples.shape != other.samples.shape or not torch.equal(first.samples, other.samples)
    for batch in (first, other):
        assert batch.samples.isfinite().all()
        torch.testing.assert_close(batch.labels.sum(1), torch.ones(8))


def test_a_silent_clip_stays_finite_and_soft(esc50: Esc50) -> None:
    silent = replace(esc50, waves=np.zeros_like(esc50.waves))
    batch = batch_sampler(silent, 8, Config(), Recipe(noise=0))(torch.Generator().manual_seed(0))
    assert batch.samples.abs().max() == 0


def test_without_augmentation_a_cut_is_a_piece_of_its_clip_at_one_level(esc50: Esc50) -> None:
    batch = batch_sampler(esc50, 6, Config(), PLAIN)(torch.Generator().manual_seed(0))
    for samples, label in zip(batch.samples, batch.labels.argmax(1).tolist(), strict=True):
        assert float(samples.square().mean().sqrt()) == pytest.approx(1, abs=0.05)
        found_hz = float(torch.fft.rfft(samples).abs().argmax()) / 2.0
        assert found_hz == pytest.approx(200 + 90 * label, abs=1)


def test_the_label_of_a_mixture_says_what_is_in_it(esc50: Esc50) -> None:
    recipe = replace(PLAIN, mixed=1)
    batch = batch_sampler(esc50, 32, Config(), recipe)(torch.Generator().manual_seed(0))
    present = batch.labels.sum(0).nonzero()[:, 0]
    spectra = torch.fft.rfft(batch.samples, dim=1).abs()
    heights = torch.stack([spectra[:, 2 * (200 + 90 * int(label))] for label in present], 1)
    found = heights / heights.sum(1, keepdim=True)
    torch.testing.assert_close(found, batch.labels[:, present], atol=0.06, rtol=0)


def test_a_short_run_learns_tones_of_a_fold_that_it_has_not_met(esc50: Esc50, tmp_path: Path) -> None:
    config = Config(bands=16, taps=256, channels=(8, 16), features=16)
    recipe = replace(PLAIN, seconds=(1.0,), learning_rate=1e-2)
    run = Settings(tmp_path / "run", steps=25, batch=12, warm_up=3, average=0.7)
    classifier, outcome = train(esc50, config, recipe, run)
    assert outcome.step == 25
    unseen = esc50.take(esc50.folds == UNSEEN_FOLD)
    assert figures(places(classifier, unseen)).top_1 == 1


def test_the_module_runs_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = write_esc50(tmp_path / "esc50", classes=2)
    command = ["--data", str(data), "--folder", str(tmp_path / "run"), "--smoke"]
    main(command)
    card = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert card["step"] == 4 and card["config"]["channels"] == [4, 8] and card["recipe"]["mixed"] == 0.9
    assert "validation/top_1" in card["history"][-1]
    # What is shipped says the first class of all clips here: it is right where the label is 0.
    first = build(TINY.to_dict()).eval()
    with torch.no_grad():
        first.head.weight.zero_()
        first.head.bias.copy_(-torch.arange(50.0))
    monkeypatch.setattr(train_waveform_classifier, "load", lambda: first)
    capsys.readouterr()
    main([*command, "--evaluate"])
    assert "| all (2) | 0.5000 | 1.0000 | 0.7500 |" in capsys.readouterr().out
