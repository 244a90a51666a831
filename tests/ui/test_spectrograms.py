"""Spectrograms drawn again, with another frequency axis, from the files of a result."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from aural.audio import Clip, write
from aural.ui import plots, spectrograms
from aural.ui.spectrograms import Drawn, draw

RATE = 48_000


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Drawn]:
    """The picture of two tones, and what it shows."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    sounds, paths = [], []
    for label, hertz, level in (("before", 3_000, 0.05), ("after", 12_000, 0.5)):
        tone = Clip(level * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)[np.newaxis].astype("f4"), RATE)
        paths.append(str(write(tone, tmp_path / f"{label}.wav")))
        sounds.append(plots.Sound(label, tone.samples, tone.rate, end_hz=float(hertz)))
    return draw(sounds, paths, [-29.0, -9.0], np.linspace(0, 1, 50_000), np.full(50_000, 120.0))


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path), float)


def test_the_files_give_the_same_picture_again(result: tuple[str, Drawn]) -> None:
    first, drawn = result
    (again,) = spectrograms._redraw(drawn, "erb")
    assert np.abs(pixels(first) - pixels(again)).mean() < 0.5  # of 255; the files have 24 bits
    assert len(drawn.pitch[0]) <= 2 * plots.COLUMNS


def test_a_linear_axis_gives_the_highs_their_share(result: tuple[str, Drawn]) -> None:
    _, drawn = result
    (linear,) = spectrograms._redraw(drawn, "linear")
    assert pixels(linear).shape == pixels(result[0]).shape
    assert np.abs(pixels(linear) - pixels(result[0])).mean() > 2


def test_the_next_result_keeps_the_axis_and_the_default_one_is_drawn_once(result: tuple[str, Drawn]) -> None:
    _, drawn = result
    (linear,) = spectrograms._redraw(drawn, "linear")
    (kept,) = spectrograms._keep_axis(drawn, "linear")
    assert np.array_equal(pixels(kept), pixels(linear))
    (skipped,) = spectrograms._keep_axis(drawn, "erb")
    assert skipped == gr.skip()


def test_all_are_shown_at_the_loudness_of_the_quietest(result: tuple[str, Drawn]) -> None:
    assert result[1].gains_db == (0.0, -20.0)
    figure = plots.spectrogram_versions(list(result[1].sounds()))
    first, second = (axes.images[0] for axes in figure.axes[:2])
    assert first.get_array().max() == pytest.approx(second.get_array().max(), abs=0.1)
    assert figure.axes[-1].get_ylabel() == "dBFS at matched loudness"


def test_without_a_result_there_is_nothing_to_draw() -> None:
    assert list(spectrograms._redraw(None, "linear")) == [gr.skip()]
