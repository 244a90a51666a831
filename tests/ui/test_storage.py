"""What is stored, and for how long: everything below the folder, by a clock that nobody sets."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import gradio as gr
import numpy as np
import pytest

from aural.audio import Clip, write
from aural.errors import AuralError, CheckpointError, OptionError, OutOfSpaceError
from aural.files import own_folder
from aural.ui import storage
from aural.ui.downloads import encode
from aural.ui.endpoints import report_errors
from aural.ui.examples import FOLDER

NOISE = Clip(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 44_100)).astype(np.float32), 44_100)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the app's own, as after a start."""
    folder = tmp_path / "stored"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    monkeypatch.setattr(storage, "_ages", {})
    monkeypatch.setattr(storage, "_clocks", None)
    monkeypatch.setattr(storage, "_queues", set())
    monkeypatch.setattr(storage, "_reserved", {})
    with gr.Blocks() as demo:
        gr.Textbox()
    storage.start(demo)
    monkeypatch.setattr(storage, "_queues", set())
    return folder


def put(path: Path, size: int = 1_000, age_seconds: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    for place in (path, path.parent, path.parent.parent):
        os.utime(place, (time.time() - age_seconds,) * 2)
    return path


# An upload, one that broke off, a result, a deep link of Gradio's, and what no one knows.
PLACES = (
    "a1" * 32 + "/a.wav",
    "tmpbroken0",
    "results/tmpx/a.wav",
    "deep_links/x/state.json",
    "unknown/a.bin",
)


@pytest.mark.parametrize("place", PLACES)
def test_whatever_lies_below_the_folder_is_deleted_when_it_is_old(root: Path, place: str) -> None:
    old = put(root / place, age_seconds=storage.KEPT_SECONDS + 60)
    new = put(root / f"new-{place.replace('/', '-')}")
    storage.sweep()
    assert not old.exists() and new.exists()


def test_the_bound_holds_for_all_of_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "KEPT_BYTES", 20_000)
    for number, place in enumerate(PLACES):
        put(root / place, 10_000, age_seconds=100 + number)
    storage.sweep()
    left = [place for place in PLACES if (root / place).exists()]
    assert left == [PLACES[0]], "the oldest go first"
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) <= 20_000


def test_in_a_folder_of_others_only_gradios_files_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    theirs = put(tmp_path / "documents/a.txt", age_seconds=10**6)
    upload = put(tmp_path / PLACES[0], age_seconds=10**6)
    with gr.Blocks() as demo:
        gr.Textbox()
    storage.start(demo)
    assert theirs.exists() and not upload.exists()


def test_a_jump_of_the_clock_deletes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(root / PLACES[0])
    storage.sweep()
    second = put(root / PLACES[2])
    now = time.time
    for days in (365, -365, 1):
        monkeypatch.setattr(time, "time", lambda days=days: now() + 86_400 * days)
        storage.sweep()
        assert first.exists() and second.exists()
    monkeypatch.setattr(time, "time", now)
    steady = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: steady() + storage.KEPT_SECONDS + 60)
    storage.sweep()
    assert not first.exists() and not second.exists(), "they grow older all the same"


def test_open_files_and_those_of_calls_stay(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = put(root / PLACES[0], age_seconds=10**6)
    waiting = put(root / ("b2" * 32) / "b.wav", age_seconds=10**6)
    running = put(root / ("c3" * 32) / "c.wav", age_seconds=10**6)
    idle = put(root / ("d4" * 32) / "d.wav", age_seconds=10**6)

    def event(path: Path) -> Any:
        data = SimpleNamespace(data=[{"files": [{"path": str(path)}]}, "auto"])
        return SimpleNamespace(data=data, enqueue_time=time.monotonic())

    queue = SimpleNamespace(
        event_queue_per_concurrency_id={"audio": SimpleNamespace(queue=[event(waiting)])},
        active_jobs=[None, [event(running)]],
    )
    monkeypatch.setattr(storage, "_queues", [queue])
    with opened.open("rb"):
        storage.sweep()
    assert waiting.exists() and running.exists() and not idle.exists()
    assert opened.exists() or not Path("/proc/self/fd").exists()


def test_the_calls_of_a_closed_app_are_forgotten_when_the_next_one_starts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody ends them: their files would be kept as long as the process."""
    left = put(root / PLACES[0], age_seconds=10**6)
    event = SimpleNamespace(data=SimpleNamespace(data=[{"path": str(left)}]), enqueue_time=time.monotonic())
    queue: Any = Mock(event_queue_per_concurrency_id={}, active_jobs=[[event]], stopped=False)
    monkeypatch.setattr(storage, "_queues", {queue})
    with gr.Blocks() as demo:
        gr.Textbox()
    storage.start(demo)
    assert left.exists()
    queue.stopped = True
    storage.start(demo)
    assert not left.exists()


def test_a_running_call_keeps_its_results(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "KEPT_BYTES", 1_000)
    made = put(root / "results/tmpx/a.wav", 10_000, age_seconds=200)
    older = put(root / "results/tmpy/a.wav", 10_000, age_seconds=400)
    event = SimpleNamespace(data=SimpleNamespace(data=[]), enqueue_time=time.monotonic() - 300)
    queue = SimpleNamespace(event_queue_per_concurrency_id={}, active_jobs=[[event]])
    monkeypatch.setattr(storage, "_queues", [queue])
    storage.sweep()
    assert made.exists() and not older.exists()


@pytest.mark.usefixtures("root")
def test_room_is_kept_for_uploads_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "KEPT_BYTES", 100_000)
    first = storage.Reservation(60_000)
    with pytest.raises(OutOfSpaceError):
        storage.Reservation(60_000)
    first.release()
    storage.Reservation(60_000).release()


def test_room_for_an_upload_is_made_of_the_oldest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "KEPT_BYTES", 100_000)
    old, new = put(root / PLACES[0], 50_000, 300), put(root / PLACES[2], 30_000, 100)
    storage.Reservation(60_000).release()
    assert new.exists() and not old.exists()


@pytest.mark.usefixtures("root")
def test_a_private_event_writes_only_results() -> None:
    before = set(FOLDER.rglob("*"))
    *_, (*buttons, video) = encode(str(FOLDER / "speech.ogg"))
    assert not video.visible
    paths = [Path(button["value"]) for button in buttons if isinstance(button, dict)] or [
        Path(button.value["path"] if isinstance(button.value, dict) else button.value) for button in buttons
    ]
    assert len(paths) == 3
    assert set(FOLDER.rglob("*")) == before
    assert all(path.is_relative_to(storage._results()) for path in paths)


def test_a_result_is_encoded_beside_itself(root: Path) -> None:
    assert storage.sibling_path(str(root / "results/tmpx/a.wav"), ".mp3") == str(root / "results/tmpx/a.mp3")
    other = Path(storage.sibling_path(str(root / "results/../" / PLACES[0]), ".mp3"))
    assert other.name == "a.mp3" and other.parent.parent == root / "results"


def fails(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, storage.DISK_FULL),
        (errno.EDQUOT, storage.DISK_FULL),
        (errno.EROFS, storage.NOT_WRITABLE),
        (errno.EACCES, storage.NOT_WRITABLE),
    ],
)
def test_a_visitor_learns_that_the_disk_is_full(
    number: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aural.audio.encode._encode", fails(OSError(number, os.strerror(number))))

    @report_errors
    def endpoint() -> Any:
        yield write(NOISE, tmp_path / "a.wav")

    with pytest.raises(gr.Error) as failure:
        list(endpoint())
    assert failure.value.message == sentence
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_a_shell_learns_that_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aural.audio.encode._encode", fails(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OutOfSpaceError, match=r"^There is no space left to write 'a\.wav'\. Free some, or"):
        write(NOISE, tmp_path / "a.wav")
    monkeypatch.undo()
    with pytest.raises(OptionError) as failure:
        write(NOISE, tmp_path / "missing/a.wav")
    assert str(tmp_path) not in str(failure.value)


def test_a_visitor_is_told_no_folders_of_a_checkpoint(caplog: pytest.LogCaptureFixture) -> None:
    told = "The checkpoint 'lisa' can't be used, because /srv/secret/lisa is missing. Export it again."

    @report_errors
    def endpoint() -> Any:
        raise CheckpointError(told)
        yield

    with pytest.raises(gr.Error) as failure:
        list(endpoint())
    assert failure.value.message == told.replace("/srv/secret/", "")
    assert told in caplog.text, "the operator is told all of it"


@pytest.mark.usefixtures("root")
def test_no_folder_for_a_result_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.tempfile, "mkdtemp", fails(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(OutOfSpaceError) as failure:
        storage.result_path("a.wav", "b.wav")
    assert str(failure.value) == storage.NOT_WRITABLE


def test_an_operator_learns_at_the_start_that_nothing_can_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file/folder"))
    with gr.Blocks() as demo:
        gr.Textbox()
    with pytest.raises(AuralError, match=r"^Files can't be stored in .*\. Free some space there, or name "):
        storage.start(demo)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the owner of a folder is known by his number")
def test_a_folder_of_someone_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    usual = Path(own_folder("aural"))
    assert usual.parent == tmp_path
    usual.mkdir()
    assert own_folder("aural") == str(usual)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    usual.rename(tmp_path / f"aural-{owner + 1}")
    assert own_folder("aural") not in (str(usual), str(tmp_path / f"aural-{owner + 1}"))
