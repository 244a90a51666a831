"""How good generated clips are, compared with real ones and with real ones that went through the vocoder.

    python -m aural.generation.evaluate --data DIR [--per-class 40] [--pictures FILE] [--json FILE]
    python -m aural.generation.evaluate --data DIR --sweep 5 10 25 50 --plot FILE

All figures are measured on the audio, as a listener gets it, and on every clip: none is chosen among
candidates. The generated clips stay in --folder, one file per class, so a run that was cut goes on where it
stopped, and scoring again generates nothing.

Two judges score the clips: the development judge, by which weights, guidance and steps are chosen, and the
reporting judge, which chooses nothing and was trained on other folds. The distance of two sets of clips (FAD)
is the Fréchet distance between a judge's features, and those of CLAP if its weights can be downloaded.
Sources: Kilgour et al. 2019 (FAD), Elizalde et al. 2023 and Wu et al. 2023 (CLAP).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aural.errors import OptionError
from aural.evaluation.harness import evaluation_parser, make_command, write_json
from aural.generation.clap import CLAP
from aural.generation.classes import CLASSES, class_index
from aural.generation.data import Esc50, load
from aural.generation.evaluate_report import (
    class_ranking,
    draw_pictures,
    draw_sweep,
    novelty_table,
    quality_table,
)
from aural.generation.evaluate_scorers import (
    Scored,
    clap_scorer,
    development_scorer,
    reporting_scorer,
    score,
)
from aural.generation.evaluate_scores import (
    SMALL,
    Originals,
    Quality,
    class_accuracies,
    class_distances,
    compare,
    novelty,
    quality,
)
from aural.generation.evaluate_sounds import SEEDS_PER_CLASS, Real, Sounds, generated_sounds, vocoded_sounds
from aural.generation.pipeline import SAMPLERS, Options
from aural.generation.waveform_classifier import UNSEEN_FOLD
from aural.generation.waveforms import VOCODERS

Rows = dict[str, tuple[Quality, Scored]]

GENERATED = "generated"  # name of a row
# What the command that is stated beside the figures names, where it was given.
COMMAND_OPTIONS = ("per_class", "classes", "steps", "guidance", "sampler", "vocoder", "seed")


def main(command: list[str] | None = None) -> None:
    """Print the tables."""
    chosen = _parser().parse_args(command)
    labels = [class_index(name) for name in chosen.classes] if chosen.classes else list(range(len(CLASSES)))
    if chosen.per_class < 2 or chosen.per_class > SEEDS_PER_CLASS:
        raise OptionError(f"--per-class must be from 2 to {SEEDS_PER_CLASS}, not {chosen.per_class}.")
    options = _options(chosen)
    clips = load(chosen.data)
    if chosen.sweep:
        _sweep(chosen, Real.of(clips, labels), labels, options)
    else:
        _evaluate(chosen, clips, labels, options)


def _evaluate(chosen: argparse.Namespace, clips: Esc50, labels: list[int], options: Options) -> None:
    """The figures at one number of steps."""
    real = Real.of(clips, labels)
    generated, seconds = generated_sounds(chosen.folder, labels, chosen.per_class, options)
    print(
        f"{options.steps} steps of {options.sampler}, guidance {options.guidance:g}, {options.vocoder}, "
        f"seed {options.seed}, {options.candidates} candidate a clip: {len(generated.labels)} clips of 5 s, "
        f"{seconds:.2f} s each\n"
    )
    sets = _sets(chosen.folder, real, generated)
    figures: dict[str, Any] = {
        "command": make_command("generation", chosen, COMMAND_OPTIONS),
        "settings": asdict(options) | {"per_class": chosen.per_class, "seconds_per_clip": round(seconds, 3)},
    }
    rows = compare(real, sets, development_scorer())
    figures["development"] = _report_quality("By the development judge (trained on folds 1-4):", rows)
    unmet = Real.of(clips, labels, UNSEEN_FOLD)
    reported = compare(unmet, _sets(chosen.folder, unmet, generated), reporting_scorer())
    heading = "By the reporting judge (hears samples, trained on folds 2-5, chose nothing):"
    figures["reporting"] = _report_quality(heading, reported)
    clap = None if chosen.no_clap else clap_scorer()
    if clap is None:
        print("CLAP was left out.\n" if chosen.no_clap else "CLAP's weights can't be downloaded from here.\n")
    else:
        heading = f"By CLAP ({CLAP}), which knows the classes only by their names:"
        figures["clap"] = _report_quality(heading, compare(real, sets, clap))
    figures["novelty"] = _report_novelty(real, generated, rows)
    figures["classes"] = _class_figures(real, rows, labels)
    figures["reported_classes"] = _class_figures(unmet, reported, labels)
    print("By the development judge:\n\n" + class_ranking(figures["classes"]) + "\n")
    print("By the reporting judge:\n\n" + class_ranking(figures["reported_classes"]))
    if chosen.json:
        write_json(chosen.json, figures)
    if chosen.pictures:
        draw_pictures(chosen.pictures, real.unseen, generated, labels)


def _sets(folder: Path, real: Real, generated: Sounds) -> dict[str, Sounds]:
    """What is compared with the real clips, by its row."""
    vocoded = {
        f"{real.unseen_row} → mel → {vocoder}": vocoded_sounds(folder, real.unseen, vocoder)
        for vocoder in VOCODERS
    }
    return {**vocoded, GENERATED: generated}


def _report_quality(heading: str, rows: Rows) -> dict[str, dict[str, Any]]:
    """Print the table of one scorer, and return its figures."""
    print(f"{heading}\n\n{quality_table({name: row for name, (row, _) in rows.items()})}\n")
    return {name: asdict(row) for name, (row, _) in rows.items()}


def _report_novelty(real: Real, generated: Sounds, rows: Rows) -> dict[str, dict[str, Any]]:
    """Print how new and how varied the clips are, and return the figures."""
    (_, training), (_, unseen) = rows[real.halves_row], rows[real.unseen_row]
    originals = Originals.of(real.training, training)
    found = {
        "real, folds 1-4, other recordings": novelty(real.training, training, originals),
        real.unseen_row: novelty(real.unseen, unseen, originals),
        GENERATED: novelty(generated, rows[GENERATED][1], originals),
    }
    print(novelty_table(found) + "\n")
    return {name: asdict(row) for name, row in found.items()}


def _class_figures(real: Real, rows: Rows, labels: Sequence[int]) -> dict[str, dict[str, float]]:
    """Accuracy and distance of each class, and the accuracy of its real clips."""
    generated, unseen = rows[GENERATED][1], rows[real.unseen_row][1]
    accuracies, real_accuracies = class_accuracies(generated), class_accuracies(unseen)
    distances = class_distances(generated, rows[real.halves_row][1])
    return {
        CLASSES[label]: {
            "top_1": accuracies[label],
            "fad": distances[label],
            "real_top_1": real_accuracies[label],
        }
        for label in labels
    }


def _sweep(chosen: argparse.Namespace, real: Real, labels: list[int], options: Options) -> None:
    """The figures at several numbers of steps."""
    scorer = development_scorer()
    training, unseen = score(real.training, scorer), score(real.unseen, scorer)
    rows, seconds = {}, {}
    for steps in sorted(chosen.sweep):
        sounds, seconds[steps] = generated_sounds(
            chosen.folder, labels, min(chosen.per_class, SMALL), replace(options, steps=steps)
        )
        rows[steps] = quality(score(sounds, scorer), training, unseen)
    by_name = {f"{steps} steps, {seconds[steps]:.2f} s a clip": row for steps, row in rows.items()}
    of_real = quality(unseen, training, unseen)
    print(quality_table({**by_name, real.unseen_row: of_real}))
    if chosen.json:
        write_json(chosen.json, {"sweep": {name: asdict(row) for name, row in by_name.items()}})
    if chosen.plot:
        draw_sweep(chosen.plot, rows, seconds, (real.unseen_row, of_real))


def _options(chosen: argparse.Namespace) -> Options:
    """The app's defaults, except for what the command line sets; the class is replaced later."""
    settings = {name: getattr(chosen, name) for name in ("steps", "guidance", "sampler", "vocoder")}
    given = {name: value for name, value in settings.items() if value is not None}
    return replace(Options(label=CLASSES[0]), seed=chosen.seed, **given)


def _parser() -> argparse.ArgumentParser:
    parser = evaluation_parser(
        __doc__, data="a clone of karolpiczak/ESC-50", json_help="write the figures to this file"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/evaluate"), help="where generated clips are kept"
    )
    parser.add_argument("--per-class", type=int, default=40, help="clips to generate for each class")
    parser.add_argument("--classes", nargs="+", help="some of the 50 classes (default: all)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: as in the app)")
    parser.add_argument("--guidance", type=float, help="default: as in the app")
    parser.add_argument("--sampler", choices=SAMPLERS, help="default: as in the app")
    parser.add_argument("--vocoder", choices=VOCODERS, help="default: as in the app")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-clap", action="store_true", help="skip the scores by CLAP")
    parser.add_argument("--pictures", type=Path, help="draw real and generated spectrograms to this PNG file")
    parser.add_argument(
        "--sweep", type=int, nargs="+", help="compare numbers of steps, with up to 8 clips per class"
    )
    parser.add_argument("--plot", type=Path, help="draw the sweep to this PNG file")
    return parser


if __name__ == "__main__":
    main()
