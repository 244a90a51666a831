"""What survives the way through a spectrogram."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from aural.audio import Clip
from aural.errors import InputError, OptionError
from aural.resynthesis.pipeline import (
    Options,
    average_spectrum,
    leakage,
    resynthesize,
)

EXACT = Options(rate=None, phase="original", mel_bands=0)


def chord(rate: int = 22_050, seconds: float = 1.0) -> Clip:
    """Two channels of decaying harmonics, one a fifth above the other."""
    time = np.arange(round(seconds * rate)) / rate
    channels = [
        sum(0.2 / n * np.sin(2 * np.pi * n * pitch_hz * time) * np.exp(-2 * time) for n in range(1, 9))
        for pitch_hz in (220, 330)
    ]
    return Clip(np.array(channels, np.float32), rate)


def level_db(clip: Clip) -> float:
    return float(20 * np.log10(clip.samples.std()))


def test_original_phase_and_all_bins_give_back_the_clip() -> None:
    clip = chord(48_000)
    result = resynthesize(clip, EXACT)
    np.testing.assert_allclose(result.clip.samples, clip.samples, atol=1e-6)
    assert result.spectral_convergence_db < -120
    assert result.log_spectral_distance_db < 0.05


def test_each_thing_given_up_costs_convergence() -> None:
    clip = chord()
    exact, found_phase, few_bands = (
        resynthesize(clip, options).spectral_convergence_db
        for options in (EXACT, replace(EXACT, phase="griffin_lim"), Options(mel_bands=20))
    )
    assert exact < found_phase - 50
    assert found_phase < few_bands - 5


@pytest.mark.parametrize("phase", ["original", "griffin_lim"])
@pytest.mark.parametrize("mel_bands", [0, 80])
@pytest.mark.parametrize("rate", [None, 22_050])
def test_channels_length_rate_and_level_are_kept(phase: str, mel_bands: int, rate: int | None) -> None:
    clip = chord(44_100, 0.5)
    options = Options(phase=phase, mel_bands=mel_bands, rate=rate, iterations=8)  # type: ignore[arg-type]
    result = resynthesize(clip, options)
    assert result.clip.samples.shape == clip.samples.shape
    assert result.clip.rate == 44_100
    assert level_db(result.clip) == pytest.approx(level_db(clip), abs=1.5)


def test_spectrograms_lie_in_0_to_1_and_their_axes_tell_where() -> None:
    clip = chord()
    result = resynthesize(clip, replace(EXACT, window=2048, hop=512))
    before, after = result.spectrogram_before, result.spectrogram_after
    assert before.dtype == after.dtype == np.float32
    assert before.shape == after.shape == (len(result.frequency_hz), len(result.seconds)) == (1025, 44)
    assert 0 <= before.min() < before.max() <= 1
    assert result.seconds[-1] == pytest.approx(clip.seconds, abs=0.02)
    # The loudest row of a frame near the start is one of the two fundamentals, at 0.2 in half the channels.
    loudest = before[:, 4].argmax()
    assert min(abs(result.frequency_hz[loudest] - pitch_hz) for pitch_hz in (220, 330)) < 11
    decibels = result.floor_db + before[loudest, 4] * (result.top_db - result.floor_db)
    assert decibels == pytest.approx(20 * math.log10(0.1), abs=3)


def test_mel_spectrograms_have_rising_band_centres() -> None:
    result = resynthesize(chord(), Options(mel_bands=40, iterations=1))
    assert result.spectrogram_before.shape == (40, 86)
    assert (np.diff(result.frequency_hz) > 0).all()


def test_both_figures_follow_their_definitions() -> None:
    clip = chord()
    result = resynthesize(clip, Options(iterations=4))
    window = np.hanning(1025)[:-1]
    spectra = []
    for samples in (clip.samples, result.clip.samples):
        padded = np.pad(samples, ((0, 0), (512, 512 + 130)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, 1024, axis=1)[:, ::260]
        spectra.append(np.abs(np.fft.rfft(frames * window)))
    levels = [10 * np.log10(np.maximum(spectrum**2, 1e-8)) for spectrum in spectra]
    distance_db = np.sqrt(((levels[0] - levels[1]) ** 2).mean(axis=2)).mean()
    error = np.linalg.norm(spectra[1] - spectra[0]) / np.linalg.norm(spectra[0])
    assert result.log_spectral_distance_db == pytest.approx(distance_db, abs=0.01)
    assert result.spectral_convergence_db == pytest.approx(20 * math.log10(error), abs=0.01)


@pytest.mark.parametrize(
    "options", [EXACT, Options(), Options(rate=22_050)], ids=["exact", "mel", "resampled"]
)
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e19], ids=["silence", "constant", "faint", "huge"])
@pytest.mark.parametrize("length", [1, 3000])
def test_no_figure_is_infinite(options: Options, value: float, length: int) -> None:
    clip = Clip(np.full((1, length), value, np.float32), 48_000)
    result = resynthesize(clip, replace(options, iterations=2))
    assert math.isfinite(result.spectral_convergence_db)
    assert math.isfinite(result.log_spectral_distance_db)
    for array in (result.clip.samples, result.spectrogram_before, result.spectrogram_after):
        assert np.isfinite(array).all()
    if value == 0:
        assert not result.clip.samples.any()
        assert not result.spectrogram_after.any()
        assert (result.spectral_convergence_db, result.log_spectral_distance_db) == (-200, 0)


def test_a_seed_repeats_the_result() -> None:
    clip = chord(seconds=0.3)
    first, again, other = (resynthesize(clip, Options(iterations=2, seed=seed)).clip for seed in (1, 1, 2))
    assert np.array_equal(first.samples, again.samples)
    assert not np.allclose(first.samples, other.samples, atol=1e-3)


def test_progress_rises_to_1_and_the_work_can_be_stopped() -> None:
    shares = list(resynthesize.steps(chord(seconds=0.3), Options(iterations=5)))
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.1
    assert 0.9 < shares[-1] <= 1
    assert len(shares) >= 2 * 5
    steps = resynthesize.steps(chord(), Options(iterations=1000))
    for _ in range(3):
        next(steps)
    steps.close()
    assert next(steps, None) is None


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"phase": "guess"}, "original, griffin_lim, vocoder"),
        ({"mel_bands": 7}, "8 to 512"),
        ({"window": 32}, "64 to 16384"),
        ({"window": 1024.0}, "whole number"),
        ({"hop": 513}, "16 to 512"),
        ({"hop": 15}, "16 to 512"),
        ({"iterations": 1001}, "1 to 1000"),
        ({"momentum": 1.0}, "below 1"),
        ({"momentum": math.nan}, "from 0 to 1"),
        ({"seed": -1}, "from 0"),
        ({"rate": 1000}, "4000 to 384000"),
    ],
)
def test_a_setting_out_of_range_names_the_range(settings: dict[str, object], remedy: str) -> None:
    with pytest.raises(OptionError, match=remedy):
        Options(**settings)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:At least one mel filterbank:UserWarning")
def test_what_cannot_be_done_at_all_says_what_can() -> None:
    with pytest.raises(OptionError, match="fewer bands or a longer window"):
        resynthesize(chord(), Options(mel_bands=512, rate=None))
    with pytest.raises(InputError, match=r"limit is 5\.9 minutes of audio; the clip has 10\.0"):
        resynthesize(Clip(np.zeros((1, 600 * 48_000), np.float32), 48_000), Options(rate=None))
    with pytest.raises(InputError, match="NaN, infinite or far beyond full scale"):
        resynthesize(Clip(np.full((1, 10), np.nan, np.float32), 48_000))
    with pytest.raises(InputError, match="empty"):
        resynthesize(Clip(np.zeros((1, 0), np.float32), 48_000))


def test_the_rectangular_window_leaks_where_the_hann_window_does_not() -> None:
    picture = leakage(1024, zero_padding=8)
    far = np.abs(picture.frequency_bins - picture.sine_bins) > 50
    assert picture.rectangular_db[far].max() > -50
    assert picture.hann_db[far].max() < -110
    assert picture.rectangular_db.max() == pytest.approx(0, abs=0.05)
    assert picture.hann_db.max() == pytest.approx(0, abs=0.05)


def test_zero_padding_shows_the_peak_between_two_bins_and_changes_no_other_point() -> None:
    plain, padded = leakage(1024, zero_padding=1), leakage(1024, zero_padding=8)
    assert plain.rectangular_db.max() == pytest.approx(-3.92, abs=0.05)
    assert plain.hann_db.max() == pytest.approx(-1.42, abs=0.05)
    np.testing.assert_array_equal(plain.frequency_bins, padded.frequency_bins[::8])
    np.testing.assert_allclose(plain.rectangular_db, padded.rectangular_db[::8], atol=1e-6)


def test_a_sine_on_a_bin_does_not_leak_to_the_others() -> None:
    picture = leakage(1024, zero_padding=1, sine_bins=100)
    assert np.flatnonzero(picture.rectangular_db > -200).tolist() == [100]


def test_a_full_scale_sine_averages_to_0_db_at_its_frequency() -> None:
    rate, window, tone_bin = 48_000, 4096, 200
    time = np.arange(20 * rate)
    sine = np.sin(2 * np.pi * tone_bin / window * time).astype(np.float32)
    spectrum = average_spectrum(Clip(np.stack([sine, sine]), rate), window)
    assert spectrum.level_db.argmax() == tone_bin
    assert spectrum.level_db[tone_bin] == pytest.approx(0, abs=0.01)
    assert spectrum.frequency_hz[tone_bin] == tone_bin * rate / window


def test_an_average_spectrum_in_pieces_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).standard_normal((1, 30_000)).astype(np.float32)
    whole = average_spectrum(Clip(noise, 8000), 512)
    monkeypatch.setattr("aural.resynthesis.pipeline.PIECE_FRAMES", 7)
    np.testing.assert_allclose(average_spectrum(Clip(noise, 8000), 512).level_db, whole.level_db, atol=1e-3)


@pytest.mark.parametrize("length", [1, 100, 4095, 4097])
def test_short_and_silent_clips_have_a_finite_average_spectrum(length: int) -> None:
    silent = average_spectrum(Clip(np.zeros((2, length), np.float32), 44_100))
    assert (silent.level_db == -200).all()
    assert np.isfinite(average_spectrum(Clip(np.ones((2, length), np.float32), 44_100)).level_db).all()
