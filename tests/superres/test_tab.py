"""The Super-resolution tab's own parts: what it shows of a result, the zoom, and the live sessions."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from aural.audio import Clip, write
from aural.superres import tab
from aural.superres.pipeline import METHODS, Options, Result
from aural.ui import plots

RATE = 8_000
BAND_HZ = 3_800.0
CHOICES = {"narrow_rate": "8000", "method": "sinc"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def tone(hz: float, seconds: float = 1.0, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """Shape: (time,)."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def result(clip: Clip, source: Clip) -> Result:
    return Result(
        clip, source, BAND_HZ, is_limited=False, filled_hz=(BAND_HZ, clip.rate / 2), message="Done."
    )


def test_every_choice_of_the_pipeline_has_a_name() -> None:
    assert set(tab.METHOD_NAMES) == set(METHODS)
    for rate in tab.PRESET_RATES:
        Options(rate=rate)
    for rate in tab.WHAT_IF_RATES:
        Options(what_if_rate=rate)


def test_the_table_has_a_row_for_each_method_that_ran() -> None:
    rows = {
        "default": {"snr_db": 18.04, "lsd": 1.0, "lsd_above": 1.5, "lsd_below": 0.012},
        "sinc": {"snr_db": None, "lsd": 2.94, "lsd_above": -0.001, "lsd_below": 0.01},
    }
    shown = tab._comparison_table(rows)
    assert shown.index(">Sinc<") < shown.index(">AURAL<") and ">LISA<" not in shown
    assert (
        ">18.0<" in shown and ">2.94<" in shown and ">0.01<" in shown and ">–<" in shown and "−" not in shown
    )
    assert tab._comparison_table(None) == ""


def test_the_spectrograms_mark_what_was_and_what_is_filled() -> None:
    before, after = Clip(tone(440)[np.newaxis], RATE), Clip(tone(440, rate=48_000)[np.newaxis], 48_000)
    made = {"sinc": after, "default": after}
    first, sinc, default = tab._list_sounds(before, result(after, before), Options(), made)
    assert (first.label, first.end_hz, first.old_end_hz) == ("Before", BAND_HZ, None)
    assert (sinc.end_hz, sinc.old_end_hz) == (BAND_HZ, None)
    assert (default.end_hz, default.old_end_hz) == (20_000, BAND_HZ)
    cut = Options(what_if_rate=4_000)
    original, *_ = tab._list_sounds(before, result(after, before), cut, made)
    assert (original.label, original.end_hz) == ("Original", None)


@pytest.fixture
def source(tmp_path: Path) -> tab._Source:
    """Two seconds, loudest on the right at 1.5 s."""
    samples = np.stack([0.1 * tone(440, 2), 0.2 * tone(300, 2)])
    samples[1, 12_000] = -0.7
    write(Clip(samples, RATE), tmp_path / "source.wav", "wav32f")
    clip = Clip(samples, RATE)
    return tab._source(str(tmp_path / "source.wav"), result(clip, clip), ("sinc",))


def test_the_zoom_begins_around_the_loudest_moment(source: tab._Source) -> None:
    assert (source.channel, source.loudest_seconds, source.seconds) == (1, 1.5, 2.0)
    at, width = tab._first_view(source, RATE)
    assert width == 5 and at < 1.5 < at + width / 1000
    assert tab._first_view(source, 192_000)[1] == tab.NARROWEST_MS
    assert tab._first_view(replace(source, loudest_seconds=0.0), RATE)[0] == 0
    assert tab._first_view(replace(source, loudest_seconds=2.0), RATE)[0] == pytest.approx(1.995)
    assert tab._first_view(replace(source, loudest_seconds=0.0, seconds=0.001), RATE)[0] == 0


def test_a_piece_of_the_file_is_what_stands_there(source: tab._Source) -> None:
    samples, _ = soundfile.read(source.path, dtype="float32", always_2d=True)
    piece, first = tab._excerpt(source, 1.0, 1.25)
    assert (first, piece.rate) == (8_000, RATE)
    assert np.array_equal(piece.samples[0], samples[8_000:10_000, 1])
    piece, first = tab._excerpt(source, -0.1, 0.01)
    assert first == 0 and np.array_equal(piece.samples[0], samples[:80, 1])
    piece, _ = tab._excerpt(source, 1.99, 2.1)
    assert np.array_equal(piece.samples[0], samples[15_920:, 1])


def drawn(figure_path: str) -> np.ndarray:
    with Image.open(figure_path) as image:
        assert image.size == (plots.WIDTH_PX, plots.HEIGHT_PX)
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("at", "width"), [(0.0, 1.0), (1.4975, 5.0), (1.99, 20.0), (99.0, 5.0), (-1.0, 0.0), (None, None)]
)
def test_the_zoom_draws_any_place_at_any_width(source: tab._Source, at: float, width: float) -> None:
    (path,) = tab.zoom(([], source, 0.0, 5.0), at, width)
    accent = [int(plots.ACCENT[index : index + 2], 16) for index in (1, 3, 5)]
    assert (np.abs(drawn(path).astype(int) - accent).max(axis=2) < 24).mean() > 0.001


def test_without_a_result_there_is_nothing_to_zoom_into() -> None:
    assert list(tab.zoom(None, 0.0, 5.0)) == [None]


def test_the_curve_of_sinc_goes_through_the_samples(
    source: tab._Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure: figures.append(figure) or "picture.png")
    tab._draw_between(source, 0.5, 10.0)
    curve, dots = (figures[0].axes[0].lines[index] for index in (-2, -1))
    assert len(dots.get_xdata()) == 81 and dots.get_xdata()[0] == pytest.approx(0, abs=1e-6)
    # The pulse at 1.5 s is as wide as the band: 96 % of it get through, and the tone is left of it.
    at_dots = np.interp(dots.get_xdata(), curve.get_xdata(), curve.get_ydata())
    assert np.allclose(at_dots, dots.get_ydata(), atol=2e-3)
    assert np.abs(dots.get_ydata()).max() == pytest.approx(0.1, rel=0.02)


def heard(samples: np.ndarray, rate: int, block: int) -> np.ndarray:
    asked = {"rate": rate, "choices": CHOICES}
    key = tab.LIVE.live_open(asked)["key"]
    pieces = []
    for start in range(0, len(samples), block):
        sent = (32_767 * samples[start : start + block]).astype("<i2").tobytes()
        answer = tab.LIVE.live_push({"key": key, "samples": base64.b64encode(sent).decode()})
        pieces.append(np.frombuffer(base64.b64decode(answer["samples"]), "<i2") / 32_767)
    tab.LIVE.live_close({"key": key})
    return np.concatenate(pieces)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_live_voice_is_heard_in_time_without_its_highs(rate: int) -> None:
    low, high = tone(500, 1, rate), tone(6_000, 1, rate)
    made = heard(low + 0.5 * high, rate, rate // 10)
    assert rate * 0.9 < len(made) <= rate
    middle = slice(rate // 5, 4 * rate // 5)
    assert np.abs(made[middle] - low[: len(made)][middle]).max() < 2e-3


def test_the_size_of_the_blocks_makes_no_difference() -> None:
    samples = (0.1 * np.random.default_rng(0).standard_normal(48_000)).astype(np.float32)
    short, long = (heard(samples, 48_000, block) for block in (4_800, 16_000))
    assert len(short) == len(long) and np.abs(short - long).max() < 1.5 / 32_767


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"narrow_rate": "7999"},
        {"narrow_rate": ["8000"]},
        {"narrow_rate": "48000"},
        {"method": "magic"},
        {"method": ["sinc"]},
        {"method": ""},
    ],
    ids=str,
)
def test_what_cannot_be_live_is_told_in_a_sentence(choices: dict) -> None:
    asked = {"rate": 48_000, "choices": {**CHOICES, **choices} if choices else None}
    answer = tab.LIVE.live_open(asked)
    assert set(answer) == {"error"} and answer["error"].endswith(".")


def test_a_microphone_is_not_downsampled_to_its_own_rate() -> None:
    answer = tab.LIVE.live_open({"rate": 8_000, "choices": CHOICES})
    assert answer["error"].startswith("Can't downsample 8000 Hz")
