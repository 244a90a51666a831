"""Evaluate a card's generator with the shipped classifier: guidance scales, with or without the guide.

    python -m tools.card.check_generator --weights DIR [--per-class 4] [--steps 20] [--guidance 1 1.75] \\
        [--esc50 DIR]

DIR holds the output of `tools.card.generator`. Every setting is a row: top-1 and top-5 by the classifier that
was trained on folds 1 to 4 (for development, not for reports), the Fréchet distances to the real clips, the
share of silent clips, their levels and the variety within a class. Clip k of a class starts
from the same noise in every row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aural import hub
from aural.audio.spectral import DEFAULT_FRONT_END
from aural.evaluation.metrics import diversity, frechet_distance, mean_reciprocal_rank, ranks, top_k_accuracy
from aural.evaluation.signal_metrics import clip_level_dbfs, silence_rate
from aural.generation.classes import CLASSES
from aural.generation.data import LENGTH, load
from aural.generation.defaults import GUIDANCE, STEPS
from aural.generation.diffusion import SpectrogramPipeline
from aural.generation.evaluate_scorers import Scored, Scorer, development_scorer, score
from aural.generation.evaluate_scores import class_accuracies
from aural.generation.evaluate_sounds import Real, Sounds, audible, sixteen_bits
from aural.generation.model import DiffusionModel, build
from tools.card.generator import load_weights

BATCH = 10  # clips in one pass of the network
HEADINGS = (
    *("clips", "seconds a clip", "top-1", "top-5", "mAP@10", "FAD", "FAD to fold 5"),
    *("silent", "level, dBFS", "softest clip", "variety in class", "of real"),
)


def network(folder: Path, name: str) -> DiffusionModel:
    """The network that the card wrote under a name, or its last snapshot if the run was interrupted."""
    file = folder / f"{name}.safetensors"
    if file.is_file():
        config = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["config"]
        return load_weights(file, config)
    from tools.card.generator import FINE

    return load_weights(folder / f"{name}.partial.safetensors", FINE.to_dict())


def generate_clips(
    pipeline: SpectrogramPipeline, labels: list[int], per_class: int, steps: int, guidance: float, seed: int
) -> tuple[Sounds, float]:
    """Clips of the classes as the app would make them, and the seconds for each."""
    all_labels = np.repeat(np.asarray(labels, np.int64), per_class)
    waves = []
    begun = time.perf_counter()
    for first in range(0, len(all_labels), BATCH):
        part = all_labels[first : first + BATCH]
        places = range(first, first + len(part))
        generators = [torch.Generator().manual_seed(seed + place) for place in places]
        (mels,) = pipeline(part.tolist(), steps, guidance, generators, output_type="pt", return_dict=False)
        audio = audible(mels.clamp(0, 1), "vocoder", LENGTH).cpu()
        audio = audio / audio.abs().amax(1, keepdim=True).clamp_min(1)
        waves.append(sixteen_bits(audio.numpy()))
    seconds = (time.perf_counter() - begun) / len(all_labels)
    return Sounds(np.concatenate(waves), all_labels, np.full(len(all_labels), -1, np.int64)), seconds


def variety(scored: Scored, mean: np.ndarray[Any, Any]) -> float:
    """Mean over classes of the cosine distance of two clips of the class."""
    about_mean = scored.features - mean
    labels = [label for label in np.unique(scored.labels) if (scored.labels == label).sum() > 1]
    return float(np.mean([diversity(about_mean[scored.labels == label]) for label in labels]))


def row(
    sounds: Sounds, seconds: float, scorer: Scorer, real: tuple[Scored, Scored] | None
) -> tuple[list[float | None], Scored]:
    """The figures of HEADINGS. real: the clips of folds 1-4 and of fold 5; None: no distances."""
    scored = score(sounds, scorer)
    places = ranks(scored.scores, scored.labels)
    clips = [(wave / np.float32(32767))[np.newaxis] for wave in sounds.waves]
    levels = [clip_level_dbfs(clip, DEFAULT_FRONT_END.rate) for clip in clips]
    mean = scored.features.mean(0) if real is None else real[0].features.mean(0)
    own = variety(scored, mean)
    figures: list[float | None] = [float(len(places)), seconds]
    figures += [top_k_accuracy(places, 1), top_k_accuracy(places, 5), mean_reciprocal_rank(places)]
    if real is None:
        figures += [None, None]
    else:
        figures += [frechet_distance(scored.features, one.features) for one in real]
    figures += [
        silence_rate(clips, DEFAULT_FRONT_END.rate),
        float(np.median(levels)),
        min(levels),
        own,
    ]
    if real is None:
        figures.append(None)
    else:
        figures.append(own / variety(real[1], mean))
    return figures, scored


def settings(chosen: argparse.Namespace) -> Iterator[tuple[bool, float, int]]:
    """The settings: with a guide or without, guidance scale, steps."""
    for steps in chosen.steps:
        for guided in (True, False):
            if guided and not (chosen.weights / "guide.safetensors").is_file():
                continue
            if (guided and chosen.no_guide) or (not guided and chosen.only_guide):
                continue
            yield from ((guided, scale, steps) for scale in chosen.guidance if scale != 1 or not guided)


def line(name: str, figures: list[float | None]) -> str:
    cells = [
        "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" for value in figures
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def main(command: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, help="output of tools.card.generator (default: shipped)")
    parser.add_argument("--esc50", type=Path, help="a clone of karolpiczak/ESC-50, for the distances")
    parser.add_argument("--per-class", type=int, default=4)
    parser.add_argument("--classes", type=int, nargs="+", default=list(range(len(CLASSES))), help="labels")
    parser.add_argument("--steps", type=int, nargs="+", default=[STEPS])
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, GUIDANCE])
    parser.add_argument("--no-guide", action="store_true", help="guidance by the null class alone")
    parser.add_argument("--only-guide", action="store_true")
    parser.add_argument("--sampler", default="dpm++")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    chosen = parser.parse_args(command)
    scorer = development_scorer()
    real = None
    if chosen.esc50 is not None:
        clips = Real.of(load(chosen.esc50), chosen.classes)
        real = score(clips.training, scorer), score(clips.unseen, scorer)
    shipped = chosen.weights is None
    denoiser = hub.load("generator", build) if shipped else network(chosen.weights, "generator")
    chosen.weights = chosen.weights or Path("nowhere")
    print("| | " + " | ".join(HEADINGS) + " |\n| --- |" + " ---: |" * len(HEADINGS), flush=True)
    found: dict[str, Any] = {}
    if real is not None:
        figures, _ = row(clips.unseen, 0.0, scorer, real)
        print(line("real, fold 5", figures), flush=True)
    for guided, guidance, steps in settings(chosen):
        guide = network(chosen.weights, "guide") if guided else None
        pipeline = SpectrogramPipeline.of(denoiser, chosen.sampler, guide)
        pipeline.set_progress_bar_config(disable=True)
        sounds, seconds = generate_clips(
            pipeline, chosen.classes, chosen.per_class, steps, guidance, chosen.seed
        )
        figures, scored = row(sounds, seconds, scorer, real)
        name = f"{'guide' if guided else 'null class'} {guidance:g}, {steps} steps"
        print(line(name, figures), flush=True)
        of_class = class_accuracies(scored)
        worst = sorted(of_class, key=lambda label: of_class[label])[:10]
        found[name] = {
            **dict(zip(HEADINGS, figures, strict=True)),
            "classes": {CLASSES[label]: value for label, value in of_class.items()},
        }
        print("  worst: " + ", ".join(f"{CLASSES[n]} {of_class[n]:.2f}" for n in worst), flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
