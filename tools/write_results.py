"""Write the tables of evaluations into cards and docs, from the JSON that ships beside each checkpoint.

    python -m tools.write_results [denoiser=FILE] [live_denoiser=FILE] [extender=FILE] [generator=FILE]
                                  [targets=FILE]

FILE is what `make evaluate SLICE=... ARGS="--json FILE"` wrote: its means go to
`checkpoints/<name>/results.json`. `targets` is what `tools.card.check_denoiser` wrote of two trainings, with
and without matched targets. Then each place between `<!-- figures: NAME -->` and `<!-- end -->` in the
documents is written anew. A test asserts that the documents are what this writes.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aural.enhancement.evaluate import DEFAULT as ENHANCEMENT
from aural.enhancement.evaluate import WORSE as ENHANCEMENT_WORSE
from aural.evaluation.harness import write_json
from aural.evaluation.scores import COLUMNS, table
from aural.evaluation.table import MISSING, figure_cell, markdown_table
from aural.generation.evaluate_report import class_ranking, novelty_table, quality_table
from aural.generation.evaluate_scores import Novelty, Quality
from aural.superres.evaluate_kinds import DEFAULT as SUPER_RESOLUTION
from aural.superres.evaluate_kinds import WORSE as SUPER_RESOLUTION_WORSE

ROOT = Path(__file__).parents[1]
Summary = Mapping[str, Any]

LIVE = "live"  # row of enhancement's evaluation
# Checkpoint -> its slice's default row, and the figures whose shares made worse its table has.
EVALUATIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "denoiser": (ENHANCEMENT, ENHANCEMENT_WORSE),
    "live_denoiser": (LIVE, ENHANCEMENT_WORSE),
    "extender": (SUPER_RESOLUTION, SUPER_RESOLUTION_WORSE),
}
GENERATOR = "generator"  # whose evaluation has other figures: by two judges, of sets of clips
JUDGES = {"development": "classes", "reporting": "reported_classes"}  # judge -> its figures by class
TARGETS = "targets"  # of stage 1, compared: only the recording and the two trainings are in the table
COMPARED = ("unprocessed", "stage 1 of matched", "stage 1 of unmatched")
FILES = {
    **{name: Path("checkpoints", name, "results.json") for name in (*EVALUATIONS, GENERATOR)},
    TARGETS: Path("checkpoints", "denoiser", "targets.json"),
}
# The figures in the short table.
SHORT_ROWS = {
    **dict.fromkeys(
        ("denoiser", "live_denoiser"),
        ("pesq", "stoi", "dnsmos_speech", "level_error_db", "loudness_change_lu"),
    ),
    "extender": ("pesq", "lsd", "lsd_above", "level_error_db", "floor_step_db"),
}
UNMET = re.compile(r"real, fold \d")  # the row of the real clips that a judge of generation has not met
PLACE = re.compile(r"(<!-- figures: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents(root: Path = ROOT) -> list[Path]:
    """The files that may have places for figures."""
    return [*sorted(root.glob("checkpoints/*/README.md")), root / "docs" / "results.md"]


def summaries(root: Path = ROOT) -> dict[str, Summary]:
    """What the files of results hold, by the names of the evaluations; those without one are left out."""
    return {
        name: json.loads((root / path).read_text(encoding="utf-8"))
        for name, path in FILES.items()
        if (root / path).exists()
    }


def figures(found: Mapping[str, Summary]) -> dict[str, str]:
    """What belongs between the markers of each name: "denoiser", "denoiser short", "generator reporting"."""
    writers: Mapping[str, Callable[[str, Summary], str]] = {"": _full, " short": _short}
    parts = {
        name + end: write(name, summary)
        for name, summary in found.items()
        if name in EVALUATIONS
        for end, write in writers.items()
    }
    if GENERATOR in found:
        parts |= _generation(found[GENERATOR])
    if TARGETS in found:
        parts[TARGETS] = table(found[TARGETS], ENHANCEMENT_WORSE)
    return parts


def fill(text: str, parts: Mapping[str, str]) -> str:
    """A document with all its places written anew.

    Raises:
        KeyError: a place has a name that `parts` lacks.
    """
    return PLACE.sub(lambda place: f"{place[1]}{parts[place[2]]}\n{place[3]}", text)


def _full(name: str, summary: Summary) -> str:
    return f"`{summary['command']}`\n\n{table(summary, EVALUATIONS[name][1])}"


def _generation(summary: Summary) -> dict[str, str]:
    """The tables of generated clips: the quality by each judge, and how new and varied they are."""
    rows = {name: Novelty(**row) for name, row in summary["novelty"].items()}
    return {
        f"{GENERATOR} novelty": novelty_table(rows),
        f"{GENERATOR} short": f"`{summary['command']}`\n\n{_recognised(summary)}",
        **{
            f"{GENERATOR} {judge}": "\n\n".join(
                (
                    f"`{summary['command']}`",
                    quality_table({name: Quality(**row) for name, row in summary[judge].items()}),
                    class_ranking(summary[classes]).replace("\n", ".\n") + ".",
                )
            )
            for judge, classes in JUDGES.items()
        },
    }


def _recognised(summary: Summary) -> str:
    """What each judge recognises at once and among five: of real clips that it has not met, and of ours."""
    lines = []
    for judge in JUDGES:
        rows = summary[judge]
        unmet = next(name for name in rows if UNMET.fullmatch(name))
        pairs = (f"{rows[row]['top_1']:.3f} / {rows[row]['top_5']:.3f}" for row in (unmet, "generated"))
        lines.append([judge, *pairs])
    return markdown_table(["judge", "real clips, top-1 / top-5", "generated clips"], lines, range(1))


def _short(name: str, summary: Summary) -> str:
    """A line for each kind and case: figures of the first row and the default, and how often it was worse."""
    default, worse = EVALUATIONS[name]
    base = next(iter(summary["labels"]))
    columns = SHORT_ROWS[name]
    has_cases = any(group["case"] for group in summary["groups"])
    lines = []
    for group in summary["groups"]:
        means = group["means"]
        shares = group["worse"][default]
        cells = []
        for column in columns:
            digits = COLUMNS[column][1]
            before, after = (figure_cell(means[row].get(column), digits) for row in (base, default))
            cells.append(f"{before} → {after}" if after != MISSING else MISSING)
        cells.append(" / ".join(f"{100 * shares[each]:.0f}" if each in shares else MISSING for each in worse))
        lines.append([group["kind"], *([group["case"]] if has_cases else []), *cells])
    headings = ["recordings", *(["from"] if has_cases else []), *(COLUMNS[column][0] for column in columns)]
    names = " / ".join(COLUMNS[each][0].split(",")[0].rstrip(" ↑↓") for each in worse)
    text_columns = range(1 + has_cases)
    return f"`{summary['command']}`\n\n" + markdown_table(
        [*headings, f"made worse, %: {names}"], lines, text_columns
    )


def main(command: list[str] | None = None, root: Path = ROOT) -> None:
    """Take new results, and write the documents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="*", metavar="NAME=FILE", help=f"NAME: {' or '.join(FILES)}")
    for name, _, file in (pair.partition("=") for pair in parser.parse_args(command).results):
        if name not in FILES:
            parser.error(f"There is no evaluation of {name}. Choose one of {', '.join(FILES)}.")
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        summary = found if name == GENERATOR else found["summary"]
        if name == TARGETS:
            summary["labels"] = {row: summary["labels"][row] for row in COMPARED}
        write_json(root / FILES[name], summary)
    parts = figures(summaries(root))
    for path in documents(root):
        path.write_text(fill(path.read_text(encoding="utf-8"), parts), encoding="utf-8")


if __name__ == "__main__":
    main()
