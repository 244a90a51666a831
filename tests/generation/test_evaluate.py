"""What evaluation says of sounds whose figures are known, and that it does no work twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aural.audio.spectral import log_mel
from aural.errors import OptionError
from aural.evaluation.metrics import Floats
from aural.generation import ablation, evaluate
from aural.generation.classes import CLASSES
from aural.generation.data import LENGTH, Esc50
from aural.generation.evaluate import Scored, Sounds, Waves
from aural.generation.pipeline import Options
from aural.generation.train import TINY
from aural.training.loop import Settings
from tests.generation import tiny

LABELS = (0, 10, 40)
QUICK = Options(label="dog", steps=1, seed=0)


@pytest.fixture(scope="module", autouse=True)
def _tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with tiny.checkpoints(tmp_path_factory.mktemp("checkpoints")):
        yield


@pytest.fixture(scope="module")
def esc50() -> Esc50:
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
    """Knows the pitch of each class of `esc50`."""
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


def test_real_clips_of_one_kind_are_near_and_their_classes_found(esc50: Esc50) -> None:
    real = evaluate.Real.of(esc50, LABELS)
    rows = evaluate.compare(real, {"the same again": real.unseen}, pitch_scorer)
    (of_floor, _), (of_real, _), (again, _) = rows.values()
    assert (of_real.clips, of_real.top_1, of_real.map_10) == (6, 1.0, 1.0)
    assert of_floor.top_1 is None and of_floor.clips == 24
    # Heard a second time, fold 5 has the same figures, and no distance to itself.
    assert again.fad == of_real.fad
    assert again.fad_unseen == pytest.approx(0, abs=1e-9)
    assert of_real.fad_unseen is None


def test_classes_that_are_not_wanted_are_left_out(esc50: Esc50) -> None:
    real = evaluate.Real.of(esc50, [10])
    assert set(real.training.labels) == set(real.unseen.labels) == {10}
    assert len(real.training.labels) == 8 and len(real.unseen.labels) == 2
    assert set(real.training.sources).isdisjoint(real.unseen.sources)


def test_a_shift_of_the_features_is_the_distance_pooled_and_within_classes() -> None:
    training = random_scored(40, seed=0)
    moved = replace(training, features=training.features + 2)
    row = evaluate.quality(moved, training, random_scored(8, seed=1))
    assert row.fad == pytest.approx(6 * 4)
    assert row.fad_class == pytest.approx(6 * 4)


def test_few_clips_are_farther_than_many_from_the_same_distribution() -> None:
    # Why there is a column for 8 clips a class: at different sizes distances are not comparable.
    row = evaluate.quality(random_scored(200, seed=1), random_scored(300, seed=0), random_scored(8, seed=2))
    assert row.fad is not None and row.fad_small is not None
    assert 0 < 4 * row.fad < row.fad_small


def test_a_spectrogram_is_like_itself_at_any_shift_but_its_own_recording_does_not_count() -> None:
    others = torch.rand(5, 20, 108, generator=torch.Generator().manual_seed(0))
    apart, recordings = np.full(5, -1), np.arange(5)
    roll_loops = torch.roll(others, 17, dims=2)
    assert evaluate.nearest_shape(roll_loops, others, apart, recordings) == pytest.approx(
        np.ones(5), abs=1e-5
    )
    assert (evaluate.nearest_shape(roll_loops, others, recordings, recordings) < 0.5).all()


def test_novelty_tells_copies_from_new_clips(esc50: Esc50) -> None:
    real = evaluate.Real.of(esc50, LABELS)
    training = evaluate.score(real.training, pitch_scorer)
    copies = replace(real.training, sources=np.full(24, -1))
    originals = evaluate.Originals.of(real.training, training)
    of_copies = evaluate.novelty(copies, training, originals)
    of_real = evaluate.novelty(real.training, training, originals)
    assert of_copies.nearest == pytest.approx(1) and of_copies.shape == pytest.approx(1, abs=1e-4)
    assert of_real.nearest < 1 and of_real.shape < of_copies.shape
    assert of_copies.diversity == of_real.diversity
    # A sine of 0.2, -14 dB, has a power 3 dB beneath that; K-weighting adds a little to high notes.
    assert -18 < of_real.loudness_lufs < -12
    assert of_real.active == 1


def test_silent_clips_can_be_measured(esc50: Esc50) -> None:
    real = evaluate.Real.of(esc50, LABELS)
    training = evaluate.score(real.training, evaluate.our_scorer())
    silent = replace(real.unseen, waves=np.zeros_like(real.unseen.waves))
    silent.waves[0] = real.unseen.waves[0]
    scored = evaluate.score(silent, evaluate.our_scorer())
    originals = evaluate.Originals.of(real.training, training)
    assert evaluate.novelty(silent, scored, originals).active == pytest.approx(1 / 6)
    assert evaluate.quality(scored, training, scored).clips == 6


def test_our_scorer_ranks_as_the_classifier_does(esc50: Esc50) -> None:
    from aural.generation.classifier import classify

    _, scores = evaluate.our_scorer()(esc50.waves[::10])
    probabilities = classify(log_mel(torch.from_numpy(esc50.waves[::10].astype(np.float32) / 32767)))
    assert torch.softmax(torch.from_numpy(scores), -1).numpy() == pytest.approx(
        probabilities.numpy(), abs=1e-5
    )


def test_generated_clips_are_kept_and_more_of_them_leave_the_first_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, seconds = evaluate.generated_sounds(tmp_path, (0, 10), 2, QUICK)
    assert first.waves.shape == (4, LENGTH) and first.labels.tolist() == [0, 0, 10, 10]
    assert seconds > 0
    more, _ = evaluate.generated_sounds(tmp_path, (0, 10), 3, QUICK)
    assert (more.waves[[0, 1, 3, 4]] == first.waves).all()
    other, _ = evaluate.generated_sounds(tmp_path, (0,), 2, replace(QUICK, seed=5))
    assert (other.waves != first.waves[:2]).any()

    def fail(*_: Any) -> None:
        raise AssertionError("generated again")

    monkeypatch.setattr(evaluate, "generate", fail)
    again, _ = evaluate.generated_sounds(tmp_path, (0, 10), 3, QUICK)
    assert (again.waves == more.waves).all()


def test_real_clips_pass_the_vocoder_once(
    tmp_path: Path, esc50: Esc50, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = evaluate.Real.of(esc50, LABELS).unseen
    vocoded = evaluate.vocoded_sounds(tmp_path, unseen, "vocoder")
    assert vocoded.waves.shape == unseen.waves.shape and (vocoded.labels == unseen.labels).all()
    monkeypatch.delattr(evaluate, "audible")
    assert (evaluate.vocoded_sounds(tmp_path, unseen, "vocoder").waves == vocoded.waves).all()
    with pytest.raises(NameError):
        evaluate.vocoded_sounds(tmp_path, unseen, "griffin_lim")


def test_griffin_lim_gives_a_tone_back(esc50: Esc50) -> None:
    wave = esc50.waves[:1, :22_050]
    mel = log_mel(torch.from_numpy(wave.astype(np.float32) / 32767))
    audio = evaluate.audible(mel, "griffin_lim", 22_050).numpy()
    assert pitch_scorer(evaluate.sixteen_bits(audio))[1].argmax() == LABELS[0]


def test_the_command_prints_every_row_and_writes_figures_and_pictures(
    tmp_path: Path, esc50: Esc50, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "load", lambda _: esc50)
    names = [CLASSES[label] for label in LABELS]
    command = ["--data", str(tmp_path), "--folder", str(tmp_path / "run"), "--steps", "1", "--per-class", "2"]
    command += ["--classes", *names, "--no-clap"]
    figures, pictures = tmp_path / "new" / "figures.json", tmp_path / "new" / "pictures.png"
    evaluate.main([*command, "--json", str(figures), "--pictures", str(pictures)])
    printed = capsys.readouterr().out
    found = json.loads(figures.read_text())
    for row in ("real, fold 5", "real, fold 5 → mel → vocoder", "generated"):
        assert f"| {row} |" in printed and row in found["classifier"]
    assert set(found["classes"]) == set(names)
    assert found["settings"]["steps"] == 1 and found["settings"]["sampler"] == QUICK.sampler
    assert pictures.read_bytes().startswith(b"\x89PNG")

    plot = tmp_path / "sweep.png"
    evaluate.main([*command, "--sweep", "2", "1", "--plot", str(plot)])
    rows = [line for line in capsys.readouterr().out.splitlines() if " steps, " in line]
    assert [row.split()[1] for row in rows] == ["1", "2"]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", [["--per-class", "1"], ["--classes", "unicorn"]])
def test_bad_settings_are_refused(tmp_path: Path, option: list[str]) -> None:
    with pytest.raises(OptionError):
        evaluate.main(["--data", str(tmp_path), *option])


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

    scorer = evaluate.scorer_of_clap(ClapModel(config).eval(), processor)
    features, scores = scorer(esc50.waves[:3])
    assert features.shape == (3, 16) and scores.shape == (3, 50)
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert (np.abs(scores) <= 1 + 1e-5).all() and (scores.std(1) > 0).all()


def small_run(folder: Path) -> Settings:
    return Settings(folder=folder, steps=1, batch=2, warm_up=1)


def test_ablation_runs_each_arm_once_and_compares_it_with_the_studys(
    tmp_path: Path, esc50: Esc50, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "SAMPLING_STEPS", 1)
    evaluator = ablation.Evaluator.of(esc50, pitch_scorer, [0, 10])
    arms = ablation.arms(TINY)
    found = {
        name: (arms[name], ablation.run_arm(arms[name], esc50, small_run(tmp_path / name), evaluator, 2))
        for name in ("no-normalisation", "noise")
    }
    for _, row in found.values():
        assert row.plain.clips == row.guided.clips == 4
    text = ablation.report(found, evaluator.real(2))
    (noise,) = [line for line in text.splitlines() if line.startswith(f"| {arms['noise'].name} | 0.")]
    cells = [cell.strip() for cell in noise.strip("|").split("|")]
    assert cells[8] == "1.00", "its distance, in terms of itself"
    assert cells[9:] == ["14.4", "0.220", "0.504", "0.674", "0.341"]

    monkeypatch.delattr(ablation, "train_denoiser")
    name = "noise"
    assert ablation.run_arm(arms[name], esc50, small_run(tmp_path / name), evaluator, 2) == found[name][1]
    with pytest.raises(OptionError, match="--folder"):
        ablation.run_arm(arms["l1"], esc50, small_run(tmp_path / name), evaluator, 2)


def test_arms_differ_from_the_recipe_in_one_thing() -> None:
    arms = ablation.arms()
    recipe = arms.pop("recipe")
    for arm in arms.values():
        whole, other = (
            {**vars(recipe.config), **vars(recipe.objective)},
            {
                **vars(arm.config),
                **vars(arm.objective),
            },
        )
        if not arm.config.normalise:  # the same variance in other units
            assert other["texture"] == ablation.RAW_TEXTURE
            other["texture"] = whole["texture"]
        assert sum(whole[key] != other[key] for key in whole) == 1, arm.name


def test_sounds_can_be_chosen_by_mask() -> None:
    sounds = Sounds(np.zeros((3, 5), np.int16), np.arange(3), np.arange(3))
    assert sounds.take(np.array([True, False, True])).labels.tolist() == [0, 2]
