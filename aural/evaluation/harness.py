"""The common part of evaluations: choose items, score them in processes, average, and write the figures.

A slice provides its rows (the methods to compare), a function that scores one item with them, and the
headings of its columns.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from aural.errors import AuralError, OptionError

Item = TypeVar("Item")
Score = TypeVar("Score")

# Raised if a figure cannot be measured, because of a sound, a checkpoint or a package.
UNAVAILABLE = (AuralError, ImportError, OSError)


def evenly_spaced(values: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the values: the first, the last and those evenly between."""
    if len(values) <= count:
        return list(values)
    indices = np.linspace(0, len(values) - 1, count).round().astype(int)
    return [values[index] for index in indices]


def score_all(score: Callable[[Item], list[Score]], items: Sequence[Item], workers: int = 1) -> list[Score]:
    """The scores of all items, in their order, computed in processes of one thread each.

    Args:
        score: must be picklable, unless there is only one worker, which is this process.
    """
    if workers == 1:
        return [each for item in tqdm(items, mininterval=5) for each in score(item)]
    # Not forked: a forked process would inherit locks held by threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        scores = tqdm(pool.map(score, items), total=len(items), mininterval=5)
        return [each for part in scores for each in part]


def mean_figures(figures: Iterable[Mapping[str, float]], names: Iterable[str]) -> dict[str, float]:
    """The mean of each named figure over the items that have it; figures that no item has are left out."""
    items = list(figures)
    measured = {name: [each[name] for each in items if name in each] for name in names}
    return {name: float(np.mean(values)) for name, values in measured.items() if values}


def describe_failures(failures: Iterable[tuple[str, str | None]]) -> list[str]:
    """For each row and reason, how many of its items could not be measured.

    Args:
        failures: for each item, the label of its row, and the reason or None if it was measured.
    """
    pairs = list(failures)
    totals = Counter(row for row, _ in pairs)
    return [
        f"{row}: {count} of {totals[row]} not measured. {reason}"
        for (row, reason), count in Counter(pair for pair in pairs if pair[1]).items()
    ]


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures as JSON; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def evaluation_parser(
    description: str | None, *, data: str, json_help: str = "write the figures of each item to this file"
) -> argparse.ArgumentParser:
    """The options that every evaluation has: --data and --json.

    Args:
        data: the help text of --data.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--json", type=Path, help=json_help)
    return parser


def add_row_options(parser: argparse.ArgumentParser, rows: Iterable[str], limit: str) -> None:
    """Add the options of evaluations that score items by rows: --limit, --rows and --workers.

    Args:
        limit: the help text of --limit.
    """
    names = list(rows)
    parser.add_argument("--limit", type=int, help=limit)
    parser.add_argument("--rows", nargs="+", choices=names, default=names, help="default: all")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="number of processes")


def make_command(name: str, chosen: argparse.Namespace, options: Iterable[str]) -> str:
    """The call of make that repeats an evaluation: of the options, those that were given.

    >>> make_command("enhancement", argparse.Namespace(limit=3, peers=[]), ["limit", "peers"])
    'make evaluate SLICE=enhancement DATA=DIR ARGS="--limit 3"'
    """
    words: list[str] = []
    for option in options:
        value = getattr(chosen, option)
        if value:
            words += [
                f"--{option.replace('_', '-')}",
                *(shlex.quote(str(one)) for one in (value if isinstance(value, list) else [value])),
            ]
    arguments = f' ARGS="{" ".join(words)}"' if words else ""
    return f"make evaluate SLICE={name} DATA=DIR{arguments}"


def check_row_options(chosen: argparse.Namespace) -> None:
    """Raise `OptionError` if --workers or --limit is below 1."""
    if chosen.workers < 1 or (chosen.limit is not None and chosen.limit < 1):
        raise OptionError("--workers and --limit must be above 0.")
