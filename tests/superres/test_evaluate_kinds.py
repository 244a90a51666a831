"""Super-resolution by kinds: low rates and codecs go in, and what is compared is the full band."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from aural.audio import Clip
from aural.audio.resample import resample
from aural.errors import CheckpointError
from aural.evaluation import scores
from aural.evaluation.metrics import DnsMos
from aural.evaluation.recordings import RATE, Recording, recordings
from aural.superres import evaluate_kinds
from aural.superres.evaluate_kinds import BASE, DEFAULT, score
from tests.evaluation.small_data import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@dataclass(frozen=True)
class Options:
    """The pipeline's options that the rows set."""

    rate: int
    method: str


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, Options]]]:
    """Replaces the pipeline by plain resampling; returns the rates and options of its calls."""
    calls: list[tuple[int, Options]] = []

    def super_resolve(clip: Clip, options: Options) -> SimpleNamespace:
        calls.append((clip.rate, options))
        if options.method == "lisa":
            raise CheckpointError("The checkpoint is missing: restore it.")
        return SimpleNamespace(clip=resample(clip, options.rate), bandwidth_hz=0.0)

    stub = SimpleNamespace(Options=Options, super_resolve=super_resolve)
    monkeypatch.setitem(sys.modules, "aural.superres.pipeline", stub)
    monkeypatch.setattr(scores, "dnsmos", lambda *_: DnsMos(3.0, 3.5, 4.0))
    monkeypatch.setattr(scores, "pesq_wideband", lambda *_: 2.0)
    yield calls


def one(data: Path, kind: str) -> Recording:
    (made,) = recordings(data, 1, [kind])
    return made


def test_the_pipeline_gets_low_rates_and_codecs_at_48_khz(
    data: Path, asked: list[tuple[int, Options]]
) -> None:
    score(one(data, "singing"), [DEFAULT])  # good up to 11 kHz, so nothing is missing from 24 kHz
    assert asked == [(rate, Options(RATE, DEFAULT)) for rate in (8_000, 12_000, 16_000)]
    asked.clear()
    score(one(data, "codecs"), [BASE])
    assert asked == [(RATE, Options(RATE, BASE))]


def test_resampling_leaves_the_generated_band_empty_and_the_floor_ends(data: Path) -> None:
    for each in score(one(data, "noise floor"), [BASE]):
        if each.row == BASE:
            assert each.figures["floor_step_db"] < -40 and each.figures["bias_db"] < -40
            assert each.figures["lsd_above"] > each.figures["lsd"] > 1
        else:
            assert abs(each.figures["bias_db"]) < 3


def test_stereo_music_has_a_width_and_speech_metrics_end_at_8_khz(data: Path) -> None:
    recording = recordings(data, 2, ["music"])[1]
    assert len(recording.reference) == 2
    for each in score(recording, [BASE]):
        assert "pesq" not in each.figures
        assert "correlation_change" in each.figures
    cases = {each.case: set(each.figures) for each in score(one(data, "clean"), [BASE])}
    assert "dnsmos_speech" in cases["12 kHz"] and "dnsmos_speech" not in cases["16 kHz"]


def test_the_command_prints_a_table_and_what_failed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    command = ["--data", str(data), "--limit", "1", "--kinds", "codecs", "--rows", "lisa", "--workers", "1"]
    evaluate_kinds.main([*command, "--json", str(file)])
    printed = capsys.readouterr().out
    assert "| codecs (1) | codec | sinc | 2.00 |" in printed
    assert "LISA: everything of 1 not measured. The checkpoint is missing: restore it." in printed
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [each["row"] for each in found["items"]] == ["sinc", "lisa", "coded_truth"]
    arguments = "--limit 1 --kinds codecs"
    assert found["summary"]["command"] == f'make evaluate SLICE=super-resolution DATA=DIR ARGS="{arguments}"'
