"""What an ear notices, on signals whose true value is known."""

from __future__ import annotations

import numpy as np
import pytest

from aural.audio.clip import Clip, Samples
from aural.errors import InputError
from aural.evaluation.signal_metrics import (
    active_level,
    band_centres_hz,
    band_correlation,
    band_level_errors_db,
    clip_level_dbfs,
    floor_step_db,
    harmonics_to_noise_db,
    loudness_change_lu,
    silence_rate,
)

RATE = 48_000
SECONDS = 3


def noise(channels: int = 1, seed: int = 0) -> Samples:
    """White, with a root mean square of 0.1."""
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal((channels, SECONDS * RATE))).astype(np.float32)


def filtered(samples: Samples, gain: float, low_hz: float, high_hz: float) -> Samples:
    """With a gain between two frequencies."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    hz = np.fft.rfftfreq(samples.shape[1], 1 / RATE)
    spectrum[:, (hz >= low_hz) & (hz < high_hz)] *= gain
    return np.fft.irfft(spectrum, samples.shape[1]).astype(np.float32)


def test_the_level_of_a_band_is_off_by_its_gain_and_no_other() -> None:
    reference = noise()
    half = 2 ** (1 / 6)
    for centre in (250.0, 1_000.0, 8_000.0):
        errors = band_level_errors_db(filtered(reference, 0.5, centre / half, centre * half), reference, RATE)
        nearest = min(errors, key=lambda hz: abs(hz - centre))
        assert errors.pop(nearest) == pytest.approx(-6.02, abs=0.8 if centre < 500 else 0.2)
        # The window smears the edges of a narrow band.
        far = [error for hz, error in errors.items() if not 0.7 < hz / centre < 1.4]
        assert far == pytest.approx(np.zeros(len(far)), abs=0.05)


@pytest.mark.parametrize("bands_per_octave", [1, 3])
def test_a_gain_is_the_error_of_every_band(bands_per_octave: int) -> None:
    errors = band_level_errors_db(2 * noise(2), noise(2), RATE, bands_per_octave)
    assert tuple(errors) == band_centres_hz(bands_per_octave)
    assert list(errors.values()) == pytest.approx(np.full(len(errors), 6.02), abs=0.01)


def test_only_active_frames_and_bands_that_are_there_count() -> None:
    reference = filtered(noise(), 0.0, 4_000, RATE)
    reference[:, RATE:] *= 0.001  # pauses
    other = reference.copy()
    other[:, RATE + 4_096 :] *= 30  # their noise is louder
    errors = band_level_errors_db(other, reference, RATE)
    assert 3_900 < max(errors) < 5_100
    assert list(errors.values()) == pytest.approx(np.zeros(len(errors)), abs=0.01)
    assert max(band_level_errors_db(noise(), noise(), RATE, high_hz=8_000)) == 8_000
    with pytest.raises(InputError, match=r"silent.*Leave silent clips out\."):
        band_level_errors_db(reference, 0 * reference, RATE)
    with pytest.raises(InputError, match=r"Align them first\."):
        band_level_errors_db(reference[:, 1:], reference, RATE)


def test_the_active_level_ignores_pauses_and_is_0_for_silence() -> None:
    samples = noise()
    samples[:, RATE:] *= 1e-4
    assert active_level(samples, RATE) == pytest.approx(0.1, rel=0.02)
    assert clip_level_dbfs(samples, RATE) == pytest.approx(-20, abs=0.2)
    assert active_level(0 * samples, RATE) == 0 and clip_level_dbfs(0 * samples, RATE) == -200


def test_the_loudness_change_is_the_difference_of_two_readings() -> None:
    def meter(clip: Clip) -> float | None:
        return float(20 * np.log10(np.std(clip.samples))) if clip.samples.any() else None

    soft, loud = Clip(noise(), RATE), Clip(2 * noise(), RATE)
    assert loudness_change_lu(loud, soft, meter) == pytest.approx(6.02, abs=0.01)
    with pytest.raises(InputError, match=r"no loudness"):
        loudness_change_lu(soft, Clip(0 * noise(), RATE), meter)


@pytest.mark.parametrize("cutoff_hz", [4_000.0, 8_000.0, 12_000.0])
def test_a_floor_that_goes_on_has_no_step_and_one_that_falls_has_its_gain(cutoff_hz: float) -> None:
    floor = noise()
    voice = filtered(noise(seed=1), 0.0, cutoff_hz, RATE)
    voice[:, : RATE // 2] = 0  # a pause: only the floor is heard
    assert floor_step_db(floor + 10 * voice, RATE, cutoff_hz) == pytest.approx(0, abs=1)
    lower = filtered(floor, 0.1, cutoff_hz, RATE)
    assert floor_step_db(lower + 10 * voice, RATE, cutoff_hz) == pytest.approx(-20, abs=1)


def test_a_floor_needs_room_above_the_cut_off() -> None:
    with pytest.raises(InputError, match=r"Choose another cut-off\."):
        floor_step_db(noise(), RATE, 23_000)


def test_the_correlation_is_that_of_the_band_alone() -> None:
    left, right = noise(2)
    mono, wide, inverted = (np.stack((left, other)) for other in (left, right, -left))
    assert band_correlation(mono, RATE, 8_000, 16_000) == pytest.approx(1)
    assert band_correlation(inverted, RATE, 8_000, 16_000) == pytest.approx(-1)
    assert band_correlation(wide, RATE, 8_000, 16_000) == pytest.approx(0, abs=0.03)
    split = filtered(wide, 0, 8_000, RATE) + filtered(mono, 0, 0, 8_000)
    assert band_correlation(split, RATE, 8_000, 16_000) == pytest.approx(1)
    assert abs(band_correlation(split, RATE, 0, 8_000)) < 0.03
    # A share s of common power gives the correlation s.
    shared = np.stack((left, 0.6 * left + 0.8 * right))
    assert band_correlation(shared, RATE, 8_000, 16_000) == pytest.approx(0.6, abs=0.03)
    for samples, words in ((mono[:1], "two channels"), (0 * mono, "silent in this band")):
        with pytest.raises(InputError, match=words):
            band_correlation(samples, RATE, 8_000, 16_000)


@pytest.mark.parametrize("pitch_hz", [110.0, 220.0, 523.0])
@pytest.mark.parametrize("ratio_db", [5.0, 10.0, 20.0])
def test_harmonics_to_noise_is_the_ratio_that_was_mixed(pitch_hz: float, ratio_db: float) -> None:
    time = np.arange(SECONDS * RATE) / RATE
    numbers = np.arange(1, int(8_000 / pitch_hz))
    tone = sum(np.sin(2 * np.pi * number * pitch_hz * time + number**2) / number for number in numbers)
    hiss = filtered(noise(), 0.0, 8_000, RATE)[0].astype(np.float64)
    mixed = tone / np.std(tone) + 10 ** (-ratio_db / 20) * hiss / np.std(hiss)
    assert harmonics_to_noise_db(mixed[None].astype(np.float32), RATE) == pytest.approx(ratio_db, abs=0.8)


def test_noise_has_no_harmonics_and_a_tone_no_noise() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)[None]
    assert harmonics_to_noise_db(tone, RATE) > 40
    assert harmonics_to_noise_db(noise(), RATE) < 0
    with pytest.raises(InputError, match=r"Choose a longer clip\."):
        harmonics_to_noise_db(tone[:, :1_000], RATE)


def test_the_silence_rate_counts_clips_that_never_sound() -> None:
    click = 0 * noise()
    click[:, RATE : RATE + 2_400] = 0.01
    clips = [noise(), 1e-4 * noise(), 0 * noise(), click]
    assert silence_rate(clips, RATE) == 0.5
    with pytest.raises(InputError, match=r"Add some\."):
        silence_rate([], RATE)
