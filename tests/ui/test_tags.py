"""The page's results carry tags and cover, and say how their file was read."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aural.audio import Clip, Cover, Tags, read_tags, write
from aural.batch import tab as batch
from aural.enhancement import tab as enhancement
from aural.loudness import tab as loudness
from aural.resynthesis import tab as resynthesis
from aural.studio import tab as studio
from aural.superres import tab as superres
from aural.ui.downloads import encode
from aural.ui.storage import result_path

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")

RATE = 16_000
TAGS = Tags({"title": "A memo", "artist": "Me", "album": "Memos"}, Cover(b"\x89PNG\r\n\x1a\n", "image/png"))
NOTE = "The file changes to 16000 Hz mono midway; all of it was converted to 16000 Hz stereo."


@pytest.fixture
def memo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A chained file with tags, whose second link is mono."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    noise = (0.05 * np.random.default_rng(0).standard_normal((2, 2 * RATE))).astype(np.float32)
    stereo = write(Clip(noise, RATE), tmp_path / "stereo.ogg", tags=TAGS)
    mono = write(Clip(noise[:1], RATE), tmp_path / "mono.ogg")
    path = tmp_path / "memo.ogg"
    path.write_bytes(stereo.read_bytes() + mono.read_bytes())
    return str(path)


def last(updates: Any) -> Any:
    return list(updates)[-1]


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        (loudness.master, 1),
        (resynthesis.resynthesize, 1),
        (enhancement.enhance, 2),
        (enhancement.degrade, 1),
        (superres.super_resolve, 1),
        (studio.release, 2),
    ],
)
def test_each_result_carries_the_tags_and_tells_the_notes(
    endpoint: Callable[..., Any], place: int, memo: str
) -> None:
    result = last(endpoint(memo))
    assert read_tags(result[0]) == TAGS
    assert result[place]["message"].endswith(NOTE)


def test_measuring_tells_the_notes(memo: str) -> None:
    assert last(loudness.measure(memo))[0]["notes"][-1] == NOTE


def test_albums_batches_and_downloads_carry_tags(memo: str, tmp_path: Path) -> None:
    album, _ = last(loudness.master_album([memo, memo]))
    archive, _, rows = last(batch.batch([memo], "master"))
    assert rows[0]["message"].endswith(NOTE)
    for path in (album, archive):
        with zipfile.ZipFile(path) as unpacked:
            name = next(name for name in unpacked.namelist() if name.endswith(".wav"))
            assert read_tags(unpacked.extract(name, tmp_path)) == TAGS
    result = result_path(name, "tagged.wav")
    shutil.copyfile(tmp_path / name, result)
    list(encode(result))
    assert read_tags(Path(result).with_suffix(".mp3")) == read_tags(Path(result).with_suffix(".flac")) == TAGS
