"""The denoiser's training: a smoke run of the module itself, and its loss."""

import json
from pathlib import Path

import pytest
import torch

from aural.generation.data import Batch
from aural.generation.model import FRAMES, NULL_CLASS, Config, DiffusionModel
from aural.generation.train import _Predictor, main, objective_of
from tests.generation.esc50 import write_esc50


@pytest.fixture
def esc50(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_esc50(tmp_path / "esc50")


def test_smoke_run_and_its_resumption(
    esc50: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(esc50), "--folder", str(tmp_path / "run"), "--smoke"]
    main(command)
    card = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert card["step"] == 4 and card["config"]["channels"] == [16, 32, 32]
    assert {"validation/unseen", "validation/seen"} <= set(card["history"][-1])
    main([*command, "--resume"])
    assert capsys.readouterr().out.count("4 steps in") == 2


@pytest.mark.parametrize("predicts", ["clean", "noise"])
@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_the_loss_of_the_right_answer_is_zero(predicts: str, kind: str) -> None:
    module = _Predictor(DiffusionModel(Config(channels=(16, 32, 32), predicts=predicts)))  # type: ignore[arg-type]
    seen = {}

    def right(mel, labels, active, timesteps, noise):  # type: ignore[no-untyped-def]  # noqa: ARG001
        clean = module.denoiser.normalise(mel)
        seen.update(labels=labels, timesteps=timesteps)
        wanted = clean if predicts == "clean" else noise
        return wanted + offset, wanted

    module.forward = right  # type: ignore[method-assign,assignment]
    batch = Batch(torch.rand(400, 80, FRAMES)[:, :, :36], torch.arange(400) % 50, torch.ones(400))
    for offset in (0.0, 2.0):
        loss, _ = objective_of(kind)(module, batch)  # type: ignore[arg-type]
        assert (loss == 0) == (offset == 0)
    # One condition in ten is dropped; the noise levels cover the range evenly.
    dropped = (seen["labels"] == NULL_CLASS).float().mean()
    assert 0.04 < dropped < 0.17
    levels = seen["timesteps"].sort().values
    assert (levels // 2.5 - torch.arange(400)).abs().max() <= 1


def test_a_few_steps_bring_the_loss_down(esc50: Path, tmp_path: Path) -> None:
    main(["--data", str(esc50), "--folder", str(tmp_path / "run"), "--steps", "40", "--batch", "4",
          "--channels", "16", "32", "32", "--no-save"])  # fmt: skip
    card = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in card["history"] if "loss" in entry]
    assert losses[-1] < losses[0] / 1.2
