"""The evaluation of enhancement: perfect, late, missing and failing results, and the rows."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aural.audio import Clip, read
from aural.enhancement import evaluate
from aural.enhancement.data import RATE, Wave
from aural.enhancement.evaluate_methods import ROWS, ready
from aural.enhancement.peers import PEERS
from aural.enhancement.stream import denoise
from aural.errors import CheckpointError
from aural.evaluation import scores
from aural.evaluation.metrics import DnsMos
from aural.evaluation.recordings import Recording
from aural.evaluation.scores import CODED_TRUTH, TRUTH
from tests.evaluation.small_data import write_data

SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"


@pytest.fixture(scope="module")
def clean() -> Wave:
    """5 s of a sentence. Shape: (time,)."""
    return read(SPEECH).samples[0, : 5 * RATE].copy()


@pytest.fixture(scope="module")
def noisy(clean: Wave) -> Wave:
    """The same with noise 10 dB below it. Shape: (time,)."""
    noise = np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    return clean + noise * np.float32(np.std(clean) * 10**-0.5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow metrics return fixed figures."""
    monkeypatch.setattr(scores, "dnsmos", lambda *_: DnsMos(3.0, 3.5, 4.0))
    monkeypatch.setattr(scores, "pesq_wideband", lambda *_: 2.0)


@dataclass(frozen=True)
class Options:
    """The pipeline's options that the rows set."""

    noise_reduction: bool = True
    completion: bool = True
    completion_method: str = "completer"
    setting: str = "original_phase"


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Options]]:
    """Replaces the pipeline by one that adds a little hum; returns the options of its calls."""
    calls: list[Options] = []

    def enhance(clip: Clip, options: Options) -> SimpleNamespace:
        calls.append(options)
        hum = 0.001 * np.sin(2 * np.pi * 50 * np.arange(clip.frames) / clip.rate)
        return SimpleNamespace(clip=clip.with_samples(clip.samples + hum.astype(np.float32)))

    stub = SimpleNamespace(Options=Options, enhance=enhance)
    monkeypatch.setitem(sys.modules, "aural.enhancement.pipeline", stub)
    ready.cache_clear()
    yield calls
    ready.cache_clear()


def recorded(samples: Wave, reference: Wave, kind: str = "noise") -> Recording:
    return Recording(kind, "a", samples[None], reference[None], RATE / 2)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_what_needs_no_enhancement_is_perfect_at_any_level(clean: Wave, gain: float) -> None:
    pytest.importorskip("speechmos")
    pytest.importorskip("pesq")
    scored = evaluate.score(recorded(np.float32(gain) * clean, clean), "unprocessed")
    assert not scored.failures
    assert scored.figures["pesq"] == pytest.approx(4.644, abs=0.001)
    assert scored.figures["stoi"] == pytest.approx(1)
    assert scored.figures["lsd"] == pytest.approx(0, abs=1e-3)
    assert scored.figures["si_sdr_db"] == scores.MAX_SI_SDR_DB
    assert scored.figures["lag_samples"] == 0
    assert scored.figures["loudness_change_lu"] == pytest.approx(20 * np.log10(gain), abs=0.01)


def test_lag_is_how_much_later_it_is(clean: Wave, noisy: Wave) -> None:
    for samples in (-700, 0, 960):
        assert evaluate.lag_samples(np.roll(noisy, samples), clean) == samples


def test_rows_of_ours_differ_in_what_they_say(pipeline: list[Options], noisy: Wave) -> None:
    wanted = {
        "stage_1": Options(completion=False),
        "stage_2": Options(noise_reduction=False),
        "both": Options(),
        "extender": Options(completion_method="extender"),
        "griffin_lim": Options(setting="griffin_lim"),
        "vocoder": Options(setting="vocoder"),
    }
    for row in wanted:
        assert ROWS[row].build()(noisy).shape == noisy.shape
    assert pipeline == list(wanted.values())
    assert {"unprocessed", "live", *PEERS, *wanted} == set(ROWS)


@pytest.mark.usefixtures("tiny_checkpoints")
def test_the_live_row_is_the_stream_of_the_whole_recording(noisy: Wave) -> None:
    made = ROWS["live"].build()(noisy)
    assert np.array_equal(made, denoise(Clip(noisy[None], RATE)).samples[0])


@pytest.mark.usefixtures("quick")
def test_the_reference_is_a_row_of_its_own_and_so_is_the_reference_after_a_codec(
    clean: Wave, noisy: Wave
) -> None:
    item = recorded(noisy, clean)
    lsd = {row: evaluate.score(item, row).figures["lsd"] for row in ("unprocessed", TRUTH, CODED_TRUTH)}
    assert lsd[TRUTH] < 1e-3 < lsd[CODED_TRUTH] < lsd["unprocessed"]


@pytest.mark.usefixtures("quick")
def test_what_fails_is_counted_and_named(clean: Wave, noisy: Wave) -> None:
    scored = [evaluate.score(recorded(noisy, reference), "unprocessed") for reference in (clean, 0 * clean)]
    good, bad = scored
    assert not good.failures and {"stoi", "si_sdr_db", "loudness_change_lu"} <= bad.failures.keys()


@pytest.mark.usefixtures("quick")
def test_a_row_that_cannot_run_says_why_and_the_others_go_on(
    clean: Wave, noisy: Wave, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Callable[[Wave], Wave]:
        raise CheckpointError("The checkpoint is missing: restore it.")

    monkeypatch.setitem(ROWS, "both", replace(ROWS["both"], build=broken))
    ready.cache_clear()
    scored = evaluate.score_all([recorded(noisy, clean)], ["unprocessed", "both"])
    labels = {"unprocessed": "unprocessed", "both": "ours"}
    assert scored[0].figures and not scored[1].figures
    assert scores.remarks(scored, labels) == [
        "ours: everything of 1 not measured. The checkpoint is missing: restore it."
    ]


@pytest.mark.usefixtures("quick")
def test_processes_find_the_same_figures(clean: Wave, noisy: Wave) -> None:
    # What is not speech needs no metric that takes long to load.
    items = [replace(recorded(noisy, gain * clean), is_speech=False) for gain in (1, np.float32(0.5))]
    here, there = (evaluate.score_all(items, ["unprocessed"], workers) for workers in (1, 2))
    for one, other in zip(here, there, strict=True):
        times = {"seconds_per_minute": 0.0}
        assert one.figures | times == pytest.approx(other.figures | times)


@pytest.mark.usefixtures("quick", "pipeline")
def test_the_command_prints_a_table_and_keeps_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = replace(PEERS["rnnoise"], modules=("no_such_package",))
    monkeypatch.setitem(ROWS, "rnnoise", replace(ROWS["rnnoise"], peer=absent))
    file, picture = tmp_path / "new" / "figures.json", tmp_path / "picture.png"
    command = ["--data", str(write_data(tmp_path)), "--limit", "1", "--workers", "1", "--peers", "rnnoise"]
    evaluate.main([*command, "--kinds", "room", "music", "--json", str(file), "--pictures", str(picture)])
    printed = capsys.readouterr().out
    assert "| room (1) | unprocessed | 2.00 |" in printed and "|  | **both stages, the default** |" in printed
    assert "RNNoise is not installed." in printed
    assert picture.stat().st_size > 1_000
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows = ["unprocessed", "both", TRUTH, CODED_TRUTH]
    assert [each["row"] for each in found["items"]] == [*rows, *rows]
    arguments = "--limit 1 --kinds room music --peers rnnoise"
    assert found["summary"]["command"] == f'make evaluate SLICE=enhancement DATA=DIR ARGS="{arguments}"'
    assert [group["kind"] for group in found["summary"]["groups"]] == ["room", "music"]
