"""Train the extender on pairs of full-band recordings and their low-passed versions.

    python -m aural.superres.train --data DIR [--minutes 75] [--resume]
    python -m aural.superres.train --data DIR --adversarial --start runs/extender/state.pt [--minutes 20]

The first command minimises the distance of log spectra and, where possible, the error of the waveform. The
second continues from the averaged weights of the first, with discriminators. LISA is trained by
`aural.superres.train_lisa`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from aural.audio.comparison import LSD_FLOOR, LSD_WINDOW, frame_distances
from aural.superres.data import RATE, TRANSCODED, BatchSampler, Pairs, validation_pairs
from aural.superres.discriminators import Discriminators
from aural.superres.model import Extender, ExtenderConfig
from aural.training.adversarial import AdversarialLoss
from aural.training.command import CORPUS, arguments, save_outcome, settings
from aural.training.corpus import LICENCE, Corpus, load
from aural.training.loop import (
    Loss,
    Outcome,
    Settings,
    TrainedModule,
    this_process,
    train,
)

WINDOWS = (128, 512, 2048)  # samples; the last window gives the published LSD
EDGES_HZ = (4_000.0, 6_000.0, 8_000.0, 12_000.0)  # cut-offs of the validation
VALIDATION_ITEMS = 16
NOISE_ROUNDS = 400  # steps of gradient descent on the noise; half a minute
NOISE_LEVEL = 0.1  # scale of the noise as a parameter; the smaller, the faster it learns


@dataclass(frozen=True)
class Objective:
    """The weights of the extender's losses."""

    short: float = 0.5  # LSD with windows of 11 ms, relative to that with 43 ms
    brief: float = 0.25  # LSD with windows of 3 ms, which separate the pulses of a voice
    excess: float = 0.3  # per dB by which the waveform's error exceeds sinc's plus the margin
    margin_db: float = 0.6
    waveform: float = 0.02  # per dB of that error
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class AdversarialObjective:
    """The adversarial losses of the second phase."""

    adversarial: float = 0.05  # weight of the generator's adversarial loss
    matching: float = 0.5  # weight of the feature matching loss
    start: int = 100  # steps without the adversarial losses, and again until their full weight
    learning_rate: float = 3e-4
    discriminator_rate: float = 4e-4


class ExtenderLoss:
    """The losses of the second phase, of the extender and of its discriminators."""

    def __init__(
        self, discriminators: Discriminators, objective: Objective, adversarial: AdversarialObjective
    ) -> None:
        self.objective = objective
        self.adversarial = AdversarialLoss(
            discriminators, adversarial.adversarial, adversarial.matching, adversarial.start
        )

    def extender_loss(self, module: nn.Module, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the first phase and, after `start` steps, the adversarial losses."""
        extended = pairs.samples + module(pairs.samples, pairs.bandwidth_hz)
        total, logs = reconstruction_loss(extended, pairs, self.objective)
        terms, adversarial_logs = self.adversarial.generator_terms(extended, pairs.target, pairs.samples)
        return total + terms, {**logs, **adversarial_logs}

    def discriminator_loss(self, module: nn.Module, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        """The hinge loss between recordings and extended sound."""
        return self.adversarial.discriminator_loss(module, pairs.target, pairs.samples)


def extender_loss(objective: Objective) -> Loss[Pairs]:
    """The extender's loss for the training loop."""

    def loss(module: nn.Module, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        return reconstruction_loss(
            pairs.samples + module(pairs.samples, pairs.bandwidth_hz), pairs, objective
        )

    return loss


def reconstruction_loss(
    extended: Tensor, pairs: Pairs, objective: Objective
) -> tuple[Tensor, dict[str, Tensor]]:
    """The distance from the recording, and values to log. Shape: extended (batch, time)."""
    with torch.autocast(extended.device.type, enabled=False):
        brief, short, long = (log_distance(extended, pairs.target, window).mean() for window in WINDOWS)
        error_db = _error_db(extended, pairs)
        excess = (error_db - objective.margin_db).clamp_min(0).mean()
        total = (
            long + objective.short * short + objective.excess * excess + objective.waveform * error_db.mean()
        )
    return total, {
        "loss": total,
        "lsd": long,
        "short": short,
        "brief": brief,
        "error_db": error_db.mean(),
        "excess": excess,
    }


def log_distance(extended: Tensor, target: Tensor, window: int) -> Tensor:
    """Log-spectral distance: `comparison.log_spectral_distance` with a smooth lower limit.

    Shape: (batch, time) -> (batch,)
    """
    hann = torch.hann_window(window, device=extended.device)
    floor = LSD_FLOOR * window / LSD_WINDOW

    def logarithms(samples: Tensor) -> Tensor:
        spectrum = torch.stft(samples, window, window // 4, window=hann, return_complex=True)
        return torch.log10(spectrum.real.square() + spectrum.imag.square() + floor)

    distances: Tensor = frame_distances(logarithms(extended), logarithms(target), axis=1, smoothing=1e-6)
    return distances.mean(-1)


def train_extender(
    corpus: Corpus,
    config: ExtenderConfig,
    objective: Objective,
    run: Settings,
    *,
    adversarial: AdversarialObjective | None = None,
    weights: Mapping[str, Tensor] | None = None,
    transcoded_count: int = TRANSCODED,
    noise_rounds: int = NOISE_ROUNDS,
) -> tuple[Extender, Outcome]:
    """The averaged extender after a run.

    Args:
        adversarial: settings of the second phase; None: train the first phase.
        weights: initial weights of the extender; None: random weights and even noise.
    """
    torch.manual_seed(run.seed)
    extender = Extender(config)
    if weights is not None:
        extender.load_state_dict(weights)
    elif not run.resume:
        noise = even_noise(len(extender.noise), run.seed, noise_rounds)
        extender.noise.data = NOISE_LEVEL * noise
    betas = (0.9, 0.98)
    trained_modules: dict[str, TrainedModule[Pairs]]
    if adversarial is None:
        trained_modules = {
            "extender": TrainedModule(
                extender, extender_loss(objective), objective.learning_rate, betas=betas
            )
        }
    else:
        discriminators = Discriminators()
        losses = ExtenderLoss(discriminators, objective, adversarial)
        trained_modules = {
            "extender": TrainedModule(extender, losses.extender_loss, adversarial.learning_rate, betas=betas),
            "discriminators": TrainedModule(
                discriminators,
                losses.discriminator_loss,
                adversarial.discriminator_rate,
                betas=(0.8, 0.98),
                averaged=False,
            ),
        }
    outcome = train(
        trained_modules,
        BatchSampler(corpus, run.batch, this_process().device, transcoded_count=transcoded_count),
        run,
        validate=_validation(corpus),
        card={
            "config": config.to_dict(),
            "objective": asdict(objective),
            "adversarial": adversarial and asdict(adversarial),
        },
    )
    return cast(Extender, outcome.averages["extender"]), outcome


def even_noise(length: int, seed: int = 0, rounds: int = NOISE_ROUNDS) -> Tensor:
    """Periodic noise of mean power 1 whose spectra fluctuate as little as possible.

    The logarithm of the power of white noise has a standard deviation of 0.56 over bins and frames. Gradient
    descent reduces it to about 0.28 for windows of 11, 21 and 43 ms at once; the samples stay Gaussian. If
    such noise replaces real noise, the spectral distance is due to one fluctuation instead of two. Pumplin
    1985 smoothed envelopes in a similar way.

    Shape: (length,)
    """
    noise = torch.randn(length, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    optimizer = torch.optim.Adam([noise], 0.03)
    for _ in range(rounds):
        loss = torch.stack(
            [log_power_deviation(noise, window).square() for window in (512, 1024, 2048)]
        ).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return noise.detach() / noise.detach().square().mean().sqrt()


def log_power_deviation(noise: Tensor, window: int) -> Tensor:
    """Standard deviation of log10 of the power over bins and frames. Shape: (time,), periodic, -> ()."""
    repeated = torch.cat((noise, noise[:window])) / noise.square().mean().sqrt()
    hann = torch.hann_window(window, device=noise.device)
    spectrum = torch.stft(repeated, window, window // 4, window=hann, center=False, return_complex=True)[2:-2]
    return torch.log10(spectrum.real.square() + spectrum.imag.square() + 1e-9 * window).std()


def _error_db(extended: Tensor, pairs: Pairs) -> Tensor:
    """The error's energy relative to sinc's, in dB. Shape: (batch,)."""
    error, before = ((x - pairs.target).square().sum(-1) for x in (extended, pairs.samples))
    tiny = 1e-6 * pairs.target.square().sum(-1)
    return 10 * torch.log10((error + tiny) / (before + tiny))


def _validation(corpus: Corpus) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """LSD at several rates, and the waveform's error relative to sinc's, over validation pieces."""
    rates = {
        f"{2 * edge_hz / 1000:g}k": validation_pairs(corpus, edge_hz, VALIDATION_ITEMS)
        for edge_hz in EDGES_HZ
    }

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        extender = averages["extender"]
        device = next(extender.parameters()).device
        figures = {}
        for name, pairs in rates.items():
            moved = pairs.to(device)
            with torch.inference_mode():
                extended = moved.samples + extender(moved.samples, moved.bandwidth_hz)
                figures[f"lsd_{name}"] = float(log_distance(extended, moved.target, WINDOWS[-1]).mean())
                figures[f"error_db_{name}"] = float(_error_db(extended, moved).mean())
        return figures

    return validate


def main(command: list[str] | None = None) -> None:
    """Train with the command line's settings and save the checkpoint."""
    parser = arguments(__doc__, data=CORPUS, steps=4_000, batch=12, folder="runs/extender")
    parser.add_argument(
        "--adversarial", action="store_true", help="train the second phase, with discriminators"
    )
    parser.add_argument("--start", type=Path, help="state.pt of the run whose averaged weights to start from")
    chosen = parser.parse_args(command)
    corpus = load(chosen.data, RATE, exact=True)
    config = ExtenderConfig(16, 2, (1, 2)) if chosen.smoke else ExtenderConfig()
    started = chosen.start and torch.load(chosen.start, map_location="cpu", weights_only=True)
    extender, outcome = train_extender(
        corpus,
        config,
        Objective(),
        settings(chosen),
        adversarial=AdversarialObjective() if chosen.adversarial else None,
        weights=started and started["averaged"]["extender"],
        transcoded_count=4 if chosen.smoke else TRANSCODED,
        noise_rounds=2 if chosen.smoke else NOISE_ROUNDS,
    )
    save_outcome(chosen, outcome, "extender", extender, config.to_dict(), LICENCE)


if __name__ == "__main__":
    main()
