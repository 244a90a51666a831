"""The classifier, its training on tones that a tiny one can distinguish, and its batches."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aural import hub
from aural.audio.spectral import log_mel, unscale
from aural.errors import OptionError
from aural.generation import train_classifier
from aural.generation.classifier import Classifier, Config, build, classify
from aural.generation.data import Esc50
from aural.generation.train_classifier import (
    TINY,
    Batch,
    Recipe,
    batch_sampler,
    figures,
    main,
    mask_span,
    objective_of,
    places,
    report,
)
from aural.training.checkpoints import save
from aural.training.loop import Settings
from tests.generation.esc50 import write_esc50

CLASSES = 5
PLAIN = Recipe(frames=(425,), speed_octaves=0, bands=0, gain_db=0, mixed=0, struck_bands=0, struck_frames=0)


def tones(copies: int = 2) -> Esc50:
    """Clips of five classes, each with its own band, in five folds; odd ones are silent after 2 s."""
    folds, labels = (
        part.flatten() for part in torch.meshgrid(torch.arange(1, 6), torch.arange(CLASSES), indexing="ij")
    )
    folds, labels = folds.repeat(copies), labels.repeat(copies)
    mel = 0.3 * torch.rand(len(labels), 80, 425, generator=torch.Generator().manual_seed(0))
    for clip, label in zip(mel, labels.tolist(), strict=True):
        clip[12 * label + 10 : 12 * label + 14] = 0.7
        if label % 2:
            clip[:, 170:] = 0
    waves = np.zeros((len(labels), 1), np.int16)
    return Esc50(mel.half(), waves, labels, folds, tuple(map(str, range(len(labels)))))


@pytest.fixture
def tiny() -> Classifier:
    torch.manual_seed(0)
    return build(TINY.to_dict()).eval()


@pytest.mark.parametrize("frames", [1, 43, 425, 432, 850])
def test_any_length_and_silence_have_finite_features(tiny: Classifier, frames: int) -> None:
    for mel in (torch.zeros(2, 80, frames), torch.rand(2, 80, frames)):
        features, logits = tiny.features(mel), tiny(mel)
        assert features.shape == (2, 8) and logits.shape == (2, 50)
        assert features.isfinite().all() and logits.isfinite().all() and features.min() >= 0


def test_a_clip_does_not_depend_on_its_batch(tiny: Classifier) -> None:
    mel = torch.rand(3, 80, 100, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(tiny(mel)[1:2], tiny(mel[1:2]), atol=1e-5, rtol=1e-4)


def test_probabilities_of_each_clip_add_up_to_one(tiny: Classifier) -> None:
    probabilities = classify(torch.rand(3, 80, 425), tiny)
    assert probabilities.min() >= 0
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))


@pytest.mark.parametrize("shape", [(80, 425), (1, 64, 425), (1, 1, 80, 425)])
def test_other_spectrograms_are_refused(tiny: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=r"\. Use `log_mel` with the default front end\."):
        tiny(torch.zeros(shape))


def test_a_config_makes_the_same_classifier_again() -> None:
    config = Config(stem=8, channels=(8, 12), features=6)
    again = build(json.loads(json.dumps(config.to_dict())))
    assert again.config == config
    with pytest.raises(TypeError):
        build({**config.to_dict(), "depth": 3})


def test_the_classifier_of_the_app_is_small() -> None:
    assert sum(parameter.numel() for parameter in Classifier(Config()).parameters()) < 3_000_000


def test_a_saved_classifier_answers_as_before(
    tiny: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_models", {})
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path))
    save("classifier", tiny, TINY.to_dict(), "MIT", folder=tmp_path)
    mel = torch.rand(2, 80, 425)
    # Half precision on disk costs three digits of a weight.
    torch.testing.assert_close(classify(mel), classify(mel, tiny), atol=1e-3, rtol=0)


def test_batches_depend_on_the_generator_alone() -> None:
    sample = batch_sampler(tones(), 8, CLASSES, Recipe())
    first, again, other = (sample(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.mel, again.mel) and torch.equal(first.labels, again.labels)
    assert first.mel.shape != other.mel.shape or not torch.equal(first.mel, other.mel)


def test_batches_are_finite_and_their_labels_add_up_to_one() -> None:
    clips = tones()
    clips.mel[0] = 0  # silence has neither a level to match nor a frame that sounds
    sample = batch_sampler(clips, 16, CLASSES, Recipe())
    for seed in range(5):
        batch = sample(torch.Generator().manual_seed(seed))
        assert batch.mel.isfinite().all() and batch.mel.min() >= 0
        assert batch.mel.shape[:2] == (16, 80) and batch.mel.shape[2] in Recipe().frames
        torch.testing.assert_close(batch.labels.sum(1), torch.ones(16))
        # One in four stays unchanged.
        assert (batch.labels.amax(1) == 1).sum() >= 4


def test_without_augmentation_a_clip_is_only_shifted_as_a_loop() -> None:
    clips = tones()
    batch = batch_sampler(clips, 8, CLASSES, PLAIN)(torch.Generator().manual_seed(0))
    for mel, label in zip(batch.mel, batch.labels.argmax(1), strict=True):
        same_class = clips.mel[clips.labels == label].float().sort(2).values
        error = (same_class - mel.sort(1).values[None]).abs().amax((1, 2))
        assert error.min() < 1e-4


def test_a_short_cut_contains_the_sound() -> None:
    clips = tones()
    batch = batch_sampler(clips, 64, CLASSES, Recipe(frames=(64,), mixed=0, struck_bands=0, struck_frames=0))(
        torch.Generator().manual_seed(0)
    )
    assert (batch.mel.amax((1, 2)) > 0.3).all()


def test_the_label_of_a_mixture_says_what_is_in_it() -> None:
    clips = tones()
    clips = clips.take(clips.labels % 2 == 0)  # those that sound throughout
    recipe = Recipe(
        frames=(425,), speed_octaves=0, bands=0, gain_db=0, mixed=1, struck_bands=0, struck_frames=0
    )
    batch = batch_sampler(clips, 32, CLASSES, recipe)(torch.Generator().manual_seed(0))
    bands = torch.stack(
        [unscale(batch.mel)[:, 12 * n + 10 : 12 * n + 14].mean((1, 2)) for n in range(CLASSES)], 1
    )
    # Of two sounds of one level, each has its label's share of the magnitude.
    torch.testing.assert_close(bands / bands.sum(1, keepdim=True), batch.labels, atol=0.01, rtol=0)
    assert ((batch.labels > 0.1) & (batch.labels < 0.9)).any()


@pytest.mark.parametrize("axis", [1, 2])
def test_one_stretch_is_struck_out(axis: int) -> None:
    mel = mask_span(torch.ones(64, 80, 425), axis, 14, torch.Generator().manual_seed(0))
    # Struck bands are silent in all frames, and struck frames in all bands.
    silent = mel.amax(3 - axis) == 0
    assert torch.equal(mel.eq(0).sum((1, 2)), silent.sum(1) * mel.shape[3 - axis])
    assert silent.sum(1).max() <= 14 and 4 < silent.sum(1).float().mean() < 10
    assert (silent.int().diff(dim=1).abs().sum(1) <= 2).all()


def test_the_loss_is_least_where_the_answer_is_right() -> None:
    batch = Batch(torch.zeros(4, 80, 32), torch.eye(4))
    loss = objective_of(Recipe())
    right, wrong, none = (
        float(loss(lambda mel, logits=logits: logits, batch)[0])  # type: ignore[arg-type]  # noqa: ARG005
        for logits in (8 * torch.eye(4), 8 * torch.eye(4).roll(1, 0), torch.zeros(4, 4))
    )
    assert right < none < wrong
    assert none == pytest.approx(np.log(4), rel=1e-5)


def test_a_short_run_learns_to_tell_rhythms_apart_that_it_has_not_seen(tmp_path: Path) -> None:
    clips = tones()
    clips = clips.take(clips.labels < 3)
    mel = 0.2 * torch.rand(clips.mel.shape, generator=torch.Generator().manual_seed(0))
    for clip, label in zip(mel, clips.labels.tolist(), strict=True):
        clip[:, torch.arange(425) // (6 * 4**label) % 2 == 0] += 0.5
    clips = replace(clips, mel=mel.half())
    run = Settings(tmp_path / "run", steps=50, batch=16, warm_up=5, average=0.8)
    config = Config(classes=3, stem=8, channels=(8, 16), features=16)
    recipe = Recipe(frames=(192,), learning_rate=1e-2, mixed=0)
    classifier, outcome = train_classifier.train_classifier(clips, config, recipe, run)
    assert outcome.step == 50
    found = figures(places(classifier, clips.validation))
    assert found.top_1 > 0.9 and found.top_5 == 1 and found.map_10 >= found.top_1
    mean = clips.training.mel.float().mean((0, 2))
    torch.testing.assert_close(classifier.mean[:, 0], mean, atol=1e-4, rtol=0)


def test_the_report_tells_groups_and_classes(tiny: Classifier) -> None:
    text = report(tiny, tones().validation)
    assert "| Animals (10) |" in text and "| all (10) |" in text and "Exterior" not in text
    assert "dog" in text and f"{sum(p.numel() for p in tiny.parameters()):,} parameters" in text


def test_the_module_runs_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = write_esc50(tmp_path / "esc50", classes=2)
    command = ["--data", str(data), "--folder", str(tmp_path / "run"), "--smoke", "--precision", "no"]
    main(command)
    card = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert card["step"] == 4 and card["config"]["channels"] == [4, 8] and card["recipe"]["mixed"] == 0.75
    assert "validation/top_1" in card["history"][-1]
    assert "4 steps in" in capsys.readouterr().out
    # What is shipped is a classifier of silence here: it is right where the label is 0.
    silent = build(TINY.to_dict()).eval()
    with torch.no_grad():
        silent.head.weight.zero_()
        silent.head.bias.copy_(-torch.arange(50.0))
    monkeypatch.setattr(train_classifier, "load", lambda: silent)
    main([*command, "--evaluate"])
    assert "| all (2) | 0.5000 | 1.0000 | 0.7500 |" in capsys.readouterr().out


def test_a_tone_of_the_front_end_is_read(tiny: Classifier) -> None:
    samples = 0.3 * torch.sin(2 * np.pi * 440 * torch.arange(22_050) / 22_050)
    assert classify(log_mel(samples[None]), tiny).shape == (1, 50)
