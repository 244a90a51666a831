"""The common part of evaluations, and their tables."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest

from aural.errors import OptionError
from aural.evaluation.harness import (
    add_row_options,
    check_row_options,
    describe_failures,
    evaluation_parser,
    evenly_spaced,
    mean_figures,
    score_all,
    write_json,
)
from aural.evaluation.table import figure_cell, markdown_table, short_cell


def test_evenly_spaced_values_keep_the_first_and_the_last() -> None:
    assert evenly_spaced("abcdefg", 3) == ["a", "d", "g"]
    assert evenly_spaced("ab", 3) == ["a", "b"]


def square_and_root(value: int) -> list[float]:
    return [value**2, math.sqrt(value)]


@pytest.mark.parametrize("workers", [1, 2])
def test_scores_come_in_the_order_of_the_items(workers: int) -> None:
    assert score_all(square_and_root, [4, 9], workers) == [16, 2, 81, 3]


def test_means_are_over_items_and_empty_without_any() -> None:
    assert mean_figures([{"lsd": 1.0}, {"lsd": 2.0}], ["lsd"]) == {"lsd": 1.5}
    assert mean_figures([], ["lsd"]) == {}


def test_means_leave_out_what_was_not_measured() -> None:
    items = [{"lsd": 1.0, "pesq": 4.0}, {"lsd": 2.0}]
    assert mean_figures(items, ["lsd", "pesq", "stoi"]) == {"lsd": 1.5, "pesq": 4.0}


def test_failures_are_counted_by_row_and_reason() -> None:
    pairs = [("LISA", None), ("LISA", "No checkpoint."), ("LISA", "No checkpoint."), ("sinc", None)]
    assert describe_failures(pairs) == ["LISA: 2 of 3 not measured. No checkpoint."]


def test_a_table_aligns_text_left_and_figures_right() -> None:
    assert markdown_table(["", "LSD"], [["sinc", "1.00"]]) == "|  | LSD |\n| --- | ---: |\n| sinc | 1.00 |"


def test_cells() -> None:
    assert [figure_cell(value, 2) for value in (None, 1.0, -0.004)] == ["–", "1.00", "0.00"]
    assert [short_cell(value) for value in (None, 3, 0.1234, 1.234, 12.34)] == [
        *("–", "3", "0.123", "1.23", "12.3")
    ]


def test_figures_are_written_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    write_json(path, {"lsd": 1.0})
    assert json.loads(path.read_text(encoding="utf-8")) == {"lsd": 1.0}


def test_options() -> None:
    parser = evaluation_parser("An evaluation.", data="a folder")
    add_row_options(parser, ["sinc", "lisa"], "items, at most")
    chosen: argparse.Namespace = parser.parse_args(["--data", ".", "--rows", "lisa"])
    assert chosen.rows == ["lisa"] and chosen.limit is None
    check_row_options(chosen)
    with pytest.raises(OptionError, match=r"--workers and --limit must be above 0\."):
        check_row_options(parser.parse_args(["--data", ".", "--limit", "0"]))
