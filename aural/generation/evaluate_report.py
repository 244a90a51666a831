"""The tables and pictures of an evaluation of generated clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aural.audio.spectral import log_mel
from aural.evaluation.table import table_of_records
from aural.generation.classes import CLASSES, class_index, title
from aural.generation.evaluate_scores import Novelty, Quality
from aural.generation.evaluate_sounds import Sounds, floats

QUALITY_HEADINGS = (
    "clips",
    "FAD",
    "FAD, 8 per class",
    "FAD to fold 5, 8 per class",
    "FAD, mean per class",
    *("top-1", "top-5", "top-10", "mAP@10"),
)
NOVELTY_HEADINGS = (
    *("nearest training clip, features", "95 %"),
    *("nearest training clip, spectrogram", "95 %"),
    *("diversity in class", "loudness, LUFS", "active"),
)
# Classes in the pictures.
PICTURED = (
    *("dog", "crow", "rain", "chirping_birds", "clapping", "laughing"),
    *("clock_tick", "vacuum_cleaner", "siren", "church_bells"),
)

RANKED = 5  # classes listed as best, and as worst


def quality_table(rows: Mapping[str, Quality]) -> str:
    """The quality of each set of clips in Markdown."""
    return table_of_records(rows, QUALITY_HEADINGS)


def novelty_table(rows: Mapping[str, Novelty]) -> str:
    """The novelty of each set of clips in Markdown."""
    return table_of_records(rows, NOVELTY_HEADINGS)


def class_ranking(classes: Mapping[str, Mapping[str, float]]) -> str:
    """The classes with the best and the worst accuracy, compared with real clips.

    Args:
        classes: by name, the figures `top_1`, `fad` and `real_top_1`.
    """
    order = sorted(classes, key=lambda name: (-classes[name]["top_1"], classes[name]["fad"]))
    lines = []
    for heading, names in (("Best", order[:RANKED]), ("Worst", order[::-1][:RANKED])):
        cells = (
            f"{name} {classes[name]['top_1']:.2f} (real {classes[name]['real_top_1']:.2f})" for name in names
        )
        lines.append(f"{heading} classes, top-1: " + ", ".join(cells))
    return "\n".join(lines)


def draw_pictures(path: Path, real: Sounds, generated: Sounds, labels: Sequence[int]) -> None:
    """Spectrograms of two real clips of fold 5 and two generated ones of each class, side by side.

    Args:
        labels: the classes to choose from: those of PICTURED among them, or else the first ten.
    """
    from matplotlib.figure import Figure

    labels = [label for label in map(class_index, PICTURED) if label in labels] or labels[:10]
    figure = Figure(figsize=(12, 1.5 * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), 4, squeeze=False, sharex=True, sharey=True)
    for row, label in zip(grid, labels, strict=True):
        row[0].set_ylabel(title(CLASSES[label]))
        for column, (name, sounds) in enumerate((("real", real), ("generated", generated))):
            waves = sounds.waves[sounds.labels == label][:2]
            for number, mel in enumerate(log_mel(floats(waves))):
                axes = row[2 * column + number]
                axes.imshow(mel.numpy(), origin="lower", aspect="auto", cmap="inferno", vmin=0, vmax=0.9)
                axes.set(xticks=[], yticks=[])
                if label == labels[0]:
                    axes.set_title(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def draw_sweep(
    path: Path, rows: Mapping[int, Quality], seconds: Mapping[int, float], unseen: tuple[str, Quality]
) -> None:
    """Distance and accuracy over the number of steps; seconds are below the steps.

    Args:
        unseen: the name and the figures of real clips, which are drawn as lines.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    name_of_real, real = unseen
    steps = list(rows)
    left.plot(steps, [row.fad for row in rows.values()], "o-", label="generated")
    left.axhline(real.fad, color="grey", linestyle="--", label=f"{name_of_real} ({real.clips} clips)")
    left.set_ylabel(f"FAD of {next(iter(rows.values())).clips} clips")
    for name in ("top_1", "top_5"):
        (line,) = right.plot(
            steps, [getattr(row, name) for row in rows.values()], "o-", label=name.replace("_", "-")
        )
        right.axhline(getattr(real, name), color=line.get_color(), linestyle="--")
    right.set_ylabel(f"class recognised (dashed: {name_of_real})")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(steps, [f"{step}\n{seconds[step]:.2f} s" for step in steps], minor=False)
        axes.minorticks_off()
        axes.set_xlabel("steps, and seconds for a clip of 5 s in a batch of 8")
        axes.set_ylim(bottom=0)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
