"""Models run where there is a card, in the precision that it has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from aural.audio import Clip, write
from aural.errors import OptionError
from aural.hub import device

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")


def run(program: str, **environment: str) -> str:
    """What a fresh process prints."""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


def test_the_device_follows_the_machine() -> None:
    assert device.pick_device() == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cpu", " CPU "])
def test_the_setting_chooses_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_DEVICE", name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device.check_setting()
    assert device.pick_device() == "cpu"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("cuda", "AURAL_DEVICE is cuda, but PyTorch finds no CUDA card here. Unset it, or set it to cpu."),
        ("mps", "AURAL_DEVICE is mps, but PyTorch finds no GPU of Apple here."),
        ("gpu", "AURAL_DEVICE is 'gpu'. Set it to cpu, cuda, mps, or unset it."),
        ("cuda:1", "AURAL_DEVICE is 'cuda:1'. Set it to cpu, cuda, mps"),
    ],
)
def test_a_device_that_is_missing_is_told_in_a_sentence(
    name: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("AURAL_DEVICE", name)
    for check in (device.check_setting, device.pick_device):
        with pytest.raises(OptionError, match=re.escape(match)):
            check()


def test_apple_s_gpu_is_used_where_it_is_named_and_double_precision_is_not_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "0")
    assert device.pick_device() == "cpu"
    monkeypatch.setenv("AURAL_DEVICE", "mps")
    assert device.pick_device() == "mps" and device.pick_device(with_float64=True) == "cpu"
    assert device.describe() == "Apple GPU" and device.precision("mps") is None
    assert os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] == "0", "the user's own setting stays"
    layer = nn.Linear(4, 4)
    with device.inference("mps"):  # no autocast: all is float32
        assert layer(torch.ones(1, 4)).dtype is torch.float32


def test_a_missing_device_is_told_in_one_line_and_hiding_the_card_leaves_the_cpu(
    tmp_path: Path,
) -> None:
    write(Clip(np.full((1, 8_000), 0.1, np.float32), 16_000), tmp_path / "memo.wav")
    program = """
import os
from aural.__main__ import main
from aural.hub import device

code = main(["super-resolve", "memo.wav", "out.wav"])
del os.environ["AURAL_DEVICE"]
print(code, device.pick_device(), device.describe("cpu"))
"""
    hidden = {"AURAL_DEVICE": "tpu", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | hidden,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("AURAL_DEVICE is 'tpu'. Set it to cpu, cuda, mps")
    code, picked, *words = done.stdout.split()
    assert (code, picked) == ("1", "cpu")
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


# `spaces` is to be had on ZeroGPU only: a stand-in that lends a card as it does. It takes a function for a
# generator where `inspect` does, and pickles what goes in and what comes out.
SPACES = """
import inspect, pickle

def GPU(task=None, *, duration=None):
    def decorate(function):
        if inspect.isgeneratorfunction(function):
            def lent(*values):
                print("asked", duration(*values) if callable(duration) else duration)
                for result in function(*pickle.loads(pickle.dumps(values))):
                    yield pickle.loads(pickle.dumps(result))
        else:
            def lent(*values):
                print("asked", duration(*values) if callable(duration) else duration)
                return pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(values)))))
        return lent
    return decorate
"""


@pytest.fixture
def zero_gpu(tmp_path: Path) -> dict[str, str]:
    """The environment of a ZeroGPU Space."""
    (tmp_path / "spaces.py").write_text(SPACES)
    return {"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(tmp_path)}


def test_on_zero_gpu_the_function_runs_inside_the_space_s_own_decorator(zero_gpu: dict[str, str]) -> None:
    program = (
        "from aural.hub.device import gpu\n"
        "print(gpu(90)(len)('four'))\n"
        "print(gpu(lambda text: len(text))(str.upper)('four'))"
    )
    assert run(program, **zero_gpu).splitlines() == ["asked 90", "4", "asked 4", "FOUR"]


def test_on_zero_gpu_a_generator_stays_one_however_it_is_wrapped(zero_gpu: dict[str, str]) -> None:
    program = """
import functools, inspect
from aural.hub.device import gpu

def letters(text: str, times: int = 2):
    for letter in text:
        yield letter * times

@functools.wraps(letters)
def wrapped(*values):  # a plain function, to `inspect`
    return letters(*values)

for function in (letters, wrapped):
    lent = gpu(30)(function)
    print(list(lent("ab")), inspect.signature(lent), inspect.isgeneratorfunction(lent), lent.__name__)
"""
    line = "['aa', 'bb'] (text: str, times: int = 2) True letters"
    assert run(program, **zero_gpu).splitlines() == ["asked 30", line] * 2


def test_on_zero_gpu_no_card_is_asked_for_where_none_is_needed(zero_gpu: dict[str, str]) -> None:
    program = """
from aural.hub import device

def letters(text):
    yield from text
    yield device.pick_device()

print(device.gpu(len)(str.upper)(""), *device.gpu(len)(letters)(""))
print(*device.gpu(len)(letters)("ab"))
"""
    assert run(program, **zero_gpu).splitlines() == ["cpu", "asked 2", "a b cuda"]


def test_on_zero_gpu_a_cancelled_generator_is_closed(zero_gpu: dict[str, str]) -> None:
    program = """
from aural.hub import device

@device.gpu()
def count():
    try:
        yield device.pick_device()
        yield 2
    finally:
        print("closed")

values = count()
print(next(values))
values.close()
print(device.pick_device())
"""
    assert run(program, **zero_gpu).splitlines() == ["asked 60", "cuda", "closed", "cpu"]


def test_on_zero_gpu_there_is_a_card_only_where_it_is_lent(zero_gpu: dict[str, str]) -> None:
    program = """
from aural.hub import device

def count():
    yield device.pick_device()

print(device.pick_device(), device.gpu()(device.pick_device)(), *device.gpu()(count)(), device.pick_device())
"""
    assert run(program, **zero_gpu).splitlines()[-1] == "cpu cuda cuda cpu"


@pytest.mark.parametrize("error", ["InputError('Choose another file.')", "MemoryError()"])
def test_on_zero_gpu_a_failure_that_can_be_mended_comes_back_as_it_is(
    zero_gpu: dict[str, str], error: str
) -> None:
    program = f"""
from aural.hub.device import gpu, pick_device
from aural.errors import InputError

def value():
    raise {error}

def values():
    yield 1
    raise {error}

for function in (gpu()(value), lambda: list(gpu()(values)())):
    try:
        function()
    except (InputError, MemoryError) as error:
        print(repr(error), pick_device())
"""
    lines = [line for line in run(program, **zero_gpu).splitlines() if not line.startswith("asked")]
    assert lines == [f"{error} cpu"] * 2


def test_importing_the_module_does_not_start_torch() -> None:
    assert run("import sys, aural.hub.device; print('torch' in sys.modules)") == "False"
