"""Sinc interpolation: lengths, tones, stop bands and streams, compared with soxr."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from itertools import cycle

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from aural.errors import OptionError
from aural.superres.sinc import SincStream, at, resample, resampled_length

# A few phases, many, none that repeats; up, down, far up, far down.
RATES = [
    (8_000, 48_000),
    (44_100, 48_000),
    (48_000, 44_100),
    (48_000, 8_000),
    (17_300, 48_000),
    (44_100, 47_953),
    (96_000, 47_953),
    (44_100.5, 1e4 * math.pi),
    (4_000, 192_000),
    (192_000, 4_000),
]


def noise(frames: int, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    return (0.2 * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def tone(hz: float, rate: float, seconds: float = 0.5) -> NDArray[np.float32]:
    """A sine that begins at time 0, fading in and out so that it has no other frequencies."""
    time = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hz * time) * np.hanning(time.size) ** 2)[np.newaxis].astype(np.float32)


def decibels(error: NDArray[np.float32], signal: NDArray[np.float32]) -> float:
    return float(20 * np.log10(np.linalg.norm(error.astype(np.float64)) / np.linalg.norm(signal) + 1e-20))


@pytest.mark.parametrize("frames", [0, 1, 2, 7, 100, 4_799])
@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_the_length_is_the_duration_times_the_rate(frames: int, rate_in: float, rate_out: float) -> None:
    made = resample(np.ones((2, frames), np.float32), rate_in, rate_out)
    assert made.shape == (2, max(round(frames * rate_out / rate_in), min(frames, 1)))
    assert made.dtype == np.float32 and np.isfinite(made).all()


def test_the_same_rate_returns_the_very_samples() -> None:
    samples = noise(100)
    assert resample(samples, 48_000, 48_000) is samples
    stream = SincStream(48_000, 48_000, channels=1)
    assert np.array_equal(np.concatenate((stream.push(samples), stream.finish()), axis=1), samples)
    assert stream.look_ahead_seconds == 0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.91])
@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_tones_keep_frequency_level_and_time(rate_in: float, rate_out: float, share: float) -> None:
    hz = share * min(rate_in, rate_out) / 2
    made = resample(tone(hz, rate_in), rate_in, rate_out)
    times = np.arange(made.shape[1]) / rate_out
    last = (round(0.5 * rate_in) - 1) / rate_in
    wanted = np.sin(2 * np.pi * hz * times) * np.sin(np.pi * times / last) ** 4
    assert decibels((made[0] - wanted)[times < last], wanted) < -105


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(rate_in, rate_out) for rate_in, rate_out in RATES if rate_in > rate_out]
)
def test_frequencies_above_a_lower_rate_are_removed(rate_in: float, rate_out: float) -> None:
    for hz in np.geomspace(1.01 * rate_out / 2, 0.98 * rate_in / 2, 4):
        heard = tone(hz, rate_in)
        assert decibels(resample(heard, rate_in, rate_out), heard) < -100


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(rate_in, rate_out) for rate_in, rate_out in RATES if rate_in < rate_out]
)
def test_what_a_higher_rate_has_room_for_stays_empty(rate_in: float, rate_out: float) -> None:
    made = resample(noise(round(0.3 * rate_in)), rate_in, rate_out)[0]
    window = np.blackman(made.size) ** 2
    power = np.abs(np.fft.rfft(made * window)) ** 2
    hz = np.fft.rfftfreq(made.size, 1 / rate_out)
    empty = power[hz > rate_in / 2 * 1.01]
    # Of what is rounded to float32, -150 dB are left over.
    if empty.size:
        assert 10 * np.log10(empty.sum() / power.sum()) < -100


@pytest.mark.parametrize(("rate_in", "rate_out"), [(8_000, 48_000), (44_100, 48_000), (48_000, 16_000)])
def test_within_the_band_it_is_what_soxr_makes(rate_in: int, rate_out: int) -> None:
    low = min(rate_in, rate_out)
    spectrum = np.fft.rfft(noise(rate_in)[0])
    spectrum[round(0.6 * low / 2) :] = 0  # one bin is a Hertz; above, soxr droops by 0.001 dB
    heard = (np.fft.irfft(spectrum) * np.hanning(rate_in))[np.newaxis].astype(np.float32)
    made = resample(heard, rate_in, rate_out)
    wanted = soxr.resample(heard[0], rate_in, rate_out, quality="VHQ")[np.newaxis, : made.shape[1]]
    assert decibels(made - wanted, wanted) < -100


def test_channels_do_not_touch_each_other() -> None:
    samples = noise(5_000, channels=3) * np.array([[1], [0], [1]], np.float32)
    made = resample(samples, 44_100, 48_000)
    assert not made[1].any()
    np.testing.assert_allclose(made[2:], resample(samples[2:], 44_100, 48_000), atol=1e-6)


@pytest.mark.parametrize("sizes", [(1,), (7,), (480,), (10_000,), (0, 1, 1_000, 3)])
@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_a_stream_gives_what_the_whole_gives(rate_in: float, rate_out: float, sizes: tuple[int, ...]) -> None:
    frames = 200 if sizes == (1,) else 6_000
    samples = noise(frames, channels=2)
    stream = SincStream(rate_in, rate_out, channels=2)
    pieces, start = [], 0
    for size in cycle(sizes):
        pieces.append(stream.push(samples[:, start : start + size]))
        start += size
        # What could be known is there.
        known_seconds = (min(start, frames) - 1) / rate_in - stream.look_ahead_seconds
        assert sum(piece.shape[1] for piece in pieces) >= math.floor(known_seconds * rate_out)
        if start >= frames:
            break
    pieces.append(stream.finish())
    whole = resample(samples, rate_in, rate_out)
    joined = np.concatenate(pieces, axis=1)
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-6)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_outputs_depend_on_nothing_beyond_the_look_ahead(rate_in: float, rate_out: float) -> None:
    samples = noise(4_000)
    other = samples.copy()
    other[:, 3_000:] += 1
    made, changed = (resample(values, rate_in, rate_out)[0] for values in (samples, other))
    times = np.arange(made.size) / rate_out
    look_ahead = SincStream(rate_in, rate_out, channels=1).look_ahead_seconds
    before = times < 3_000 / rate_in - look_ahead
    np.testing.assert_allclose(made[before], changed[before], atol=1e-6)
    after = times > 3_000 / rate_in
    assert np.abs(made[after] - changed[after]).max() > 0.5


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44_100, 48_000), (48_000, 47_953)])
def test_the_memory_of_a_stream_does_not_grow(rate_in: int, rate_out: int) -> None:
    stream = SincStream(rate_in, rate_out, channels=1)
    held = []
    for _ in range(20):
        stream.push(np.zeros((1, rate_in), np.float32))
        held.append(len(pickle.dumps(stream)))
    assert held[-1] <= held[0] + 100


@pytest.mark.parametrize("rate_out", [192_000, 47_953])
def test_at_any_time_it_is_the_function_that_resampling_takes_evenly(rate_out: int) -> None:
    samples = noise(500, channels=2)
    made = resample(samples, 8_000, rate_out)
    times = np.arange(made.shape[1]) / rate_out
    order = np.random.default_rng(0).permutation(times.size)
    np.testing.assert_allclose(at(samples, 8_000, times[order]), made[:, order], atol=1e-5)


def test_at_the_samples_times_it_is_the_samples_and_far_outside_silence() -> None:
    samples = tone(1_000, 8_000)
    times = np.arange(samples.shape[1]) / 8_000
    np.testing.assert_allclose(at(samples, 8_000, times), samples, atol=1e-5)
    between = (times[:-1] + times[1:]) / 2
    duration = times[-1]
    wanted = np.sin(2 * np.pi * 1_000 * between) * np.sin(np.pi * between / duration) ** 4
    np.testing.assert_allclose(at(samples, 8_000, between)[0], wanted, atol=1e-5)
    assert not at(samples, 8_000, np.array([-0.1, 0.7])).any()


@pytest.mark.parametrize("rate", [0, -48_000, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(OptionError, match="finite and above 0"):
        resample(noise(10), 48_000, rate)
    with pytest.raises(OptionError, match="finite and above 0"):
        SincStream(rate, 48_000, channels=1)


def test_the_length_law_for_odd_ratios() -> None:
    assert resampled_length(10_000, 11_025, 26_129) == round(10_000 * 26_129 / 11_025)
    assert [resampled_length(frames, 48_000, 4_000) for frames in (0, 1, 5, 18, 19)] == [0, 1, 1, 2, 2]


def test_no_model_library_is_imported_with_the_slice() -> None:
    code = (
        "import sys; from aural.superres import pipeline, streaming, sinc; "
        "assert not {'torch', 'scipy.signal'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
