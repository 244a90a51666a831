"""The Studio tab's own parts: the stages of a release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aural
from aural.audio import Clip, read, write
from aural.studio import tab
from tests.memos import RATE, write_memo


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return tmp_path / "gradio" / "results"


@pytest.mark.usefixtures("tiny_checkpoints")
def test_each_stage_of_a_release_can_be_inspected(tmp_path: Path) -> None:
    source = write_memo(tmp_path / "memo.wav", channels=2)
    path, stages, figures, picture, original = list(tab.release(source, target="spotify", rate=None))[-1]
    assert original == source and Path(picture).is_file()
    names = [Path(file).name for file in (*stages, path)]
    assert names == ["memo-enhanced.wav", "memo-super-resolved.wav", "memo-released.wav"]
    assert set(figures) == {"message", "versions", *tab.STAGES}
    for name, file in zip(tab.VERSIONS, (source, *stages, path), strict=True):
        measured = aural.measure(read(file)).integrated_lufs
        assert figures["versions"][name]["integrated_lufs"] == pytest.approx(measured, abs=0.02), name
    assert figures["versions"]["mastered"]["integrated_lufs"] == pytest.approx(-14, abs=0.1)
    assert [figures["versions"][name]["rate"] for name in tab.VERSIONS] == [RATE, RATE, 48_000, 48_000]
    message, versions, shown = tab._show(original, path, stages, figures)
    assert figures["mastered"]["message"] in message
    assert [version.label for version in versions] == list(tab.VERSIONS.values())
    assert all(f">{title}<" in shown for title in tab.VERSIONS.values())
    parts = tab._fill_inspectors(path, stages, figures)
    assert [update.value["path"] for update in parts[1::3]] == [*stages, path]
    assert parts[0::3] == [figures[name]["message"] for name in tab.STAGES]
    assert parts[2::3] == [figures[name] for name in tab.STAGES]


def test_without_a_result_nothing_can_be_inspected() -> None:
    for message, download, figures in zip(*[iter(tab._fill_inspectors())] * 3, strict=True):
        assert message is None and figures is None and not download.interactive


@pytest.mark.usefixtures("tiny_checkpoints")
def test_silence_goes_all_the_way(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    write(Clip(np.zeros((1, RATE), np.float32), RATE), path)
    released, _, figures, *_ = list(tab.release(str(path)))[-1]
    assert not read(released).samples.any()
    assert [figures["versions"][name]["integrated_lufs"] for name in tab.VERSIONS] == [None] * 4
    assert [figures["versions"][name]["bandwidth_hz"] for name in tab.VERSIONS] == [None] * 4
