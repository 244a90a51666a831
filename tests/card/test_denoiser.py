"""The card training of stage 1, rehearsed on the CPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from aural import hub
from aural.enhancement.denoiser_convolutional import ConvolutionalConfig
from aural.enhancement.denoiser_mixtures import LENGTH
from tools.card import denoiser, loop, train

WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.multinomial", "aten.equal")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Watched(TorchDispatchMode):
    """Raises if an operation would make the host wait for a card."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func).startswith(WAITS):
            raise AssertionError(f"{func} waits for the device")
        if str(func).startswith("aten.index.Tensor"):
            assert all(index is None or index.dtype != torch.bool for index in args[1])
        return func(*args, **(kwargs or {}))


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A folder with one small part: voices, noises, a room and a microphone."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "data" / "part1"
    folder.mkdir(parents=True)
    time = np.arange(3 * 48_000) / 48_000
    buzz = sum(np.sin(2 * np.pi * 150 * n * time) / n for n in range(1, 30))
    voice = buzz * np.exp(2 * np.sin(2 * np.pi * 3 * time)) * 0.02
    decay = np.exp(-np.arange(24_000) / 4_000)
    room = np.pad(decay * generator.standard_normal(24_000) * 0.05, (48, 0))
    room[48] = 0.99
    waves = {
        "voice.flac": ("speech", voice),
        "song.flac": ("singing", np.roll(voice, 9_999)),
        "piece.flac": ("music", voice[::-1]),
        "hiss.flac": ("noise", 0.1 * generator.standard_normal(len(time))),
        "room.flac": ("room", room),
        "device.flac": ("device", np.pad([0.9, -0.3, 0.1], (48, 2_000))),
    }
    rows = []
    for name, (kind, wave) in waves.items():
        soundfile.write(folder / name, wave.clip(-1, 1).astype(np.float32), 48_000)
        row = {"file": name, "kind": kind, "source": "many/full", "speaker": "someone", "solid_hz": 16_000.0}
        rows.append({**row, "label": -1, "seconds": len(wave) / 48_000, "meta": {}})
    (folder / "index.json").write_text(json.dumps(rows))
    (folder / "complete").touch()
    return folder.parent


def make(folder: Path) -> denoiser.Training:
    where = torch.device("cpu")
    torch.manual_seed(0)
    data = denoiser.Data(folder, where, (12.0, 6.0))
    assert data.refresh()
    return denoiser.Training(data, ConvolutionalConfig((4, 6, 8, 8), 1), 3, where)


def test_a_step_never_waits_for_the_device(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = make(part)
    training.step()  # fills the caches of constants
    # On the CPU the learning rate is read by the host.
    monkeypatch.setattr(training.optimizer, "step", lambda loss: loss.backward())
    with Watched():
        logs = training.step()
    assert all(torch.isfinite(value) for value in logs.values())


def test_the_same_seed_draws_the_same_mixtures(part: Path) -> None:
    first, second = (make(part).data.sample(2) for _ in range(2))
    assert first.recording.shape == (2, LENGTH)
    assert torch.equal(first.recording, second.recording)


def test_music_comes_through_as_it_is(part: Path) -> None:
    data = make(part).data
    data.is_music.fill_(1)
    mixture = data.sample(3)
    torch.testing.assert_close(mixture.recording, mixture.speech)


def test_one_command_trains_goes_on_and_ships(
    part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(module: str, *options: str) -> None:
        monkeypatch.setattr(sys, "argv", [module, *options])
        import_module(module).main()

    monkeypatch.chdir(tmp_path)
    part.rename(tmp_path / "packed")
    Path(".card").mkdir()
    (tmp_path / "packed").rename(".card/data")
    monkeypatch.setattr(train, "_call", call)
    monkeypatch.setattr(denoiser, "TINY", ConvolutionalConfig((4, 6, 8, 8), 1))
    monkeypatch.setitem(train.OPTIONS, "denoiser", ("--batch", "2"))
    with pytest.raises(SystemExit, match=r"holds no result\. Train first, to the end of the minutes\."):
        train.main(["denoiser", "--ship"])
    command = ["denoiser", "--data", "nowhere", "--minutes"]
    monkeypatch.setattr(denoiser, "run", partial(loop.run, max_steps=2))
    train.main([*command, "60", "--tiny", "--cpu"])
    assert "goes on" not in capsys.readouterr().out
    monkeypatch.setattr(denoiser, "run", partial(loop.run, max_steps=3))
    train.main([*command, "60", "--tiny", "--cpu"])
    assert "goes on after 2 steps" in capsys.readouterr().out
    assert json.loads(Path("runs/denoiser/denoiser.json").read_text())["steps"] == 3
    folder = train.ship("denoiser", tmp_path / "checkpoints")
    made = hub.builder("denoiser")(json.loads((folder / "config.json").read_text()))
    made.load_state_dict(
        {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
    )
    assert json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())["denoiser"]["licence"]
