"""The generator's training on a card, rehearsed: it learns, writes what loads, and waits for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from aural.generation.data import roll_loops, shift_bands
from aural.generation.model import AUGMENTATIONS, FRAMES, REAL_FRAMES, TRAIN_STEPS, DiffusionModel
from tools.card import generator, loop

CPU = torch.device("cpu")
PLAIN = generator.Augmentation(often=0.0, mixed=0.0)


class Captured(TorchDispatchMode):
    """Fails if an operation would wait for the card, since no graph can capture it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in (
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.nonzero,
            torch.ops.aten.masked_select,
            torch.ops.aten.multinomial,
        ):
            raise AssertionError(f"{func} waits for the card")
        indices = args[1] if func.overloadpacket is torch.ops.aten.index else ()
        assert not any(index is not None and index.dtype == torch.bool for index in indices)
        return func(*args, **kwargs)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of 8 clips of 4 classes: tones, every other one cut short."""
    folder = tmp_path_factory.mktemp("card")
    part = folder / "part2"
    (part / "esc50").mkdir(parents=True)
    rows = []
    for number in range(8):
        label = number % 4
        time = np.arange(220_500) / 44_100
        samples = 0.3 * np.sin(2 * np.pi * 300 * (label + 1) * (1 + number / 100) * time)
        if label % 2:
            samples[60_000:] = 0
        name = f"esc50/{number}.flac"
        soundfile.write(part / name, samples, 44_100)
        rows.append({"file": name, "kind": "esc50", "label": label, "seconds": 5.0})
    rows.append({"file": "none.ogg", "kind": "speech", "label": -1, "seconds": 1.0})
    (part / "index.json").write_text(json.dumps(rows), encoding="utf-8")
    (part / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def clips(data: Path) -> generator.Clips:
    held = generator.Clips(CPU)
    assert held.refresh(data) == 8
    assert held.refresh(data) == 8
    return held


def test_a_rehearsal_writes_weights_that_load(data: Path, tmp_path: Path) -> None:
    command = ["--data", str(data), "--out", str(tmp_path), "--seconds", "60", "--clips", "8", "--batch", "2"]
    generator.main([*command, "--tiny", "--cpu", "--max-steps", "2"])
    networks = {}
    for name in ("generator", "guide"):
        card = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert card["steps"] == 2
        networks[name] = generator.load_weights(tmp_path / f"{name}.safetensors", card["config"])
    main, guide = networks["generator"].conditioning, networks["guide"].conditioning
    # The guide has the conditions of the main network, and what a clip looks like is known to both.
    for one, other in zip(main.parameters(), guide.parameters(), strict=True):
        assert torch.equal(one, other)
    assert float(main.mean.max()) > 0.1
    assert torch.all(main.active_quantiles[1] < 0.4)
    # Another training starts from these weights, and can leave the guide out.
    command += ["--out", str(tmp_path / "further"), "--weights", str(tmp_path / "generator.safetensors")]
    generator.main([*command, "--tiny", "--cpu", "--max-steps", "0", "--no-guide"])
    (further,) = (tmp_path / "further").glob("*.safetensors")
    assert further.read_bytes() == (tmp_path / "generator.safetensors").read_bytes()


def test_the_step_never_waits_for_the_host(clips: generator.Clips) -> None:
    torch.manual_seed(0)
    denoiser = DiffusionModel(generator.TINY)
    clips.fit_statistics(denoiser)
    schedule = loop.Schedule(CPU)
    schedule.rate.fill_(1.0)
    optimizer = generator.Optimizer([denoiser.unet, denoiser.conditioning], 1e-3, schedule)
    # The optimiser on the CPU reads its rate by design; on the card it is a tensor.
    updates: list[Tensor] = []
    optimizer.step = updates.append  # type: ignore[method-assign,assignment]
    step = generator.step_of(denoiser, clips, optimizer, 4, generator.Augmentation())
    with Captured():
        figures = step()
    updates[0].backward()
    assert all(torch.isfinite(value) for value in figures.values())
    lacking = [
        name
        for name, weight in (*denoiser.unet.named_parameters(), *denoiser.conditioning.named_parameters())
        if weight.grad is None
    ]
    assert not lacking


def test_the_average_follows_the_weights_over_a_share_of_the_run() -> None:
    linear = torch.nn.Linear(1, 1, bias=False)
    optimizer = generator.Optimizer([linear], 0.0, loop.Schedule(CPU))
    for number in range(1000):
        linear.weight.data.fill_(number / 1000)
        optimizer.step(linear.weight.sum() * 0)
    # The mean lag of an average of the relative width 5 % is about as much.
    assert 0.92 < float(optimizer.averaged[0]) < 0.97


def test_a_few_steps_bring_the_loss_down(clips: generator.Clips) -> None:
    torch.manual_seed(0)
    denoiser = DiffusionModel(generator.TINY)
    clips.fit_statistics(denoiser)
    schedule = loop.Schedule(CPU)
    schedule.rate.fill_(1.0)
    optimizer = generator.Optimizer([denoiser.unet, denoiser.conditioning], 3e-3, schedule)
    step = generator.step_of(denoiser, clips, optimizer, 4, generator.Augmentation(), half=False)
    losses = [float(step()["loss"]) for _ in range(24)]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:3])


def test_without_speed_and_pitch_a_clip_is_only_shifted() -> None:
    mel = torch.rand(3, 80, REAL_FRAMES)
    shift, zero = torch.tensor([0.0, 17.0, 424.0]), torch.zeros(3)
    assert torch.equal(generator.move(mel, shift, zero + 1, zero), roll_loops(mel, shift.long()))
    shifted = generator.move(mel, zero, zero + 1, torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.equal(shifted, shift_bands(roll_loops(mel, zero.long()), torch.tensor([-1, 0, 1])))


def test_faster_means_shorter_and_half_a_band_is_between_two() -> None:
    mel = torch.zeros(1, 80, REAL_FRAMES)
    mel[:, 40, 110] = 1.0
    one = torch.ones(1)
    fast = generator.move(mel, 0 * one, 1.1 * one, 0 * one)
    assert int(fast[0, 40].argmax()) == 100
    half = generator.move(mel, 0 * one, one, 0.5 * one)
    assert half[0, 39:42, 110].tolist() == pytest.approx([0.0, 0.5, 0.5])


def test_batches_tell_what_was_done_to_them(clips: generator.Clips) -> None:
    torch.manual_seed(0)
    mel, labels, active, values = clips.sample(64, PLAIN)
    assert mel.shape == (64, 80, FRAMES) and values.shape == (64, AUGMENTATIONS)
    assert not values.any()
    assert set(labels.tolist()) == {0, 1, 2, 3}
    assert (active[labels % 2 == 0] > 0.95).all() and (active[labels % 2 == 1] < 0.4).all()
    _, _, _, values = clips.sample(512, generator.Augmentation())
    assert values.abs().amax(0).tolist() == pytest.approx([1, 1, 1, 1], abs=0.02)
    assert (values != 0).float().mean(0).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.3], abs=0.08)


def test_timesteps_prefer_noise_and_cover_everything() -> None:
    torch.manual_seed(0)
    timesteps = generator.shifted_timesteps(1000, 1.75, CPU)
    assert timesteps.min() < 5 and timesteps.max() > TRAIN_STEPS - 5
    assert float((timesteps > TRAIN_STEPS / 2).float().mean()) == pytest.approx(1.75 / 2.75, abs=0.01)
