"""A clip whose loudness is known is not measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aural
from aural.audio import Clip, read, write
from aural.audio.steps import finish
from aural.batch.job import run_steps
from aural.batch.verbs import VERBS
from aural.loudness import meter
from aural.loudness.meter import Loudness
from aural.studio import tab

RATE = 48_000


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Loudness]:
    """What the meter has read so far, one entry for each call."""
    readings: list[Loudness] = []

    def count(*values: Any, **named: Any) -> Loudness:
        readings.append(Loudness(*values, **named))
        return readings[-1]

    monkeypatch.setattr(meter, "Loudness", count)
    return readings


@pytest.fixture
def tone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tone at -30 LUFS, whose peaks leave room for the gain to -16 LUFS."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    samples = 0.05 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE, dtype=np.float32)
    path = tmp_path / "memo.wav"
    write(Clip(samples[np.newaxis], RATE), path)
    return path


def test_master_measures_the_input_and_the_result(tone: Path, measured: list[Loudness]) -> None:
    result = aural.master(read(tone), target="apple_podcasts")
    assert result.limiting_db == 0
    assert measured == [result.before, result.after]


def test_a_layout_that_changes_no_sample_is_not_measured(tone: Path, measured: list[Loudness]) -> None:
    result = aural.master(read(tone), target="apple_podcasts", layout="mono")
    assert measured == [result.before, result.after]


@pytest.mark.usefixtures("tiny_checkpoints")
def test_release_measures_the_recording_and_what_two_stages_made_of_it(
    tone: Path, measured: list[Loudness]
) -> None:
    """The tone is full-band already, so super-resolution hands on the enhanced clip, which is known."""
    _, _, figures, *_ = list(tab.release(str(tone), preset="restore", target="apple_podcasts"))[-1]
    assert len(measured) == 3
    versions = [
        figures["versions"][name]["integrated_lufs"] for name in ("before", "super_resolved", "mastered")
    ]
    read_before, _, read_after = (reading.figures()["integrated_lufs"] for reading in measured)
    assert (versions[0], versions[2]) == (read_before, read_after)
    assert versions[1] == pytest.approx(read_before, abs=0.1)  # restored, and brought back by a gain
    assert figures["versions"]["enhanced"]["integrated_lufs"] == versions[1]


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_voice_chain_measures_before_and_after_its_compressor(tone: Path, measured: list[Loudness]) -> None:
    result = aural.release(read(tone), preset="podcast", target="apple_podcasts")
    assert len(measured) == 5
    assert measured[0] == result.enhanced.before.loudness
    assert measured[3:] == [result.enhanced.after.loudness, result.mastered.after]


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_batch_measures_nothing_that_the_verb_has_measured(tone: Path, measured: list[Loudness]) -> None:
    options = VERBS["release"].options(preset="restore", target="apple_podcasts")
    row = finish(run_steps("release", tone, None, options)).row
    assert len(measured) == 3
    assert row["integrated_lufs_before"] == measured[0].figures()["integrated_lufs"]
    assert row["integrated_lufs"] == measured[2].figures()["integrated_lufs"]


@pytest.mark.usefixtures("tiny_checkpoints")
@pytest.mark.parametrize("verb", ["enhance", "degrade"])
def test_a_batch_measures_the_input_and_the_result_once(
    tone: Path, tmp_path: Path, measured: list[Loudness], verb: str
) -> None:
    row = finish(run_steps(verb, tone, tmp_path / "result.wav", VERBS[verb].options())).row
    assert len(measured) == 2
    for column, file in (("integrated_lufs_before", tone), ("integrated_lufs", tmp_path / "result.wav")):
        assert row[column] == pytest.approx(aural.measure(read(file)).figures()["integrated_lufs"], abs=0.01)
