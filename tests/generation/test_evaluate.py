"""The command that evaluates generation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aural.errors import OptionError
from aural.generation import evaluate
from aural.generation.classes import CLASSES
from aural.generation.data import Esc50
from aural.generation.pipeline import Options
from tests.generation.tones import LABELS

QUICK = Options(label="dog", steps=1, seed=0)


pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def test_the_command_prints_every_row_and_writes_figures_and_pictures(
    tmp_path: Path, esc50: Esc50, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "load", lambda _: esc50)
    names = [CLASSES[label] for label in LABELS]
    command = ["--data", str(tmp_path), "--folder", str(tmp_path / "run"), "--steps", "1", "--per-class", "2"]
    command += ["--classes", *names, "--no-clap"]
    figures, pictures = tmp_path / "new" / "figures.json", tmp_path / "new" / "pictures.png"
    evaluate.main([*command, "--json", str(figures), "--pictures", str(pictures)])
    printed = capsys.readouterr().out
    found = json.loads(figures.read_text())
    for row in ("real, fold 5", "real, fold 5 → mel → vocoder", "generated"):
        assert f"| {row} |" in printed and row in found["development"]
    # The reporting judge has not met fold 1.
    for row in ("real, fold 1", "real, fold 1 → mel → vocoder", "generated"):
        assert f"| {row} |" in printed and row in found["reporting"]
    assert set(found["classes"]) == set(found["reported_classes"]) == set(names)
    assert found["settings"]["steps"] == 1 and found["settings"]["sampler"] == QUICK.sampler
    assert pictures.read_bytes().startswith(b"\x89PNG")

    plot = tmp_path / "sweep.png"
    evaluate.main([*command, "--sweep", "2", "1", "--plot", str(plot)])
    rows = [line for line in capsys.readouterr().out.splitlines() if " steps, " in line]
    assert [row.split()[1] for row in rows] == ["1", "2"]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", [["--per-class", "1"], ["--classes", "unicorn"]])
def test_bad_settings_are_refused(tmp_path: Path, option: list[str]) -> None:
    with pytest.raises(OptionError):
        evaluate.main(["--data", str(tmp_path), *option])
