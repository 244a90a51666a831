"""Where results lie until they are fetched, and when they go.

Gradio deletes uploads by itself, but not what an event has made if it also showed its progress; so results
have a folder of their own, swept whenever a new one is made.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from gradio.utils import get_upload_folder

KEPT_SECONDS = 6 * 3600  # how long uploads and results are kept


def result_path(source: str | Path, ending: str) -> str:
    """A new path for a result, named after its source: "memo.m4a", "mastered.wav": "memo-mastered.wav".

    It lies below the folder that Gradio serves from, so that nothing is copied.
    """
    return str(_new_folder() / f"{Path(source).stem[:80]}-{ending}")


def picture_path() -> str:
    """A new path for a picture."""
    return str(_new_folder() / "picture.png")


def _new_folder() -> Path:
    root = Path(get_upload_folder(), "results")
    root.mkdir(parents=True, exist_ok=True)
    for folder in root.iterdir():
        if _age_seconds(folder) > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=root))


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # another call has just swept it
        return 0.0
