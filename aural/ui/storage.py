"""Where results are stored, and when they are deleted.

Gradio deletes the uploads it remembers. It does not delete the results of an event that showed its progress,
the empty file that `gr.File` creates for each input, or what a killed app left behind. So everything in its
folder is swept here: first what is too old, then the oldest files while the total is too large.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from aural.files import GIBIBYTE

KEPT_SECONDS = 6 * 3600  # uploads and results are deleted after this
KEPT_BYTES = int(float(os.environ.get("AURAL_KEPT_GIB", 10)) * GIBIBYTE)  # in total; the oldest go first
SWEPT_EVERY_SECONDS = 10.0
MAX_STEM_BYTES = 100  # of a result's name; file systems allow 255 in total

# Names that Gradio creates in its folder: an upload's folder, named after its sha256, and temporary files.
UPLOAD = re.compile(r"[0-9a-f]{64}|tmp\w+")

_sweeping = threading.Lock()
_swept = -SWEPT_EVERY_SECONDS  # time of the last sweep on the monotonic clock
_spared: set[Path] = set()


def result_path(source: str | Path, ending: str) -> str:
    """A new path for a result, named after its source: "memo.m4a", "mastered.wav": "memo-mastered.wav".

    It is inside the folder that Gradio serves, so that nothing is copied.
    """
    stem = Path(source).stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
    return str(_new_folder() / f"{stem}-{ending}")


def picture_path() -> str:
    """A new path for a picture."""
    return str(_new_folder() / "picture.webp")


def start(demo: gr.Blocks) -> None:
    """Sweep what earlier runs left behind, except the files that the page itself shows."""
    for block in demo.blocks.values():
        _spared.update(Path(path).parent for path in getattr(block, "keep_in_cache", ()))
    sweep()


def sweep() -> None:
    """Delete what is older than `KEPT_SECONDS`, then the oldest while the total exceeds `KEPT_BYTES`."""
    root = Path(get_upload_folder())
    places = [path for path in root.glob("*") if UPLOAD.fullmatch(path.name)] + [*root.glob("results/*")]
    found = sorted((*_age_and_bytes(place), place) for place in places if place not in _spared)
    total = 0
    for age_seconds, size, place in found:  # newest first
        total += size
        if age_seconds > KEPT_SECONDS or total > KEPT_BYTES:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)


def _new_folder() -> Path:
    global _swept
    if time.monotonic() - _swept > SWEPT_EVERY_SECONDS and _sweeping.acquire(blocking=False):
        try:
            sweep()
            _swept = time.monotonic()
        finally:
            _sweeping.release()
    root = Path(get_upload_folder(), "results")
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=root))


def _age_and_bytes(place: Path) -> tuple[float, int]:
    """Seconds since the newest file in a folder was written, and the total size in bytes."""
    newest, size = 0.0, 0
    for path in (place, *place.rglob("*")):
        try:
            facts = path.lstat()
        except FileNotFoundError:  # just swept by another call
            continue
        newest = max(newest, facts.st_mtime)
        size += facts.st_size
    return time.time() - newest, size
