"""Models run where there is a card, in the precision that it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from aural import device

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")


def run(program: str, **environment: str) -> str:
    """What a fresh process prints."""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


def test_the_device_follows_the_machine() -> None:
    assert device.pick_device() == ("cuda" if torch.cuda.is_available() else "cpu")


def test_hiding_the_card_leaves_the_cpu() -> None:
    program = "from aural import device; print(device.pick_device(), device.describe('cpu'))"
    picked, *words = run(program, CUDA_VISIBLE_DEVICES="").split()
    assert picked == "cpu"
    assert words[0] == "CPU," and int(words[1]) >= 1 and words[2] in ("core", "cores")


def test_inference_on_the_cpu_keeps_float32_and_no_gradients() -> None:
    layer = nn.Linear(4, 4)
    with device.inference("cpu"):
        result = layer(torch.ones(1, 4))
    assert result.dtype is torch.float32 and result.is_inference()
    assert not torch.is_inference_mode_enabled()
    assert device.precision("cpu") is None


@pytest.mark.parametrize(("has_bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_older_cards_compute_in_float16(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bfloat16)
    assert device.precision("cuda") is dtype


@needs_card
def test_inference_on_a_card_runs_under_autocast() -> None:
    layer = nn.Linear(4, 4, device="cuda")
    with device.inference("cuda"):
        result = layer(torch.ones(1, 4, device="cuda"))
    assert result.dtype is device.precision("cuda") and result.is_inference()
    assert torch.cuda.get_device_name() in device.describe("cuda")


def test_off_zero_gpu_the_decorator_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert device.gpu(duration_seconds=5)(run) is run
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", None)  # the package is not installed
    assert not device.on_zero_gpu() and device.gpu(lambda _: 5)(run) is run


def test_on_zero_gpu_the_function_runs_inside_the_space_s_own_decorator(tmp_path: Path) -> None:
    # `spaces` is installed on ZeroGPU only: a stand-in with the same signature.
    (tmp_path / "spaces.py").write_text(
        "def GPU(task=None, *, duration=None):\n"
        "    seconds = duration if isinstance(duration, int) else duration('ask')\n"
        "    return lambda function: lambda *values: (seconds, function(*values))\n"
    )
    program = (
        "from aural.device import gpu, pick_device\n"
        "print(pick_device(), gpu(90)(len)('four'), gpu(lambda text: len(text))(len)('four'))"
    )
    assert run(program, SPACES_ZERO_GPU="true", PYTHONPATH=str(tmp_path)) == "cuda (90, 4) (3, 4)"


def test_importing_the_module_does_not_start_torch() -> None:
    assert run("import sys, aural.device; print('torch' in sys.modules)") == "False"
