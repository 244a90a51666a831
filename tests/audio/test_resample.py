"""Band-limited resampling."""

import itertools
import math

import numpy as np
import pytest
import soxr

from aural.audio import Clip
from aural.audio.clip import Samples
from aural.audio.resample import BLOCK, ResampleStream, resample, resample_samples
from aural.errors import OptionError


def tone(frequency_hz: float, rate: float, seconds: float = 2.0) -> Samples:
    phase = 2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate
    return np.sin(phase + 0.3)[np.newaxis].astype(np.float32)


def level_db(samples: Samples, rate: float) -> float:
    """Level of a sine, its ends left out, against full scale."""
    middle = samples[0, round(0.2 * rate) : -round(0.2 * rate)].astype(np.float64)
    return 20 * math.log10(max(math.sqrt(2 * np.mean(middle**2)), 1e-20))


def spectrum_db(samples: Samples) -> np.ndarray:
    """Amplitudes against full scale, by a window whose side lobes are below -180 dB."""
    window = np.kaiser(samples.shape[1], 28)
    amplitudes = np.abs(np.fft.rfft(samples[0] * window)) * 2 / window.sum()
    return 20 * np.log10(amplitudes + 1e-20)


@pytest.mark.parametrize(
    ("rate_in", "rate_out", "frequency_hz"),
    [(48_000, 16_000, 10_000), (48_000, 16_000, 8_100), (96_000, 44_100, 30_000), (44_100, 8_000, 4_001)],
)
def test_the_alias_of_a_tone_beyond_the_band_stays_below_100_db(
    rate_in: int, rate_out: int, frequency_hz: float
) -> None:
    assert level_db(resample_samples(tone(frequency_hz, rate_in), rate_in, rate_out), rate_out) < -100


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44_100, 47_953), (16_000, 48_000), (44_100, 48_000.5)])
def test_images_stay_below_100_db(rate_in: float, rate_out: float) -> None:
    frequency_hz = 0.4 * rate_in
    spectrum = spectrum_db(resample_samples(tone(frequency_hz, rate_in), rate_in, rate_out))
    peak = round(frequency_hz / (rate_out / 2) * (len(spectrum) - 1))
    assert spectrum[peak - 3 : peak + 4].max() == pytest.approx(0, abs=0.1)
    spectrum[peak - 60 : peak + 61] = -200
    assert spectrum.max() < -100


@pytest.mark.parametrize("rate_out", [8_000, 16_000, 47_953, 96_000])
def test_a_tone_within_the_band_keeps_its_level(rate_out: int) -> None:
    for part_of_band in (0.01, 0.3, 0.85):
        frequency_hz = part_of_band * min(rate_out, 44_100) / 2
        level = level_db(resample_samples(tone(frequency_hz, 44_100), 44_100, rate_out), rate_out)
        assert level == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("rate_out", [16_000, 44_100, 47_953, 96_000.25])
def test_a_click_stays_at_its_time(rate_out: float) -> None:
    at_seconds, width_seconds = 0.51234, 1e-3

    def click(rate: float, frames: int) -> Samples:
        seconds = np.arange(frames) / rate - at_seconds
        return np.exp(-((seconds / width_seconds) ** 2))[np.newaxis].astype(np.float32)

    moved = resample_samples(click(48_000, 48_000), 48_000, rate_out)
    # A shift by a hundredth of a sample would show as 1e-2 / rate_out / width_seconds.
    np.testing.assert_allclose(moved, click(rate_out, moved.shape[1]), atol=1e-2 / rate_out / width_seconds)


@pytest.mark.parametrize("frames", [1, 2, 3, 10, 1_001, 44_100])
@pytest.mark.parametrize(
    ("rate_in", "rate_out"),
    [
        (44_100, 47_953),
        (48_000, 16_000),
        (2, 3),
        (4_000, 384_000),
        (384_000, 4_000),
        (44_100.5, 1e4 * math.pi),
    ],
)
def test_the_length_is_the_duration_times_the_rate(frames: int, rate_in: float, rate_out: float) -> None:
    resampled = resample_samples(np.ones((2, frames), np.float32), rate_in, rate_out)
    assert resampled.shape == (2, max(round(frames * rate_out / rate_in), 1))
    assert np.isfinite(resampled).all()
    assert resampled.any()


def test_dc_stays_as_it_is() -> None:
    resampled = resample_samples(np.full((1, 20_000), 0.25, np.float32), 44_100, 47_953)
    np.testing.assert_allclose(resampled[:, 2_000:-2_000], 0.25, atol=1e-6)


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44_100, 48_000), (48_000, 600), (8_000, 47_953.5)])
def test_any_blocks_give_the_samples_of_the_whole(rate_in: float, rate_out: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, BLOCK + 1_000)).astype(np.float32)
    silence = np.zeros(math.ceil(rate_in / rate_out), np.float32)
    whole = resample_samples(noise, rate_in, rate_out)
    for row, channel in zip(whole, noise, strict=True):  # what soxr gives at once
        at_once = soxr.resample(np.append(channel, silence), rate_in, rate_out, quality="VHQ")
        assert np.array_equal(row, at_once[: row.size])
    stream, borders = ResampleStream(2, rate_in, rate_out), [0, 1, 1, 5_000, 100_000, noise.shape[1]]
    blocks = [noise[:, start:stop] for start, stop in itertools.pairwise(borders)]
    made = [stream.push(block, is_last=number == len(blocks)) for number, block in enumerate(blocks, 1)]
    assert np.array_equal(np.concatenate(made, axis=1), whole)


def test_channels_do_not_touch_each_other() -> None:
    samples = np.concatenate([tone(440, 44_100), 0 * tone(440, 44_100), tone(1_000, 44_100)])
    resampled = resample_samples(samples, 44_100, 48_000)
    assert not resampled[1].any()
    np.testing.assert_array_equal(resampled[2:], resample_samples(samples[2:], 44_100, 48_000))


def test_a_clip_keeps_its_layout_and_the_same_rate_changes_nothing() -> None:
    clip = Clip(np.ones((6, 4_410), np.float32), 44_100, "5.1(side)")
    assert resample(clip, 44_100) is clip
    other = resample(clip, 47_953)
    assert (other.rate, other.samples.shape, other.layout) == (47_953, (6, 4_795), "5.1(side)")


@pytest.mark.parametrize("rate", [0, -48_000, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(OptionError, match="finite and above 0"):
        resample_samples(np.ones((1, 10), np.float32), 48_000, rate)


def test_samples_of_double_precision_are_taken_too() -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal((2, 3_000))
    single = resample_samples(samples.astype(np.float32), 44_100, 48_000)
    assert np.array_equal(resample_samples(samples, 44_100, 48_000), single)  # type: ignore[arg-type]
