"""Figures of results whose true value is known, their summary, and the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aural.audio.clip import Clip, Samples
from aural.evaluation import scores
from aural.evaluation.metrics import DnsMos
from aural.evaluation.recordings import RATE
from aural.evaluation.scores import (
    CODED_TRUTH,
    TRUTH,
    Scored,
    Target,
    measure,
    remarks,
    summarize,
    table,
    truth,
)
from tests.evaluation.small_data import voice


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow metrics return fixed figures."""
    monkeypatch.setattr(scores, "dnsmos", lambda *_: DnsMos(3.0, 3.5, 4.0))
    monkeypatch.setattr(scores, "pesq_wideband", lambda *_: 2.0)


@pytest.fixture(scope="module")
def sound() -> Samples:
    """A voice with noise in both channels. Shape: (2, time)."""
    noise = np.random.default_rng(0).standard_normal((2, 3 * RATE)).astype(np.float32)
    return voice(3, rate=RATE) + np.float32(0.01) * noise


def level(clip: Clip) -> float | None:
    """A meter without weighting."""
    return float(20 * np.log10(np.std(clip.samples))) if clip.samples.any() else None


def test_a_perfect_result_has_no_error_at_all(sound: Samples) -> None:
    figures, failures = measure(sound, Target("singing", sound, 20_000, True, 6_000), level)
    assert not failures
    assert figures.pop("si_sdr_db") == scores.MAX_SI_SDR_DB
    assert figures.pop("stoi") == pytest.approx(1)
    assert {name: figures.pop(name) for name in ("pesq", "dnsmos_overall")} == {
        "pesq": 2,
        "dnsmos_overall": 3,
    }
    assert (figures.pop("dnsmos_speech"), figures.pop("dnsmos_background")) == (3.5, 4)
    assert {"lsd", "lsd_above", "floor_step_db", "correlation_change", "harmonics_change_db"} < set(figures)
    assert list(figures.values()) == pytest.approx(np.zeros(len(figures)), abs=1e-3)


def test_a_gain_is_a_level_error_and_nothing_else(sound: Samples) -> None:
    figures, _ = measure(2 * sound, Target("noise", sound, 20_000, True), level)
    assert figures["loudness_change_lu"] == pytest.approx(6.02, abs=0.01)
    assert figures["level_error_db"] == figures["bias_db"] == pytest.approx(6.02, abs=0.01)
    assert figures["500"] == figures["8000"] == pytest.approx(6.02, abs=0.01)
    assert figures["lsd"] == pytest.approx(0, abs=1e-3) and figures["si_sdr_db"] == scores.MAX_SI_SDR_DB
    assert "floor_step_db" not in figures and "harmonics_change_db" not in figures


def test_only_the_generated_band_counts_for_levels(sound: Samples) -> None:
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(sound.shape[1], 1 / RATE)
    spectrum[:, hz < 3_000] *= 3
    spectrum[:, hz > 6_000] *= 0.5
    made = np.fft.irfft(spectrum, sound.shape[1]).astype(np.float32)
    figures, _ = measure(made, Target("clean", sound, 20_000, True, 6_000), level)
    assert figures["bias_db"] == pytest.approx(-6.02, abs=0.05)
    assert figures["500"] == pytest.approx(9.54, abs=0.05)
    # What hears nothing above 8 kHz is not asked about a band above it.
    assert "pesq" in figures
    high, _ = measure(made, Target("clean", sound, 20_000, True, 8_000), level)
    assert not {"pesq", "stoi", "dnsmos_speech"} & set(high)


def test_music_is_not_rated_as_speech_and_silence_says_why(sound: Samples) -> None:
    figures, failures = measure(sound, Target("music", sound, 20_000, False), level)
    assert not failures and not {"pesq", "stoi", "dnsmos_speech"} & set(figures)
    figures, failures = measure(0 * sound, Target("music", sound, 20_000, False), level)
    assert "Silence has no loudness" in failures["loudness_change_lu"] and "si_sdr_db" in failures
    assert figures["level_error_db"] > 60


def test_the_reference_is_perfect_and_a_codec_nearly(sound: Samples) -> None:
    target = Target("music", sound, 16_000, False)
    assert truth(TRUTH, sound) is sound
    figures, _ = measure(truth(CODED_TRUTH, sound), target, level)
    assert 0 < figures["lsd"] < 0.5 and figures["level_error_db"] < 0.5


def scored(row: str, item: str, **figures: float) -> Scored:
    return Scored(row, "room", item, figures=figures)


RESULTS = [
    scored("unprocessed", "a", pesq=1.5, lsd=1.0),
    scored("ours", "a", pesq=1.3, lsd=0.5),
    scored("unprocessed", "b", pesq=1.5, lsd=1.0),
    scored("ours", "b", pesq=2.5),
]
LABELS = {"unprocessed": "unprocessed", "ours": "**ours**"}


def test_a_summary_has_means_and_the_share_made_worse_beyond_a_margin() -> None:
    summary = summarize(RESULTS, LABELS, "make evaluate")
    (group,) = summary["groups"]
    assert (group["kind"], group["case"], group["count"]) == ("room", "", 2)
    assert group["means"]["ours"] == {"pesq": 1.9, "lsd": 0.5}
    assert group["worse"] == {"ours": {"pesq": 0.5, "lsd": 0.0}}
    # A row without any figures has no shares.
    failed = [*RESULTS[:1], Scored("ours", "room", "a", failures={"everything": "No checkpoint."})]
    assert summarize(failed, LABELS, "")["groups"][0]["worse"]["ours"] == {}
    # A difference within the margin is no change for the worse.
    near = [*RESULTS[:1], scored("ours", "a", pesq=1.45, lsd=1.04)]
    assert summarize(near, LABELS, "")["groups"][0]["worse"]["ours"] == {"pesq": 0.0, "lsd": 0.0}


def test_the_table_names_each_kind_and_case_once() -> None:
    text = table(summarize(RESULTS, LABELS, ""), ("pesq", "stoi"))
    heading, _, first, second = text.splitlines()
    assert heading == "| recordings |  | PESQ-WB ↑ | LSD ↓ | made worse, %: PESQ-WB / STOI |"
    assert first == "| room (2) | unprocessed | 1.50 | 1.00 |  |"
    assert second == "|  | **ours** | 1.90 | 0.50 | 50 / – |"
    cases = [replace(each, case=case) for case in ("8 kHz", "16 kHz") for each in RESULTS]
    lines = table(summarize(cases, LABELS, ""), ("pesq",)).splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines] == [
        ["| room (2)", "8 kHz"],
        ["| ", ""],
        ["| ", "16 kHz"],
        ["| ", ""],
    ]


def test_what_was_not_measured_is_told_once_with_its_reason() -> None:
    broken = [
        replace(each, failures={"stoi": "Too short.", "pesq": "Too short."} if each.row == "ours" else {})
        for each in RESULTS
    ]
    assert remarks(broken, LABELS) == ["**ours**: stoi, pesq of 2 not measured. Too short."]
