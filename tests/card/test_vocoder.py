"""The vocoder's training on a card, rehearsed on the CPU with tiny models on seconds of noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from aural.audio.spectral import log_mel
from aural.vocoding.model import Config, build
from tools.card import loop, vocoder
from tools.card.bank import Bank

RATE = 22_050
TINY = vocoder.Sizes(width=16, layers=1, batch=2, hops=12, spectrogram_width=4, period_width=1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A part with a recording of each kind, the last one silent."""
    part = tmp_path / "data" / "part1"
    part.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = []
    for number, kind in enumerate(("speech", "esc50", "music", "noise", "esc50")):
        wave = 0.1 * generator.standard_normal(RATE) * (number < 4)
        soundfile.write(part / f"{number}.wav", wave, RATE)
        rows.append({"file": f"{number}.wav", "kind": kind, "source": kind, "seconds": 1.0, "label": -1})
    (part / "index.json").write_text(json.dumps(rows), encoding="utf-8")
    (part / "complete").touch()
    return tmp_path / "data"


def test_a_rehearsal_writes_weights_that_load(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocoder, "TINY", TINY)
    monkeypatch.setattr(vocoder, "BANK_SECONDS", 10.0)
    out = tmp_path / "out"
    vocoder.main(
        ["--data", str(data), "--out", str(out), "--seconds", "60", "--tiny", "--cpu", "--max-steps", "2"]
    )
    card = json.loads((out / "vocoder.json").read_text(encoding="utf-8"))
    assert card["steps"] == 2
    assert card["recordings"] == 4  # noise alone is left out
    model = build(card["config"])
    model.load_state_dict(load_file(out / "vocoder.safetensors"))
    mel = log_mel(0.1 * torch.randn(1, 5000))
    assert model(mel, 5000).isfinite().all()


class NoWaiting(TorchDispatchMode):
    """Raises if a step on a GPU would wait for the host, or the host for it."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "multinomial", "istft")

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").split(".")[0]
        if name in self.FORBIDDEN or (name.startswith("index") and _by_mask(args)):
            raise AssertionError(f"{name} waits for the GPU")
        return func(*args, **(kwargs or {}))


def _by_mask(args: Any) -> bool:
    places = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    return any(isinstance(place, Tensor) and place.dtype == torch.bool for place in places)


def training(data: Path) -> vocoder.Training:
    torch.manual_seed(0)
    bank = Bank(RATE, 10.0, TINY.hops * Config.hop, torch.device("cpu"), vocoder.weight)
    bank.refresh(data)
    return vocoder.Training(bank, TINY, vocoder.Weights(), torch.device("cpu"))


def test_a_step_waits_for_nothing_and_moves_every_weight(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = training(data)
    tiny.schedule.ramp.fill_(1.0)
    # On a CPU, and only there, the optimizer reads the learning rate.
    monkeypatch.setattr(loop.Optimizer, "step", lambda _self, loss: loss.backward())
    with NoWaiting():
        losses = tiny.step()
    assert all(value.isfinite() for value in losses.values())
    for module in (tiny.vocoder, tiny.discriminators):
        for name, weight in module.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name


def test_the_spectral_losses_fall(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = training(data)
    tiny.schedule.rate.fill_(1.0)
    tiny.optimizer.learning_rate = 3e-3
    # White noise is made right before anything is learnt; tones are not.
    time = torch.arange(tiny.bank.length) / RATE
    tones = sum(0.05 * torch.sin(2 * torch.pi * 220 * number * time) for number in range(1, 12))
    drawn = replace(tiny.bank.sample(2), waves=torch.stack([tones, 0.1 * tones]))
    monkeypatch.setattr(tiny.bank, "sample", lambda _batch: drawn)
    losses = [float(tiny.step()["mel"].detach()) for _ in range(24)]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_the_phase_distance_forgives_a_turn_of_everything_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(0)
    real, other = (
        torch.complex(*(torch.randn(1, 65, 20, generator=generator) for _ in range(2))) for _ in range(2)
    )
    turned = real * torch.polar(torch.tensor(1.0), torch.tensor(1.234))
    assert vocoder.phase_distance(turned, real) == pytest.approx(0, abs=1e-4)
    assert vocoder.phase_distance(other, real) == pytest.approx(1, abs=0.1)


def test_undisturbed_bands_stay_and_the_others_stay_near() -> None:
    torch.manual_seed(0)
    mel = torch.rand(64, 80, 12)
    assert torch.equal(vocoder.disturb(mel, 0.0), mel)
    disturbed = vocoder.disturb(mel, 0.3)
    changed = (disturbed != mel).flatten(1).any(1)
    assert 5 < int(changed.sum()) < 40
    assert disturbed.min() >= 0
