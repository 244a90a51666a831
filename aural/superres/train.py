"""Train the extender on pairs of full-band recordings and what low-passes leave of them.

    python -m aural.superres.train --data DIR [--minutes 75] [--resume]
    python -m aural.superres.train --data DIR --adversarial --start runs/extender/state.pt [--minutes 20]

The first command makes logarithms of spectra fit, and the waveform where it can; the second goes on from the
averaged weights of the first, with judges that tell what was made from what is real. LISA is trained by
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
from aural.superres.data import CODED, RATE, Drawer, Pairs, validation_pairs
from aural.superres.discriminators import Discriminators
from aural.superres.model import Extender, ExtenderConfig
from aural.training.adversarial import feature_matching_loss, generator_loss, hinge
from aural.training.checkpoints import save
from aural.training.corpus import Corpus, load
from aural.training.loop import (
    Loss,
    Outcome,
    Settings,
    TrainedModule,
    arguments,
    settings,
    this_process,
    train,
)

LICENCE = "CC-BY-NC-SA-4.0"  # the narrowest of the recordings' licences, that of RAVDESS
WINDOWS = (128, 512, 2048)  # samples of the spectra that are compared; the last one's is the published LSD
EDGES_HZ = (4_000.0, 6_000.0, 8_000.0, 12_000.0)  # of the validation
VALIDATION_ITEMS = 16
NOISE_ROUNDS = 400  # of evening the noise out, half a minute
NOISE_LEVEL = 0.1  # of the noise as a parameter: the smaller, the faster it learns


@dataclass(frozen=True)
class Objective:
    """Weights of what the extender is to make small."""

    short: float = 0.5  # of the distance with windows of 11 ms, beside that with 43 ms
    brief: float = 0.25  # of that with 3 ms, in which the pulses of a voice are apart
    excess: float = 0.3  # of each dB by which the error of the waveform exceeds that of sinc and a margin
    margin_db: float = 0.6
    waveform: float = 0.02  # of each dB of that error
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class AdversarialObjective:
    """What the judges add to it, in the second phase."""

    adversarial: float = 0.05  # weight of the hinge loss
    matching: float = 0.5  # of the features' distance
    start: int = 100  # turns of the judges before the extender heeds them, and again until it does in full
    learning_rate: float = 3e-4
    discriminator_rate: float = 4e-4


class Game:
    """What the extender and its judges are to make small, each in its turn."""

    def __init__(
        self, discriminators: Discriminators, objective: Objective, adversarial: AdversarialObjective
    ) -> None:
        self.discriminators, self.adversarial = discriminators, adversarial
        self.objective = objective
        self.made: Tensor | None = None  # by the extender in its last turn, which comes first

    def extending(self, module: nn.Module, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the first phase and, from some turn on, what the judges say."""
        made = pairs.samples + module(pairs.samples, pairs.bandwidth_hz)
        self.made = made.detach()
        total, logs = fidelity(made, pairs, self.objective)
        ramp = self.discriminators.ramp(self.adversarial.start)
        if ramp == 0:
            return total, logs
        judged = self.discriminators(made, pairs.samples)
        with torch.no_grad():
            real = self.discriminators(pairs.target, pairs.samples)
        persuaded, matched = generator_loss(judged), feature_matching_loss(judged, real)
        total = total + ramp * (
            self.adversarial.adversarial * persuaded + self.adversarial.matching * matched
        )
        return total, {**logs, "adversarial": persuaded, "matching": matched}

    def discriminating(self, module: nn.Module, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        """The hinge loss of telling extended sound from what was recorded."""
        assert self.made is not None, "the extender goes first"
        error = hinge(module(pairs.target, pairs.samples), module(self.made, pairs.samples))
        self.discriminators.steps += 1
        return error, {"hinge": error}


def extending(objective: Objective) -> Loss[Pairs]:
    """The extender's loss for the training loop."""

    def loss(module: nn.Module, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        return fidelity(pairs.samples + module(pairs.samples, pairs.bandwidth_hz), pairs, objective)

    return loss


def fidelity(made: Tensor, pairs: Pairs, objective: Objective) -> tuple[Tensor, dict[str, Tensor]]:
    """The distance from the recording, and what the logs show. Shape: made (batch, time)."""
    with torch.autocast(made.device.type, enabled=False):
        brief, short, long = (log_distance(made, pairs.target, window).mean() for window in WINDOWS)
        error_db = _error_db(made, pairs)
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


def log_distance(made: Tensor, target: Tensor, window: int) -> Tensor:
    """Log-spectral distance: as `comparison.log_spectral_distance`, but smooth at the floor.

    Shape: (batch, time) -> (batch,)
    """
    hann = torch.hann_window(window, device=made.device)
    floor = LSD_FLOOR * window / LSD_WINDOW

    def logarithms(samples: Tensor) -> Tensor:
        spectrum = torch.stft(samples, window, window // 4, window=hann, return_complex=True)
        return torch.log10(spectrum.real.square() + spectrum.imag.square() + floor)

    distances: Tensor = frame_distances(logarithms(made), logarithms(target), axis=1, smoothing=1e-6)
    return distances.mean(-1)


def train_extender(
    corpus: Corpus,
    config: ExtenderConfig,
    objective: Objective,
    run: Settings,
    *,
    adversarial: AdversarialObjective | None = None,
    weights: Mapping[str, Tensor] | None = None,
    coded_count: int = CODED,
    noise_rounds: int = NOISE_ROUNDS,
) -> tuple[Extender, Outcome]:
    """The averaged extender after a run.

    Args:
        adversarial: of the second phase; None: the first one.
        weights: what the extender starts from; None: chance, and noise that is even.
    """
    torch.manual_seed(run.seed)
    extender = Extender(config)
    if weights is not None:
        extender.load_state_dict(weights)
    elif not run.resume:
        noise = even_noise(len(extender.noise), run.seed, noise_rounds)
        extender.noise.data = NOISE_LEVEL * noise
    betas = (0.9, 0.98)
    players: dict[str, TrainedModule[Pairs]]
    if adversarial is None:
        players = {
            "extender": TrainedModule(extender, extending(objective), objective.learning_rate, betas=betas)
        }
    else:
        discriminators = Discriminators()
        game = Game(discriminators, objective, adversarial)
        players = {
            "extender": TrainedModule(extender, game.extending, adversarial.learning_rate, betas=betas),
            "discriminators": TrainedModule(
                discriminators,
                game.discriminating,
                adversarial.discriminator_rate,
                betas=(0.8, 0.98),
                averaged=False,
            ),
        }
    outcome = train(
        players,
        Drawer(corpus, run.batch, this_process().device, coded_count=coded_count),
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
    """Noise that repeats, of mean power 1, whose spectra fluctuate as little as can be.

    The logarithm of the power of white noise has a standard deviation of 0.56 over bins and frames. Here it
    is made small for windows of 11, 21 and 43 ms at once, to about 0.28, by descending its gradient; the
    samples stay as Gaussian as they were. Where such noise stands for another, the distance of the spectra
    is due to one fluctuation, not to two. Pumplin 1985 made envelopes even, likewise.

    Shape: (length,)
    """
    noise = torch.randn(length, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    optimizer = torch.optim.Adam([noise], 0.03)
    for _ in range(rounds):
        loss = torch.stack([log_spread(noise, window).square() for window in (512, 1024, 2048)]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return noise.detach() / noise.detach().square().mean().sqrt()


def log_spread(noise: Tensor, window: int) -> Tensor:
    """Standard deviation of log10 of the power over bins and frames. Shape: (time,), it repeats, -> ()."""
    repeated = torch.cat((noise, noise[:window])) / noise.square().mean().sqrt()
    hann = torch.hann_window(window, device=noise.device)
    spectrum = torch.stft(repeated, window, window // 4, window=hann, center=False, return_complex=True)[2:-2]
    return torch.log10(spectrum.real.square() + spectrum.imag.square() + 1e-9 * window).std()


def _error_db(made: Tensor, pairs: Pairs) -> Tensor:
    """The error's energy over that of sinc. Shape: (batch,)."""
    error, before = ((x - pairs.target).square().sum(-1) for x in (made, pairs.samples))
    tiny = 1e-6 * pairs.target.square().sum(-1)
    return 10 * torch.log10((error + tiny) / (before + tiny))


def _validation(corpus: Corpus) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """LSD at several rates, and how much the waveform's error has grown, over pieces for validation."""
    rates = {
        f"{2 * edge_hz / 1000:g}k": validation_pairs(corpus, edge_hz, VALIDATION_ITEMS)
        for edge_hz in EDGES_HZ
    }

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        extender = averages["extender"]
        device = next(extender.parameters()).device
        figures = {}
        for name, pairs in rates.items():
            given = pairs.to(device)
            with torch.inference_mode():
                made = given.samples + extender(given.samples, given.bandwidth_hz)
                figures[f"lsd_{name}"] = float(log_distance(made, given.target, WINDOWS[-1]).mean())
                figures[f"error_db_{name}"] = float(_error_db(made, given).mean())
        return figures

    return validate


def main(command: list[str] | None = None) -> None:
    """Train as the command line says, and save the checkpoint."""
    parser = arguments(__doc__ or "", steps=4_000, batch=12, folder="runs/extender")
    parser.add_argument("--data", type=Path, required=True, help="a folder with esc50/, speech/, music/")
    parser.add_argument("--no-save", action="store_true", help="leave checkpoints/ as it is")
    parser.add_argument("--adversarial", action="store_true", help="the second phase: with judges")
    parser.add_argument("--start", type=Path, help="state.pt of a run whose averaged weights to start from")
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
        coded_count=4 if chosen.smoke else CODED,
        noise_rounds=2 if chosen.smoke else NOISE_ROUNDS,
    )
    print(f"{outcome.step} steps in {outcome.minutes:.1f} minutes")
    if not (chosen.smoke or chosen.no_save):
        print("Saved", save("extender", extender, config.to_dict(), LICENCE))


if __name__ == "__main__":
    main()
