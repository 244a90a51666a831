"""Files that appear whole or not at all, the unit of their sizes, and the suffixes of audio and video."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

GIBIBYTE = 2**30  # bytes

# Suffixes of audio and video files; the format is detected from the content.
SUFFIXES = {
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".asf", ".au", ".avi", ".caf", ".flac", ".flv", ".m4a",
    ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".oga", ".ogg",
    ".opus", ".ts", ".w64", ".wav", ".wave", ".webm", ".wma", ".wmv",
}  # fmt: skip


def own_folder(name: str) -> str:
    """A folder for temporary files that this user has alone: the same at every start, where that is safe."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir(), f"{name}-{user}")
    if hasattr(os, "getuid") and folder.exists() and folder.lstat().st_uid != user:
        return tempfile.mkdtemp(
            prefix=f"{name}-"
        )  # someone else was here first, and could read what is in it
    return str(folder)


def below(folder: Path) -> Iterator[Path]:
    """All files and folders below a folder, from which others may delete meanwhile.

    `Path.rglob` fails before Python 3.13 where a folder vanishes before its turn.
    """
    for path, folders, files in os.walk(folder):
        yield from (Path(path, name) for name in (*folders, *files))


@contextmanager
def write_then_rename(path: Path, *, folder: Path | None = None) -> Iterator[Path]:
    """A temporary path to write to; the file gets its own name once it is complete.

    If writing fails, the temporary file is deleted and an existing file at `path` stays as it was.

    Args:
        folder: where the temporary file lies, on the same file system; default: the folder of `path`.
    """
    temporary = (folder or path.parent) / f".{uuid4().hex}.part"
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
