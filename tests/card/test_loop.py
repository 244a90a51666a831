"""The loop of the card's trainings: by the clock, and on from where it was interrupted."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tools.card import generator, loop

CPU = torch.device("cpu")
LONG_SECONDS = 1e6  # so long that the learning rate stays


class Training:
    """A line fitted to a line, without chance."""

    def __init__(self, kind: type[loop.Optimizer] = loop.Optimizer) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 1)
        self.schedule = loop.Schedule(CPU)
        self.optimizer = kind([self.model], 0.05, self.schedule)
        self.inputs = torch.eye(3)

    def step(self) -> Mapping[str, Tensor]:
        loss = (self.model(self.inputs) - 1).square().mean()
        self.optimizer.step(loss)
        return {"loss": loss}

    def run(self, folder: Path, steps: int, seconds: float = LONG_SECONDS) -> int:
        state = loop.State(folder / "state.pt", {"model": self.model}, {"model": self.optimizer})
        state.load()
        return loop.run(
            self.step,
            self.schedule,
            seconds,
            log=folder / "log",
            warm_up=1,
            optimizers=[self.optimizer],
            max_steps=steps,
            state=state,
        )


@pytest.mark.parametrize("kind", [loop.Optimizer, generator.Optimizer])
def test_an_interrupted_training_ends_as_one_that_was_not(kind: type[loop.Optimizer], tmp_path: Path) -> None:
    whole, first, second = Training(kind), Training(kind), Training(kind)
    assert whole.run(tmp_path / "whole", 7) == 7
    assert first.run(tmp_path / "parts", 3) == 3
    assert second.run(tmp_path / "parts", 7) == 7
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)
    for ours, theirs in zip(second.optimizer.averaged, whole.optimizer.averaged, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)
    # Weights alone, without the optimiser's moments, would go elsewhere.
    assert not torch.equal(first.model.weight, whole.model.weight)


def test_the_time_of_earlier_runs_counts(tmp_path: Path) -> None:
    first, second = Training(), Training()
    begin = time.monotonic()
    first.run(tmp_path, 10**9, seconds=0.5)
    second.run(tmp_path, 10**9, seconds=0.8)
    assert 0.8 <= time.monotonic() - begin < 8
    # The learning rate falls on from where it was, by a half cosine from 0.45 of the time on.
    assert float(second.schedule.done) > 0.9
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    assert kept["seconds"] == pytest.approx(0.8, abs=0.2)


def test_the_state_is_written_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "READ_SECONDS", 0.05)
    monkeypatch.setattr(loop, "STATE_SECONDS", 0.1)
    training = Training()

    def stop() -> None:
        if (tmp_path / "state.pt").exists():
            raise KeyboardInterrupt

    state = loop.State(tmp_path / "state.pt", {"model": training.model}, {"model": training.optimizer})
    with pytest.raises(KeyboardInterrupt):
        loop.run(training.step, training.schedule, 60, log=tmp_path / "log", refresh=stop, state=state)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["steps"] > 0
    assert json.loads((tmp_path / "log").read_text().splitlines()[-1])["steps_per_second"] > 0
