"""A small version of the study's ablation of loss, attention, normalization and prediction target.

    make ablation, or: python -m aural.generation.ablation --data DIR [--steps 600] [--per-class 8]

Every arm trains a small U-Net from the same seed on the same batches for the same number of steps, on the
first ten classes only (those of the study's FAD): a run this short could not learn all fifty. It then
generates these classes from the same noise, without guidance and with a guidance of 4. Griffin-Lim makes
the audio, as in the study, and the shipped classifier scores it among all fifty classes. Finished arms in
--folder are not repeated, and interrupted ones continue. One processor core takes about 5 minutes per arm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from aural.audio.spectral import magnitude_from_mel, unscale
from aural.errors import OptionError
from aural.evaluation.metrics import Integers
from aural.evaluation.table import markdown_table, short_cell
from aural.generation.classes import CLASSES, class_index
from aural.generation.data import LENGTH, Esc50, load
from aural.generation.diffusion import SpectrogramPipeline
from aural.generation.evaluate_scorers import Scored, Scorer, development_scorer, first_of_each, score
from aural.generation.evaluate_scores import Quality, quality
from aural.generation.evaluate_sounds import Real, Sounds, sixteen_bits
from aural.generation.model import Config, DiffusionModel
from aural.generation.train import TINY, Objective, train_denoiser
from aural.training.loop import STATE, Settings
from aural.vocoding.griffin_lim import griffin_lim

CHUNK = 10  # clips in one pass of the network
SAMPLING_STEPS = 15
GUIDANCE = 4.0  # short trainings need more than the app's
SMALL = Config(channels=(48, 80, 112))
RAW_TEXTURE = Config.texture * 0.035  # the mean variance of a band of the scaled log-mel in folds 1-4


@dataclass(frozen=True)
class Published:
    """Results of the study: FAD of its first ten classes, accuracies by CLAP."""

    fad: float
    top_1: float
    top_5: float
    top_10: float
    map_10: float


@dataclass(frozen=True)
class Arm:
    """One training configuration."""

    name: str
    config: Config
    objective: Objective
    published: Published | None  # results of the most similar arm of the study


@dataclass(frozen=True)
class ArmResult:
    """The results of an arm."""

    minutes: float  # duration of the training
    parameters: int
    plain: Quality  # without guidance
    guided: Quality  # with GUIDANCE


@dataclass(frozen=True)
class Evaluator:
    """The scorer, and the real clips to compare with."""

    scorer: Scorer
    labels: tuple[int, ...]  # the classes that are generated
    training: Scored  # real clips of folds 1-4
    unseen: Scored  # real clips of fold 5

    @staticmethod
    def of(clips: Esc50, scorer: Scorer, labels: Sequence[int] = range(len(CLASSES))) -> Evaluator:
        """An evaluator with the scores of the real clips."""
        real = Real.of(clips, labels)
        return Evaluator(scorer, tuple(labels), score(real.training, scorer), score(real.unseen, scorer))

    def quality(self, sounds: Sounds) -> Quality:
        """The quality of clips."""
        return quality(score(sounds, self.scorer), self.training, self.unseen)

    def real(self, per_class: int) -> Quality:
        """The quality of as many real clips of fold 5."""
        return quality(first_of_each(self.unseen, per_class), self.training, self.unseen)


def arms(config: Config = SMALL) -> dict[str, Arm]:
    """The recipe, and variants of it with one change each, by the name of the run's folder.

    The study predicted noise, and dropped attention and normalization together with L1. The texture variance
    refers to normalized bands, so the arm without normalization has it in its own units.
    """
    l2, l1 = Objective("l2"), Objective("l1")
    unattended, as_it_is = (
        replace(config, attention=False),
        replace(config, normalise=False, texture=RAW_TEXTURE),
    )
    noise = replace(config, predicts="noise")
    return {
        "recipe": Arm("the recipe: predicts the clean spectrogram, L2", config, l2, None),
        "l1": Arm("L1", config, l1, Published(15.47, 0.156, 0.411, 0.562, 0.266)),
        "no-attention": Arm("no attention", unattended, l2, Published(15.21, 0.202, 0.489, 0.661, 0.324)),
        "no-normalisation": Arm(
            "no normalisation", as_it_is, l2, Published(21.85, 0.076, 0.262, 0.425, 0.160)
        ),
        "noise": Arm(
            "as the study: predicts the noise, L2", noise, l2, Published(14.44, 0.220, 0.504, 0.674, 0.341)
        ),
    }


def run_arm(arm: Arm, clips: Esc50, run: Settings, evaluator: Evaluator, per_class: int) -> ArmResult:
    """Train, generate and score one arm; the results of a finished one are read from its folder.

    Raises:
        OptionError: the folder holds an arm with other settings.
    """
    settings = {
        "config": arm.config.to_dict(),
        "objective": asdict(arm.objective),
        "labels": list(evaluator.labels),
        **{name: getattr(run, name) for name in ("steps", "batch", "seed", "precision")},
    }
    _require_same(run.folder / "arm.json", settings)
    figures = run.folder / f"figures-{per_class}.json"
    if figures.is_file():
        held = json.loads(figures.read_text(encoding="utf-8"))
        return ArmResult(
            held["minutes"], held["parameters"], Quality(**held["plain"]), Quality(**held["guided"])
        )
    denoiser, outcome = train_denoiser(
        clips, arm.config, arm.objective, replace(run, resume=(run.folder / STATE).is_file())
    )
    labels = np.repeat(np.asarray(evaluator.labels, np.int64), per_class)
    result = ArmResult(
        minutes=round(outcome.minutes, 2),
        parameters=sum(weight.numel() for weight in denoiser.parameters()),
        plain=evaluator.quality(generate_clips(denoiser, labels, 1.0, run.seed)),
        guided=evaluator.quality(generate_clips(denoiser, labels, GUIDANCE, run.seed)),
    )
    figures.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return result


def generate_clips(denoiser: DiffusionModel, labels: Integers, guidance: float, seed: int) -> Sounds:
    """One clip per label, by Griffin-Lim; clip k starts from the same noise for every model."""
    pipeline = SpectrogramPipeline.of(denoiser, "dpm++")
    pipeline.set_progress_bar_config(disable=True)
    waves = []
    for first in tqdm(range(0, len(labels), CHUNK), desc=f"guidance {guidance:g}", mininterval=5):
        part = labels[first : first + CHUNK]
        generators = [torch.Generator().manual_seed(seed + first + number) for number in range(len(part))]
        (mels,) = pipeline(part.tolist(), SAMPLING_STEPS, guidance, generators, return_dict=False)
        audio = griffin_lim(magnitude_from_mel(unscale(torch.as_tensor(mels))), LENGTH)
        waves.append(sixteen_bits(audio.numpy()))
    return Sounds(np.concatenate(waves), labels, np.full(len(labels), -1, np.int64))


def report(rows: dict[str, tuple[Arm, ArmResult]], real: Quality) -> str:
    """The two tables in Markdown."""
    columns = ["FAD", "top-1", "top-5", "top-10", "mAP@10"]
    published = rows["noise"][1].plain.fad if "noise" in rows else None
    headings = ["M parameters", "minutes", *columns, "FAD by that of the last arm"]
    headings += [f"study: {name}" for name in columns]
    lines = []
    for arm, result in rows.values():
        fad = result.plain.fad
        ratio = None if published is None or fad is None else fad / published
        cells = [result.parameters / 1e6, result.minutes, *_figures(result.plain), ratio]
        cells += astuple(arm.published) if arm.published else [None] * len(columns)
        lines.append(_row(arm.name, cells))
    empty = [None] * (1 + len(columns))
    lines.append(_row(f"{real.clips} real clips of fold 5", [None, None, *_figures(real), *empty]))
    guided = [_row(arm.name, _figures(result.guided)) for arm, result in rows.values()]
    return (
        "Without guidance, as in the study. Its own figures come from other scorers: FAD of ten classes, "
        f"accuracies by CLAP.\n\n{markdown_table(['', *headings], lines)}\n\n"
        f"With guidance {GUIDANCE:g}.\n\n{markdown_table(['', *columns], guided)}"
    )


def _figures(row: Quality) -> list[float | None]:
    return [row.fad, row.top_1, row.top_5, row.top_10, row.map_10]


def _row(name: str, figures: Sequence[float | None]) -> list[str]:
    return [name, *map(short_cell, figures)]


def _require_same(file: Path, settings: dict[str, object]) -> None:
    """Record the settings of a new arm, or compare them with the recorded ones."""
    text = json.dumps(settings, indent=1) + "\n"
    if file.is_file() and file.read_text(encoding="utf-8") != text:
        raise OptionError(f"{file.parent} holds an arm with other settings. Choose another --folder.")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def main(command: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a clone of karolpiczak/ESC-50")
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"), help="holds one folder per arm")
    parser.add_argument("--steps", type=int, default=600, help="training steps of each arm")
    parser.add_argument("--batch", type=int, default=16, help="clips per step")
    parser.add_argument("--classes", nargs="+", default=CLASSES[:10], help="classes to learn and generate")
    parser.add_argument("--per-class", type=int, default=8, help="clips to generate for each class, twice")
    parser.add_argument("--channels", type=int, nargs=3, default=SMALL.channels, help="channels per level")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("no", "bf16"), default="bf16", help="forward precision")
    parser.add_argument("--arms", nargs="+", choices=tuple(arms()), default=tuple(arms()))
    parser.add_argument("--smoke", action="store_true", help="test: train a tiny model for a few seconds")
    chosen = parser.parse_args(command)
    if chosen.per_class < 2:
        raise OptionError("Distances within a class need at least 2 clips. Set --per-class to 2 or more.")
    labels = sorted({class_index(name) for name in chosen.classes})[: 2 if chosen.smoke else None]
    clips = load(chosen.data)
    clips = clips.take(torch.isin(clips.labels, torch.tensor(labels)))
    evaluator = Evaluator.of(clips, development_scorer(), labels)
    offered = arms(TINY if chosen.smoke else replace(SMALL, channels=tuple(chosen.channels)))
    rows = {}
    for name in chosen.arms:
        run = Settings(
            folder=chosen.folder / name,
            steps=2 if chosen.smoke else chosen.steps,
            batch=chosen.batch,
            seed=chosen.seed,
            precision=chosen.precision,
        )
        rows[name] = offered[name], run_arm(offered[name], clips, run, evaluator, chosen.per_class)
        print(_row(name, _figures(rows[name][1].plain)), flush=True)
    print("\n" + report(rows, evaluator.real(chosen.per_class)))


if __name__ == "__main__":
    main()
