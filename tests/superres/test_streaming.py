"""Streams: any blocks give the same result as the whole, and the look-ahead is as stated."""

from __future__ import annotations

import math
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aural import hub
from aural.audio.missing_band import missing_band
from aural.errors import OptionError
from aural.superres.sinc import resample, resampled_length
from aural.superres.streaming import METHODS, Method, Streamer
from tests.superres.tiny import write_checkpoints

# Method, rates, where the band ends: plain clips, a clip limited within its rate, down, and a free rate.
CASES: list[tuple[Method, int, int, float]] = [
    ("default", 8_000, 48_000, 3_900),
    ("default", 11_025, 44_100, 5_300),
    ("default", 48_000, 48_000, 8_000),
    ("default", 96_000, 47_953, 8_000),
    ("lisa", 8_000, 48_000, 3_900),
    ("lisa", 44_100, 47_953, 5_000),
    ("sinc", 8_000, 47_953, 3_900),
]


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


def band(
    seconds: float, rate: int, bandwidth_hz: float, channels: int = 2, seed: int = 0
) -> NDArray[np.float32]:
    """Noise up to a frequency, of 0.2 in root mean square, different in every channel."""
    frames = round(seconds * rate)
    white = np.random.default_rng(seed).standard_normal((channels, frames))
    spectrum = np.fft.rfft(white) * (np.fft.rfftfreq(frames, 1 / rate) < bandwidth_hz)
    sound = np.fft.irfft(spectrum, frames)
    samples: NDArray[np.float32] = (0.2 * sound / sound.std()).astype(np.float32)
    return samples


def whole(samples: NDArray[np.float32], case: tuple[Method, int, int, float]) -> NDArray[np.float32]:
    return pushed(samples, case, (samples.shape[1],))


def pushed(
    samples: NDArray[np.float32], case: tuple[Method, int, int, float], sizes: tuple[int, ...]
) -> NDArray[np.float32]:
    """The result of blocks of these sizes, repeated."""
    method, rate_in, rate_out, bandwidth_hz = case
    streamer = Streamer(samples.shape[0], rate_in, rate_out, bandwidth_hz, method)
    pieces, start = [], 0
    for size in cycle(sizes):
        if start >= samples.shape[1]:
            break
        pieces.append(streamer.push(samples[:, start : start + size]))
        start += size
        known_seconds = (min(start, samples.shape[1]) - 1) / rate_in - streamer.look_ahead_seconds
        made = sum(piece.shape[1] for piece in pieces)
        assert made >= math.floor(known_seconds * rate_out), "what could be known is there"
    return np.concatenate((*pieces, streamer.finish()), axis=1)


@pytest.mark.parametrize("sizes", [(7,), (480,), (10_000,), (1, 0, 3_000)])
@pytest.mark.parametrize("case", CASES)
def test_any_blocks_give_what_the_whole_gives(
    case: tuple[Method, int, int, float], sizes: tuple[int, ...]
) -> None:
    _, rate_in, rate_out, bandwidth_hz = case
    seconds = 0.03 if sizes == (7,) else 0.3
    samples = band(seconds, rate_in, bandwidth_hz)
    made = pushed(samples, case, sizes)
    assert made.shape == (2, resampled_length(samples.shape[1], rate_in, rate_out))
    np.testing.assert_allclose(made, whole(samples, case), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_sample_by_sample_it_is_the_same(method: Method) -> None:
    case = method, 8_000, 48_000, 3_900.0
    samples = band(0.03, 8_000, 3_900, channels=1)
    np.testing.assert_allclose(pushed(samples, case, (1,)), whole(samples, case), atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_outputs_depend_on_nothing_beyond_the_look_ahead(case: tuple[Method, int, int, float]) -> None:
    method, rate_in, rate_out, bandwidth_hz = case
    samples = band(0.4, rate_in, bandwidth_hz)
    change = round(0.25 * rate_in)
    other = samples.copy()
    other[:, change:] = band(0.4, rate_in, bandwidth_hz, seed=1)[:, change:]
    made, changed = whole(samples, case), whole(other, case)
    look_ahead = Streamer(2, rate_in, rate_out, bandwidth_hz, method).look_ahead_seconds
    times = np.arange(made.shape[1]) / rate_out
    before = times < change / rate_in - look_ahead
    assert before.sum() > 0.1 * rate_out
    np.testing.assert_allclose(made[:, before], changed[:, before], atol=1e-5)
    after = times > change / rate_in
    assert np.abs(made[:, after] - changed[:, after]).max() > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_the_look_ahead_is_short_enough_to_play_along(case: tuple[Method, int, int, float]) -> None:
    method, rate_in, rate_out, bandwidth_hz = case
    assert 0 < Streamer(1, rate_in, rate_out, bandwidth_hz, method).look_ahead_seconds < 0.07


@pytest.mark.parametrize("case", [case for case in CASES if case[0] == "default"])
def test_the_own_band_stays_what_sinc_makes_of_it(case: tuple[Method, int, int, float]) -> None:
    _, rate_in, rate_out, bandwidth_hz = case
    samples = band(0.5, rate_in, bandwidth_hz, channels=1)
    made, plain = whole(samples, case)[0], resample(samples, rate_in, rate_out)[0]
    window = np.blackman(plain.size)
    added, own = (np.fft.rfft(window * values) for values in (made - plain, plain))
    hz = np.fft.rfftfreq(plain.size, 1 / rate_out)
    below, above = hz < 0.85 * bandwidth_hz, hz > bandwidth_hz
    assert np.linalg.norm(added[below]) < 1e-4 * np.linalg.norm(own[below])
    assert np.linalg.norm(added[above]) > 1e-2 * np.linalg.norm(own[below])


@pytest.mark.parametrize("gain", [0.01, 10.0, 1e-7, 1e9])
@pytest.mark.parametrize("method", METHODS)
def test_a_gain_on_the_input_is_a_gain_on_the_result(method: Method, gain: float) -> None:
    samples = band(0.2, 8_000, 3_900)
    made = []
    for level in (1.0, gain):
        streamer = Streamer(2, 8_000, 48_000, 3_900, method, level=level if not 1e-3 < gain < 1e3 else 1.0)
        louder = (level * samples).astype(np.float32)
        made.append(np.concatenate((streamer.push(louder), streamer.finish()), axis=1) / level)
    np.testing.assert_allclose(made[1], made[0], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_silence_stays_silence_and_channels_stay_apart(case: tuple[Method, int, int, float]) -> None:
    _, rate_in, _, bandwidth_hz = case
    samples = band(0.2, rate_in, bandwidth_hz, channels=3) * np.array([[1], [0], [1]], np.float32)
    made = whole(samples, case)
    assert not made[1].any()
    np.testing.assert_allclose(made[0], whole(samples[:1], case)[0], atol=1e-5)
    # The noise above the band is a channel's own; what is below, and how loud it is, is as if it were alone.
    window = np.hanning(made.shape[1])
    own, alone = (np.abs(np.fft.rfft(x * window)) for x in (made[2], whole(samples[2:], case)[0]))
    below = np.arange(len(own)) * case[2] / made.shape[1] < 0.8 * bandwidth_hz
    np.testing.assert_allclose(own[below], alone[below], atol=2e-3 * alone.max())
    assert np.sum(own**2) == pytest.approx(np.sum(alone**2), rel=0.1)


def test_long_blocks_go_through_the_network_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = band(0.5, 8_000, 3_900)
    wanted = {method: whole(samples, (method, 8_000, 48_000, 3_900.0)) for method in METHODS}
    monkeypatch.setattr("aural.superres.streaming.STEP_SECONDS", 0.05)
    for method in METHODS:
        made = whole(samples, (method, 8_000, 48_000, 3_900.0))
        np.testing.assert_allclose(made, wanted[method], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("rate_in", "rate_out", "bandwidth_hz"),
    [(44_100, 96_000, 20_000), (48_000, 48_000, 22_000), (8_000, 8_000, 3_600), (48_000, 16_000, 7_900)],
)
def test_where_nothing_is_missing_no_model_is_loaded(
    rate_in: int, rate_out: int, bandwidth_hz: float, method: Method
) -> None:
    assert missing_band(rate_in, rate_out, bandwidth_hz) is None
    samples = band(0.1, rate_in, bandwidth_hz)
    streamer = Streamer(2, rate_in, rate_out, bandwidth_hz, method)
    made = np.concatenate((streamer.push(samples), streamer.finish()), axis=1)
    np.testing.assert_allclose(made, resample(samples, rate_in, rate_out), atol=1e-6)
    assert streamer.filled_hz is None
    assert not hub.loaded()


def test_what_is_missing_ends_at_half_the_rate_or_24_khz() -> None:
    assert missing_band(8_000, 16_000, 3_900) == (3_900, 8_000)
    assert missing_band(48_000, 48_000, 8_000) == (8_000, 20_000)
    assert missing_band(16_000, 192_000, 7_600) == (7_600, 20_000)
    assert missing_band(44_100, 192_000, 17_000) is None


def test_a_method_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match=r'no method "best"\. Choose one of default, lisa, sinc'):
        Streamer(1, 8_000, 48_000, 3_900, "best")  # type: ignore[arg-type]
