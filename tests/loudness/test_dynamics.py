"""The limiter and the level rider."""

import numpy as np
import pytest

from aural.audio import Clip
from aural.audio.steps import finish
from aural.loudness.dynamics import LOOK_AHEAD_SECONDS, apply_gains_steps, limit_steps, ride_gains
from aural.loudness.meter import measure
from aural.loudness.true_peak import true_peak

RATE = 48_000


def noise(seconds: float, level: float, channels: int = 2, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (level * generator.standard_normal((channels, round(seconds * RATE)))).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_a_limited_signal_stays_within_a_tenth_of_a_decibel_of_the_ceiling(rate: int, gain_db: float) -> None:
    limited, reduction_db = finish(limit_steps(noise(3, 0.3), rate, gain_db, -1.0))
    assert 20 * np.log10(true_peak(limited, rate)) < -0.9
    assert reduction_db > 3


def test_what_is_below_the_ceiling_gets_the_plain_gain_bit_for_bit() -> None:
    samples = noise(6, 0.05)
    limited, reduction_db = finish(limit_steps(samples, RATE, 6.0, -1.0))
    assert np.array_equal(limited, samples * np.float32(10 ** (6 / 20)))
    assert reduction_db == 0


def test_the_gain_is_down_before_the_peak_and_leaves_the_far_past_alone() -> None:
    samples = np.full((1, RATE), 0.1, np.float32)
    samples[0, RATE // 2] = 2.0
    limited, _ = finish(limit_steps(samples, RATE, 0.0, -1.0))
    gain = limited[0] / samples[0]
    attack = RATE // 2 - round(LOOK_AHEAD_SECONDS * RATE) - 20  # 20 samples of the interpolator's own reach
    assert np.all(gain[:attack] == 1)
    assert gain[RATE // 2] * 2.0 <= 10 ** (-1 / 20) + 1e-6
    assert np.all(np.diff(gain[RATE // 2 + 200 :]) >= -1e-6), "after the peak the gain only comes back"


def test_all_channels_get_the_same_gain() -> None:
    samples = noise(2, 0.4)
    samples[1] *= 0.1
    limited, _ = finish(limit_steps(samples, RATE, 0.0, -3.0))
    gains = limited / samples
    audible = np.abs(samples).min(axis=0) > 1e-3
    assert np.allclose(gains[0, audible], gains[1, audible], rtol=1e-3)


def test_the_limiter_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(5, 0.4)
    whole, _ = finish(limit_steps(samples, RATE, 6.0, -1.0))
    monkeypatch.setattr("aural.loudness.dynamics.BLOCK_SECONDS", 1)
    blocks, _ = finish(limit_steps(samples, RATE, 6.0, -1.0))
    assert np.allclose(whole, blocks, atol=1e-5)


def tones(frequencies_hz: tuple[float, ...], seconds: float, rate: int = RATE) -> np.ndarray:
    """Sines of equal level with a common peak of 1."""
    time = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * frequency * time + 0.3 * n) for n, frequency in enumerate(frequencies_hz))
    return (wave / np.abs(wave).max())[np.newaxis].astype(np.float32)


def distortion_db(limited: np.ndarray, frequencies_hz: tuple[float, ...], rate: int) -> float:
    """All but the tones themselves, relative to them, after the first second."""
    wave = limited[0, rate:].astype(np.float64)
    angles = 2 * np.pi * np.outer(np.arange(wave.size) / rate, frequencies_hz)
    basis = np.hstack([np.sin(angles), np.cos(angles)])
    window = np.hanning(wave.size)
    fitted = basis @ np.linalg.lstsq(basis * window[:, np.newaxis], wave * window)[0]
    power, rest = (np.square(window * values).sum() for values in (fitted, wave - fitted))
    return float(10 * np.log10(rest / power + 1e-15))


@pytest.mark.parametrize(
    ("frequencies_hz", "rate"),
    [((60, 100), 48_000), ((60, 100), 44_100), ((50, 80), 8_000), ((61, 97.3), 48_000), ((55, 82.4), 22_050)],
)
def test_no_fixed_limiter_intermodulates_less_on_bass(
    frequencies_hz: tuple[float, ...], rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bass = tones(frequencies_hz, 3, rate)
    limited, reduction_db = finish(limit_steps(bass, rate, 4.0, -1.0))
    assert reduction_db == pytest.approx(5, abs=0.1)
    fixed_db = []
    monkeypatch.setattr("aural.loudness.dynamics.HOLD_SECONDS", 0.0, raising=False)
    for look_ahead in (0.002, 0.005, 0.02):
        for release in (0.08, 0.2, 1.0):
            monkeypatch.setattr("aural.loudness.dynamics.LOOK_AHEAD_SECONDS", look_ahead)
            monkeypatch.setattr("aural.loudness.dynamics.RELEASE_SECONDS", release)
            fixed = finish(limit_steps(bass, rate, 4.0, -1.0))[0]
            fixed_db.append(distortion_db(fixed, frequencies_hz, rate))
    assert distortion_db(limited, frequencies_hz, rate) < min(fixed_db) + 2


@pytest.mark.parametrize("gap_seconds", [0.11, 0.25])
def test_between_drum_hits_the_gain_comes_back_as_after_a_single_one(gap_seconds: float) -> None:
    once = np.full((1, RATE), 0.1, np.float32)
    once[0, RATE // 2] = 2.0
    twice = once.copy()
    twice[0, RATE // 2 + round(gap_seconds * RATE)] = 2.0
    before = slice(0, RATE // 2 + round((gap_seconds - LOOK_AHEAD_SECONDS) * RATE) - 20)
    single, double = (
        finish(limit_steps(samples, RATE, 0.0, -1.0))[0][0, before] for samples in (once, twice)
    )
    np.testing.assert_allclose(double, single, rtol=1e-5)
    assert double[-1] > 0.08, "most of it is back before the next hit"


def test_gaps_are_bridged_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    bass = tones((60, 97.3), 3)
    whole, _ = finish(limit_steps(bass, RATE, 4.0, -1.0))
    for seconds in (1, 2):
        monkeypatch.setattr("aural.loudness.dynamics.BLOCK_SECONDS", seconds)
        blocks, _ = finish(limit_steps(bass, RATE, 4.0, -1.0))
        np.testing.assert_allclose(blocks, whole, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 50, 97])
def test_clips_shorter_than_the_look_ahead_are_limited_too(frames: int) -> None:
    limited, _ = finish(limit_steps(np.full((1, frames), 3.0, np.float32), RATE, 0.0, -1.0))
    assert limited.shape == (1, frames)
    assert true_peak(limited, RATE) < 10 ** (-0.5 / 20)


def two_levels() -> Clip:
    samples = noise(60, 0.1)
    samples[:, : 30 * RATE] *= 0.15
    return Clip(samples, RATE)


@pytest.mark.parametrize("wanted", [6.0, 10.0])
def test_riding_brings_the_loudness_range_down_to_what_was_asked(wanted: float) -> None:
    clip = two_levels()
    before = measure(clip)
    gains_db = ride_gains(before.powers, before.seconds, wanted)
    after = measure(clip.with_samples(finish(apply_gains_steps(clip.samples, RATE, gains_db))))
    assert before.range_lu is not None and before.range_lu > 15
    assert after.range_lu is not None and wanted - 0.5 < after.range_lu < wanted + 0.3


def test_riding_leaves_a_range_alone_that_is_small_enough() -> None:
    measured = measure(two_levels())
    assert not ride_gains(measured.powers, measured.seconds, 20.0).any()


def test_riding_does_not_raise_the_noise_of_long_pauses() -> None:
    samples = noise(60, 0.1)
    samples[:, 20 * RATE : 40 * RATE] *= 1e-3  # a pause 60 dB down
    samples[:, : 10 * RATE] *= 0.3
    measured = measure(Clip(samples, RATE))
    gains_db = ride_gains(measured.powers, measured.seconds, 3.0)
    assert abs(gains_db[25 * 100 : 35 * 100]).max() < 0.5
