"""Short training runs of the three networks on a folder of recordings, and their losses."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aural import hub
from aural.audio.comparison import si_sdr_db
from aural.audio.spectral import stft
from aural.enhancement import train
from aural.enhancement.completer import CompleterConfig, build_completer
from aural.enhancement.data import RATE, Examples
from aural.enhancement.denoiser import (
    BANDS,
    PITCH_BINS,
    DenoiserConfig,
    bin_of_pitch,
    build_denoiser,
    log_bands,
)
from aural.enhancement.discriminators import BAND_SHARES, Discriminators
from aural.enhancement.features import FRONT_END, pitch
from aural.enhancement.train import (
    UNCONDITIONED_SHARE,
    Bands,
    CompleterLoss,
    CompleterObjective,
    DenoiserObjective,
    denoising,
    main,
    masked_bands,
    train_completer,
    train_denoiser,
)
from aural.errors import InputError, OptionError
from aural.training import command as command_line
from aural.training.adversarial import feature_matching_loss, hinge
from aural.training.loop import Outcome, Settings
from tests.enhancement.small_corpus import small_corpus, write_folder

DENOISER = DenoiserConfig((8, 8, 8), 4, 1)
COMPLETER = CompleterConfig((8, 8, 8), 4)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One cache for all tests here, which use the same examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of half a second, two recordings to validate by, and discriminators that start early."""
    monkeypatch.setattr(train, "FRAMES", 32)
    monkeypatch.setattr(train, "VALIDATION_ITEMS", 2)
    monkeypatch.setattr(train, "Discriminators", lambda: Discriminators(4))
    torch.manual_seed(0)


def examples(batch: int = 2) -> Examples:
    """A buzz at 200 Hz in hiss, a second of it."""
    time = torch.arange(RATE) / RATE
    partials = torch.arange(1, 40)[:, None]
    speech = 0.1 * (torch.sin(2 * torch.pi * 200 * partials * time) / partials).sum(0).repeat(batch, 1)
    noise = 0.03 * torch.randn(speech.shape, generator=torch.Generator().manual_seed(1))
    return Examples(speech + noise, speech, noise)


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("stage", ["denoiser", "completer"])
def test_a_smoke_run_of_each_stage_and_its_resumption(
    stage: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A smoke run neither needs a checkpoint nor leaves one.
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path / "none"))
    monkeypatch.setattr(command_line, "save", None)
    monkeypatch.setattr(command_line, "SMOKE_SECONDS", 3_600)  # a busy machine takes longer than an idle one
    command = ["--data", str(folder), "--folder", str(tmp_path / "run"), "--stage", stage, "--smoke"]
    main([*command, "--pretrain", "100"])
    card = json.loads((tmp_path / "run" / stage / "run.json").read_text(encoding="utf-8"))
    assert card["step"] == 4
    assert set(card["modules"]) == {stage} | ({"discriminators"} if stage == "completer" else set())
    last = card["history"][-1]
    wanted = "error" if stage == "completer" else "perceptual"
    assert f"validation/{wanted}" in last
    assert all(np.isfinite(value) for entry in card["history"] for value in entry.values())
    build = {"denoiser": build_denoiser, "completer": build_completer}
    assert isinstance(build[stage](card["config"]), nn.Module)
    assert (tmp_path / "run" / stage / "pretrain" / "run.json").is_file() == (stage == "denoiser")
    with pytest.raises(
        OptionError, match=r"already holds a run\. Add --resume, or choose another --folder\."
    ):
        main(command)
    main([*command, "--resume"])
    assert capsys.readouterr().out.count("4 steps in") == 2


def test_a_folder_without_recordings_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no recordings\. Choose a folder with esc50/"):
        main(["--data", str(tmp_path), "--smoke"])


# Runs


def run(stage: str, settings: Settings, **options: Any) -> tuple[nn.Module, Outcome]:
    corpus = small_corpus()
    if stage == "denoiser":
        return train_denoiser(corpus, DENOISER, DenoiserObjective(), settings, example_count=4, **options)
    torch.manual_seed(5)
    denoiser = build_denoiser(DENOISER.to_dict())
    objective = CompleterObjective(start=1)
    return train_completer(corpus, COMPLETER, objective, settings, denoiser, example_count=4)


@pytest.mark.parametrize("stage", ["denoiser", "completer"])
def test_a_resumed_run_ends_where_a_whole_one_does(stage: str, tmp_path: Path) -> None:
    settings = Settings(tmp_path / "whole", 4, 2, warm_up=1, log_steps=1, validate_steps=100)
    whole, outcome = run(stage, settings)
    cut = replace(settings, folder=tmp_path / "cut", minutes=1e-6)  # stops after its first step
    assert run(stage, cut)[1].step == 1
    resumed, again = run(stage, replace(cut, minutes=None, resume=True))
    assert again.step == 4
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=0, atol=1e-5)
    if stage == "completer":
        # The discriminators' steps are part of the run: from the third on the adversarial losses count.
        for history in (outcome.history, again.history):
            has_adversarial = [bool(entry.get("adversarial")) for entry in history if "hinge" in entry]
            assert has_adversarial == [False, False, True, True]


@pytest.mark.parametrize("stage", ["denoiser", "completer"])
def test_training_lowers_the_loss_of_what_it_hears_again_and_again(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "sample_batch", lambda *_: examples())
    _, outcome = run(stage, Settings(tmp_path, 15, 2, warm_up=1, log_steps=1, validate_steps=100))
    entries = [entry for entry in outcome.history if "loss" in entry]
    # The completer's task depends on the sampled share of the mask.
    losses = [
        entry["loss"] if stage != "completer" else entry["error"] / entry["input_error"] for entry in entries
    ]
    assert len(losses) == 15
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    figures = {name for entry in outcome.history for name in entry if name.startswith("validation/")}
    measure = {"completer": "error"}.get(stage, "perceptual")
    assert {f"validation/{measure}", f"validation/{measure}_before"} <= figures


def test_pre_training_comes_first_and_is_what_the_denoiser_starts_from(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "run", 1, 2, warm_up=1, log_steps=1, validate_steps=100)
    pretrained, outcome = run("denoiser", settings, pretrain_steps=3)
    fresh, _ = run("denoiser", replace(settings, folder=tmp_path / "fresh"))
    card = json.loads((tmp_path / "run" / "pretrain" / "run.json").read_text(encoding="utf-8"))
    assert card["step"] == 3 and outcome.step == 1
    assert all(np.isfinite(entry["masked_error"]) for entry in card["history"])
    counted = "entry.normalise.num_batches_tracked"
    assert int(pretrained.state_dict()[counted]) == int(fresh.state_dict()[counted]) + 3


# What the denoiser is to make small


class Estimate:
    """Masks that leave a share of the noise, with errors of the same share in background and pitch."""

    def __init__(self, given: Examples, share: float) -> None:
        self.given, self.share = given, share
        f0_hz, voicing = pitch(given.speech)
        bins = torch.where(voicing > train.VOICED, bin_of_pitch(f0_hz), PITCH_BINS)
        self.pitch = 20 * (1 - share) * functional.one_hot(bins, PITCH_BINS + 1).float().transpose(1, 2)

    def apply(self, _: Tensor) -> Tensor:
        return stft(self.given.speech + self.share * self.given.noise, FRONT_END)

    def background(self, _: Tensor) -> Tensor:
        return (1 - self.share) * stft(self.given.noise, FRONT_END)


SHARES = (1.0, 0.3, 0.1, 0.0)  # of the noise that are left


def falls(figures: list[float]) -> bool:
    return all(late < early for early, late in pairwise(figures))


def test_every_part_of_the_denoisers_loss_falls_as_the_estimate_nears_the_clean() -> None:
    given = examples()
    loss = denoising(DenoiserObjective())
    logs = []
    for share in SHARES:
        estimate = Estimate(given, share)
        logs.append(loss(cast(nn.Module, lambda *_, estimate=estimate: estimate), given)[1])
    for name in ("loss", "magnitude", "complex", "perceptual", "distance", "noise", "pitch"):
        figures = [float(entry[name]) for entry in logs]
        assert falls(figures), name
        if name != "loss":
            assert figures[-1] < 0.02, name
    # The noise is 10 dB softer at each third; SI-SDR above 30 dB does not count.
    si_sdr = [float(entry["si_sdr_db"]) for entry in logs]
    assert si_sdr[1] - si_sdr[0] == pytest.approx(-20 * np.log10(0.3), abs=0.1)
    assert si_sdr[-1] == 30


def test_the_distortion_ratio_is_the_one_that_is_reported_and_silence_teaches_nothing() -> None:
    given = examples(1)
    reported = si_sdr_db(given.recording.numpy(), given.speech.numpy())
    for gain in (1.0, 0.1, -2.0):
        assert float(train._si_sdr_db(gain * given.recording, given.speech)) == pytest.approx(
            reported, abs=0.05
        )
    assert train._si_sdr_db(given.recording, 0 * given.speech).tolist() == [0.0]


def test_silent_pieces_have_finite_gradients() -> None:
    given = examples()
    silent = Examples(0 * given.recording, 0 * given.speech, 0 * given.noise)
    network = build_denoiser(DENOISER.to_dict())
    value, _ = denoising(DenoiserObjective())(network, silent)
    value.backward()
    assert value.isfinite()
    for weight in network.parameters():
        assert weight.grad is None or weight.grad.isfinite().all()


def test_every_width_of_hearing_counts_alike() -> None:
    weights = train._bin_weights()
    assert float(weights.mean()) == pytest.approx(1)
    # One ERB is 24.7 (0.00437 f + 1) Hz wide (Glasberg and Moore 1990).
    erb = 0.00437 * torch.arange(FRONT_END.bins) * RATE / FRONT_END.fft + 1
    torch.testing.assert_close(weights * erb, (weights[0] * erb[0]).expand_as(erb))


def test_conditions_are_left_out_of_some_pieces() -> None:
    recording = torch.zeros(1, 2 * FRONT_END.hop)
    left_out = np.mean([train._conditions(recording) is None for _ in range(200)])
    assert left_out == pytest.approx(UNCONDITIONED_SHARE, abs=0.1)


# Pre-training


def test_half_of_the_pieces_hide_rectangles_and_half_all_from_some_frame_on() -> None:
    frames = 129
    hidden = train._mask_rectangles(torch.zeros(200, BANDS, frames))
    tails = 0
    for item in hidden:
        columns = item.all(0)
        if columns.any():
            tails += 1
            start = int(columns.int().argmax())
            assert columns[start:].all() and not item[:, :start].any()
            assert frames // 2 <= start < frames - 1
        else:
            assert 0.01 < item.float().mean() < 0.35
            assert item.any(0).sum() >= 4 and item.any(1).sum() >= 8
    assert tails / len(hidden) == pytest.approx(0.5, abs=0.12)


class Guess:
    """Predicts clean bands, with one error where they are hidden and another where they are visible."""

    def __init__(self, bands: Tensor, hidden_error: float, seen_error: float) -> None:
        self.clean, self.errors = bands, (hidden_error, seen_error)

    def __call__(self, spectrum: Tensor, conditions: Tensor | None, hidden: Tensor) -> Guess:
        assert conditions is None and hidden.shape == self.clean.shape
        torch.testing.assert_close(log_bands(spectrum.abs().square()), self.clean, rtol=0, atol=1e-3)
        self.bands = self.clean + torch.where(hidden, *(torch.tensor(error) for error in self.errors))
        return self


def test_only_guesses_at_hidden_bands_of_clean_audio_count() -> None:
    given = examples()
    bands = log_bands(stft(given.speech, FRONT_END).abs().square())
    for hidden_error in (0.0, -0.5, 0.25):
        guess = Guess(bands, hidden_error, seen_error=9.0)
        error, logs = masked_bands(cast(nn.Module, guess), given)
        assert float(error) == pytest.approx(abs(hidden_error), abs=1e-3)
        assert logs["masked_error"] is error


# The completer's game


def scored(*values: float) -> list[list[Tensor]]:
    """Scores of patches, all of them equal, with features that are not to count."""
    return [[torch.full((1, 2, 2), 99.0), torch.full((1, 1, 2), value)] for value in values]


def test_the_hinge_loss_is_0_only_beyond_both_margins() -> None:
    assert float(hinge(scored(1, 7), scored(-1, -5))) == 0
    assert float(hinge(scored(0), scored(0))) == 2
    assert float(hinge(scored(-1), scored(1))) == 4
    # Every discriminator counts the same, and scores beyond the margin make up for nothing.
    assert float(hinge(scored(9, 0), scored(-9, 0))) == 1


def test_features_match_those_of_the_same_and_the_scores_are_no_features() -> None:
    assert float(feature_matching_loss(scored(1), scored(-1))) == 0
    other = [[features[0] + 0.5, features[1]] for features in scored(1)]
    assert float(feature_matching_loss(other, scored(1))) == 0.5


def test_each_discriminator_sees_its_own_band_of_both_output_and_input() -> None:
    discriminators = Discriminators(4).eval()
    mel, given = torch.rand(2, 96, 40), torch.rand(2, 96, 40)
    scores = [outputs[-1] for outputs in discriminators(mel, given)]
    for number, changed in enumerate((mel, given)):
        for band in (0, 40, 80):
            pair = [mel, given]
            pair[number] = changed.clone()
            pair[number][:, band] += 1
            sees = [
                not torch.equal(outputs[-1], before)
                for outputs, before in zip(discriminators(*pair), scores, strict=True)
            ]
            assert sees == [round(96 * low) <= band < round(96 * high) for low, high in BAND_SHARES]


def bands() -> Bands:
    wanted = torch.rand(2, 96, 33)
    spectrum = torch.randn(2, FRONT_END.bins, 33, dtype=torch.complex64)
    return Bands(0.8 * wanted, wanted, wanted, None, spectrum=spectrum, clean=spectrum.abs().square())


def made_of(bands: Bands, share: float) -> nn.Module:
    """Goes a share of the way from the denoised to the target bands."""
    return cast(nn.Module, lambda *_: bands.denoised + share * (bands.target - bands.denoised))


def test_the_error_of_the_completer_falls_as_it_nears_the_studio() -> None:
    given = bands()
    for steps in (0, 100):
        losses = CompleterLoss(
            Discriminators(4), CompleterObjective(perceptual=0.0, adversarial=0.0, start=10)
        )
        losses.adversarial.discriminators.steps += steps
        with torch.no_grad():
            found = [losses.completer_loss(made_of(given, share), given) for share in (0, 0.5, 1)]
        assert falls([float(loss) for loss, _ in found])
        assert float(found[-1][0]) == pytest.approx(0, abs=1e-6)
        assert float(found[0][1]["error"]) == float(found[0][1]["input_error"])


def test_the_perceptual_loss_counts_in_the_completed_sound() -> None:
    given = bands()
    loss, logs = CompleterLoss(Discriminators(4), CompleterObjective(perceptual=0.5)).completer_loss(
        made_of(given, 0.5), given
    )
    assert float(logs["perceptual"]) > 0
    assert float(loss - logs["error"]) == pytest.approx(0.5 * float(logs["perceptual"]), rel=1e-4)


def test_the_adversarial_losses_count_from_their_start_on_and_in_full_at_twice_of_it() -> None:
    given = bands()
    losses = CompleterLoss(Discriminators(4), CompleterObjective(perceptual=0.0, start=10))
    shares = []
    for steps in (0, 10, 15, 20, 90):
        losses.adversarial.discriminators.steps.fill_(steps)
        with torch.no_grad():
            loss, logs = losses.completer_loss(made_of(given, 0.5), given)
        shares.append(float(loss - logs["error"]))
    assert shares[:2] == [0, 0]
    assert shares[2] == pytest.approx(shares[3] / 2, rel=1e-3) and shares[3] != 0
    assert shares[4] == pytest.approx(shares[3])


def test_the_discriminators_learn_from_the_last_output_and_do_not_train_the_completer() -> None:
    given = bands()
    losses = CompleterLoss(Discriminators(4), CompleterObjective(start=1))
    completer = build_completer(COMPLETER.to_dict())
    losses.completer_loss(completer, given)
    error, _ = losses.discriminator_loss(losses.adversarial.discriminators, given)
    error.backward()
    assert float(losses.adversarial.discriminators.steps) == 1
    assert any(
        weight.grad is not None and weight.grad.any()
        for weight in losses.adversarial.discriminators.parameters()
    )
    assert all(weight.grad is None for weight in completer.parameters())


def test_the_input_of_the_completer_lies_between_the_mixture_and_the_denoised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = examples(64)
    given = Examples(
        *(getattr(given, name)[:, : 4 * FRONT_END.hop] for name in ("recording", "speech", "noise"))
    )
    estimate = Estimate(given, 0.0)
    monkeypatch.setattr(train, "_conditions", lambda _: None)
    seen = train._bands_of(given, cast(Any, lambda *_: estimate))
    assert seen.denoised.shape == seen.target.shape == (64, FRONT_END.mel_bands, 5)
    whole = (seen.noisy - seen.target).flatten(1)
    way = ((seen.noisy - seen.denoised).flatten(1) * whole).sum(1) / whole.square().sum(1)
    assert -1e-4 < float(way.min()) < 0.2
    # Fully denoised as often as a strength of 1 or more is sampled.
    assert float((way > 0.999).float().mean()) == pytest.approx(1 - 1 / 1.3, abs=0.15)


def test_the_completer_of_a_full_run_loads_the_trained_denoiser(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(name: str, *_: Any) -> nn.Module:
        asked.append(name)
        return build_denoiser(DENOISER.to_dict())

    monkeypatch.setattr(hub, "load", load)
    monkeypatch.setattr(train, "CompleterConfig", lambda: COMPLETER)
    monkeypatch.setattr(command_line, "save", None)
    main(["--data", str(folder), "--folder", str(tmp_path), "--stage", "completer", "--steps", "1",
          "--batch", "2", "--pool", "8", "--no-save"])  # fmt: skip
    assert asked == ["denoiser"]
