"""An interrupted and resumed run takes the same steps as an uninterrupted one."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aural.errors import OptionError
from aural.training.loop import Outcome, Settings, TrainedModule, train

SLOPE = 3.0


def sample(generator: torch.Generator) -> Tensor:
    return torch.randn(8, 1, generator=generator)


def error(module: nn.Module, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    # Noise from torch's own generator, as diffusion has it.
    loss = (module(batch) - SLOPE * batch + 0.01 * torch.randn(8, 1)).pow(2).mean()
    return loss, {"loss": loss}


def line(seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.Linear(8, 1))


def run(folder: Path, steps: int = 12, **others: Any) -> Outcome:
    settings = Settings(folder, steps, 8, **{"log_steps": 1, "warm_up": 2, **others})
    return train({"line": TrainedModule(line(), error, 0.05)}, sample, settings)


def losses(outcome: Outcome) -> list[float]:
    return [entry["loss"] for entry in outcome.history]


@pytest.fixture
def cut(tmp_path: Path) -> Callable[[], Outcome]:
    """A run of 12 steps that is killed in its eighth, after a state was saved at every step."""

    def start() -> Outcome:
        calls = 0

        def failing(module: nn.Module, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            nonlocal calls
            calls += 1
            if calls == 8:
                raise KeyboardInterrupt
            return error(module, batch)

        settings = Settings(tmp_path / "run", 12, 8, log_steps=1, warm_up=2, save_minutes=0)
        with pytest.raises(KeyboardInterrupt):
            train({"line": TrainedModule(line(), failing, 0.05)}, sample, settings)
        return run(tmp_path / "run", resume=True)

    return start


def test_a_killed_run_resumes_to_the_same_curve_and_weights(
    tmp_path: Path, cut: Callable[[], Outcome]
) -> None:
    whole, resumed = run(tmp_path / "whole"), cut()
    assert losses(resumed) == losses(whole)
    assert [entry["step"] for entry in resumed.history] == list(range(1, 13))
    for one, other in zip(
        whole.averages["line"].parameters(), resumed.averages["line"].parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_the_seed_decides_the_curve(tmp_path: Path) -> None:
    assert losses(run(tmp_path / "a")) == losses(run(tmp_path / "b"))
    assert losses(run(tmp_path / "c", seed=1)) != losses(run(tmp_path / "d"))


def test_training_learns_and_the_average_is_not_worse_than_the_start(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run", steps=300, average=0.95)
    batch = sample(torch.Generator().manual_seed(9))
    before = (line()(batch) - SLOPE * batch).pow(2).mean()
    after = (outcome.averages["line"](batch) - SLOPE * batch).pow(2).mean()
    assert after < before / 20
    assert not outcome.averages["line"].training


def test_the_time_budget_ends_a_run_that_can_go_on(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run", steps=10**7, minutes=1e-6)
    assert outcome.step == 1
    assert run(tmp_path / "run", steps=3, resume=True).step == 3


def test_two_modules_are_updated_in_turn(tmp_path: Path) -> None:
    updates: list[str] = []

    def noted(name: str) -> Callable[[nn.Module, Tensor], tuple[Tensor, Mapping[str, Tensor]]]:
        def loss(module: nn.Module, batch: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
            updates.append(name)
            value, _ = error(module, batch)
            return value, {name: value}

        return loss

    trained_modules = {
        name: TrainedModule(line(), noted(name), averaged=name == "first") for name in ("first", "second")
    }
    outcome = train(trained_modules, sample, Settings(tmp_path / "run", 2, 8, log_steps=1))
    assert updates == ["first", "second"] * 2
    assert {"first", "second"} <= set(outcome.history[-1])
    assert outcome.averages["second"] is trained_modules["second"].module


def test_the_run_card_tells_how_to_do_it_again(tmp_path: Path) -> None:
    run(tmp_path / "run", seed=5)
    card = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert card["settings"]["seed"] == 5 and card["step"] == 12
    assert card["modules"]["line"]["parameters"] == 25
    assert card["revision"] and card["device"]
    assert list((tmp_path / "run" / "logs").rglob("events*"))


def test_a_folder_is_neither_overwritten_nor_resumed_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"to resume\. Leave out --resume\."):
        run(tmp_path / "run", resume=True)
    run(tmp_path / "run")
    with pytest.raises(
        OptionError, match=r"already holds a run\. Add --resume, or choose another --folder\."
    ):
        run(tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    def broken(module: nn.Module, batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = module(batch).mean() * torch.tensor(float("nan"))
        return loss, {"loss": loss}

    with pytest.raises(FloatingPointError, match="step 1"):
        train({"line": TrainedModule(line(), broken)}, sample, Settings(tmp_path / "run", 5, 8, log_steps=1))


def test_the_state_that_is_left_is_from_before_the_loss_was_not_finite(tmp_path: Path) -> None:
    calls = 0

    def breaking(module: nn.Module, batch: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal calls
        calls += 1
        loss, _ = error(module, batch)
        loss = loss * (float("nan") if calls == 5 else 1)
        return loss, {"loss": loss}

    settings = Settings(tmp_path / "run", 12, 8, log_steps=4, save_minutes=0)
    with pytest.raises(FloatingPointError, match="step 8"):
        train({"line": TrainedModule(line(), breaking)}, sample, settings)
    resumed = run(tmp_path / "run", log_steps=4, resume=True)
    assert [entry["step"] for entry in resumed.history] == [4, 8, 12]


@pytest.mark.parametrize("bad", [{"steps": 0}, {"minutes": 0.0}, {"minutes": float("nan")}])
def test_settings_out_of_range(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Settings(**{"folder": tmp_path, "steps": 1, "batch": 1, **bad})
