"""The meter against EBU Tech 3341 (loudness and true peak) and EBU Tech 3342 (range), at three sample rates.

Tests 7 and 8 of Tech 3341 are recordings of programmes and are not made here. Tolerances are the documents':
0.1 LU, +0.2 and -0.4 dB of true peak, 1 LU of range.
"""

import numpy as np
import pytest

from aural.audio import Clip
from aural.loudness.meter import MOMENTARY_STEPS, SHORT_TERM_STEPS, Loudness, lufs, measure, window_powers
from tests.loudness.signals import SILENCE, burst_between_samples, peak_tone, tone

FILES = range(20)  # tests 10, 11, 13 and 14 are twenty files each

pytestmark = pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])


def near(level: float) -> object:
    return pytest.approx(level, abs=0.1)


def near_peak(level: float) -> object:
    return pytest.approx(level - 0.1, abs=0.3)  # +0.2 and -0.4 dB


def momentary(loudness: Loudness, from_second: float) -> np.ndarray:
    """Momentary loudness every 10 ms, from the window that ends at this second on."""
    return lufs(window_powers(loudness.powers, MOMENTARY_STEPS))[round(from_second * 100) - MOMENTARY_STEPS :]


def short_term(loudness: Loudness, from_second: float) -> np.ndarray:
    return lufs(window_powers(loudness.powers, SHORT_TERM_STEPS))[
        round(from_second * 100) - SHORT_TERM_STEPS :
    ]


@pytest.mark.parametrize("level", [-23, -33])
def test_1_and_2_a_steady_tone_reads_its_level_on_all_three_scales(rate: int, level: float) -> None:
    loudness = measure(tone(rate, [(20, level)]))

    assert loudness.integrated_lufs == near(level)
    for reading in (momentary(loudness, 1), short_term(loudness, 3)):
        assert reading.min() == near(level)
        assert reading.max() == near(level)


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param([(10, -36), (60, -23), (10, -36)], id="3"),
        pytest.param([(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)], id="4"),
        pytest.param([(20, -26), (20.1, -20), (20, -26)], id="5"),
    ],
)
def test_3_to_5_gates_leave_out_what_is_quiet(rate: int, segments: list[tuple[float, float]]) -> None:
    assert measure(tone(rate, segments)).integrated_lufs == near(-23)


def test_6_surrounds_weigh_more(rate: int) -> None:
    surround = tone(rate, [(20, 0)], channels_db=(-28, -28, -24, -30, -30))

    assert measure(Clip(surround.samples, rate, "5.0")).integrated_lufs == near(-23)


def test_9_short_term_loudness_is_constant_over_its_own_period(rate: int) -> None:
    reading = short_term(measure(tone(rate, [(1.34, -20), (1.66, -30)] * 5)), 3)

    assert reading.min() == near(-23)
    assert reading.max() == near(-23)


def test_10_a_tone_of_3_s_is_caught_wherever_it_starts(rate: int) -> None:
    for i in FILES:
        loudness = measure(tone(rate, [(0.15 * i, SILENCE), (3, -23), (1, SILENCE)]))
        assert loudness.short_term_max_lufs == near(-23), i


def test_11_maximum_short_term_loudness_follows_the_level(rate: int) -> None:
    for i in FILES:
        loudness = measure(tone(rate, [(0.15 * i, SILENCE), (3, -38 + i), (3 - 0.15 * i, SILENCE)]))
        assert loudness.short_term_max_lufs == near(-38 + i), i


def test_12_momentary_loudness_is_constant_over_its_own_period(rate: int) -> None:
    reading = momentary(measure(tone(rate, [(0.18, -20), (0.22, -30)] * 25)), 1)

    assert reading.min() == near(-23)
    assert reading.max() == near(-23)


def test_13_a_tone_of_400_ms_is_caught_wherever_it_starts(rate: int) -> None:
    for i in FILES:
        loudness = measure(tone(rate, [(0.02 * i, SILENCE), (0.4, -23), (1, SILENCE)]))
        assert loudness.momentary_max_lufs == near(-23), i


def test_14_maximum_momentary_loudness_follows_the_level(rate: int) -> None:
    for i in FILES:
        loudness = measure(tone(rate, [(0.02 * i, SILENCE), (0.4, -38 + i), (0.4 - 0.02 * i, SILENCE)]))
        assert loudness.momentary_max_lufs == near(-38 + i), i


@pytest.mark.parametrize(
    ("divisor", "phase_degrees", "peak", "expected"),
    [
        pytest.param(4, 0.0, 0.50, -6, id="15"),
        pytest.param(4, 45.0, 0.50, -6, id="16"),
        pytest.param(6, 60.0, 0.50, -6, id="17"),
        pytest.param(8, 67.5, 0.50, -6, id="18"),
        pytest.param(4, 45.0, 1.41, 3, id="19"),
    ],
)
def test_15_to_19_peaks_between_samples(
    rate: int, divisor: int, phase_degrees: float, peak: float, expected: float
) -> None:
    assert measure(peak_tone(rate, divisor, phase_degrees, peak)).true_peak_dbtp == near_peak(expected)


@pytest.mark.parametrize("offset", range(4), ids=["20", "21", "22", "23"])
def test_20_to_23_a_single_peak_is_found_wherever_the_samples_fall(rate: int, offset: int) -> None:
    assert measure(burst_between_samples(rate, offset)).true_peak_dbtp == near_peak(0)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        pytest.param([-20, -30], 10, id="1"),
        pytest.param([-20, -15], 5, id="2"),
        pytest.param([-40, -20], 20, id="3"),
        pytest.param([-50, -35, -20, -35, -50], 15, id="4"),
    ],
)
def test_3342_loudness_range_of_steps(rate: int, levels: list[float], expected: float) -> None:
    assert measure(tone(rate, [(20, level) for level in levels])).range_lu == pytest.approx(expected, abs=1)
