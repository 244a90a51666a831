"""The pictures: arrays in, WebP of the stated size out, with the sound where it belongs."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from aural.ui import plots

RATE = 48_000


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Sockets of servers that other tests closed are collected at any time, and are not the pictures'.
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Figure], np.ndarray]:
    """Save a figure and read its pixels back: (height, width, 3)."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def pixels(figure: Figure) -> np.ndarray:
        path = Path(plots.save(figure))
        assert path.is_relative_to(tmp_path)
        with Image.open(path) as image:
            assert (image.format, image.size) == ("WEBP", (plots.WIDTH_PX, plots.HEIGHT_PX))
            return np.asarray(image.convert("RGB")).astype(int)

    return pixels


def share_of_colour(pixels: np.ndarray, colour: str) -> float:
    wanted = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)])
    return float((np.abs(pixels - wanted).max(axis=2) < 24).mean())


def sine(frequency_hz: float, seconds: float, level: float = 1.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE)) / RATE)).astype(
        np.float32
    )


def test_importing_the_module_does_not_import_matplotlib() -> None:
    code = "import sys, aural.ui.plots; sys.exit('matplotlib' in sys.modules or 'gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loudness_shows_the_series_the_integrated_value_and_the_target(draw: Callable) -> None:
    times = np.arange(600) / 10
    pixels = draw(plots.loudness_history(times, times / 10 - 23, np.full(600, -20.0), -20.5, -16.0))
    for colour in (plots.ACCENT, plots.SECOND, plots.TEXT):
        assert share_of_colour(pixels, colour) > 0.001


def test_loudness_of_silence_and_of_no_time_at_all_is_an_empty_field(draw: Callable) -> None:
    nothing = np.full(30, -np.inf)
    for figure in (
        plots.loudness_history(np.arange(30) / 10, nothing, nothing, None, None),
        plots.loudness_history(np.arange(30) / 10, nothing, nothing, -math.inf, -14.0),
        plots.loudness_history([], [], [], None),
    ):
        assert share_of_colour(draw(figure), plots.FIELD) > 0.5


def test_a_pause_does_not_flatten_the_loudness_axis() -> None:
    loudness = np.concatenate([np.full(500, -20.0), np.full(20, -65.0), np.full(20, -np.inf)])
    figure = plots.loudness_history(np.arange(540) / 10, loudness, loudness, -20.0)
    bottom, top = figure.axes[0].get_ylim()
    assert -45 < bottom < -25
    assert top == pytest.approx(-17)


def test_a_long_series_keeps_its_highest_point(draw: Callable) -> None:
    momentary = np.full(1_000_000, -30.0)
    momentary[654_321] = -5.0
    figure = plots.loudness_history(np.arange(1_000_000) / 100, momentary, momentary, None)
    line = figure.axes[0].lines[0]
    assert len(line.get_xdata()) <= plots.COLUMNS
    assert np.max(line.get_ydata()) == -5.0
    draw(figure)


@pytest.mark.parametrize("frequency_hz", [100.0, 997.0, 12_000.0])
def test_a_full_scale_tone_reads_0_dbfs_at_its_frequency(frequency_hz: float) -> None:
    rows_hz = np.geomspace(30, 24_000, plots.ROWS)
    samples = np.stack([sine(frequency_hz, 2), -sine(frequency_hz, 2)])  # out of phase: nothing may cancel
    levels = plots.spectrogram_dbfs(samples, RATE, rows_hz, 4096)[:, 20:-20]
    assert levels.max() == pytest.approx(0, abs=0.5)
    assert rows_hz[levels.mean(axis=1).argmax()] == pytest.approx(frequency_hz, rel=0.03)
    far = np.abs(rows_hz - frequency_hz) > 20 * RATE / 4096  # 20 bins: a Hann window has fallen by 85 dB
    assert levels[far].max() < -85


def test_an_hour_is_looked_at_in_as_many_columns_as_the_picture_has() -> None:
    samples = np.zeros((1, 3600 * RATE), np.float32)
    samples[:, 1800 * RATE :] = np.tile(sine(1000, 1), 1800)
    rows_hz = np.linspace(0, 24_000, plots.ROWS)
    levels = plots.spectrogram_dbfs(samples, RATE, rows_hz, 2048)
    assert levels.shape == (plots.ROWS, plots.COLUMNS)
    row = np.abs(rows_hz - 1000).argmin()
    assert levels[row, : plots.COLUMNS // 2 - 1].max() < -150
    assert levels[row, plots.COLUMNS // 2 + 1 :].min() > -3


@pytest.mark.parametrize("scale", ["erb", "linear"])
def test_a_tone_is_a_bright_line_at_its_height(draw: Callable, scale: str) -> None:
    figure = plots.spectrogram(sine(6000, 1)[np.newaxis], RATE, scale=scale)
    pixels = draw(figure)
    axes = figure.axes[0]
    left, bottom = axes.transAxes.transform((0.3, 0))
    right, top = axes.transAxes.transform((0.7, 1))
    brightness = pixels[:, round(left) : round(right)].sum(axis=(1, 2))
    height = (plots.HEIGHT_PX - 1 - brightness.argmax() - bottom) / (top - bottom)
    low, mark, high = (math.log(1 + 0.00437 * hertz) for hertz in (plots.LOWEST_HZ, 6000, 24_000))
    expected = 6000 / 24_000 if scale == "linear" else (mark - low) / (high - low)
    assert height == pytest.approx(expected, abs=0.02)


def test_a_mark_is_drawn_and_the_top_frequency_kept(draw: Callable) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, RATE)).astype(np.float32)
    figure = plots.spectrogram(noise, RATE, max_frequency_hz=10_000, marks_hz=[9000])
    assert share_of_colour(draw(figure), plots.ACCENT) > 0.001
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "5k" in labels
    assert "20k" not in labels


@pytest.mark.parametrize(
    "samples", [np.zeros((2, RATE)), np.zeros((1, 1)), np.ones((6, 1)), np.ones((2, 500))]
)
@pytest.mark.parametrize("rate", [4_000, 48_000, 384_000])
def test_silence_and_one_sample_have_a_spectrogram(draw: Callable, samples: np.ndarray, rate: int) -> None:
    draw(plots.spectrogram(samples.astype(np.float32), rate))


def test_two_spectrograms_share_one_scale(draw: Callable) -> None:
    before, after = np.full((80, 100), 0.2), np.full((80, 100), 0.9)
    figure = plots.spectrogram_pair(before, after, np.arange(100) / 85, np.linspace(0, 11_025, 80))
    images = [axes.images[0] for axes in figure.axes[:2]]
    assert [image.get_clim() for image in images] == [(0, 1), (0, 1)]
    pixels = draw(figure)
    quarter = plots.WIDTH_PX // 4
    assert pixels[450, 3 * quarter].sum() > pixels[450, quarter].sum() + 200


@pytest.mark.parametrize(
    ("right", "correlation", "along"), [(1.0, 1.0, "mid"), (-1.0, -1.0, "side"), (0.0, 0.0, "left")]
)
def test_the_goniometer_turns_mono_upright_and_out_of_phase_level(
    draw: Callable, right: float, correlation: float, along: str
) -> None:
    left = sine(50, 1)
    figure = plots.goniometer(np.stack([left, right * left]), correlation)
    cloud = figure.axes[0].images[0].get_array()
    rows, columns = np.nonzero(~np.ma.getmaskarray(cloud))
    middle = plots.GONIOMETER_CELLS // 2
    expected = {
        "mid": columns == middle,
        "side": rows == middle,
        "left": np.abs(rows + columns - 2 * middle) <= 1,
    }
    assert expected[along].all()
    draw(figure)


@pytest.mark.parametrize(
    "samples", [np.zeros((2, RATE)), np.ones((1, 1)), np.ones((1, RATE)) * 0.5, np.zeros((1, 0))]
)
def test_silence_and_mono_have_a_goniometer(draw: Callable, samples: np.ndarray) -> None:
    draw(plots.goniometer(samples.astype(np.float32), None))
    draw(plots.goniometer(samples.astype(np.float32), math.nan))


def test_contours_spectrum_and_their_names_are_drawn(draw: Callable) -> None:
    frequencies = np.geomspace(20, 12_500, 29)
    contours = {20: np.linspace(90, 20, 29), 60: np.linspace(110, 60, 29)}
    figure = plots.equal_loudness(frequencies, contours, np.append(np.linspace(70, 20, 28), -np.inf))
    assert [text.get_text() for text in figure.axes[0].texts] == ["20 phon", "60 phon"]
    assert share_of_colour(draw(figure), plots.ACCENT) > 0.002
    draw(plots.equal_loudness(frequencies, contours))


def test_the_mel_axis_stands_where_hertz_says(draw: Callable) -> None:
    hertz = np.linspace(0, 11_025, 513)
    mels = 2595 * np.log10(1 + hertz / 700)
    centres = np.linspace(0, mels[-1], 42)
    filters = np.maximum(0, 1 - np.abs(mels - centres[1:-1, np.newaxis]) / centres[1])
    figure = plots.mel_scale(hertz, mels, filters, np.full(513, -np.inf))
    above = figure.axes[0].child_axes[0]
    assert above.get_xticks()[1] == pytest.approx(1000, rel=0.001)  # 1000 mel is 1000 Hz by definition
    draw(figure)
    draw(plots.mel_scale(hertz, mels, filters))


def test_the_samples_are_dots_and_the_last_curve_lies_on_top(draw: Callable) -> None:
    seconds, times = np.arange(8) / 1000 + 2, np.linspace(2, 2.007, 225)
    curves = {"one": np.sin(2 * np.pi * 500 * times), "two": np.sin(2 * np.pi * 500 * times) + 0.1}
    figure = plots.between_samples(seconds, np.sin(2 * np.pi * 500 * seconds), times, curves)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two", "samples"]
    _, one, two, dots = axes.lines
    assert two.get_color() == plots.ACCENT and one.get_linewidth() > two.get_linewidth()
    assert np.allclose(dots.get_xdata(), np.arange(8)) and axes.get_xlim() == pytest.approx((0, 7))
    low, high = axes.get_ylim()
    assert -1.4 < low < -1 and 1.1 < high < 1.5
    assert "2.000 s" in axes.get_xlabel()
    assert share_of_colour(draw(figure), plots.ACCENT) > 0.002


def test_silence_one_sample_and_nothing_have_a_picture_between_the_samples(draw: Callable) -> None:
    times = np.linspace(0, 0.001, 33)
    for figure in (
        plots.between_samples([0.0, 0.001], [0.0, 0.0], times, {"silent": np.zeros(33)}),
        plots.between_samples([0.0], [0.5], [0.0], {"one": [0.5]}),
        plots.between_samples([], [], times, {"broken": np.full(33, np.nan)}),
        plots.between_samples([], [], [], {}),
    ):
        assert share_of_colour(draw(figure), plots.FIELD) > 0.5


def test_four_spectrograms_stand_two_by_two_with_both_ends_of_their_bands() -> None:
    heard = [
        plots.Sound(f"{number}", sine(1000, 0.5)[np.newaxis], RATE, 20_000, 4_000) for number in range(4)
    ]
    figure = plots.spectrogram_versions(heard, scale="linear")
    panels = figure.axes[:4]
    assert [axes.get_title() for axes in panels] == ["0", "1", "2", "3"]
    for axes in panels:
        _, new, old = axes.lines
        assert new.get_ydata()[0] == pytest.approx(20 / 24 * (plots.ROWS - 1), abs=0.5)
        assert old.get_ydata()[0] == pytest.approx(4 / 24 * (plots.ROWS - 1), abs=0.5)
    assert [bool(axes.get_ylabel()) for axes in panels] == [True, False, True, False]
    assert [bool(axes.get_xlabel()) for axes in panels] == [False, False, True, True]
    assert figure.get_figheight() * plots.PIXELS_PER_INCH == pytest.approx(
        plots.TWO_ROWS_HEIGHT * plots.HEIGHT_PX
    )
    three = plots.spectrogram_versions(heard[:3])
    assert [bool(axes.get_ylabel()) for axes in three.axes[:3]] == [True, False, False]


def test_leakage_and_bars_take_what_is_not_finite(draw: Callable) -> None:
    offsets = np.linspace(-100, 100, 401)
    curve = 20 * np.log10(np.maximum(np.abs(np.sinc(offsets / 10)), 1e-20))
    draw(plots.leakage(offsets, {"rectangular": curve, "nothing": np.full(401, -np.inf)}))
    figure = plots.comparison_bars(["Lo/Ro", "left", "mid"], [-20.0, -23.0, -math.inf], "LUFS")
    assert [text.get_text() for text in figure.axes[0].texts] == ["−20.0 LUFS", "−23.0 LUFS", "silent"]
    draw(figure)
    draw(plots.comparison_bars(["mid"], [None], "LUFS"))


def test_pictures_are_made_in_many_threads_at_once(draw: Callable) -> None:
    samples = np.stack([sine(440, 1)] * 2)
    expected = draw(plots.spectrogram(samples, RATE))
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(draw(plots.spectrogram(samples, RATE))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(picture, expected) for picture in found)
