"""The files of a folder: what is taken, how results are laid out, and the table of their measurements."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aural.errors import AuralError, InputError

# What a file's name ends with where there is sound in it; what it holds is known by its content only.
SUFFIXES = {
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".asf", ".avi", ".caf", ".flac", ".flv", ".m4a", ".m4b",
    ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".oga", ".ogg", ".opus",
    ".ts", ".w64", ".wav", ".wave", ".webm", ".wma", ".wmv",
}  # fmt: skip

# Of every row, in order. Figures are of the result, before a lossy format changes it, for `measure` of the
# file; None where there are none.
COLUMNS = (
    "file",  # its name, without its folder
    "output",  # likewise; of several, the first; empty where none was written
    "error",  # why the file could not be done; empty where it was
    "seconds",
    "rate",  # Hz
    "channels",
    "integrated_lufs_before",  # of the file as it came; empty for `measure`, and without a file
    "true_peak_dbtp_before",
    "integrated_lufs",
    "true_peak_dbtp",
    "range_lu",
    "message",  # what was found and done, in words
)


def failed_row(source: Path, error: AuralError) -> dict[str, Any]:
    """The row of a file that could not be done."""
    return {**dict.fromkeys(COLUMNS), "file": source.name, "output": "", "error": str(error), "message": ""}


def sources(folder: Path) -> list[Path]:
    """Audio and video files in a folder and the folders below it, by their suffix, sorted.

    What is hidden, a folder or a file whose name starts with a dot, is left out.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder.name!r}. Choose one with audio files.")
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(found)


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows below their headings, COLUMNS; no cell is one that a spreadsheet would take for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(row[name]) for name in COLUMNS] for row in rows)
    return text.getvalue()


def outputs(output: Path, count: int) -> list[Path]:
    """The names of so many results: the name itself for one, numbered ones for several.

    >>> [path.name for path in outputs(Path("dog.wav"), 2)]
    ['dog-1.wav', 'dog-2.wav']
    """
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, count + 1)]


def plan_outputs(folder: Path, out_folder: Path, ending: str | None) -> list[tuple[Path, Path | None]]:
    """Each source of a folder and its output, laid out as the sources are.

    "talks/memo.m4a" becomes "talks/memo-enhanced.wav". What lies in the output folder is no source. Of
    "memo.m4a" and "memo.wav" in one folder the results keep the suffix in their names.

    Args:
        ending: of each result's name; None: there are no outputs.

    Raises:
        InputError: there is no such folder, nothing in it, or results would go among the sources.
    """
    if out_folder.resolve() == folder.resolve() and ending is not None:
        raise InputError("Both folders are the same. Choose another one for the results.")
    inside = out_folder.resolve() if ending is not None else None
    found = [path for path in sources(folder) if inside is None or inside not in path.resolve().parents]
    if not found:
        raise InputError(f"There are no audio or video files in {folder.name!r}. Choose another folder.")
    if ending is None:
        return [(path, None) for path in found]
    takers = Counter(str(path.with_suffix("")).lower() for path in found)
    return [
        (path, out_folder / path.relative_to(folder).with_name(f"{stem}-{ending}"))
        for path in found
        for stem in [path.stem if takers[str(path.with_suffix("")).lower()] == 1 else path.name]
    ]


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it.

    >>> _harmless("=1+1.wav"), _harmless("memo.wav"), _harmless(-14.0)
    ("'=1+1.wav", 'memo.wav', -14.0)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@\t\r\n")) else value
