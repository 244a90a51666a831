"""The Down-mix & Loudness tab's own parts: the section Measure."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from aural.audio import Clip
from aural.audio.steps import finish
from aural.loudness import pipeline, tab
from aural.loudness.downmix import METHODS, NAMES
from aural.loudness.meter import measure
from aural.ui import plots
from tests.loudness.signals import tone
from tests.loudness.test_pipeline import programme


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those of the bars that were drawn last."""
    drawn: list[str] = []

    def draw(names: list[str], values: list[float | None], _unit: str) -> None:
        assert len(values) == len(names)
        drawn[:] = names

    monkeypatch.setattr(plots, "comparison_bars", draw)
    monkeypatch.setattr(plots, "save", lambda _figure: "bars.webp")
    return drawn


def figures_of(clip: Clip) -> dict[str, Any]:
    """As the endpoint gives them."""
    loudness = measure(clip)
    folds = finish(pipeline.compare_downmixes_steps(clip, loudness))
    return {**loudness.figures(), "downmixes": [asdict(fold) for fold in folds]}


def methods(html: str) -> list[str]:
    """The down-mixes in the rows of a table."""
    return re.findall(r'<th scope="row">(\w+): ', html)


def test_every_down_mix_has_a_name_of_its_own() -> None:
    assert list(NAMES) == list(METHODS) and len(set(NAMES.values())) == len(METHODS)


def test_equal_channels_show_each_different_result_once(labels: list[str]) -> None:
    figures = figures_of(tone(48_000, [(2, -20)]))
    _, shown, picture = tab._show_measurement(figures)
    assert methods(shown) == ["keep", "mono", "mono_mid"] and picture == "bars.webp"
    assert labels == ["Original channels", "Mono (ITU)", "Mono, (L + R) / 2"]
    told = re.sub("</?code>", "", shown.rpartition("<p>")[2])
    assert told == (
        "Shown once, because they measure the same: keep = stereo = stereo_lt_rt = stereo_pro_logic_ii; "
        "mono = mono_lt_rt; mono_mid = mono_left = mono_right = mono_phase_safe</p>"
    )
    assert [fold["method"] for fold in figures["downmixes"]] == list(METHODS)  # all, for programs


def test_a_surround_file_shows_all_that_differ(labels: list[str]) -> None:
    figures = figures_of(programme(4, channels=6))
    _, shown, _ = tab._show_measurement(figures)
    assert methods(shown) == list(METHODS) and labels == list(NAMES.values())
    assert "Shown once" not in shown


def test_down_mixes_that_differ_in_loudness_or_peak_alone_are_both_shown() -> None:
    fold = pipeline.Fold("mono_mid", 1, -20.0, -3.0, -6.0)
    others = [
        pipeline.Fold("mono_left", 1, -20.01, -3.01, -6.0),  # the same but for rounding
        pipeline.Fold("mono_right", 1, -20.0, -3.0, -5.9),
        pipeline.Fold("stereo", 2, -20.0, -3.0, -6.0),
        pipeline.Fold("mono_phase_safe", 1, None, None, None),
    ]
    assert pipeline.group_alike([fold, *others]) == [[fold, others[0]], *([one] for one in others[1:])]


def test_silence_shows_its_down_mixes_once_and_no_verdict(labels: list[str]) -> None:
    top, shown, _ = tab._show_measurement(figures_of(Clip(np.zeros((2, 48_000), np.float32), 48_000)))
    assert methods(shown) == ["keep", "mono"] and len(labels) == 2
    assert "aural-verdicts" not in top and "silence has no integrated loudness" in top


@pytest.mark.usefixtures("labels")
def test_the_verdicts_stand_above_the_values() -> None:
    top, _, _ = tab._show_measurement(figures_of(tone(48_000, [(2, 1)])))
    assert top.index("aural-verdicts") < top.index("<table>")
    assert "True peak +1.0 dBTP: will clip" in top
