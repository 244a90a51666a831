"""The Studio tab's own parts: the stages of a release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aural
from aural.audio import Clip, read, write
from aural.loudness.targets import TARGETS
from aural.studio import tab
from aural.studio.pipeline import Options
from aural.studio.verdicts import plan
from tests.memos import RATE, write_memo


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return tmp_path / "gradio" / "results"


@pytest.mark.usefixtures("tiny_checkpoints")
def test_each_stage_of_a_release_can_be_inspected(tmp_path: Path) -> None:
    source = write_memo(tmp_path / "memo.wav", channels=2)
    made = list(tab.release(source, target="spotify", rate=None))[-1]
    path, stages, figures, picture, original, drawn = made
    assert original == source and Path(picture).is_file()
    assert drawn.paths == (source, *stages, path) and drawn.labels == tuple(tab.VERSIONS.values())
    names = [Path(file).name for file in (*stages, path)]
    assert names == ["memo-enhanced.wav", "memo-super-resolved.wav", "memo-released.wav"]
    assert set(figures) == {"message", "target", "versions", *tab.STAGES}
    for name, file in zip(tab.VERSIONS, (source, *stages, path), strict=True):
        measured = aural.measure(read(file)).integrated_lufs
        assert figures["versions"][name]["integrated_lufs"] == pytest.approx(measured, abs=0.02), name
    assert figures["versions"]["mastered"]["integrated_lufs"] == pytest.approx(-14, abs=0.1)
    assert [figures["versions"][name]["rate"] for name in tab.VERSIONS] == [RATE, RATE, 48_000, 48_000]
    message, versions, shown = tab._show(original, path, stages, figures)
    assert figures["mastered"]["message"] in message
    assert [version.label for version in versions.versions] == list(tab.VERSIONS.values())
    assert all(f">{title}<" in shown for title in tab.VERSIONS.values())
    (chips, *_), (_, changed, *pictures) = tab._show_more(original, path, figures, None)
    assert chips.index('aria-label="Before"') < chips.index('aria-label="After"')
    assert "−14 LUFS: right for Spotify" in chips.partition("After")[2]
    assert changed.startswith("**What is loud changed by") and all(Path(one).is_file() for one in pictures)
    parts = tab._fill_inspectors(path, stages, figures)
    assert [update.value["path"] for update in parts[1::3]] == [*stages, path]
    assert parts[0::3] == [figures[name]["message"] for name in tab.STAGES]
    assert parts[2::3] == [figures[name] for name in tab.STAGES]


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_stage_that_is_off_has_no_file_and_no_figures(tmp_path: Path) -> None:
    source = write_memo(tmp_path / "memo.wav")
    settings = {"enhancement": False, "rate": None, "target": "spotify"}
    path, stages, figures, *_ = list(tab.release(source, **settings))[-1]
    assert [Path(file).name for file in (*stages, path)] == ["memo-super-resolved.wav", "memo-released.wav"]
    assert set(figures) == {"message", "target", "versions", "super_resolved", "mastered"}
    assert list(figures["versions"]) == ["before", "super_resolved", "mastered"]
    _, versions, shown = tab._show(source, path, stages, figures)
    assert versions is not None and "Enhanced" not in [version.label for version in versions.versions]
    assert "Enhanced" not in shown and "SNR" not in shown
    message, download, raw = tab._fill_inspectors(path, stages, figures)[:3]
    assert message == "This stage was off." and raw is None and not download.interactive


@pytest.mark.usefixtures("tiny_checkpoints")
def test_with_every_stage_off_the_file_is_returned_and_nothing_is_compared(tmp_path: Path) -> None:
    source = write_memo(tmp_path / "memo.wav")
    settings = {"enhancement": False, "super_resolution": False, "mastering": False, "rate": RATE}
    path, stages, figures, *_ = list(tab.release(source, **settings))[-1]
    assert not stages and list(figures["versions"]) == ["before"]
    np.testing.assert_allclose(read(path).samples, read(source).samples, atol=2**-22)
    assert tab._show(source, path, stages, figures)[1] is None


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_stage_that_changes_nothing_is_no_version_of_its_own(tmp_path: Path) -> None:
    """Noise is full-band already, and mastered twice it needs no gain."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 3 * 48_000))
    once = aural.master(Clip(noise.astype(np.float32), 48_000), target="spotify").clip
    write(once, tmp_path / "noise.wav")
    source = str(tmp_path / "noise.wav")
    path, stages, figures, *_ = list(tab.release(source, enhancement=False, target="spotify"))[-1]
    assert list(figures["versions"]) == ["before", "super_resolved", "mastered"]
    _, versions, shown = tab._show(source, path, stages, figures)
    assert versions is None
    assert "Super-resolved" not in shown and "Mastered" not in shown


def test_the_analysis_of_an_upload_ends_in_chips_a_plan_and_what_to_preview(tmp_path: Path) -> None:
    source = write_memo(tmp_path / "<memo>.wav")
    found, chips, *switches, services = list(tab.analyze(source, "spotify"))[-1]
    assert "too quiet for Spotify" in chips and "Problem: </span>" in chips
    assert [update["value"] for update in switches] == [
        stage.on for stage in vars(plan(found.analysis, TARGETS["spotify"])).values()
    ]
    assert all(update["info"] for update in switches)
    assert all(f">{target.name}<" in services for target in TARGETS.values() if target.kind == "platform")
    np.testing.assert_allclose(read(found.excerpt).samples, read(source).samples, atol=2**-22)


def test_of_a_long_recording_the_loudest_stretch_is_judged_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tab, "ANALYZED_SECONDS", 120.0)
    samples = np.full((1, 150 * RATE), 1e-4, np.float32)
    samples[:, 70 * RATE : 80 * RATE] = 0.1 * np.random.default_rng(0).standard_normal(10 * RATE)
    write(Clip(samples, RATE), tmp_path / "long.wav")
    found, chips, *_ = list(tab.analyze(str(tmp_path / "long.wav"), "spotify"))[-1]
    assert "Judged by its loudest 2 minutes." in chips
    assert found.analysis.loudness.seconds == 120 and found.seconds == 150
    excerpt = read(found.excerpt)
    assert excerpt.seconds == tab.PREVIEW_SECONDS
    assert float(np.sqrt(np.mean(excerpt.samples**2))) == pytest.approx(0.1, rel=0.05)


def test_an_upload_that_cannot_be_read_leaves_a_sentence_alone(tmp_path: Path) -> None:
    path = tmp_path / "<b>notes.wav"
    path.write_text("This is not audio.")
    found, chips, *switches, services = list(tab.analyze(str(path), "spotify"))[-1]
    assert found is None and services is None
    assert chips.startswith('<p role="alert">') and "<b>" not in chips
    assert all(update["value"] for update in switches)


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_preview_is_the_loudest_stretch_before_and_after_the_plan(tmp_path: Path) -> None:
    source = write_memo(tmp_path / "memo.wav")
    found = list(tab.analyze(source, "spotify"))[-1][0]
    settings = {**vars(Options(target="spotify")), "enhancement": False}
    (before, after), _ = list(tab.preview(found, *settings.values()))[-1]
    assert before.path == found.excerpt
    assert after.loudness_lufs == pytest.approx(-14, abs=0.1)
    assert aural.measure(read(after.path)).integrated_lufs == pytest.approx(-14, abs=0.1)
    off = {**settings, "super_resolution": False, "mastering": False}
    assert list(tab.preview(found, *off.values())) == [(None, tab.NOTHING_ON)]
    assert list(tab.preview(None, *settings.values())) == [(None, "")]


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
