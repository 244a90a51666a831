"""The files of a folder: sources, names of results, and the table of measurements."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aural.errors import AuralError, InputError
from aural.files import SUFFIXES

# Of every row, in order. Figures are of the result as written, for `measure` of the file; None if there are
# none.
COLUMNS = (
    "file",  # its name, without its folder
    "output",  # its name, the first of several; empty if none was written
    "error",  # why the file failed; empty if it did not
    "seconds",
    "rate",  # Hz
    "channels",
    "integrated_lufs_before",  # of the source; empty for `measure`, and without a source
    "true_peak_dbtp_before",
    "integrated_lufs",
    "true_peak_dbtp",
    "range_lu",
    "message",  # the result in words
)


MAX_NAME_BYTES = 255  # of a file, on nearly every file system


def failed_row(source: Path, error: AuralError) -> dict[str, Any]:
    """The row of a file that failed."""
    return {**dict.fromkeys(COLUMNS), "file": source.name, "output": "", "error": str(error), "message": ""}


def sources(folder: Path) -> list[Path]:
    """Audio and video files in a folder and its subfolders, by their suffix, sorted.

    Hidden folders and files, whose names start with a dot, are skipped.

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
    """The rows as CSV with the headings COLUMNS; no spreadsheet takes a cell as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(row[name]) for name in COLUMNS] for row in rows)
    return text.getvalue()


def outputs(output: Path, count: int) -> list[Path]:
    """The paths of `count` results: `output` itself for one, numbered ones for several.

    >>> [path.name for path in outputs(Path("dog.wav"), 2)]
    ['dog-1.wav', 'dog-2.wav']
    """
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, count + 1)]


def plan_outputs(folder: Path, out_folder: Path, ending: str | None) -> list[tuple[Path, Path | None]]:
    """Each source of a folder with its output, in the same subfolders.

    "talks/memo.m4a" becomes "talks/memo-enhanced.wav". Files in the output folder are not sources. If there
    are both "memo.m4a" and "memo.wav", the names of their results keep the suffix. Names that would
    be too long are shortened.

    Args:
        ending: of each result's name; None: there are no outputs.

    Raises:
        InputError: the folder is missing or empty, or results would be mixed with the sources.
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
        (path, out_folder / path.relative_to(folder).with_name(result_name(stem, ending)))
        for path in found
        for stem in [path.stem if takers[str(path.with_suffix("")).lower()] == 1 else path.name]
    ]


def result_name(stem: str, ending: str) -> str:
    """The name of a result, not longer than a file system allows; what is shortened gets a mark of its own.

    >>> result_name("memo", "enhanced.wav"), len(result_name("m" * 250, "enhanced.wav"))
    ('memo-enhanced.wav', 255)
    """
    whole, end = os.fsencode(stem), f"-{ending}"
    room = MAX_NAME_BYTES - len(os.fsencode(end))
    if len(whole) <= room:
        return f"{stem}{end}"
    mark = f"~{hashlib.sha256(whole).hexdigest()[:8]}"
    return f"{whole[: room - len(mark)].decode('utf-8', 'ignore')}{mark}{end}"


def printable(text: str) -> str:
    """The text without what a terminal would obey: control and direction characters become their escapes.

    >>> print(printable("a\\x1b[2J\\u202eb\\udcff.wav"))
    a\\x1b[2J\\u202eb\\udcff.wav
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character)[0] == "C"
        else character
        for character in text
    )


def _harmless(value: Any) -> Any:
    """The value; a text that a spreadsheet would take as a formula gets an apostrophe.

    >>> _harmless("=1+1.wav"), _harmless("memo.wav"), _harmless(-14.0)
    ("'=1+1.wav", 'memo.wav', -14.0)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@\t\r\n")) else value
