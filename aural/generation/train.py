"""Train the diffusion model on ESC-50, folds 1 to 4.

    python -m aural.generation.train --data DIR [--minutes 60] [--resume]

The loss is the squared (or absolute) error of the predicted clean spectrogram, weighted by
min(SNR + 1, 5): the weight of a velocity loss (Salimans and Ho 2022), capped at low noise (Hang et al.
2023). One condition in ten is dropped, for guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from aural.generation.data import Batch, Esc50, batch_sampler, fit_statistics, load, roll_loops
from aural.generation.model import NULL_CLASS, TRAIN_STEPS, Config, DiffusionModel, active_share
from aural.training.command import ESC50, arguments, save_outcome, settings
from aural.training.loop import Outcome, Settings, TrainedModule, this_process, train

LICENCE = "CC-BY-NC-3.0"
MAX_WEIGHT = 5.0
DROP_PROBABILITY = 0.1  # probability of replacing a condition by the null class
TINY = Config(channels=(16, 32, 32))


@dataclass(frozen=True)
class Objective:
    """The loss and its optimizer."""

    loss: Literal["l1", "l2"] = "l2"
    learning_rate: float = 6e-4


def objective_of(kind: Literal["l1", "l2"]) -> Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor]]]:
    """The loss for the training loop; all randomness comes from torch's default generator."""

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        error, weight = _errors(module, batch, kind, dropped=DROP_PROBABILITY)
        mean = (weight * error).mean()
        return mean, {"loss": mean}

    return loss


def train_denoiser(
    clips: Esc50, config: Config, objective: Objective, run: Settings
) -> tuple[DiffusionModel, Outcome]:
    """The averaged model after a run on the training folds of `clips`; fold 5 is for validation."""
    torch.manual_seed(run.seed)
    device = this_process().device
    denoiser = DiffusionModel(config)
    fit_statistics(clips.training, denoiser.conditioning)
    if not config.normalise:
        denoiser.conditioning.mean.zero_()
        denoiser.conditioning.deviation.fill_(1)
    # A wrapper, because the loop calls the module's forward.
    trained = TrainedModule(_Predictor(denoiser), objective_of(objective.loss), objective.learning_rate)
    outcome = train(
        {"denoiser": trained},
        batch_sampler(clips.training, run.batch, device),
        run,
        validate=validation(clips, device),
        card={"config": config.to_dict(), "objective": asdict(objective)},
    )
    return cast(_Predictor, outcome.averages["denoiser"]).denoiser, outcome


def validation(clips: Esc50, device: torch.device) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """The loss on up to 100 clips of fold 5, and on as many training clips for comparison."""

    def sample_evenly(part: Esc50) -> Batch:
        chosen = torch.linspace(0, len(part) - 1, min(100, len(part))).long()
        mel = part.mel[chosen].float()
        looped = roll_loops(mel, torch.zeros(len(mel), dtype=torch.long))
        return Batch(looped.to(device), part.labels[chosen].to(device), active_share(mel).to(device))

    parts = {"unseen": sample_evenly(clips.validation), "seen": sample_evenly(clips.training)}

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        figures = {}
        for name, batch in parts.items():
            torch.manual_seed(0)
            with torch.no_grad():
                error, weight = _errors(averages["denoiser"], batch, "l2", dropped=0.0)
            figures[name] = float((error * weight).mean())
        return figures

    return validate


class _Predictor(nn.Module):
    def __init__(self, denoiser: DiffusionModel) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self, mel: Tensor, labels: Tensor, active: Tensor, timesteps: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The prediction and its target."""
        clean = self.denoiser.normalise(mel)
        signal, noise_level = self.denoiser.levels(timesteps)
        noisy = signal * clean + noise_level * noise
        predicted = self.denoiser.predict(noisy, timesteps, self.denoiser.condition(labels, active))
        return predicted.float(), clean if self.denoiser.config.predicts == "clean" else noise


def _errors(module: nn.Module, batch: Batch, kind: str, *, dropped: float) -> tuple[Tensor, Tensor]:
    """The mean error of each clip and its weight, each (batch,)."""
    size = len(batch.labels)
    device = batch.mel.device
    # Stratified noise levels reduce the variance of the loss.
    place = (torch.arange(size) + torch.rand(size)) / size
    timesteps = (place[torch.randperm(size)] * TRAIN_STEPS).long().to(device)
    labels = torch.where((torch.rand(size) < dropped).to(device), NULL_CLASS, batch.labels)
    noise = torch.randn(batch.mel.shape).to(device)
    predicted, target = module(batch.mel, labels, batch.active, timesteps, noise)
    difference = predicted - target
    error = (difference**2 if kind == "l2" else difference.abs()).mean((1, 2))
    denoiser = cast(_Predictor, getattr(module, "module", module)).denoiser
    if denoiser.config.predicts == "noise":
        return error, torch.ones_like(error)
    power = denoiser.alphas_cumprod[timesteps]
    return error, (1 / (1 - power)).clamp_max(MAX_WEIGHT)


def main(command: list[str] | None = None) -> None:
    parser = arguments(__doc__, data=ESC50, steps=9_000, batch=16, folder="runs/generator")
    parser.add_argument(
        "--channels", type=int, nargs=3, default=Config.channels, help="channels of the U-Net's levels"
    )
    chosen = parser.parse_args(command)
    config = TINY if chosen.smoke else Config(channels=tuple(chosen.channels))
    denoiser, outcome = train_denoiser(load(chosen.data), config, Objective(), settings(chosen))
    save_outcome(chosen, outcome, "generator", denoiser, config.to_dict(), LICENCE)


if __name__ == "__main__":
    main()
