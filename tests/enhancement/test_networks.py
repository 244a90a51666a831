"""All networks of enhancement: saving, precision, gradients, conditions and size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aural import hub
from aural.audio.spectral import scale
from aural.enhancement.completer import Completer, build_completer
from aural.enhancement.denoiser import Denoiser, build_denoiser
from aural.enhancement.features import FRONT_END, conditioning
from aural.enhancement.unet import CONDITIONS
from aural.training.checkpoints import save
from tests.checkpoints import instead
from tests.enhancement.signals import complete, mel_of, spectrum_of, tensors, voice
from tests.enhancement.tiny import COMPLETER, DENOISER


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def run_denoiser(module: nn.Module, samples: Tensor) -> Tensor:
    return torch.cat(
        [torch.view_as_real(tensor + 0j).flatten() for tensor in tensors(module(spectrum_of(samples)))]
    )


def run_completer(module: nn.Module, samples: Tensor) -> Tensor:
    mel = scale(mel_of(spectrum_of(samples)))
    result: Tensor = module(mel, mel)
    return result


NETWORKS: list[Any] = [
    pytest.param(build_denoiser, DENOISER.to_dict(), run_denoiser, id="denoiser"),
    pytest.param(build_completer, COMPLETER.to_dict(), run_completer, id="completer"),
]
Build = Callable[[Mapping[str, Any]], nn.Module]
Run = Callable[[nn.Module, Tensor], Tensor]


def test_conditions_matter_once_they_are_learned_and_can_be_left_out() -> None:
    samples = voice(0.3)
    spectrum, conditions = spectrum_of(samples), conditioning(samples)
    assert conditions.shape[1] == CONDITIONS
    denoiser, completer = Denoiser(DENOISER).eval(), Completer(COMPLETER).eval()
    mel = scale(mel_of(spectrum))
    runs: list[tuple[nn.Conv1d, Callable[[Tensor | None], Tensor]]] = [
        (denoiser.film, lambda given: denoiser(spectrum, given).gain),
        (completer.film, lambda given: completer(mel, mel, given)),
    ]
    for film, run in runs:
        torch.testing.assert_close(run(conditions), run(None))
        nn.init.normal_(film.weight)
        assert run(None).isfinite().all()
        # No conditions are told from conditions that are 0.
        for given in (conditions, 0 * conditions):
            assert (run(given) - run(None)).abs().max() > 1e-4


@pytest.mark.parametrize(("build", "config", "run"), NETWORKS)
def test_a_saved_network_comes_back_the_same(
    build: Build, config: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    network = build(config).eval()
    # Training moves the means of the normalisation too: they belong to what is saved.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
    save("network", network, config, "MIT", half=False, folder=tmp_path)
    with instead(tmp_path), torch.inference_mode():
        loaded = hub.load("network", build, device="cpu")
        assert loaded is not network
        for name, value in network.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value)
        torch.testing.assert_close(run(loaded, voice(0.2)), run(network, voice(0.2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("build", "config", "run"), NETWORKS)
def test_half_the_precision_is_enough_to_run(build: Build, config: dict[str, Any], run: Run) -> None:
    network = build(config).eval()
    samples = voice(0.2)
    with torch.inference_mode():
        for weight in network.parameters():  # some heads start at 0, where every precision is exact
            weight.add_(torch.randn_like(weight), alpha=0.02)
        exact = run(network, samples)
        with torch.autocast("cpu", torch.bfloat16):
            rough = run(network, samples)
    assert rough.dtype == exact.dtype == torch.float32
    assert rough.isfinite().all()
    assert 0 < (rough - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize(("build", "config", "run"), NETWORKS)
def test_every_weight_has_a_finite_gradient(build: Build, config: dict[str, Any], run: Run) -> None:
    network = build(config).train()
    run(network, voice(0.2)).square().sum().backward()
    idle = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all()
    ]
    assert idle == []


@pytest.mark.parametrize("frames", [1, 2, 3, 17])
def test_any_number_of_frames_from_1(frames: int) -> None:
    spectrum = torch.randn(2, FRONT_END.bins, frames, dtype=torch.complex64)
    masks = Denoiser(DENOISER).eval()(spectrum, torch.zeros(2, CONDITIONS, frames))
    assert masks.apply(spectrum).shape == spectrum.shape
    assert masks.f0_hz.shape == masks.voicing.shape == (2, frames)
    mel = scale(mel_of(spectrum))
    assert Completer(COMPLETER).eval()(mel, mel).shape == mel.shape
    assert complete(Completer(COMPLETER).eval(), spectrum).shape == spectrum.shape


def test_both_stages_are_small() -> None:
    count = {network: sum(w.numel() for w in network().parameters()) for network in (Denoiser, Completer)}
    assert count[Denoiser] < 250_000
    assert count[Completer] < 1_000_000
