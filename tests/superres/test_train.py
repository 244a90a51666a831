"""The extender's losses, and a short training run on a folder of recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from aural.audio.comparison import log_spectral_distance
from aural.superres import train
from aural.superres.data import POINTS, RATE, Pairs
from aural.superres.discriminators import Discriminators
from aural.superres.model import ExtenderConfig
from aural.superres.train import (
    AdversarialObjective,
    ExtenderLoss,
    Objective,
    _error_db,
    even_noise,
    extender_loss,
    log_distance,
    log_power_deviation,
    main,
    train_extender,
)
from aural.training.corpus import Corpus, Recording
from aural.training.loop import Settings

TINY = ExtenderConfig(16, 2, (1, 2))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train, "VALIDATION_ITEMS", 1)
    monkeypatch.setattr(train, "EDGES_HZ", (4_000.0,))
    monkeypatch.setattr(train, "Discriminators", lambda: Discriminators(4))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)


def noise(length: int, seed: int = 0) -> Any:
    return 0.1 * np.random.default_rng(seed).standard_normal(length).astype(np.float32)


def corpus() -> Corpus:
    waves = [noise(POINTS + 100, seed) for seed in range(2)]
    recordings = tuple(
        Recording("speech", number * len(waves[0]), len(waves[0]), -1, number == 1, f"speech/a/{number}.wav")
        for number in range(2)
    )
    return Corpus(np.concatenate(waves), recordings)


def pairs() -> Pairs:
    """White noise, and its part below 4 kHz."""
    target = torch.from_numpy(np.stack([noise(RATE // 2, seed) for seed in range(2)]))
    spectrum = torch.fft.rfft(target)
    frequency_hz = torch.fft.rfftfreq(target.shape[1], 1 / RATE)
    left = torch.fft.irfft(spectrum * (frequency_hz < 4_000), target.shape[1])
    return Pairs(left, target, torch.tensor([4_000.0, 4_000.0]))


def test_the_distance_is_the_published_one() -> None:
    batch = pairs()
    # A tenth of the noise above the edge, since the smooth floor differs from the clamp in silence.
    made = batch.samples + 0.1 * (batch.target - batch.samples)
    ours = log_distance(made, batch.target, 2048)
    theirs = [log_spectral_distance(a.numpy(), b.numpy()) for a, b in zip(made, batch.target, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert log_distance(batch.target, batch.target, 2048).max() < 2e-3


def test_the_error_is_counted_from_that_of_sinc() -> None:
    batch = pairs()
    missing = batch.target - batch.samples
    assert _error_db(batch.samples, batch).abs().max() < 1e-4
    # Another noise of the same power adds as much again: 3 dB.
    other = batch.samples + missing.flip(0)
    np.testing.assert_allclose(_error_db(other, batch), 3.01, atol=0.1)
    np.testing.assert_allclose(_error_db(batch.samples + 0.5 * missing, batch), -6.02, atol=0.05)


def test_the_excess_is_what_passes_the_margin() -> None:
    batch = pairs()

    class Other(torch.nn.Module):
        def forward(self, *_: torch.Tensor) -> torch.Tensor:
            return (batch.target - batch.samples).flip(0)

    _, logs = extender_loss(Objective(margin_db=1.0))(Other(), batch)
    assert float(logs["excess"]) == pytest.approx(float(logs["error_db"]) - 1, abs=1e-4)


def test_even_noise_fluctuates_less_and_is_as_gaussian() -> None:
    white = torch.randn(2**14)
    even = even_noise(2**14, rounds=60)
    for window in (512, 1024, 2048):
        # Of the logarithm of an exponential distribution: pi / sqrt(6) / ln 10.
        assert float(log_power_deviation(white, window)) == pytest.approx(0.557, abs=0.04)
        assert float(log_power_deviation(even, window)) < 0.42
    assert float(even.square().mean()) == pytest.approx(1, abs=1e-4)
    assert float(even.pow(4).mean()) == pytest.approx(3, abs=0.3)


def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    run = Settings(
        tmp_path / "run", steps=40, batch=2, warm_up=1, log_steps=10, validate_steps=40, average=0.9
    )
    _, outcome = train_extender(
        corpus(), TINY, Objective(learning_rate=5e-3), run, transcoded_count=0, noise_rounds=1
    )
    losses = [entry["lsd"] for entry in outcome.history if "lsd" in entry]
    assert losses[-1] < 0.95 * losses[0]
    assert 0 < outcome.history[-1]["validation/lsd_8k"] < 5


def test_the_adversarial_losses_come_in_after_their_start(tmp_path: Path) -> None:
    extender, _ = train_extender(
        corpus(),
        TINY,
        Objective(),
        Settings(tmp_path / "a", steps=2, batch=2, log_steps=1, validate_steps=9),
        transcoded_count=0,
        noise_rounds=1,
    )
    weights = extender.state_dict()
    _, outcome = train_extender(
        corpus(),
        TINY,
        Objective(),
        Settings(tmp_path / "b", steps=5, batch=2, log_steps=1, validate_steps=9),
        adversarial=AdversarialObjective(start=2),
        weights=weights,
        transcoded_count=0,
        noise_rounds=1,
    )
    ramped = ["adversarial" in entry for entry in outcome.history if "lsd" in entry]
    assert ramped == [False, False, False, True, True]
    assert all(np.isfinite(entry["hinge"]) for entry in outcome.history if "hinge" in entry)


def test_discriminators_learn_to_tell_noise_from_silence() -> None:
    batch = pairs()
    discriminators = Discriminators(4)
    losses = ExtenderLoss(discriminators, Objective(), AdversarialObjective())
    losses.adversarial.generated = batch.samples
    optimizer = torch.optim.Adam(discriminators.parameters(), 3e-3)
    errors = []
    for _ in range(25):
        error, _ = losses.discriminator_loss(discriminators, batch)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0] and int(discriminators.steps) == 25


def test_from_the_command_line_to_a_run_card(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "speech" / "reader"
    folder.mkdir(parents=True)
    for number in range(10):
        soundfile.write(folder / f"{number}.wav", noise(POINTS + 10, number), RATE)
    command = ["--data", str(tmp_path / "data"), "--smoke", "--folder", str(tmp_path / "run")]
    main(command)
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert card["step"] == 4 and card["config"]["width"] == 16 and card["adversarial"] is None
    second = [*command[:-1], str(tmp_path / "second")]
    main([*second, "--adversarial", "--start", str(tmp_path / "run" / "state.pt")])
    card = json.loads((tmp_path / "second" / "run.json").read_text())
    assert card["adversarial"]["start"] == AdversarialObjective().start
