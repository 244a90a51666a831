"""The clips of ESC-50 (Piczak 2015), in a clone of the public repository `karolpiczak/ESC-50`.

Folds 1 to 4 are for training, fold 5 is for validation only.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from aural.errors import InputError

VALIDATION_FOLD = 5


@dataclass(frozen=True)
class Esc50Clip:
    """One row of `meta/esc50.csv`."""

    path: Path
    label: int  # 0 to 49
    fold: int  # 1 to 5
    source: str  # the recording that the clip was cut from
    row: dict[str, str]  # the whole row of the table

    @property
    def is_validation(self) -> bool:
        return self.fold == VALIDATION_FOLD


def table_path(folder: Path) -> Path:
    """The clone's list of clips."""
    return folder / "meta" / "esc50.csv"


def esc50_clips(folder: Path) -> list[Esc50Clip]:
    """All clips, in the order of the table.

    Raises:
        InputError: the folder does not contain ESC-50.
    """
    table = table_path(folder)
    if not table.is_file():
        raise InputError(
            f"{folder} has no meta/esc50.csv. Choose the folder of a clone of karolpiczak/ESC-50."
        )
    return [
        Esc50Clip(
            folder / "audio" / row["filename"],
            int(row["target"]),
            int(row["fold"]),
            row.get("src_file", ""),
            row,
        )
        for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    ]
