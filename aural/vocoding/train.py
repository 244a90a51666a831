"""Train the vocoder on ESC-50 (folds 1 to 4), speech and music.

    python -m aural.vocoding.train --data DIR [--minutes 50] [--resume]

Each segment is generated twice, from two noises. The loss is the energy distance between the two and the real
one, see `aural.training.losses`. It preserves the texture of noise, as discriminators do elsewhere, at the
cost of a second pass but without adversarial instability. A second loss compares the mel bands of the output
with those of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn

from aural.audio.spectral import log_mel
from aural.training.command import CORPUS, arguments, save_outcome, settings
from aural.training.corpus import LICENCE, Corpus, load
from aural.training.loop import Outcome, Settings, TrainedModule, this_process, train
from aural.training.losses import energy_distance, resolutions, scaled_spectra
from aural.vocoding.data import batches
from aural.vocoding.evaluate import excerpt, log_spectral_distance_db, validation_recordings
from aural.vocoding.model import Config, Vocoder

TINY = Config(width=16, layers=1)
VALIDATION_CLIPS = 20


@dataclass(frozen=True)
class Objective:
    """The weights of the losses, and the segments."""

    repulsion: float = 0.5  # 0: closest to the real sound; 1: with the texture of the real sound
    mel_weight: float = 2.0  # weight of the mean error of the scaled mel bands
    frames: int = 48  # frames of a segment, half a second
    rounds: int = 12  # rounds of Griffin-Lim; with fewer than at inference, training helps less
    learning_rate: float = 2e-3


def objective_of(
    config: Config, objective: Objective
) -> Callable[[nn.Module, Tensor], tuple[Tensor, dict[str, Tensor]]]:
    """The loss for the training loop, on segments (batch, time); noise is from torch's default generator."""
    front_end = config.front_end
    front_ends = resolutions(config.rate)

    def loss(module: nn.Module, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # Only the module itself runs in the chosen precision.
        with torch.autocast(real.device.type, enabled=False):
            mel = log_mel(real, front_end).repeat(2, 1, 1)
            noise = torch.randn(len(mel), real.shape[-1]).to(real)
        output = module(mel, real.shape[-1], noise, rounds=objective.rounds)
        with torch.autocast(real.device.type, enabled=False):
            pairs = [spectrum.chunk(2) for spectrum in scaled_spectra(output, front_ends)]
            first, second = zip(*pairs, strict=True)
            attraction, distance = energy_distance(
                first, second, scaled_spectra(real, front_ends), objective.repulsion
            )
            mel_error = (log_mel(output, front_end) - mel).abs().mean()
        total = distance + objective.mel_weight * mel_error
        return total, {"loss": total, "attraction": attraction, "mel_error": mel_error}

    return loss


def train_vocoder(
    corpus: Corpus, config: Config, objective: Objective, run: Settings
) -> tuple[Vocoder, Outcome]:
    """The averaged vocoder after a run; validation recordings are not trained on."""
    torch.manual_seed(run.seed)
    device = this_process().device
    sample_segments = batches(corpus, run.batch, objective.frames * config.hop)

    def sample(generator: torch.Generator) -> Tensor:
        return sample_segments(generator).to(device)

    trained = TrainedModule(
        Vocoder(config), objective_of(config, objective), objective.learning_rate, betas=(0.8, 0.95)
    )
    outcome = train(
        {"vocoder": trained},
        sample,
        run,
        validate=validation(corpus, config),
        card={"config": config.to_dict(), "objective": asdict(objective)},
    )
    return cast(Vocoder, outcome.averages["vocoder"]), outcome


def validation(corpus: Corpus, config: Config) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """The log-spectral distance, in dB, over a few validation recordings of each kind."""
    waves = {
        kind: [excerpt(corpus, recording, config.rate) for recording in chosen]
        for kind, chosen in validation_recordings(corpus, VALIDATION_CLIPS).items()
        if chosen
    }

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        vocoder = cast(Vocoder, averages["vocoder"])
        device = next(vocoder.parameters()).device
        figures = {}
        for kind, chosen in waves.items():
            distances = []
            for wave in chosen:
                with torch.inference_mode():
                    output = vocoder(log_mel(wave.to(device), config.front_end)[None], len(wave))[0].cpu()
                distances.append(log_spectral_distance_db(output, wave, config.front_end))
            figures[f"{kind}_lsd_db"] = sum(distances) / len(distances)
        return figures

    return validate


def main(command: list[str] | None = None) -> None:
    """Train with the command line's settings and save the checkpoint."""
    parser = arguments(__doc__, data=CORPUS, steps=8_000, batch=8, folder="runs/vocoder")
    parser.add_argument("--width", type=int, default=Config.width, help="channels of the blocks")
    parser.add_argument("--layers", type=int, default=Config.layers, help="number of blocks")
    parser.add_argument("--rounds", type=int, default=Objective.rounds, help="rounds in training")
    parser.add_argument("--repulsion", type=float, default=Objective.repulsion, help="0: smooth, 1: textured")
    chosen = parser.parse_args(command)
    config = TINY if chosen.smoke else Config(width=chosen.width, layers=chosen.layers)
    vocoder, outcome = train_vocoder(
        load(chosen.data, config.rate),
        config,
        Objective(repulsion=chosen.repulsion, rounds=chosen.rounds),
        settings(chosen),
    )
    save_outcome(chosen, outcome, "vocoder", vocoder, config.to_dict(), LICENCE)


if __name__ == "__main__":
    main()
