"""Train generation's reporting judge on ESC-50, folds 2 to 5, or evaluate the shipped one on fold 1.

    python -m aural.generation.train_waveform_classifier --data DIR [--minutes 120] [--resume]
    python -m aural.generation.train_waveform_classifier --data DIR --evaluate

Each clip is cut at random around a sound, played faster or slower, and tilted in level over frequency. Nine
in ten are mixed with another clip, together with their labels (Tokozume et al. 2018, at equal levels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.evaluation.metrics import ranks
from aural.generation.data import Esc50
from aural.generation.data import load as load_esc50
from aural.generation.train_classifier import LICENCE, figures, soft_cross_entropy, table
from aural.generation.waveform_classifier import UNSEEN_FOLD, Config, WaveformClassifier, load
from aural.training.command import ESC50, arguments, save_outcome, settings
from aural.training.loop import Outcome, Settings, TrainedModule, this_process, train

FULL_SCALE = 32_767
TINY = Config(bands=4, taps=64, channels=(4, 8), features=8)
AVERAGE, CLIP, WARM_UP, VALIDATE_STEPS = 0.998, 2.0, 200, 500
ACTIVE = 3e-3  # root mean square of a block, full scale 1; below it the block is silent
BLOCK = 1_102  # samples of such a block, 50 ms


@dataclass(frozen=True)
class Recipe:
    """The optimizer and the augmentation."""

    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05  # label smoothing
    seconds: tuple[float, ...] = (1.5, 2.0, 3.0, 4.0)  # possible lengths of the clips of a batch
    speed_octaves: float = 0.4  # maximum change of speed, and of pitch with it
    tilt: float = 0.6  # maximum coefficient of the filter that tilts the spectrum
    mixed: float = 0.9  # share of clips mixed with another
    noise: float = 0.03  # maximum level of white noise relative to the clip
    silenced: float = 0.25  # maximum share of the clip that is silenced in one span


@dataclass(frozen=True)
class Batch:
    """The batch of one training step."""

    samples: Tensor  # (batch, time)
    labels: Tensor  # (batch, classes), each row adds up to 1


def batch_sampler(
    clips: Esc50, size: int, config: Config, recipe: Recipe, device: torch.device | str = "cpu"
) -> Callable[[torch.Generator], Batch]:
    """A function that samples augmented batches of `size` clips."""
    waves = torch.from_numpy(clips.waves)
    blocks = waves[:, : waves.shape[1] // BLOCK * BLOCK].view(len(waves), -1, BLOCK)
    levels = torch.stack([clip.float().square().mean(-1).sqrt() / FULL_SCALE for clip in blocks])
    active = (levels > ACTIVE).float() + 1e-6  # positive everywhere, since a clip may be silent

    def cut(chosen: Tensor, length: int, generator: torch.Generator) -> Tensor:
        """Samples (clips, length) around a block that is not silent, at a level of 1; the clip is a loop."""
        count, total = len(chosen), waves.shape[1]

        def uniform(most: float) -> Tensor:
            return (torch.rand(count, 1, generator=generator) * 2 - 1) * most

        speed = torch.exp2(uniform(recipe.speed_octaves)).double()
        centre = BLOCK * torch.multinomial(active[chosen], 1, generator=generator)
        start = centre - torch.rand(count, 1, generator=generator) * length * speed
        when = start + speed * torch.arange(length + 1)
        left = when.floor()
        first, second = (waves[chosen[:, None], (left.long() + later) % total].float() for later in range(2))
        samples = torch.lerp(first, second, (when - left).float())
        samples = samples[:, 1:] + uniform(recipe.tilt) * samples[:, :-1]
        samples = samples / _level(samples)
        noise = torch.randn(samples.shape, generator=generator)
        return samples + uniform(recipe.noise).abs() * noise

    def sample(generator: torch.Generator) -> Batch:
        def choose(count: int) -> Tensor:
            return torch.randint(len(clips), (count,), generator=generator)

        seconds = recipe.seconds[int(torch.randint(len(recipe.seconds), (), generator=generator))]
        length = round(seconds * config.rate)
        first, second = choose(size), choose(int(recipe.mixed * size))
        samples, others = cut(first, length, generator), cut(second, length, generator)
        labels, other_labels = (
            functional.one_hot(clips.labels[chosen], config.classes).float() for chosen in (first, second)
        )
        count = len(second)
        share = torch.rand(count, 1, generator=generator)
        # Divided by the root of the powers, so that a mixture is as loud as its parts.
        samples[:count] = (share * samples[:count] + (1 - share) * others) / (
            share.square() + (1 - share).square()
        ).sqrt()
        labels[:count] = torch.lerp(other_labels, labels[:count], share)
        span = torch.rand(size, 1, generator=generator) * recipe.silenced * length
        start = torch.rand(size, 1, generator=generator) * (length - span)
        place = torch.arange(length)
        samples = samples.masked_fill((place >= start) & (place < start + span), 0)
        return Batch(samples.to(device), labels.to(device))

    return sample


def train_waveform_classifier(
    clips: Esc50, config: Config, recipe: Recipe, run: Settings
) -> tuple[WaveformClassifier, Outcome]:
    """The averaged classifier after a run on all folds of `clips` but the one held back for validation."""
    torch.manual_seed(run.seed)
    classifier = WaveformClassifier(config)
    entropy = soft_cross_entropy(recipe.smoothing)

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return entropy(module(batch.samples), batch.labels)

    trained = TrainedModule(
        classifier, loss, recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.999)
    )
    unseen = clips.take(clips.folds == UNSEEN_FOLD)

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        return asdict(figures(places(cast(WaveformClassifier, averages["classifier"]), unseen)))

    outcome = train(
        {"classifier": trained},
        batch_sampler(
            clips.take(clips.folds != UNSEEN_FOLD), run.batch, config, recipe, this_process().device
        ),
        run,
        validate=validate,
        card={"config": config.to_dict(), "recipe": asdict(recipe)},
    )
    return cast(WaveformClassifier, outcome.averages["classifier"]), outcome


@torch.inference_mode()
def places(classifier: WaveformClassifier, clips: Esc50) -> Tensor:
    """The rank of the right class of each clip, (clips,); 1 is the best."""
    device = classifier.head.weight.device
    waves = torch.split(torch.from_numpy(clips.waves), 25)
    logits = torch.cat([classifier((part.float() / FULL_SCALE).to(device)).cpu() for part in waves])
    return torch.from_numpy(ranks(logits.double().numpy(), clips.labels.numpy()))


def _level(samples: Tensor) -> Tensor:
    """Root mean square of each clip; above 0 even for a silent one, so that it can be a divisor."""
    return samples.square().mean(-1, keepdim=True).sqrt().clamp_min(1.0)


def main(command: list[str] | None = None) -> None:
    """Train with the command line's settings and save the checkpoint, or evaluate the shipped one."""
    parser = arguments(__doc__, data=ESC50, steps=4_000, batch=32, folder="runs/waveform_classifier")
    parser.add_argument("--evaluate", action="store_true", help="print the shipped classifier's figures")
    chosen = parser.parse_args(command)
    clips = load_esc50(chosen.data)
    unseen = clips.take(clips.folds == UNSEEN_FOLD)
    if chosen.evaluate:
        print(table(places(load(), unseen), unseen.labels))
        return
    run = settings(
        chosen, hold=0.1, average=AVERAGE, clip=CLIP, warm_up=WARM_UP, validate_steps=VALIDATE_STEPS
    )
    config = TINY if chosen.smoke else Config()
    classifier, outcome = train_waveform_classifier(clips, config, Recipe(), run)
    print(table(places(classifier, unseen), unseen.labels))
    save_outcome(chosen, outcome, "waveform_classifier", classifier, config.to_dict(), LICENCE)


if __name__ == "__main__":
    main()
