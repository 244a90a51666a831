"""The tables of enhancement: perfect, late, soft, missing and failing results."""

import json
import math
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
from aural.enhancement.data import RATE, Item, Wave
from aural.enhancement.evaluate import COLUMNS, Scored
from aural.enhancement.evaluate_methods import ROWS, ready
from aural.enhancement.peers import PEERS
from aural.errors import CheckpointError
from aural.evaluation.metrics import DnsMos

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
    monkeypatch.setattr(evaluate, "dnsmos", lambda *_: DnsMos(3.0, 3.5, 4.0))
    monkeypatch.setattr(evaluate, "pesq_wideband", lambda *_: 2.0)


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


def figures_of(item: Item, row: str) -> dict[str, float]:
    scored = evaluate.score(item, row)
    assert not scored.failures
    return scored.figures


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_what_needs_no_enhancement_is_perfect_at_any_level(clean: Wave, gain: float) -> None:
    pytest.importorskip("speechmos")
    pytest.importorskip("pesq")
    scored = evaluate.score(Item("a", np.float32(gain) * clean, clean, True), "unprocessed")
    assert set(scored.figures) == set(COLUMNS)
    assert scored.figures["pesq"] == pytest.approx(4.644, abs=0.001)
    assert scored.figures["stoi"] == pytest.approx(1)
    assert scored.figures["lsd"] == pytest.approx(0, abs=1e-3)
    assert scored.figures["si_sdr_db"] == evaluate.MAX_SI_SDR_DB
    assert scored.lag_samples == 0


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
        "waveform": Options(setting="waveform"),
    }
    for row in wanted:
        assert ROWS[row].build()(noisy).shape == noisy.shape
    assert pipeline == list(wanted.values())
    assert {"unprocessed", *PEERS, *wanted} == set(ROWS)


@pytest.mark.usefixtures("quick")
def test_what_fails_is_counted_and_named(clean: Wave, noisy: Wave) -> None:
    items = [Item("a", noisy, clean, True), Item("b", noisy, 0 * clean, True)]
    scored = evaluate.score_all(items, ["unprocessed"])
    good, bad = scored
    assert bad.failures.keys() == {"stoi", "si_sdr_db"}
    assert evaluate.means(scored, "unprocessed")["si_sdr_db"] == good.figures["si_sdr_db"]
    (line, _) = evaluate.remarks(scored)
    assert "SI-SDR (dB), STOI of 1 of 2 not measured. The reference is silent" in line


@pytest.mark.usefixtures("quick")
def test_a_row_that_cannot_run_says_why_and_the_others_go_on(
    clean: Wave, noisy: Wave, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Callable[[Wave], Wave]:
        raise CheckpointError("The checkpoint is missing: restore it.")

    monkeypatch.setitem(ROWS, "both", replace(ROWS["both"], build=broken))
    scored = evaluate.score_all([Item("a", noisy, clean, True)], ["unprocessed", "both"])
    text = evaluate.table(scored, ["unprocessed", "both"])
    assert "| **both stages, the default** |" + " – |" * len(COLUMNS) in text
    assert "restore it" in "\n".join(evaluate.remarks(scored))
    assert "–" not in text.splitlines()[2]


@pytest.mark.usefixtures("quick")
def test_a_peer_that_is_not_installed_is_a_row_that_says_so(
    clean: Wave, noisy: Wave, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(PEERS["rnnoise"], modules=("no_such_package",))
    monkeypatch.setitem(ROWS, "rnnoise", replace(ROWS["rnnoise"], peer=absent))
    scored = evaluate.score_all([Item("a", noisy, clean, True)], ["unprocessed", "rnnoise"])
    assert [each.row for each in scored] == ["unprocessed"]
    assert "| RNNoise | not installed |" in evaluate.table(scored, ["unprocessed", "rnnoise"])


def scored_as(item: str, unseen: bool, pesq: float) -> Scored:
    return Scored("unprocessed", item, unseen, {"pesq": pesq}, {}, 0)


def test_means_of_seen_and_unseen_speakers() -> None:
    scored = [scored_as("a", True, 1.0), scored_as("b", True, 2.0), scored_as("c", False, 4.5)]
    groups = evaluate.groups(scored)
    assert {name: evaluate.means(part, "unprocessed")["pesq"] for name, part in groups.items()} == {
        "Unseen speakers": 1.5,
        "Seen speakers": 4.5,
        "All speakers": 2.5,
    }
    assert list(evaluate.groups(scored[:2])) == ["Unseen speakers"]
    assert "| unprocessed | 2.50 | – |" in evaluate.table(scored, ["unprocessed"])


def test_processes_find_the_same_figures(clean: Wave) -> None:
    # Of silence nothing is measured that takes long to load.
    items = [Item("a", 0 * clean, clean, True), Item("b", 0 * clean, 0.1 * clean, False)]
    here, there = (evaluate.score_all(items, ["unprocessed"], workers) for workers in (1, 2))
    for one, other in zip(here, there, strict=True):
        assert (one.item, one.failures) == (other.item, other.failures)
        times = {"seconds_per_minute": 0.0}
        assert one.figures | times == pytest.approx(other.figures | times)


@pytest.mark.usefixtures("quick", "pipeline")
def test_the_command_prints_tables_and_keeps_every_figure(
    clean: Wave,
    noisy: Wave,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def validation_items(_corpus: object, degradations: list[str] | None, count: int) -> list[Item]:
        asked.append((degradations, count))
        waves = noisy[: 2 * RATE], clean[: 2 * RATE]
        return [Item("a", *waves, unseen=True), Item("b", *waves, unseen=False)]

    monkeypatch.setattr(evaluate, "DEGRADATIONS", ("noise", "clipping"))
    monkeypatch.setattr(evaluate, "load", lambda *_: None)
    monkeypatch.setattr(evaluate, "validation_items", validation_items)
    file = tmp_path / "new" / "figures.json"
    command = ["--data", str(tmp_path), "--rows", "both", "unprocessed", "--degradations", "--workers", "1"]
    evaluate.main([*command, "--json", str(file)])
    few = evaluate.ITEMS_PER_DEGRADATION
    assert asked == [(None, evaluate.ITEMS), (["noise"], few), (["clipping"], few)]
    printed = capsys.readouterr().out
    assert "\nClipping alone: Unseen speakers, 1 recordings\n" in printed
    assert printed.count("| unprocessed | 2.00 |") == 3 * 3
    assert "song.ogg" in printed
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert list(found) == ["all_faults", "noise", "clipping", "music_si_sdr_db"]
    assert len(found["noise"]["items"]) == 4
    assert found["clipping"]["means"]["All speakers"]["both"]["pesq"] == 2.0
    assert all(15 < value <= evaluate.MAX_SI_SDR_DB for value in found["music_si_sdr_db"].values())
    assert all(math.isfinite(value) for item in found["noise"]["items"] for value in item["figures"].values())
