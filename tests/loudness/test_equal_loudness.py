"""ISO 226:2023: the contours, and the filter made from them."""

from __future__ import annotations

import numpy as np
import pytest

from aural.errors import OptionError
from aural.loudness.equal_loudness import (
    FREQUENCIES_HZ,
    compensate,
    compensation_db,
    compensation_filter,
    sound_pressure_level_db,
)

UNCAPPED_DB = 60.0


@pytest.mark.parametrize("phon", [20, 40, 60, 80, 90])
def test_at_1_khz_the_level_is_the_loudness(phon: float) -> None:
    assert sound_pressure_level_db(1000, phon) == pytest.approx(phon, abs=1e-9)


@pytest.mark.parametrize(
    ("frequency_hz", "gain_db"),
    [(20, 12.1), (100, 7.0), (200, 4.4), (500, 1.4), (1000, 0.0), (2000, -0.8), (8000, 0.2), (12_500, 3.4)],
)
def test_playing_at_60_phon_what_was_mixed_at_83(frequency_hz: float, gain_db: float) -> None:
    assert compensation_db(frequency_hz, 83, 60, UNCAPPED_DB) == pytest.approx(gain_db, abs=0.05)


def test_louder_contours_lie_higher_at_every_frequency() -> None:
    frequencies_hz = np.geomspace(20, 12_500, 500)
    contours = np.stack([sound_pressure_level_db(frequencies_hz, phon) for phon in range(20, 91, 5)])
    assert (np.diff(contours, axis=0) > 0).all()


def test_between_the_frequencies_of_the_table_a_contour_stays_between_their_levels() -> None:
    table_db = sound_pressure_level_db(FREQUENCIES_HZ, 40)
    between_db = sound_pressure_level_db(np.sqrt(FREQUENCIES_HZ[1:] * FREQUENCIES_HZ[:-1]), 40)
    assert (between_db >= np.minimum(table_db[1:], table_db[:-1])).all()
    assert (between_db <= np.maximum(table_db[1:], table_db[:-1])).all()


def test_compensation_is_flat_beyond_the_contours_and_its_boost_is_capped() -> None:
    gain_db = compensation_db([0, 10, 20, 12_500, 15_000, 24_000], 90, 20, maximum_boost_db=9)
    assert gain_db[:3].tolist() == [9, 9, 9]
    assert gain_db[3] == gain_db[4] == gain_db[5] < 9


def test_there_and_back_compensation_cancels() -> None:
    frequencies_hz = np.geomspace(20, 12_500, 100)
    there, back = (compensation_db(frequencies_hz, *levels, UNCAPPED_DB) for levels in ((83, 60), (60, 83)))
    assert there + back == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("levels", [(83, 60), (60, 83), (90, 20)])
def test_the_filter_follows_the_curve(rate: int, levels: tuple[float, float]) -> None:
    taps = compensation_filter(rate, *levels)
    frequencies_hz = np.geomspace(25, min(12_500, rate / 2), 200)
    waves = np.exp(-2j * np.pi * np.outer(frequencies_hz / rate, np.arange(taps.size)))
    response_db = 20 * np.log10(np.abs(waves @ taps))
    assert response_db == pytest.approx(compensation_db(frequencies_hz, *levels), abs=0.1)


def test_the_filter_neither_delays_nor_sounds_early() -> None:
    impulse = np.zeros((1, 48_000), np.float32)
    impulse[0, 24_000] = 1
    response = compensate(impulse, 48_000, 83, 60)[0]
    assert np.abs(response[:24_000]).max() < 1e-6 * response[24_000]
    assert np.abs(response).argmax() == 24_000


def test_a_bass_note_is_raised_and_a_1_khz_tone_is_not() -> None:
    time = np.arange(48_000) / 48_000
    tones = (0.1 * np.sin(2 * np.pi * np.array([[100.0], [1000.0]]) * time)).astype(np.float32)
    raised = compensate(tones, 48_000, 83, 60)
    assert raised.shape == tones.shape
    assert raised.dtype == np.float32
    gain_db = 20 * np.log10(raised[:, 24_000:].std(axis=1) / tones[:, 24_000:].std(axis=1))
    assert gain_db == pytest.approx([6.96, 0.0], abs=0.02)


def test_equal_levels_change_no_bit() -> None:
    samples = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
    assert np.array_equal(compensate(samples, 48_000, 70, 70), samples)


@pytest.mark.parametrize("length", [1, 7, 5000])
def test_any_length_keeps_its_length_and_silence_stays_silent(length: int) -> None:
    silence = np.zeros((2, length), np.float32)
    assert np.array_equal(compensate(silence, 8000, 83, 60), silence)


@pytest.mark.parametrize("phon", [19.9, 90.1, float("nan")])
def test_levels_beyond_the_standard_are_refused(phon: float) -> None:
    silence = np.zeros((1, 10), np.float32)
    for levels in ((phon, 60), (60, phon), (phon, phon)):
        with pytest.raises(OptionError, match="20 to 90 phon"):
            compensate(silence, 48_000, *levels)


def test_frequencies_beyond_the_standard_and_a_negative_boost_are_refused() -> None:
    with pytest.raises(OptionError, match="20 to 12500 Hz"):
        sound_pressure_level_db([19, 1000], 60)
    with pytest.raises(OptionError, match="0 dB or more"):
        compensation_db(1000, 83, 60, maximum_boost_db=-1)
