"""What `save` writes, `aural.hub` loads."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from aural import hub
from aural.errors import CheckpointError
from aural.training.checkpoints import save


def test_a_saved_module_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path))
    module = nn.Linear(3, 4)
    save("saved_half", module, {"inputs": 3}, "CC0-1.0", folder=tmp_path)
    save("saved_full", module, {"inputs": 3}, "CC0-1.0", half=False, folder=tmp_path)
    half = hub.load("saved_half", lambda config: nn.Linear(config["inputs"], 4), device="cpu")
    full = hub.load("saved_full", lambda config: nn.Linear(config["inputs"], 4), device="cpu")
    assert half.weight.dtype == torch.float32
    assert torch.equal(half.weight, module.weight.half().float())
    assert torch.equal(full.weight, module.weight)
    entry = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["saved_half"]
    assert entry["licence"] == "CC0-1.0" and entry["revision"] is None


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path))
    place = save("tampered", nn.Linear(3, 4), {}, "CC0-1.0", folder=tmp_path)
    weights = place / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError):
        hub.load("tampered", lambda _: nn.Linear(3, 4), device="cpu")
