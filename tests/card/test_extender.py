"""The card training of the extender: its low-passes match the CPU's, and its weights can be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from aural.superres.data import POINTS, apply, responses
from aural.superres.model import ExtenderConfig, build_extender
from tools.card.bank import Bank
from tools.card.extender import FRAMES, HOP, MARGIN, Spectra, train, weight
from tools.card.lowpass import RATE, LowPasses, write

COUNT, SEED = 24, 3


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved responses."""
    path = tmp_path_factory.mktemp("responses") / "responses.npz"
    write(path, COUNT, SEED)
    return path


def test_a_batch_meets_the_same_low_passes_as_single_recordings_do(kept: Path) -> None:
    waves = 0.1 * np.random.default_rng(0).standard_normal((COUNT, POINTS)).astype(np.float32)
    together = LowPasses(kept, POINTS, torch.device("cpu"))(torch.from_numpy(waves), torch.arange(COUNT))
    for wave, ours, response in zip(waves, together.numpy(), responses(SEED, COUNT), strict=True):
        alone = apply(wave, response)
        # Gains travel as float16, three digits.
        assert np.square(ours - alone).sum() < 1e-5 * np.square(alone).sum()


def test_a_detector_reads_the_end_of_the_band_near_where_it_is(kept: Path) -> None:
    torch.manual_seed(0)
    low_passes = LowPasses(kept, 4_096, torch.device("cpu"))
    number, end_hz = low_passes.sample(400)
    near, far = low_passes.ends_hz[number].unbind(1)
    assert ((end_hz > 0.93 * near) & (end_hz < 1.07 * far)).all()


def test_nothing_is_compared_above_what_a_recording_is_good_for() -> None:
    length = 8 * HOP
    spectra = Spectra(length, torch.device("cpu"))
    noise = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    solid_hz, low_hz = torch.tensor([8_000.0, 16_000.0]), torch.tensor([4_000.0, 4_000.0])
    cut = spectra.cut(noise, solid_hz)
    power = torch.fft.rfft(cut).abs().square()
    hz = torch.fft.rfftfreq(length, 1 / RATE)
    for number, top_hz in enumerate(solid_hz):
        assert power[number, hz > top_hz].sum() < 1e-6 * power[number].sum()
    louder = cut * torch.tensor([[1.0], [2.0]])
    per_frame, long_term, bias = spectra.energies(louder, cut, low_hz, solid_hz)
    assert float(bias) > 0 and float(per_frame) == pytest.approx(float(long_term), abs=0.02)
    assert float(spectra.distance(cut, cut, low_hz, solid_hz)) < 0.01


def test_a_rehearsal_leaves_weights_that_load(kept: Path, tmp_path: Path) -> None:
    part = tmp_path / "data" / "part1"
    part.mkdir(parents=True)
    voice = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(part / "voice.flac", voice, RATE)
    row = {
        "file": "voice.flac",
        "kind": "speech",
        "source": "many/full",
        "solid_hz": 22_000.0,
        "seconds": 3.0,
    }
    (part / "index.json").write_text(json.dumps([row]), encoding="utf-8")
    (part / "complete").touch()
    config = ExtenderConfig(8, 2, (1,), look_ahead=4, floor=True)
    points = FRAMES * HOP + config.look_ahead * HOP + 1_024 - HOP + 2 * MARGIN
    bank = Bank(RATE, 10, points + -points % 1_024, torch.device("cpu"), weight)
    assert bank.refresh(part.parent) == 1
    steps = train(
        bank,
        part.parent,
        kept,
        tmp_path / "out",
        config,
        seconds=60,
        batch=1,
        width=2,
        name="extender",
        noise_rounds=1,
        max_steps=1,
    )
    assert steps == 1
    card = json.loads((tmp_path / "out" / "extender.json").read_text(encoding="utf-8"))
    model = build_extender(card["config"])
    weights = load_file(tmp_path / "out" / "extender.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    assert all(torch.isfinite(value).all() for value in weights.values())
