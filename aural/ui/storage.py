"""Where uploads and results are stored, how much they may take, and when they are deleted.

Gradio deletes the uploads it remembers. It does not delete the results of an event that showed its progress,
uploads that broke off, the empty file that `gr.File` creates for each input, or what a killed app left. So
everything below its folder is swept here, by a timer: first what is too old, then the oldest files while
the total is too large. What is in use stays, and ages are counted by a clock that nobody sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import gradio as gr
from gradio.route_utils import delete_files_created_by_app
from gradio.utils import get_upload_folder

from aural.errors import AuralError, OutOfSpaceError
from aural.files import GIBIBYTE, below

KEPT_SECONDS = 6 * 3600  # uploads and results are deleted after this
KEPT_BYTES = int(float(os.environ.get("AURAL_KEPT_GIB", 10)) * GIBIBYTE)  # in total; the oldest go first
SWEPT_EVERY_SECONDS = 10.0
GRACE_SECONDS = 30.0  # what is newer stays, unless an upload needs room: a visitor may be about to fetch it
MAX_CALL_SECONDS = 20 * 60.0  # of a call, whose results stay as long as it runs
MARGIN_BYTES = 16 * 2**20  # of the disk that uploads leave free, for results
STEP_BYTES = 16 * 2**20  # after which an upload that told no length asks for room again
JUMP_SECONDS = 60.0  # by which the clock of the day may drift from the steady one between two sweeps
MAX_STEM_BYTES = 100  # of a result's name; file systems allow 255 in total

# Names that Gradio creates in its folder: an upload's folder, named after its sha256, and temporary files.
UPLOAD = re.compile(r"[0-9a-f]{64}|tmp\w+")
# In a folder that this app has made. In another one only files with names of Gradio's are swept.
MARK = ".aural"
EMPTY = "vibe_edit_history"  # which Gradio makes at its start, and leaves empty

# An error of the system that says: nothing can be stored here now.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO)
DISK_FULL = "The server's disk is full. Try again later, or tell its operator."
NOT_WRITABLE = "The server can't store files now. Try again later, or tell its operator."
STORE_FULL = "The server's storage for files is full. Try again in a few minutes, or send a smaller file."


@dataclass
class _Age:
    """How old a file or folder was when it was last looked at."""

    changed: float  # time of the last change, by the clock of the day
    seconds: float
    at: float  # on the steady clock


@dataclass(frozen=True)
class _Place:
    """A file or folder that is kept or deleted as a whole."""

    age_seconds: float
    size: int
    path: Path


_sweeping = threading.RLock()
_ages: dict[Path, _Age] = {}
_clocks: tuple[float, float] | None = None  # of the day and steady, at the last sweep
_spared: set[Path] = set()
_queues: WeakSet[Any] = WeakSet()  # of the running apps
_reserved: dict[int, int] = {}  # bytes of the uploads under way


def result_path(source: str | Path, ending: str) -> str:
    """A new path for a result, named after its source: "memo.m4a", "mastered.wav": "memo-mastered.wav".

    It is inside the folder that Gradio serves, so that nothing is copied.
    """
    stem = Path(source).stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
    return str(_new_folder() / f"{stem}-{ending}")


def picture_path() -> str:
    """A new path for a picture."""
    return str(_new_folder() / "picture.webp")


def sibling_path(path: str, suffix: str) -> str:
    """The path of a result in another format: next to it, or in a new folder if it is no result."""
    if Path(path).resolve().is_relative_to(_results().resolve()):
        return str(Path(path).with_suffix(suffix))
    return str(_new_folder() / Path(path).with_suffix(suffix).name)


def open_folder() -> None:
    """Make the folder, or find that it can be used; before Gradio does.

    Raises:
        AuralError: nothing can be stored; the sentence is for the operator.
    """
    root = Path(get_upload_folder())
    try:
        is_new = not root.exists() or {path.name for path in root.iterdir()} <= {EMPTY}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_new:
            (root / MARK).touch()
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(bytes(2**16))
    except OSError as error:
        raise AuralError(
            f"Files can't be stored in {root} ({error.strerror}). Free some space there, or name another "
            "folder by GRADIO_TEMP_DIR."
        ) from None


def start(demo: gr.Blocks) -> None:
    """Sweep what earlier runs left behind, except the files that the page itself shows.

    Forgets the calls of apps that were closed in this process: nobody ends them.

    Raises:
        AuralError: nothing can be stored; the sentence is for the operator.
    """
    open_folder()
    for block in demo.blocks.values():
        _spared.update(Path(path).parent for path in getattr(block, "keep_in_cache", ()))
    for queue in list(_queues):
        if queue.stopped:
            _queues.discard(queue)
    _queues.add(demo._queue)
    sweep()


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Sweep by a timer, as long as an app runs; at its end delete the uploads that it remembers.

    Gradio's own timer is not used, because it believes the clock of the day.
    """

    async def repeat() -> None:
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(sweep)
            await asyncio.sleep(max(SWEPT_EVERY_SECONDS, 0.1))

    timer = asyncio.create_task(repeat())
    try:
        yield
    finally:
        timer.cancel()
        delete_files_created_by_app(app.get_blocks(), age=None)


def sweep(room: int = 0) -> int:
    """Delete what is older than `KEPT_SECONDS`, then the oldest while the total exceeds `KEPT_BYTES`.

    Args:
        room: bytes that are to be free of the latter.

    Returns:
        The bytes that are left, of which none may be deleted if they exceed the bound.
    """
    with _sweeping:
        total = room
        in_use = _paths_in_use()
        newest_call = _longest_call_seconds()
        for place in _list_places():  # newest first
            total += place.size
            if place.age_seconds <= KEPT_SECONDS and total <= KEPT_BYTES:
                continue
            grace = 0.0 if room else GRACE_SECONDS
            if place.path.parent.name == "results":
                grace = max(grace, newest_call)
            if (grace and place.age_seconds <= grace) or _is_in_use(place.path, in_use):
                continue
            if _delete(place.path):
                total -= place.size
        return total - room


class Reservation:
    """Room for an upload, until it lies on the disk.

    Raises `OutOfSpaceError` where the bound or the disk is too short for it.
    """

    def __init__(self, size: int) -> None:
        self._told = 0
        self.grow(size)

    def grow(self, size: int) -> None:
        """Make room for more; asked for in steps."""
        if self._told and size < self._told + STEP_BYTES:
            return
        with _sweeping:
            others = sum(size for key, size in _reserved.items() if key != id(self))
            if size + others > KEPT_BYTES or sweep(size + others) + size + others > KEPT_BYTES:
                raise OutOfSpaceError(STORE_FULL)
            try:
                free = shutil.disk_usage(_existing(Path(get_upload_folder()))).free
            except OSError:
                raise OutOfSpaceError(NOT_WRITABLE) from None
            if size + others + MARGIN_BYTES > free:
                raise OutOfSpaceError(DISK_FULL)
            _reserved[id(self)] = self._told = max(size, 1)

    def release(self) -> None:
        """Give back what is left of it."""
        with _sweeping:
            _reserved.pop(id(self), None)


def out_of_space(error: BaseException | None = None) -> OutOfSpaceError | None:
    """What keeps the app from storing files, if anything does; the sentence is for visitors.

    Args:
        error: what was raised where a file was to be written.
    """
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpaceError(DISK_FULL)
    if number in NO_SPACE:
        return OutOfSpaceError(NOT_WRITABLE)
    if isinstance(error, OSError) and number not in (errno.ENOENT, None):
        return None
    root = Path(get_upload_folder(), "results")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(bytes(2**20))
            probe.flush()
    except OSError as failure:
        return OutOfSpaceError(DISK_FULL if failure.errno in (errno.ENOSPC, errno.EDQUOT) else NOT_WRITABLE)
    return None


def _results() -> Path:
    return Path(get_upload_folder(), "results")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if path.exists() or path.parent == path else _existing(path.parent)


def _new_folder() -> Path:
    if _clocks is None or time.monotonic() - _clocks[1] > SWEPT_EVERY_SECONDS:
        sweep()
    try:
        _results().mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=_results()))
    except OSError as error:
        raise out_of_space(error) or OutOfSpaceError(NOT_WRITABLE) from error


def _places() -> list[Path]:
    root = Path(get_upload_folder())
    is_ours = (root / MARK).exists()
    kept = {root / MARK, root / EMPTY, root / "results", *_spared}
    return [
        path
        for path in [*root.glob("*"), *root.glob("results/*")]
        if path not in kept and (is_ours or path.parent != root or UPLOAD.fullmatch(path.name))
    ]


def _list_places() -> list[_Place]:
    """Everything that is stored, the newest first."""
    global _clocks
    day, steady = time.time(), time.monotonic()
    # Where someone has set the clock, it says nothing about what has been written since the last sweep.
    is_set = _clocks is not None and abs((day - _clocks[0]) - (steady - _clocks[1])) > JUMP_SECONDS
    _clocks = day, steady
    found = []
    seen = {}
    for path in _places():
        changed, size = _change_and_bytes(path)
        known = _ages.get(path)
        if known is not None and known.changed == changed:
            seconds = known.seconds + steady - known.at
        else:
            seconds = 0.0 if is_set else max(0.0, day - changed)
        seen[path] = _Age(changed, seconds, steady)
        found.append(_Place(seconds, size, path))
    _ages.clear()
    _ages.update(seen)
    return sorted(found, key=lambda place: (place.age_seconds, place.path))


def _change_and_bytes(place: Path) -> tuple[float, int]:
    """When the newest file in a folder was written, by the clock of the day, and the total size in bytes."""
    newest, size = 0.0, 0
    for path in (place, *below(place)):
        try:
            facts = path.lstat()
        except OSError:  # just swept by another call
            continue
        newest = max(newest, facts.st_mtime)
        size += facts.st_size
    return newest, size


def _delete(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
    return not path.exists()


def _paths_in_use() -> set[str]:
    """The files that this process has open, and those of calls that wait or run."""
    in_use = set()
    with contextlib.suppress(OSError):  # only Linux tells them; Windows does not delete open files
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                in_use.add(str(descriptor.readlink()))
    for event in _events():
        in_use.update(map(os.path.realpath, _texts(getattr(event.data, "data", None))))
    return in_use


def _events() -> Iterator[Any]:
    for queue in list(_queues):
        for waiting in list(queue.event_queue_per_concurrency_id.values()):
            yield from list(waiting.queue)
        yield from _running(queue)


def _running(queue: Any) -> Iterable[Any]:
    return [event for job in list(queue.active_jobs) if job for event in job]


def _longest_call_seconds() -> float:
    """How long the longest call has been going on: what is newer may be a result of it."""
    now = time.monotonic()
    spans = [now - event.enqueue_time for queue in list(_queues) for event in _running(queue)]
    return min(max(spans, default=0.0), MAX_CALL_SECONDS)


def _texts(value: Any) -> Iterator[str]:
    """The paths in a call's arguments."""
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and "\x00" not in path:
            yield path
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _is_in_use(place: Path, in_use: set[str]) -> bool:
    real = os.path.realpath(place)
    return any(path == real or path.startswith(real + os.sep) for path in in_use)
