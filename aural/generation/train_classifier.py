"""Train the classifier on ESC-50, folds 1 to 4, or evaluate the shipped one on fold 5.

    python -m aural.generation.train_classifier --data DIR [--minutes 30] [--resume]
    python -m aural.generation.train_classifier --data DIR --evaluate

There are only 1,600 clips, so each is randomly cut, stretched, transposed and filtered. Three in four are
mixed with another clip, together with their labels (Zhang et al. 2018; Tokozume et al. 2018, at equal
levels). One span of bands and one of frames are masked (Park et al. 2019).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import KNEE_MAGNITUDE, scale, unscale
from aural.evaluation.metrics import mean_reciprocal_rank, ranks, top_k_accuracy
from aural.generation.classes import CLASSES, GROUPS
from aural.generation.classifier import Classifier, Config, load
from aural.generation.data import Esc50
from aural.generation.data import load as load_esc50
from aural.training.command import ESC50, arguments, save_outcome, settings
from aural.training.loop import Outcome, Settings, TrainedModule, this_process, train

LICENCE = "CC-BY-NC-3.0"
TINY = Config(stem=4, channels=(4, 8), features=8)
# Settings of the shipped weights that the command line does not have.
AVERAGE, CLIP, WARM_UP, VALIDATE_STEPS = 0.998, 2.0, 200, 250
ACTIVE = 0.15  # scaled; a frame with no band above it is silent
SPEED_CLIPS = 8  # batch size for measuring the speed


@dataclass(frozen=True)
class Recipe:
    """The optimizer and the augmentation."""

    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05  # label smoothing
    frames: tuple[int, ...] = (192, 256, 320, 425)  # possible lengths of the clips of a batch
    speed_octaves: float = 0.35  # maximum change of speed at constant pitch
    bands: int = 3  # maximum transposition
    gain_db: float = 6.0  # maximum gain of a random equalizer
    gain_knots: int = 5  # points of that equalizer's curve
    mixed: float = 0.75  # share of clips mixed with another
    struck_bands: int = 14  # maximum width of a masked span
    struck_frames: int = 48


@dataclass(frozen=True)
class Batch:
    """The batch of one training step."""

    mel: Tensor  # (batch, 80, frames), scaled
    labels: Tensor  # (batch, classes), each row adds up to 1


@dataclass(frozen=True)
class Figures:
    """The accuracy of a classifier."""

    top_1: float  # share of clips whose class is ranked first
    top_5: float
    map_10: float  # mean reciprocal rank, 0 beyond 10


def batch_sampler(
    clips: Esc50, size: int, classes: int, recipe: Recipe, device: torch.device | str = "cpu"
) -> Callable[[torch.Generator], Batch]:
    """A function that samples augmented batches of `size` clips."""
    # Positive everywhere, since a clip may be silent.
    active = (clips.mel.amax(1) > ACTIVE).float() + 1e-6

    def cut(chosen: Tensor, frames: int, generator: torch.Generator) -> Tensor:
        """Magnitudes (clips, 80, frames) around a frame that is not silent; the clip is a loop."""
        count, bands, total = len(chosen), *clips.mel.shape[1:]
        speed = torch.exp2(_uniform((count, 1), recipe.speed_octaves, generator))
        centre = torch.multinomial(active[chosen], 1, generator=generator)
        start = centre - torch.rand(count, 1, generator=generator) * frames * speed
        when = (start + speed * torch.arange(frames)).floor().long() % total
        shift = torch.randint(-recipe.bands, recipe.bands + 1, (count, 1), generator=generator)
        where = (torch.arange(bands) + shift).clamp(0, bands - 1)
        mel = clips.mel[chosen[:, None, None], where[:, :, None], when[:, None]]
        curve = _uniform((count, 1, recipe.gain_knots), recipe.gain_db, generator)
        gain_db = functional.interpolate(curve, bands, mode="linear", align_corners=True)
        return unscale(mel.float()) * 10 ** (gain_db.transpose(1, 2) / 20)

    def sample(generator: torch.Generator) -> Batch:
        def choose(count: int) -> Tensor:
            return torch.randint(len(clips), (count,), generator=generator)

        frames = recipe.frames[int(torch.randint(len(recipe.frames), (), generator=generator))]
        first, second = choose(size), choose(int(recipe.mixed * size))
        magnitudes, others = cut(first, frames, generator), cut(second, frames, generator)
        labels, other_labels = (
            functional.one_hot(clips.labels[chosen], classes).float() for chosen in (first, second)
        )
        count = len(second)
        share = torch.rand(count, 1, 1, generator=generator)
        others *= _level(magnitudes[:count]) / _level(others)
        magnitudes[:count] = torch.lerp(others, magnitudes[:count], share)
        labels[:count] = torch.lerp(other_labels, labels[:count], share[:, 0])
        mel = mask_span(scale(magnitudes), 1, recipe.struck_bands, generator)
        mel = mask_span(mel, 2, recipe.struck_frames, generator)
        return Batch(mel.to(device), labels.to(device))

    return sample


def mask_span(mel: Tensor, axis: int, longest: int, generator: torch.Generator) -> Tensor:
    """Silence one span of up to `longest` bands (axis 1) or frames (axis 2) in each clip.

    Shape: mel: (batch, bands, frames).
    """
    size = mel.shape[axis]
    length = torch.rand(len(mel), 1, generator=generator) * longest
    start = torch.rand(len(mel), 1, generator=generator) * (size - length)
    place = torch.arange(size)
    is_masked = (place >= start) & (place < start + length)
    return mel.masked_fill(is_masked.unsqueeze(3 - axis), 0)


def objective_of(recipe: Recipe) -> Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor]]]:
    """The loss for the training loop: the cross-entropy with the mixed labels."""
    entropy = soft_cross_entropy(recipe.smoothing)
    return lambda module, batch: entropy(module(batch.mel), batch.labels)


def soft_cross_entropy(smoothing: float) -> Callable[[Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]:
    """The cross-entropy of logits with labels that may be mixed, and the same as a value to log."""

    def entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        value = functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        return value, {"loss": value}

    return entropy


def train_classifier(
    clips: Esc50, config: Config, recipe: Recipe, run: Settings
) -> tuple[Classifier, Outcome]:
    """The averaged classifier after a run on the training folds of `clips`; fold 5 is for validation."""
    torch.manual_seed(run.seed)
    device = this_process().device
    classifier = Classifier(config)
    mel = clips.training.mel.float()
    classifier.mean.copy_(mel.mean((0, 2))[:, None])
    classifier.deviation.copy_(mel.std((0, 2))[:, None])
    trained = TrainedModule(
        classifier,
        objective_of(recipe),
        recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        betas=(0.9, 0.999),
    )
    unseen = clips.validation

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        return asdict(figures(places(cast(Classifier, averages["classifier"]), unseen)))

    outcome = train(
        {"classifier": trained},
        batch_sampler(clips.training, run.batch, config.classes, recipe, device),
        run,
        validate=validate,
        card={"config": config.to_dict(), "recipe": asdict(recipe)},
    )
    return cast(Classifier, outcome.averages["classifier"]), outcome


@torch.inference_mode()
def places(classifier: Classifier, clips: Esc50) -> Tensor:
    """The rank of the right class of each clip, (clips,); 1 is the best."""
    logits = torch.cat([classifier(part.to(classifier.mean)).cpu() for part in torch.split(clips.mel, 50)])
    return torch.from_numpy(ranks(logits.double().numpy(), clips.labels.numpy()))


def figures(found: Tensor) -> Figures:
    """The figures of the ranks from `places`."""
    return Figures(top_k_accuracy(found, 1), top_k_accuracy(found, 5), mean_reciprocal_rank(found))


def report(classifier: Classifier, clips: Esc50) -> str:
    """A table of the figures for each group and for all clips, with size and speed."""
    count = sum(parameter.numel() for parameter in classifier.parameters())
    seconds = _seconds(classifier, clips.mel[:SPEED_CLIPS].float())
    return (
        f"{table(places(classifier, clips), clips.labels)}\n"
        f"{count:,} parameters; {SPEED_CLIPS} clips in {seconds:.3f} s, {torch.get_num_threads()} threads"
    )


def table(found: Tensor, labels: Tensor) -> str:
    """The figures of the ranks from `places` for each group of classes and for all clips.

    Shape: found, labels: (clips,).
    """
    lines = ["| clips | top-1 | top-5 | mAP@10 |", "| --- | --- | --- | --- |"]
    parts = {name: labels // 10 == number for number, name in enumerate(GROUPS)}
    for name, part in {**parts, "all": torch.ones_like(labels, dtype=torch.bool)}.items():
        if part.any():
            shown = figures(found[part])
            row = (f"{name} ({int(part.sum())})", *(f"{value:.4f}" for value in asdict(shown).values()))
            lines.append("| " + " | ".join(row) + " |")
    of_class = {
        CLASSES[label]: top_k_accuracy(found[labels == label], 1) for label in sorted(set(labels.tolist()))
    }
    worst = sorted(of_class, key=lambda name: of_class[name])[:6]
    lines += ["", "Least often right: " + ", ".join(f"{name} {of_class[name]:.2f}" for name in worst)]
    return "\n".join(lines)


def _seconds(classifier: Classifier, mel: Tensor) -> float:
    """Seconds to classify these, the fastest of five runs."""
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.inference_mode():
            # The result is copied to the CPU, since a GPU may still be running when the call returns.
            classifier(mel.to(classifier.mean)).cpu()
        spent.append(time.perf_counter() - start)
    return min(spent)


def _uniform(shape: tuple[int, ...], most: float, generator: torch.Generator) -> Tensor:
    """Random numbers from -most to most."""
    return (torch.rand(shape, generator=generator) * 2 - 1) * most


def _level(magnitudes: Tensor) -> Tensor:
    """Root mean square of each clip; above 0 even for a silent one, so that it can be a divisor."""
    return magnitudes.square().mean((1, 2), keepdim=True).sqrt().clamp_min(KNEE_MAGNITUDE)


def main(command: list[str] | None = None) -> None:
    """Train with the command line's settings and save the checkpoint, or evaluate the shipped one."""
    parser = arguments(__doc__, data=ESC50, steps=3_600, batch=64, folder="runs/classifier")
    # Twice as fast as float32 on processors that support it, and as accurate.
    parser.set_defaults(precision="bf16")
    parser.add_argument("--evaluate", action="store_true", help="print the shipped classifier's figures")
    chosen = parser.parse_args(command)
    clips = load_esc50(chosen.data)
    if chosen.evaluate:
        print(report(load(), clips.validation))
        return
    run = settings(
        chosen, hold=0.0, average=AVERAGE, clip=CLIP, warm_up=WARM_UP, validate_steps=VALIDATE_STEPS
    )
    config = TINY if chosen.smoke else Config()
    classifier, outcome = train_classifier(clips, config, Recipe(), run)
    print(report(classifier, clips.validation))
    save_outcome(chosen, outcome, "classifier", classifier, config.to_dict(), LICENCE)


if __name__ == "__main__":
    main()
