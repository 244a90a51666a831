"""The training loop: seeded, resumable to the same loss curve, within a time budget; built on Accelerate.

A run is a folder: `state.pt` (to resume from), `run.json` (the run card) and TensorBoard logs. Each step
samples its batch and its noise from generators seeded with (seed, step, process). A run that is interrupted
and resumed therefore takes the same steps as one that is not, on the same kind of machine.

The same code runs on one processor, on one GPU, or on several under `accelerate launch`.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import ProjectConfiguration, broadcast
from torch import Tensor, nn
from tqdm import tqdm

from aural.errors import OptionError
from aural.files import write_then_rename

Batch = TypeVar("Batch")
Loss = Callable[[nn.Module, Batch], tuple[Tensor, Mapping[str, Tensor]]]

STATE = "state.pt"
CARD = "run.json"


@dataclass(frozen=True)
class Settings:
    """The settings of a run. `aural.training.command` reads them from the command line.

    Raises:
        OptionError: a value out of range.
    """

    folder: Path  # where the run is written
    steps: int  # steps of the whole run; the learning rate decays to 0 by their end
    batch: int  # clips per step, on each process
    minutes: float | None = None  # stop after this time, to be resumed; None: no limit
    seed: int = 0
    resume: bool = False  # continue from the folder's state
    warm_up: int = 200  # steps until the full learning rate, at most a tenth of all steps
    hold: float = 0.5  # share of the steps before the decay begins
    average: float = 0.999  # decay of the moving average of the weights
    clip: float = 1.0  # maximum norm of the gradient
    precision: Literal["no", "bf16"] = "no"  # precision of the forward pass
    save_minutes: float = 3.0  # between two saved states
    log_steps: int = 20  # between two entries of the logs
    validate_steps: int = 500  # between two validations

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise OptionError("A run needs at least 1 step and 1 clip per step. Raise --steps or --batch.")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise OptionError(f"A run can't last {self.minutes:g} minutes. Set --minutes above 0.")


@dataclass
class TrainedModule(Generic[Batch]):
    """A module and the loss that it is trained to minimise.

    Adversarial training has two, a generator and its discriminators, updated in turn within each step.
    """

    module: nn.Module
    loss: Loss[Batch]  # (the prepared module, batch) -> loss, and values to log
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    averaged: bool = True  # keep the moving average of the weights


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    averages: Mapping[str, nn.Module]  # the moving averages, or the modules themselves
    step: int
    minutes: float  # minutes of training, including earlier parts of a resumed run
    history: list[dict[str, float]] = field(default_factory=list)  # logged means of losses, with their step


def this_process() -> PartialState:
    """This process's `.device`, for batches, and `.is_main_process`; also under `accelerate launch`."""
    return PartialState(cpu=not torch.cuda.is_available())


def train(
    trained_modules: Mapping[str, TrainedModule[Batch]],
    sample: Callable[[torch.Generator], Batch],
    settings: Settings,
    *,
    validate: Callable[[Mapping[str, nn.Module]], Mapping[str, float]] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train until the steps are done or the time is up, whichever comes first.

    Args:
        sample: makes a batch, on the right device; its only source of randomness is the generator.
        validate: figures of the averaged modules, for the logs and the card.
        card: further entries of the run card, such as the model's config.

    Raises:
        OptionError: the folder already holds a run and `resume` is off, or the other way round.
        FloatingPointError: a loss is not finite; the last saved state stays in the folder.
    """
    _check_folder(settings)
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        log_with="tensorboard",
        project_config=ProjectConfiguration(str(settings.folder), str(settings.folder)),
    )
    settings.folder.mkdir(parents=True, exist_ok=True)
    accelerator.init_trackers("logs")
    run = _Run(trained_modules, settings, accelerator)
    if settings.resume:
        run.restore(torch.load(settings.folder / STATE, map_location="cpu", weights_only=True))
    _take_steps(run, sample, validate, card or {})
    accelerator.end_training()
    return Outcome(run.averages(), run.step, run.seconds / 60, run.history)


def _check_folder(settings: Settings) -> None:
    if settings.resume != (settings.folder / STATE).is_file():
        raise OptionError(
            f"There is no run in {settings.folder} to resume. Leave out --resume."
            if settings.resume
            else f"{settings.folder} already holds a run. Add --resume, or choose another --folder."
        )


def _take_steps(
    run: _Run[Batch],
    sample: Callable[[torch.Generator], Batch],
    validate: Callable[[Mapping[str, nn.Module]], Mapping[str, float]] | None,
    card: Mapping[str, Any],
) -> None:
    """Take the remaining steps or those that fit the time; log, validate and save in between."""
    settings, losses = run.settings, _Means()
    start, spent, saved = time.monotonic(), run.seconds, 0.0
    bar = tqdm(
        initial=run.step,
        total=settings.steps,
        disable=not run.accelerator.is_main_process,
        mininterval=5,
        desc=settings.folder.name,
    )
    while run.step < settings.steps:
        losses.add(run.take_step(sample))
        bar.update()
        elapsed = run.synchronize(time.monotonic() - start)
        run.seconds = spent + elapsed
        is_over = settings.minutes is not None and elapsed >= 60 * settings.minutes
        is_last = is_over or run.step == settings.steps
        is_logged = run.step % settings.log_steps == 0 or is_last
        if is_logged:
            means = losses.take()
            if not all(math.isfinite(value) for value in means.values()):
                raise FloatingPointError(f"At step {run.step} a loss is not finite: {means}")
            run.log(means)
            bar.set_postfix({key: f"{value:.4f}" for key, value in means.items()}, refresh=False)
        if validate is not None and (run.step % settings.validate_steps == 0 or is_last):
            run.validate(validate, bar)
        # Only logged steps are saved: their losses are finite, and no logged mean spans an interruption.
        if is_logged and (elapsed - saved >= 60 * settings.save_minutes or is_last):
            saved = elapsed
            run.save(card)
        if is_over:
            break
    bar.close()


class _Means:
    """Running means of the values to log."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        self.count += 1
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, torch.zeros(())) + value.detach().float().cpu()

    def take(self) -> dict[str, float]:
        """The means since the last call."""
        means = {key: float(value) / self.count for key, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


class _Run(Generic[Batch]):
    """The modules, their optimizers and averages, and the progress of the run."""

    def __init__(
        self,
        trained_modules: Mapping[str, TrainedModule[Batch]],
        settings: Settings,
        accelerator: Accelerator,
    ) -> None:
        self.trained_modules, self.settings, self.accelerator = trained_modules, settings, accelerator
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, Any] = {}
        self.averaged: dict[str, nn.Module] = {}
        for name, trained in trained_modules.items():
            optimizer = torch.optim.AdamW(
                trained.module.parameters(),
                trained.learning_rate,
                betas=trained.betas,
                weight_decay=trained.weight_decay,
            )
            if trained.averaged:
                trained.module.to(accelerator.device)
                self.averaged[name] = deepcopy(trained.module).eval().requires_grad_(False)
            self.modules[name], self.optimizers[name] = accelerator.prepare(trained.module, optimizer)

    def take_step(self, sample: Callable[[torch.Generator], Batch]) -> dict[str, Tensor]:
        seed = _mix_seed(self.settings.seed, self.step, self.accelerator.process_index)
        torch.manual_seed(seed)  # noise, dropout
        batch = sample(torch.Generator().manual_seed(seed))
        logs: dict[str, Tensor] = {}
        rate = self._learning_rate()
        for name, trained in self.trained_modules.items():
            module, optimizer = self.modules[name], self.optimizers[name]
            for group in optimizer.param_groups:
                group["lr"] = trained.learning_rate * rate
            module.train()
            # Not through Accelerate, which allows only one precision per process.
            with torch.autocast(
                self.accelerator.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"
            ):
                loss, shown = trained.loss(module, batch)
            # Before the backward pass: the other module's loss may have left gradients here.
            optimizer.zero_grad()
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(module.parameters(), self.settings.clip)
            optimizer.step()
            logs |= shown
        self.step += 1
        self._average()
        return logs

    def _learning_rate(self) -> float:
        """Rises during the warm-up, stays, and falls to 0 as a half cosine."""
        settings, step = self.settings, self.step
        rising = min(1.0, (step + 1) / max(1.0, min(settings.warm_up, settings.steps / 10)))
        falling = max(0.0, step / settings.steps - settings.hold) / (1 - settings.hold)
        return rising * (1 + math.cos(math.pi * falling)) / 2

    def _average(self) -> None:
        # A shorter average at first, so that it forgets the initial weights (cf. Karras et al. 2024).
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, average in self.averaged.items():
            current = self.accelerator.unwrap_model(self.modules[name]).state_dict()
            floats = [
                (mean, current[key]) for key, mean in average.state_dict().items() if mean.is_floating_point()
            ]
            torch._foreach_lerp_([mean for mean, _ in floats], [value for _, value in floats], 1 - decay)
            for key, mean in average.state_dict().items():
                if not mean.is_floating_point():
                    mean.copy_(current[key])

    def synchronize(self, seconds: float) -> float:
        """The main process's clock, so that all processes save and stop at the same step."""
        if self.accelerator.num_processes == 1:
            return seconds
        return float(broadcast(torch.tensor([seconds], device=self.accelerator.device)))

    def averages(self) -> dict[str, nn.Module]:
        return {
            name: self.averaged.get(name) or self.accelerator.unwrap_model(module)
            for name, module in self.modules.items()
        }

    def log(self, figures: Mapping[str, float]) -> None:
        self.accelerator.log(dict(figures), step=self.step)
        self.history.append({"step": self.step, "minutes": round(self.seconds / 60, 3), **figures})

    def validate(
        self, figures_of: Callable[[Mapping[str, nn.Module]], Mapping[str, float]], bar: Any
    ) -> None:
        """Log the figures of the averages, computed by the main process alone."""
        if self.accelerator.is_main_process:
            with torch.random.fork_rng():
                figures = dict(figures_of(self.averages()))
            self.log({f"validation/{key}": value for key, value in figures.items()})
            bar.write(
                f"step {self.step}: " + ", ".join(f"{key} {value:.4f}" for key, value in figures.items())
            )
        self.accelerator.wait_for_everyone()

    def save(self, card: Mapping[str, Any]) -> None:
        """Write the state and the run card."""
        if self.accelerator.is_main_process:
            with write_then_rename(self.settings.folder / STATE) as temporary:
                torch.save(self.state(), temporary)
            _write_card(self.settings, self, self.accelerator, card)
        self.accelerator.wait_for_everyone()

    def state(self) -> dict[str, Any]:
        unwrap = self.accelerator.unwrap_model
        return {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "modules": {name: unwrap(module).state_dict() for name, module in self.modules.items()},
            "averaged": {name: module.state_dict() for name, module in self.averaged.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = list(state["history"])
        for name, module in self.modules.items():
            self.accelerator.unwrap_model(module).load_state_dict(state["modules"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        for name, average in self.averaged.items():
            average.load_state_dict(state["averaged"][name])


def revision() -> str:
    """The code's git revision, with "+" if the tree has changes; "unknown" outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


def _write_card(
    settings: Settings, run: _Run[Any], accelerator: Accelerator, more: Mapping[str, Any]
) -> None:
    card = {
        "settings": {**asdict(settings), "folder": settings.folder.name},
        "modules": {
            name: {
                "parameters": sum(weight.numel() for weight in trained.module.parameters()),
                "learning_rate": trained.learning_rate,
                "weight_decay": trained.weight_decay,
                "betas": trained.betas,
            }
            for name, trained in run.trained_modules.items()
        },
        **more,
        "revision": revision(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": run.step,
        "minutes": round(run.seconds / 60, 2),
        "history": run.history,
    }
    (settings.folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _mix_seed(seed: int, step: int, process: int) -> int:
    """One seed from three numbers, without the collisions of a sum."""
    key = (seed << 40) ^ (step << 8) ^ process
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64  # SplitMix64, Steele et al. 2014
    key = (key ^ (key >> 27)) * 0x94D049BB133111EB % 2**64
    return (key ^ (key >> 31)) % 2**63
