"""What is kept in a player from run to run."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from aural.audio import Clip, write
from aural.loudness.meter import loudness_lufs
from aural.ui import takes
from aural.ui.abplayer import MAX_VERSIONS, Version
from aural.ui.takes import MAX_KEPT, NO_RESULT, Kept, combine

MADE = [Version(name, f"{name}.wav", -20.0) for name in ("before", "enhanced", "resolved", "mastered")]


def names(versions: list[Version] | None) -> list[str]:
    return [version.label for version in versions or ()]


@pytest.mark.parametrize("count", range(5))
def test_recording_and_result_always_have_their_slots(count: int) -> None:
    for kept_count in range(MAX_KEPT + 1):
        kept = Kept(tuple(Version(f"take {number}", "x.wav") for number in range(kept_count)))
        made = [*MADE[: max(count - 1, 0)], MADE[-1]] if count else None
        shown = names(combine(made, kept))
        assert len(shown) <= MAX_VERSIONS and len(shown) != 1
        if shown:
            assert shown[len(shown) - kept_count :] == names(list(kept.versions))
        if made and len(made) > 1:
            assert shown[0] == "before" and shown[len(shown) - kept_count - 1] == "mastered"


def test_a_result_is_kept_as_a_numbered_take_and_the_oldest_gives_way() -> None:
    kept = Kept()
    for number in range(1, 4):
        (kept,) = takes._keep([MADE[0], Version("mastered", f"{number}.wav", -16.0)], kept)
        assert kept.versions[-1] == Version(f"Take {number}", f"{number}.wav", -16.0)
    assert names(list(kept.versions)) == ["Take 2", "Take 3"]


@pytest.mark.parametrize("versions", [None, []])
def test_without_a_result_there_is_none_to_keep(versions: list[Version] | None) -> None:
    with pytest.raises(gr.Error, match=NO_RESULT):
        list(takes._keep(versions, Kept()))


def test_a_visitor_s_file_is_added_at_its_own_loudness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    tone = Clip((0.1 * np.sin(np.arange(96_000) * 0.1))[np.newaxis].astype(np.float32), 48_000)
    path = write(tone, tmp_path / "a reference.mp3")
    (kept,) = takes._add(loudness_lufs, str(path), Kept())
    (added,) = kept.versions
    assert added.label == "a reference" and str(added.path).endswith(".wav")
    assert added.loudness_lufs == pytest.approx(loudness_lufs(tone), abs=0.1)
