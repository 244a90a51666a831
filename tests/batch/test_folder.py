"""The files of a folder, their results, and the table that tells of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from aural.batch.folder import COLUMNS, as_csv, plan_outputs, sources
from aural.errors import InputError


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_sources_are_found_by_suffix_below_a_folder_but_not_where_it_is_hidden(tmp_path: Path) -> None:
    names = ["b.WAV", "a.mp3", "talks/c.m4a", "talks/clip.mp4", "notes.txt", ".hidden.wav", ".trash/d.wav"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [str(path.relative_to(tmp_path)) for path in sources(tmp_path)]
    assert found == ["a.mp3", "b.WAV", "talks/c.m4a", "talks/clip.mp4"]
    with pytest.raises(InputError, match=r"^There is no folder 'nowhere'\. Choose one with audio files\.$"):
        sources(tmp_path / "nowhere")


def test_results_are_laid_out_as_their_sources_and_never_meet(tmp_path: Path) -> None:
    folder, out = tmp_path / "memos", tmp_path / "memos" / "done"
    for name in ("talks/a.m4a", "talks/A.wav", "b.wav", "done/old-enhanced.wav"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pairs = {
        str(source.relative_to(folder)): str(output.relative_to(out))
        for source, output in plan_outputs(folder, out, "enhanced.wav")
        if output is not None
    }
    assert pairs == {
        "b.wav": "b-enhanced.wav",
        "talks/A.wav": "talks/A.wav-enhanced.wav",
        "talks/a.m4a": "talks/a.m4a-enhanced.wav",
    }
    assert len(plan_outputs(folder, folder, None)) == 4
    with pytest.raises(InputError, match=r"Both folders are the same\. Choose another one"):
        plan_outputs(folder, folder, "enhanced.wav")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="There are no audio or video files in 'empty'"):
        plan_outputs(tmp_path / "empty", out, None)


def test_no_cell_is_a_formula_and_every_text_comes_back() -> None:
    blank: dict[str, Any] = dict.fromkeys(COLUMNS)
    texts = ["=cmd()|' /C calc'!A0", "+1", "-2.wav", "@SUM(A1)", "\t=1", "\r=1", 'a "b", c\nd', "memo.wav"]
    rows = rows_of(as_csv([{**blank, "file": text, "integrated_lufs": -14.02} for text in texts]))
    assert [row["file"] for row in rows[:6]] == [f"'{text}" for text in texts[:6]]
    assert [row["file"] for row in rows[6:]] == texts[6:]
    assert {row["integrated_lufs"] for row in rows} == {"-14.02"}
    assert {row["error"] for row in rows} == {""}
