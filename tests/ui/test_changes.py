"""What changed between two versions: nothing by a gain, a word where one is missing, a band where one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from aural.audio import Clip, write
from aural.audio.resample import resample
from aural.loudness.meter import loudness_lufs
from aural.ui import changes, plots
from aural.ui.changes import CHANGED_DB, SPEECH_DB, SPEECH_HZ, draw_balance, draw_change, find_change

RATE = 48_000


def noise(seconds: float = 3.0, channels: int = 1) -> Clip:
    samples = 0.1 * np.random.default_rng(0).standard_normal((channels, round(seconds * RATE)))
    return Clip(samples.astype(np.float32), RATE)


def scaled(clip: Clip, gain: float) -> Clip:
    return clip.with_samples(np.float32(gain) * clip.samples)


def test_a_gain_is_no_change_at_the_same_loudness() -> None:
    change = find_change(noise(), scaled(noise(), 0.25), gain_db=20 * np.log10(4))
    assert np.abs(change.difference_db).max() < 1e-3 and change.strong_db.max() < 1e-3
    assert change.spans == [] and "Nowhere by more than 6 dB" in change.message
    louder = find_change(noise(), scaled(noise(), 0.25))
    assert np.allclose(louder.difference_db, -20 * np.log10(4), atol=1e-3)


def test_a_word_that_is_missing_is_found_where_it_was() -> None:
    left = noise()
    samples = left.samples.copy()
    samples[:, RATE : round(1.3 * RATE)] = 0
    change = find_change(left, left.with_samples(samples))
    ((start, end),) = change.spans
    assert (start, end) == (pytest.approx(1.0, abs=0.03), pytest.approx(1.3, abs=0.03))
    assert "for 0.3 s, the longest at 0:01" in change.message


def test_what_a_low_pass_removes_is_seen_in_its_bands() -> None:
    sections = butter(8, 4_000, fs=RATE, output="sos")
    left = noise(channels=2)
    change = find_change(left, left.with_samples(sosfilt(sections, left.samples).astype(np.float32)))
    means = np.nanmean(change.difference_db, axis=1)
    assert np.abs(means[change.bands_hz < 3_000]).max() < 1
    assert means[change.bands_hz > 8_000].max() < -40
    balance = change.after_thirds_db - change.before_thirds_db
    assert np.abs(balance[SPEECH_HZ < 2_500]).max() < 1 and balance[SPEECH_HZ > 8_000].max() < -40


def test_two_rates_are_compared_at_the_higher_one() -> None:
    narrow = resample(noise(), 8_000)
    change = find_change(narrow, noise())
    means = np.nanmean(change.difference_db, axis=1)
    assert change.seconds == pytest.approx(3.0)
    assert np.abs(means[change.bands_hz < 3_000]).max() < 0.5 and means[change.bands_hz > 5_000].min() > 50
    assert np.isnan(change.before_thirds_db[SPEECH_HZ > 4_000]).all()
    assert np.isfinite(change.after_thirds_db).all()


def test_third_octaves_of_white_noise_rise_by_a_decibel_each() -> None:
    levels = find_change(noise(10), noise(10)).after_thirds_db[SPEECH_HZ >= 315]
    assert np.abs(np.diff(levels) - 10 * np.log10(2 ** (1 / 3))).max() < 0.7
    assert levels[-1] - levels[0] == pytest.approx(10 * np.log10(16_000 / 315), abs=0.5)


def test_the_average_of_speech_is_given_at_70_db() -> None:
    assert 10 * np.log10(np.sum(10 ** (SPEECH_DB / 10))) == pytest.approx(70, abs=0.5)


@pytest.mark.parametrize("frames", [1, 700, RATE])
def test_silence_and_the_shortest_clips_are_drawn(frames: int) -> None:
    for samples in (np.zeros((1, frames), np.float32), noise().samples[:, :frames]):
        clip = Clip(samples, RATE)
        change = find_change(clip, clip)
        assert change.spans == [] and change.message.endswith(".")
        assert (change.message == "There is no sound to compare.") == (not samples.any())
        draw_change(change), draw_balance(change)


def test_the_section_shows_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    paths = [str(write(clip, tmp_path / name)) for clip, name in
             ((noise(), "a.wav"), (scaled(noise(), 0.5), "b.wav"))]  # fmt: skip
    loudness: list[Any] = [loudness_lufs(noise()), loudness_lufs(scaled(noise(), 0.5))]
    message, *pictures = changes.show_change(*paths, *loudness)
    assert "Nowhere by more than 6 dB" in message and all(Path(path).is_file() for path in pictures)
    monkeypatch.setattr(changes, "MAX_SECONDS", 2.0)
    assert changes.show_change(*paths, *loudness)[1:] == [None, None]


def test_the_line_of_what_counts_as_a_change_stands_in_the_picture() -> None:
    left = noise()
    figure = draw_change(find_change(left, scaled(left, 0.25)))
    _, below, *_ = figure.axes
    heights = [np.unique(line.get_ydata()) for line in below.get_lines()]
    assert any(np.array_equal(height, [CHANGED_DB]) for height in heights)
    assert plots.WARNING in {line.get_color() for line in below.get_lines()}
