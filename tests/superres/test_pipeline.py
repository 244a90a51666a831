"""Super-resolution around the networks: length, level, stereo image and band stay; limits are reported."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aural import hub
from aural.audio import Clip
from aural.audio.comparison import log_spectral_distance, snr_db
from aural.audio.decode import Limits
from aural.errors import InputError, OptionError
from aural.superres import pipeline
from aural.superres.pipeline import METHODS, Method, Options, super_resolve
from aural.superres.sinc import resample
from aural.superres.streaming import Streamer
from tests.superres.tiny import write_checkpoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoints(folder)
    return folder


@pytest.fixture(autouse=True)
def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_models", {})
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(folder))


def sound(seconds: float, rate: int, channels: int = 1, band_hz: float = math.inf, seed: int = 0) -> Clip:
    """Noise up to the end of a band, or of the rate; different in every channel."""
    frames = round(seconds * rate)
    white = np.random.default_rng(seed).standard_normal((channels, frames))
    spectrum = np.fft.rfft(white) * (np.fft.rfftfreq(frames, 1 / rate) < band_hz)
    return Clip((0.1 * np.fft.irfft(spectrum, frames)).astype(np.float32), rate)


def spectrum_of(samples: NDArray[np.float32]) -> NDArray[np.complex128]:
    values: NDArray[np.complex128] = np.fft.rfft(samples * np.blackman(samples.shape[-1]))
    return values


@pytest.mark.parametrize("frames", [441, 4_411, 10_007])
@pytest.mark.parametrize(
    "options",
    [
        {"rate": 48_000},
        {"rate": 44_100},
        {"rate": 47_953},
        {"rate": 96_001},
        {"factor": 2.37},
        {"factor": math.pi},
        {},
    ],
)
def test_the_length_is_that_of_the_input_times_the_ratio(frames: int, options: dict[str, Any]) -> None:
    clip = sound(frames / 11_025, 11_025)
    made = super_resolve(clip, Options(**options)).clip
    factor = options.get("factor")
    rate = round(11_025 * factor) if factor else options.get("rate", 48_000)
    assert made.rate == rate
    assert made.frames == round(frames * rate / 11_025)
    assert np.isfinite(made.samples).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000, 384_000])
def test_a_ratio_of_one_with_nothing_missing_returns_the_very_samples(rate: int, method: Method) -> None:
    clip = sound(0.2, rate, channels=2)
    result = super_resolve(clip, Options(factor=1.0, method=method))
    assert result.clip.rate == rate
    assert np.array_equal(result.clip.samples, clip.samples)
    assert result.filled_hz is None
    assert "no change" in result.message
    assert not hub.loaded()


def test_a_missing_band_is_filled_at_the_same_rate() -> None:
    clip = sound(1.0, 48_000, channels=2, band_hz=6_000)
    result = super_resolve(clip)
    assert result.is_limited
    assert result.bandwidth_hz == pytest.approx(6_000, rel=0.05)
    assert result.filled_hz == (result.bandwidth_hz, 20_000)
    assert "6–" in result.message and "untouched" in result.message
    own, made = spectrum_of(clip.samples), spectrum_of(result.clip.samples)
    hz = np.fft.rfftfreq(clip.frames, 1 / 48_000)
    below, above = hz < 0.85 * result.bandwidth_hz, hz > 6_500
    assert np.linalg.norm((made - own)[:, below]) < 1e-4 * np.linalg.norm(own[:, below])
    assert np.linalg.norm(made[:, above]) > 100 * np.linalg.norm(own[:, above])


@pytest.mark.parametrize(
    ("rate", "new_rate", "method"),
    [
        (48_000, 48_000, "default"),
        (44_100, 48_000, "default"),
        (16_000, 24_000, "default"),
        (48_000, 48_000, "sinc"),
        (16_000, 16_000, "lisa"),
    ],
)
def test_a_narrow_passage_is_filled_and_the_rest_is_as_without_it(
    rate: int, new_rate: int, method: Method
) -> None:
    host, guest = sound(3.0, rate, 2), sound(5.5, rate, 2, band_hz=3_400, seed=1)
    clip = Clip(np.concatenate((host.samples, guest.samples, host.samples), axis=1), rate)
    result = super_resolve(clip, Options(rate=new_rate, method=method))
    made, plain = result.clip.samples, clip.samples
    if rate != new_rate:
        plain = super_resolve(clip, Options(rate=new_rate, method=method, bandwidth_hz=rate / 2)).clip.samples
    assert made.shape == plain.shape
    assert len(result.passages) == 1
    assert "From 0:03 to 0:08 the band ends at 3.4 kHz" in result.message
    figures = result.figures()["passages"][0]
    assert figures["start_seconds"] == pytest.approx(3.0, abs=0.1)
    assert figures["end_seconds"] == pytest.approx(8.5, abs=0.1)
    assert figures["bandwidth_hz"] == pytest.approx(3_400, rel=0.05)
    away = np.r_[: round(2.9 * new_rate), round(8.6 * new_rate) : made.shape[1]]
    np.testing.assert_allclose(made[:, away], plain[:, away], atol=1e-6)
    inside = slice(4 * new_rate, 8 * new_rate)
    own, filled = spectrum_of(plain[:, inside]), spectrum_of(made[:, inside])
    hz = np.fft.rfftfreq(4 * new_rate, 1 / new_rate)
    if method == "sinc":
        assert "generated" not in result.message
        np.testing.assert_allclose(made, plain, atol=1e-6)
        return
    assert "the highs above were generated" in result.message and ": no change." not in result.message
    above = (hz > 4_000) & (hz < 7_500)
    assert np.linalg.norm(filled[:, above]) > 10 * np.linalg.norm(own[:, above])
    if method == "default":
        below = hz < 0.8 * 3_400
        assert np.linalg.norm((filled - own)[:, below]) < 1e-3 * np.linalg.norm(own[:, below])
        added = np.abs(made - plain)  # fades in and out
        ends = [
            round(figures[name] * new_rate) + offset
            for name, offset in (("start_seconds", 0), ("end_seconds", -48))
        ]
        assert all(added[:, end : end + 48].max() < 0.1 * added[:, inside].max() for end in ends)


def test_many_passages_are_named_briefly() -> None:
    host, guest = sound(1.0, 16_000), sound(5.0, 16_000, band_hz=3_400)
    clip = Clip(np.concatenate(4 * [host.samples, guest.samples], axis=1), 16_000)
    message = super_resolve(clip, Options(rate=16_000)).message
    assert "From 0:01 to 0:06, from 0:07 to 0:12 and in 2 more passages the band ends at 3.4 kHz" in message
    assert super_resolve(clip, Options(rate=16_000, bandwidth_hz=8_000)).passages == ()


@pytest.mark.parametrize("method", METHODS)
def test_a_short_phone_clip_comes_out_at_48_khz(method: Method) -> None:
    clip = sound(0.2, 8_000)
    result = super_resolve(clip, Options(method=method))
    assert (result.clip.rate, result.clip.frames, result.clip.channels) == (48_000, 9_600, 1)
    assert not result.is_limited
    assert 3_500 < result.bandwidth_hz <= 4_000
    assert result.filled_hz == (None if method == "sinc" else (result.bandwidth_hz, 20_000))


def rms(samples: np.ndarray) -> float:
    """Of one channel."""
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("method", METHODS)
def test_stereo_stays_stereo_and_each_channel_its_own(method: Method) -> None:
    clip = sound(0.3, 8_000, channels=2)
    options = Options(method=method, bandwidth_hz=3_900)
    made = super_resolve(clip, options).clip
    for channel in range(2):
        alone = super_resolve(clip.with_samples(clip.samples[channel : channel + 1]), options).clip
        if channel == 0 or method != "default":
            np.testing.assert_allclose(made.samples[channel], alone.samples[0], atol=1e-5)
        else:  # its noise above the band is its own
            assert rms(made.samples[channel]) == pytest.approx(rms(alone.samples[0]), rel=0.1)
    mono = super_resolve(clip.with_samples(clip.samples[[0, 0]]), options).clip
    np.testing.assert_allclose(mono.samples[0], mono.samples[1], atol=1e-5)
    if method != "lisa":  # whose biases tell up from down
        inverse = super_resolve(clip.with_samples(clip.samples[:1] * [[1], [-1]]), options).clip
        np.testing.assert_allclose(inverse.samples[0], -inverse.samples[1], atol=1e-5)
    surround = Clip(np.repeat(clip.samples, 3, axis=0), 8_000, "5.1(side)")
    assert super_resolve(surround, options).clip.layout == "5.1(side)"


@pytest.mark.parametrize("gain", [0.01, 10.0, 1e-8, 1e12])
@pytest.mark.parametrize("method", METHODS)
def test_a_gain_on_the_input_is_a_gain_on_the_result(method: Method, gain: float) -> None:
    clip = sound(0.3, 8_000)
    louder = clip.with_samples((clip.samples * gain).astype(np.float32))
    options = Options(method=method, bandwidth_hz=3_900)
    made, other = (super_resolve(each, options).clip.samples for each in (clip, louder))
    np.testing.assert_allclose(other / gain, made, atol=3e-5 * np.abs(made).max())


@pytest.mark.parametrize("method", METHODS)
def test_silence_stays_silence(method: Method) -> None:
    clip = Clip(np.zeros((2, 4_000), np.float32), 8_000)
    result = super_resolve(clip, Options(method=method, what_if_rate=4_000))
    assert result.clip.frames == 4_000
    assert not result.clip.samples.any()
    assert result.comparison is None


@pytest.mark.parametrize("hz", [440.0, 3_000.0])
@pytest.mark.parametrize("rate", [48_000, 44_100, 20_011])
def test_tones_keep_their_frequency_and_their_level(rate: int, hz: float) -> None:
    time = np.arange(8_000) / 8_000
    clip = Clip((0.5 * np.sin(2 * np.pi * hz * time))[np.newaxis].astype(np.float32), 8_000)
    made = super_resolve(clip, Options(rate=rate)).clip.samples[0]
    # 0.8 s of it, which is a whole number of periods.
    part = made[rate // 10 :][: round(0.8 * rate)]
    amplitude = 2 * abs(np.mean(part * np.exp(-2j * np.pi * hz * np.arange(part.size) / rate)))
    assert 20 * math.log10(amplitude / 0.5) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_the_whole_is_what_a_stream_gives(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = sound(0.5, 16_000, channels=2)
    options = Options(method=method, bandwidth_hz=7_500)
    whole = super_resolve(clip, options).clip.samples
    streamer = Streamer(2, 16_000, 48_000, 7_500, method)
    pieces = [streamer.push(clip.samples[:, start : start + 160]) for start in range(0, clip.frames, 160)]
    streamed = np.concatenate((*pieces, streamer.finish()), axis=1)
    np.testing.assert_allclose(streamed, whole, atol=1e-5)
    monkeypatch.setattr(pipeline, "BLOCK_SECONDS", 0.03)
    np.testing.assert_allclose(super_resolve(clip, options).clip.samples, whole, atol=1e-5)


def test_full_band_44_khz_stereo_is_only_resampled_to_48() -> None:
    clip = sound(0.5, 44_100, channels=2)
    result = super_resolve(clip)
    assert (result.clip.rate, result.clip.frames) == (48_000, 24_000)
    np.testing.assert_allclose(result.clip.samples, resample(clip.samples, 44_100, 48_000), atol=1e-6)
    assert result.filled_hz is None
    assert "resampled to 48 kHz" in result.message


def test_a_comparison_has_every_method_at_the_same_rate() -> None:
    clip = sound(0.3, 12_000)
    result = super_resolve(clip, Options(rate=44_100), compare=True)
    assert sorted(result.alternatives) == ["lisa", "sinc"]
    for method, other in result.alternatives.items():
        assert (other.rate, other.frames) == (44_100, result.clip.frames)
        alone = super_resolve(clip, Options(rate=44_100, method=method)).clip  # type: ignore[arg-type]
        assert np.array_equal(other.samples, alone.samples)
    assert result.comparison is None
    assert super_resolve(clip).alternatives == {}


def test_what_if_downsamples_restores_and_compares_with_the_reference() -> None:
    clip = sound(1.0, 48_000, channels=2)
    options = Options(what_if_rate=12_000)
    result = super_resolve(clip, options, compare=True)
    assert (result.source.rate, result.source.frames) == (12_000, 12_000)
    assert (result.clip.rate, result.clip.frames) == (48_000, 48_000)
    np.testing.assert_allclose(result.source.samples, resample(clip.samples, 48_000, 12_000), atol=1e-6)
    assert result.reference is not None and np.array_equal(result.reference.samples, clip.samples)
    assert result.comparison is not None and list(result.comparison) == list(METHODS)
    made = {"default": result.clip, **result.alternatives}
    for method, row in result.comparison.items():
        estimate = made[method].samples
        assert row["snr_db"] == pytest.approx(snr_db(estimate, clip.samples), abs=1e-3)
        for name, low_hz, high_hz in (
            ("lsd", 0, math.inf),
            ("lsd_above", 5_400, math.inf),
            ("lsd_below", 0, 5_400),
        ):
            distance = log_spectral_distance(
                estimate, clip.samples, rate=48_000, low_hz=low_hz, high_hz=high_hz
            )
            assert row[name] == pytest.approx(distance, abs=1e-3)
    # What was cut off is a quarter of the power's three; sinc leaves what is below it alone.
    assert result.comparison["sinc"]["lsd_below"] < 0.01 < result.comparison["sinc"]["lsd_above"]
    assert result.comparison["sinc"]["snr_db"] == pytest.approx(10 * math.log10(1 / 0.76), abs=0.2)
    assert "Downsampled to 12 kHz" in result.message
    json.dumps(result.figures(), allow_nan=False)


def test_what_if_alone_has_the_rows_of_sinc_and_the_method() -> None:
    clip = sound(0.3, 48_000)
    for method, rows in (("default", {"sinc", "default"}), ("lisa", {"sinc", "lisa"}), ("sinc", {"sinc"})):
        result = super_resolve(clip, Options(method=method, what_if_rate=16_000))  # type: ignore[arg-type]
        assert result.comparison is not None and set(result.comparison) == rows
        assert result.alternatives == {}


def test_what_if_to_another_rate_is_held_against_the_input_at_that_rate() -> None:
    clip = sound(0.31, 48_000)
    result = super_resolve(clip, Options(rate=44_100, what_if_rate=11_025, method="sinc"))
    assert result.reference is not None and result.reference.rate == result.clip.rate == 44_100
    assert result.clip.frames == round(result.source.frames * 4)
    assert result.comparison is not None and result.comparison["sinc"]["lsd_below"] < 0.01


def test_progress_grows_to_the_end() -> None:
    shares = list(
        super_resolve.steps(sound(0.3, 48_000, channels=2), Options(what_if_rate=8_000), compare=True)
    )
    assert shares == sorted(shares)
    assert shares[0] < 0.1 and 0.9 < shares[-1] <= 1


def test_a_given_band_is_taken_at_its_word() -> None:
    result = super_resolve(sound(0.3, 48_000, band_hz=5_000), Options(bandwidth_hz=8_000))
    assert (result.bandwidth_hz, result.is_limited) == (8_000, True)
    assert "8 kHz, as set" in result.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 3_999}, "rate must be a whole number from 4000 to 192000"),
        ({"rate": 10**9}, "from 4000 to 192000"),
        ({"rate": 44_100.5}, "whole number"),
        ({"rate": math.nan}, "whole number"),
        ({"factor": 0}, "above 0"),
        ({"factor": -2}, "factor must be from 0 to 48"),
        ({"factor": math.inf}, "factor must be from 0 to 48"),
        ({"factor": 2, "rate": 48_000}, "not both"),
        ({"method": "best"}, r"\. Choose one of default, lisa, sinc"),
        ({"bandwidth_hz": 10}, "bandwidth must be from 1700"),
        ({"what_if_rate": 100}, "cut to must be a whole number from 4000"),
    ],
)
def test_options_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Options(**settings)


@pytest.mark.parametrize(
    ("clip", "options", "words"),
    [
        (sound(0.3, 48_000), Options(rate=16_000), r"extends to 24 kHz.*45600 Hz or more"),
        (sound(0.3, 48_000, band_hz=8_000), Options(rate=8_000), "Choose 1[45]... Hz or more"),
        (sound(0.3, 8_000), Options(factor=0.4), "one that gives 4000 to 192000 Hz"),
        (sound(0.3, 48_000), Options(factor=5.0), "one that gives"),
        (sound(0.3, 8_000), Options(bandwidth_hz=4_500), "at most 4000 Hz"),
        (sound(0.3, 8_000), Options(what_if_rate=8_000), "Choose a lower rate"),
    ],
)
def test_options_that_do_not_fit_the_clip_are_refused(clip: Clip, options: Options, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        super_resolve(clip, options)


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (sound(1.0, 3_999), "3999 Hz"),
        (sound(0.005, 48_000), "5 ms.*at least 10 ms"),
        (Clip(np.ones((1, 1), np.float32), 48_000), "at least 10 ms"),
        (Clip(np.zeros((1, 0), np.float32), 48_000), "empty"),
        (Clip(np.full((1, 48_000), np.nan, np.float32), 48_000), "NaN, infinite or far beyond full scale"),
        (Clip(np.broadcast_to(np.float32(0), (9, 48_000)), 48_000), "9 channels"),
    ],
)
def test_clips_that_cannot_be_used_are_refused(clip: Clip, words: str) -> None:
    with pytest.raises(InputError, match=words):
        super_resolve(clip)


def test_what_would_take_too_much_memory_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LIMITS", replace(Limits(), decoded_bytes=2**20))
    clip = sound(2.0, 8_000)
    assert super_resolve(clip).clip.frames == 96_000
    with pytest.raises(InputError, match=r"the result would take 0\.0 GiB; the limit is 0\.0 GiB"):
        super_resolve(clip, Options(rate=192_000))
    with pytest.raises(InputError, match="the 3 versions"):
        super_resolve(clip, compare=True)


def test_clips_of_hours_are_refused_before_anything_is_made() -> None:
    # Three hours in the memory of one sample.
    clip = Clip(np.broadcast_to(np.float32(0.1), (1, 3 * 3_600 * 8_000)), 8_000)
    with pytest.raises(InputError, match=r"180\.0 minutes; the limit is 120\."):
        super_resolve(clip)


def test_a_whole_rate_may_come_as_a_float() -> None:
    options = Options(rate=48_000.0, what_if_rate=8_000.0)  # type: ignore[arg-type]
    assert (options.rate, options.what_if_rate) == (48_000, 8_000)
    assert isinstance(options.rate, int)
    with pytest.raises(OptionError, match="whole number"):
        Options(rate=44_100.5)  # type: ignore[arg-type]


def test_the_faintest_of_sounds_gives_no_nan() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 4_000)).astype(np.float32)
    made = super_resolve(Clip(noise * np.float32(1e-41), 8_000), Options(rate=48_000, bandwidth_hz=3_900))
    assert np.isfinite(made.clip.samples).all()


def test_a_given_end_of_the_band_is_called_what_it_is() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 9_600)).astype(np.float32)
    made = super_resolve(Clip(0.1 * noise, 96_000), Options(bandwidth_hz=20_000.0))
    assert made.is_limited and made.filled_hz is None and "full-band (20 kHz, as set)" in made.message
    made = super_resolve(Clip(0.1 * noise, 48_000), Options(bandwidth_hz=4_000.0, method="sinc"))
    assert "no change" in made.message and np.array_equal(made.clip.samples, 0.1 * noise)
