"""Repair: what nobody hears decides over nothing, and what somebody hears stays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from aural.audio import Clip
from aural.audio.repair import WithoutLows, mend_damaged, remove_rumble, repair
from aural.audio.steps import Run

RATE = 48_000
Sound = NDArray[np.float64]


def time(seconds: float, rate: int = RATE) -> Sound:
    return np.arange(round(seconds * rate)) / rate


def speech(seconds: float = 4.0, rate: int = RATE) -> Sound:
    """Syllables of a voice of 120 Hz, at about -38 dBFS."""
    t = time(seconds, rate)
    buzz = sum(np.sin(2 * np.pi * 120 * n * t + n) / n for n in range(1, 20))
    return np.asarray(0.02 * np.maximum(0.02, np.sin(2 * np.pi * 2.5 * t)) * buzz)


def band_noise(low_hz: float, high_hz: float, seconds: float = 4.0, seed: int = 0) -> Sound:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    filtered = sosfilt(butter(6, (low_hz, high_hz), "bandpass", fs=RATE, output="sos"), noise)
    return np.asarray(filtered / filtered.std())


def clip(*channels: Sound, rate: int = RATE) -> Clip:
    return Clip(np.array(channels, np.float32), rate)


def level_db(samples: NDArray[np.float32] | Sound) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


LOWS = {
    "an offset": lambda: np.full(4 * RATE, 0.4),
    "a small offset": lambda: np.full(4 * RATE, -0.004),
    "a tone of 12 Hz": lambda: 0.3 * np.sin(2 * np.pi * 12 * time(4)),
    "a tone of 18 Hz": lambda: 0.3 * np.sin(2 * np.pi * 18 * time(4)),
    "a tone of 30 Hz": lambda: 0.3 * np.sin(2 * np.pi * 30 * time(4)),
    "hum": lambda: 0.1 * np.sin(2 * np.pi * 50 * time(4)),
    "traffic": lambda: 0.1 * band_noise(15, 50),
    "a steady noise": lambda: 0.1 * band_noise(35, 50),
    "a thump": lambda: 0.8 * np.exp(-np.square((time(4) - 1) / 0.04)) * np.sin(2 * np.pi * 25 * time(4)),
}


@pytest.mark.parametrize("name", LOWS)
def test_lows_below_hearing_are_removed_and_the_voice_stays(name: str) -> None:
    voice = speech()
    cleaned, removed = remove_rumble(clip(voice + LOWS[name]()))
    assert removed
    assert level_db(cleaned.samples[0] - voice) < level_db(voice) - 10
    assert np.abs(cleaned.samples).max() < 1.12 * np.abs(voice).max()  # 1 dB


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("seconds", [0.5, 11.3])
def test_any_rate_and_length_loses_its_offset(rate: int, seconds: float) -> None:
    voice = speech(seconds, rate)
    cleaned, removed = remove_rumble(clip(voice + 0.4, rate=rate))
    assert removed == "DC offset"
    assert level_db(cleaned.samples[0] - voice) < level_db(voice) - 25


@pytest.mark.parametrize("frames", [1, 2, 767])
def test_the_shortest_clips_go_through(frames: int) -> None:
    cleaned, _ = remove_rumble(clip(np.full(frames, 0.25)))
    assert cleaned.samples.shape == (1, frames)
    assert np.abs(cleaned.samples).max() <= 0.26


def drum(bpm: float, hz: float) -> Sound:
    since = (time(6) * bpm / 60 % 1) * 60 / bpm
    return np.asarray(0.7 * np.exp(-since / 0.08) * np.sin(2 * np.pi * hz * since))


def bass_line() -> Sound:
    notes_hz = np.repeat([41.2, 55, 49, 46.2, 61.7, 36.7, 43.7, 41.2, 55, 51.9, 38.9, 41.2], RATE // 2)
    return np.asarray(0.5 * np.sin(2 * np.pi * np.cumsum(notes_hz) / RATE))


def brown_noise() -> Sound:
    noise = np.cumsum(band_noise(0.1, 8_000, 6, seed=1))
    filtered = sosfilt(butter(4, 25, "highpass", fs=RATE, output="sos"), noise)
    return np.asarray(0.1 * filtered / filtered.std())


MUSIC = {
    "a drum": lambda: drum(120, 50),
    "a deep drum": lambda: drum(90, 45),
    "a bass line": bass_line,
    "a voice": lambda: speech(6),
    "one tone of 40 Hz": lambda: 0.5 * np.sin(2 * np.pi * 40 * time(6)),
    "brown noise": brown_noise,
}


@pytest.mark.parametrize("hiss", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("name", MUSIC)
def test_music_and_clean_speech_keep_every_bit(name: str, hiss: float) -> None:
    hats = hiss * band_noise(4_000, 12_000, 6) * (np.sin(2 * np.pi * 4 * time(6)) > 0)
    if name in ("one tone of 40 Hz", "brown noise") and hiss:
        pytest.skip("a steady low beside another sound is a hum")
    sound = clip(MUSIC[name]() + hats)
    cleaned, removed = remove_rumble(sound)
    assert cleaned is sound and not removed


def test_the_channel_of_effects_keeps_its_lows_and_loses_its_offset() -> None:
    effects = 0.5 * np.sin(2 * np.pi * 30 * time(4))
    cleaned, removed = remove_rumble(clip(speech() + 0.3, effects + 0.2), spared=(1,))
    assert removed == "DC offset"
    np.testing.assert_allclose(cleaned.samples[1], effects, atol=1e-4)


def test_channels_keep_their_time_and_polarity() -> None:
    voice = speech()
    cleaned, _ = remove_rumble(clip(voice + 0.4, -voice + 0.1, 0.5 * voice))
    for samples, gain in zip(cleaned.samples, (1, -1, 0.5), strict=True):
        np.testing.assert_allclose(samples, gain * voice, atol=2e-4)


def test_the_level_without_lows_is_that_of_the_voice() -> None:
    loud = WithoutLows(clip(speech() + 0.4 + 0.3 * np.sin(2 * np.pi * 40 * time(4))))
    assert level_db(np.concatenate(list(loud), axis=1)) == pytest.approx(level_db(speech()), abs=0.3)


@pytest.mark.parametrize("value", [1.0, -30.0, 10 ** (85 / 20), -1e15])
@pytest.mark.parametrize("rate", [8_000, RATE])
def test_a_damaged_sample_is_mended(value: float, rate: int) -> None:
    voice = speech(2, rate)
    for frame in (0, rate // 3, voice.size - 1):
        damaged = voice.copy()
        damaged[frame] = value
        mended, count = mend_damaged(clip(damaged, voice, rate=rate))
        assert count == 1
        np.testing.assert_allclose(mended.samples[0], voice, atol=0.03)
        assert np.array_equal(mended.samples[1], voice.astype(np.float32))


def test_several_damaged_samples_are_mended_and_counted() -> None:
    voice = speech()
    damaged = voice.copy()
    damaged[[1_000, 1_001, 30_000, 90_000]] = 100, -100, 3, 1e6
    result = repair(clip(damaged))
    assert result.message == "4 damaged samples mended."
    np.testing.assert_allclose(result.clip.samples[0], voice, atol=0.03)


def test_sounds_that_are_short_and_loud_are_no_damage() -> None:
    lone = np.zeros(RATE)
    lone[500] = 1
    burst = speech()
    burst[RATE : RATE + 48] += 0.9 * np.hanning(48)  # 1 ms, 25 dB above the voice
    loud = np.random.default_rng(0).standard_normal(RATE)
    for sound in (clip(lone), clip(burst), clip(loud), clip(np.zeros(RATE)), clip(speech())):
        mended, count = mend_damaged(sound)
        assert mended is sound and count == 0


def test_steps_rise_to_1() -> None:
    with Run(repair.steps(clip(speech(25) + 0.4))) as run:
        shares = list(run)
    assert shares == sorted(shares) and len(shares) == 3 and shares[-1] == 1
    assert run.result.message == "DC offset removed."
