"""What can be downloaded of a result: each format, and a video with the upload's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aural.audio import Clip, read, write
from aural.audio.resample import resample
from aural.ui import storage
from aural.ui.downloads import FORMATS, encode
from tests.audio.test_video import film, flash_times

RATE = 48_000


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A second of a tone, as a tab writes its result."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    path = storage.result_path("upload.mp4", "enhanced.wav")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    write(Clip(tone[np.newaxis].astype(np.float32), RATE), path)
    return path


def file_of(button: dict | object) -> Path:
    value = button["value"] if isinstance(button, dict) else button.value  # type: ignore[attr-defined]
    return Path(value["path"] if isinstance(value, dict) else value)


@pytest.mark.parametrize(
    ("old", "new"), [(".mp4", ".mp4"), (".mov", ".mov"), (".webm", ".webm"), (".avi", ".mkv")]
)
def test_the_result_of_a_video_can_be_downloaded_as_one(
    result: str, old: str, new: str, tmp_path: Path
) -> None:
    source = film(tmp_path / f"upload{old}")
    *_, updates = encode(result, str(source))
    video = updates[-1]
    assert video.visible and video.interactive and video.label == f"Video, {new[1:].upper()}"
    made = file_of(video)
    assert made.suffix == new and flash_times(made) == pytest.approx(flash_times(source), abs=0.01)
    tone, heard = read(result).samples[0], read(made)
    ours = resample(heard, RATE).samples[0, : len(tone)]
    assert np.corrcoef(ours[RATE // 10 : -RATE // 10], tone[RATE // 10 : -RATE // 10])[0, 1] > 0.99


@pytest.mark.parametrize("source", [None, "song.wav"])
def test_without_a_picture_there_is_no_video(result: str, source: str | None, tmp_path: Path) -> None:
    if source is not None:
        source = str(tmp_path / source)
        write(Clip(np.zeros((1, RATE), np.float32), RATE), source)
    for *_, video in encode(result, source):
        assert not video.visible
    assert {path.suffix for path in Path(result).parent.iterdir()} == set(FORMATS)
