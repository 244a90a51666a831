"""The training step on a card: captured once as a CUDA graph, replayed until the clock runs out.

A step samples its batch, runs forward and backward, and updates the weights without waiting for the host:
no `.item()`, no `.cpu()`, no Python branch on a tensor. Everything that changes from step to step is in
tensors of fixed address (`Schedule`), which the host fills between replays. On a CPU the same step runs
directly: for a rehearsal, or for hours, with a `State` from which an interrupted training goes on.
"""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aural.files import write_then_rename

WARM_UP_CALLS = 3  # before capture, to initialise cuBLAS, cuFFT and the allocator
READ_SECONDS = 5.0  # between two readings of the logged values
STATE_SECONDS = 600.0  # between two writings of the state
STATE_HELP = (
    "go on from this file if it exists, and write it every ten minutes; --seconds counts earlier runs"
)


def device() -> torch.device:
    """The card, or the CPU for a rehearsal."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare() -> torch.device:
    """Set the precision that all trainings use, and return the device."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    return device()


def autocast(where: torch.device) -> torch.autocast:
    """bf16 where it is faster: on a card, and on a CPU with AMX.

    Casts are not cached, because a captured graph must cast the current weights.
    """
    fast = where.type == "cuda" or torch.cpu._is_amx_tile_supported()
    return torch.autocast(where.type, torch.bfloat16, enabled=fast, cache_enabled=False)


class Schedule:
    """The values that the host changes between steps, as tensors that a captured graph reads."""

    def __init__(self, where: torch.device) -> None:
        self.rate = torch.zeros((), device=where)  # share of each learning rate, 0 to 1
        self.ramp = torch.zeros((), device=where)  # share of the adversarial loss, 0 to 1
        self.done = torch.zeros((), device=where)  # share of the time


class Optimizer:
    """AdamW whose learning rate is a tensor, with clipped gradients and a moving average of the weights."""

    def __init__(
        self,
        modules: Iterable[nn.Module],
        learning_rate: float,
        schedule: Schedule,
        *,
        betas: tuple[float, float] = (0.8, 0.98),
        weight_decay: float = 0.01,
        clip: float = 1.0,
        average: float | None = 0.998,
    ) -> None:
        self.parameters = [weight for module in modules for weight in module.parameters()]
        self.schedule, self.learning_rate, self.clip = schedule, learning_rate, clip
        where = self.parameters[0].device
        on_card = where.type == "cuda"
        self.rate = torch.zeros((), device=where) if on_card else torch.zeros(())
        self.adam = torch.optim.AdamW(
            self.parameters,
            lr=self.rate if on_card else 0.0,
            betas=betas,
            weight_decay=weight_decay,
            fused=True,
            capturable=on_card,
        )
        self.average = average
        self.averaged = [weight.detach().clone() for weight in self.parameters] if average else []

    def step(self, loss: Tensor) -> None:
        """Backward, clip, update, average."""
        for weight in self.parameters:
            weight.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        if self.rate.device.type == "cuda":
            self.rate.copy_(self.schedule.rate * self.learning_rate)
        else:
            for group in self.adam.param_groups:
                group["lr"] = float(self.schedule.rate) * self.learning_rate
        self.adam.step()
        if self.average:
            weights = [weight.detach() for weight in self.parameters]
            torch._foreach_lerp_(self.averaged, weights, 1 - self.average)

    def load_average(self) -> None:
        """Copy the averaged weights into the modules, at the end of a training."""
        with torch.no_grad():
            for weight, mean in zip(self.parameters, self.averaged, strict=True):
                weight.copy_(mean)

    def state(self) -> dict[str, Any]:
        """What `load` takes."""
        return {"adam": self.adam.state_dict(), "averaged": self.averaged}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.adam.load_state_dict(state["adam"])
        for group in self.adam.param_groups:  # not a copy of the tensor, which a graph would not see
            group["lr"] = self.rate if self.rate.device.type == "cuda" else 0.0
        for mean, kept in zip(self.averaged, state["averaged"], strict=True):
            mean.copy_(kept)

    def restart_average(self) -> None:
        """Restart the average, to exclude the first weights."""
        for mean, weight in zip(self.averaged, self.parameters, strict=True):
            mean.copy_(weight.detach())


class State:
    """What a training goes on from: weights, optimisers, steps and time, in one file.

    Args:
        path: need not exist yet.
        modules: by name; those of earlier runs must be the same.
        optimizers: by name.
    """

    def __init__(
        self, path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
    ) -> None:
        self.path, self.modules, self.optimizers = path, modules, optimizers
        self.steps, self.seconds = 0, 0.0

    def load(self) -> bool:
        """Go on from the file, if there is one. The random numbers that follow are new ones."""
        if not self.path.is_file():
            return False
        kept = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(kept["modules"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load(kept["optimizers"][name])
        self.steps, self.seconds = kept["steps"], kept["seconds"]
        torch.manual_seed(self.steps)
        print(f"goes on after {self.steps} steps, {self.seconds / 60:.0f} min", flush=True)
        return True

    def save(self, steps: int, seconds: float) -> None:
        """Replace the file."""
        self.steps, self.seconds = steps, seconds
        kept = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizers": {name: optimizer.state() for name, optimizer in self.optimizers.items()},
            "steps": steps,
            "seconds": seconds,
        }
        with write_then_rename(self.path) as temporary:
            torch.save(kept, temporary)


def run(
    step: Callable[[], Mapping[str, Tensor]],
    schedule: Schedule,
    seconds: float,
    *,
    log: Path,
    warm_up: int = 200,
    hold: float = 0.45,
    ramp: tuple[float, float] = (0.1, 0.2),
    refresh: Callable[[], None] | None = None,
    optimizers: Iterable[Optimizer] = (),
    max_steps: int | None = None,
    state: State | None = None,
) -> int:
    """Repeat a step until the time is over; the learning rate falls to 0 by the clock.

    With a state, earlier runs count into steps and time, and it is written every ten minutes and at the end.

    Args:
        step: one training step; what it returns is logged.
        warm_up: steps over which the learning rate rises.
        hold: share of the time before the learning rate falls, as a half cosine.
        ramp: shares of the time between which the adversarial loss is faded in.
        refresh: called whenever the logged values are read, for example to add new data.
        optimizers: their averages restart at a third of the time.
        max_steps: fewer, for tests.

    Returns:
        The number of steps.
    """
    where = schedule.rate.device
    log.parent.mkdir(parents=True, exist_ok=True)
    _set(schedule, 0.0, 0, warm_up, hold, ramp)
    means: dict[str, Tensor] = {}
    replay = _capture(step, means, where)
    read = written = time.monotonic()
    start = read - (state.seconds if state else 0.0)
    count = counted = state.steps if state else 0
    averages_are_young = read - start <= seconds / 3
    while True:
        now = time.monotonic()
        share = (now - start) / seconds if seconds > 0 else 1.0
        if share >= 1 or (max_steps is not None and count >= max_steps):
            break
        _set(schedule, share, count, warm_up, hold, ramp)
        replay()
        count += 1
        if where.type == "cuda" and count % 20 == 0:
            torch.cuda.synchronize()  # so that the host does not run ahead
        if averages_are_young and share > 1 / 3:
            averages_are_young = False
            for optimizer in optimizers:
                optimizer.restart_average()
        if now - read >= READ_SECONDS:
            figures = {key: round(float(value), 5) for key, value in means.items()}
            line = {
                "step": count,
                "seconds": round(now - start, 1),
                "steps_per_second": round((count - counted) / (now - read), 2),
                **figures,
            }
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
            read, counted = now, count
            if any(not math.isfinite(value) for value in figures.values()):
                raise FloatingPointError(f"At step {count} a loss is not finite: {figures}")
            if refresh is not None:
                refresh()
            if state is not None and now - written >= STATE_SECONDS:
                state.save(count, now - start)
                written = now
    if state is not None:
        state.save(count, time.monotonic() - start)
    return count


def _set(
    schedule: Schedule, share: float, count: int, warm_up: int, hold: float, ramp: tuple[float, float]
) -> None:
    falling = max(0.0, share - hold) / (1 - hold)
    rising = min(1.0, (count + 1) / warm_up)
    schedule.rate.fill_(rising * (1 + math.cos(math.pi * min(1.0, falling))) / 2)
    begin, end = ramp
    schedule.ramp.fill_(min(1.0, max(0.0, (share - begin) / (end - begin))))
    schedule.done.fill_(share)


def _capture(
    step: Callable[[], Mapping[str, Tensor]], means: dict[str, Tensor], where: torch.device
) -> Callable[[], None]:
    """A function that repeats the step; `means` gets moving averages of what the step returns."""

    def run_and_log() -> None:
        for key, value in step().items():
            flat = value.detach().float().mean()
            if key in means:
                means[key].lerp_(flat, 0.05)
            else:
                means[key] = flat.clone()

    if where.type != "cuda":
        return run_and_log
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_CALLS):
            run_and_log()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            run_and_log()
    except RuntimeError:  # slower, but it works
        traceback.print_exc()
        print("not captured: the step runs without a graph", flush=True)
        torch.cuda.synchronize()
        return run_and_log
    print(f"captured; {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", flush=True)
    return graph.replay
