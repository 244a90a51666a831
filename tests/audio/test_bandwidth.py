"""Where a band ends: found after any steep low-pass, and never in sounds that merely fade."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from aural.audio import Clip, read
from aural.audio.bandwidth import Bandwidth, bandwidth
from aural.audio.codecs import Codec, transcode
from aural.audio.low_pass import LowPass, low_pass
from aural.audio.resample import resample_samples
from aural.errors import InputError
from aural.ui.examples import EXAMPLES

RATE = 48_000
Sound = NDArray[np.float64]


def clip(sound: Sound, rate: int = RATE) -> Clip:
    return Clip(sound.astype(np.float32)[np.newaxis], rate)


def noise(length: int, tilt: float = 0.0, seed: int = 0) -> Sound:
    """Noise of RMS 0.1 whose power falls as 1 / f^tilt."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    spectrum /= np.maximum(np.fft.rfftfreq(length, 1 / RATE), 40) ** (tilt / 2)
    sound = np.fft.irfft(spectrum, length)
    scaled: Sound = 0.1 * sound / np.sqrt(np.mean(np.square(sound)))
    return scaled


@cache
def syllables(seconds: int = 3) -> Sound:
    """Noise of a falling spectrum that comes and goes as speech does, full band."""
    loudness = np.repeat(np.random.default_rng(2).uniform(0.05, 1, 6 * seconds), RATE // 6)
    return noise(seconds * RATE, 1.5, 1) * loudness


@cache
def speech() -> Sound:
    path = next(item.path for item in EXAMPLES if item.path.stem == "speech")
    return np.array(read(path).samples[0], np.float64)


def polyphase(sound: Sound, cutoff_hz: int) -> Sound:
    """Down to twice the cut-off and back by SciPy's filter, which leaves images of what is below."""
    common = np.gcd(RATE, 2 * cutoff_hz)
    up, down = 2 * cutoff_hz // common, RATE // common
    limited: Sound = signal.resample_poly(signal.resample_poly(sound, up, down), down, up)[: len(sound)]
    return limited


def filtered(sound: Sound, cutoff_hz: float, kind: LowPass) -> Sound:
    return np.array(low_pass(sound.astype(np.float32)[np.newaxis], RATE, cutoff_hz, kind)[0], np.float64)


def soxr(sound: Sound, cutoff_hz: int) -> Sound:
    """Down and back by soxr, -6 dB at the cut-off."""
    slow = resample_samples(sound.astype(np.float32)[np.newaxis], RATE, 2 * cutoff_hz / 0.955)
    return np.array(resample_samples(slow, 2 * cutoff_hz / 0.955, RATE)[0, : len(sound)], np.float64)


# With -6 dB at the frequency given, or 4 % from it; LAME moves cut-offs to borders of its bands.
MP3_CUT_OFFS_HZ = {4_000: 3_800, 5_500: 5_200}
STEEP: dict[str, Callable[[Sound, int], Sound]] = {
    "chebyshev": lambda sound, hz: filtered(sound, hz / 1.027, "chebyshev"),
    "elliptic": lambda sound, hz: filtered(sound, hz / 1.043, "elliptic"),
    "linear": lambda sound, hz: filtered(sound, hz, "linear"),
    "soxr": soxr,
    "polyphase": polyphase,
    "mp3": lambda sound, hz: np.array(
        transcode(sound.astype(np.float32), Codec("mp3", 96, MP3_CUT_OFFS_HZ.get(hz, hz))), np.float64
    ),
    "aac": lambda sound, hz: np.array(transcode(sound.astype(np.float32), Codec("aac", 96, hz)), np.float64),
}


@pytest.mark.parametrize("kind", STEEP)
@pytest.mark.parametrize("edge_hz", [3_000, 4_000, 5_500, 8_000, 12_000, 16_000])
def test_the_band_is_found_within_8_percent_after_any_steep_low_pass(kind: str, edge_hz: int) -> None:
    found = bandwidth(clip(STEEP[kind](syllables(), edge_hz)))

    assert found.is_limited
    assert found.hz == pytest.approx(edge_hz, rel=0.08)


@pytest.mark.parametrize("kind", ["linear", "elliptic", "resampled"])
@pytest.mark.parametrize("edge_hz", [4_000, 8_000])
def test_the_band_is_found_in_speech(kind: LowPass, edge_hz: int) -> None:
    found = bandwidth(clip(filtered(speech(), edge_hz, kind)))

    assert found.is_limited
    assert found.hz == pytest.approx(edge_hz, rel=0.08)


@pytest.mark.parametrize("kind", ["butterworth_4", "bessel"])
@pytest.mark.parametrize("edge_hz", [8_000, 12_000])
def test_a_gentle_band_ends_on_its_slope(kind: LowPass, edge_hz: int) -> None:
    found = bandwidth(clip(filtered(syllables(), edge_hz, kind)))

    # Where the two have fallen by 25 dB.
    furthest_hz = {8_000: (13_300, 16_000), 12_000: (17_100, 19_100)}[edge_hz][kind == "bessel"]
    assert found.is_limited
    assert edge_hz * 0.97 < found.hz < furthest_hz * 1.1


def plucked() -> Sound:
    """Karplus and Strong's string, plucked four times a second: bursts in a loop that smooths them."""
    period = RATE // 220
    string = np.zeros(2 * RATE)
    for start in range(0, 2 * RATE, RATE // 4):
        string[start : start + period] = np.random.default_rng(start).uniform(-0.5, 0.5, period)
    coefficients = np.zeros(period + 2)
    coefficients[[0, period, period + 1]] = 1, -0.498, -0.498
    played: Sound = signal.lfilter([1.0], coefficients, string)
    return played


def tones(*frequencies_hz: float) -> Sound:
    time = np.arange(2 * RATE) / RATE
    return sum((0.1 * np.sin(2 * np.pi * hz * time) for hz in frequencies_hz), np.zeros(2 * RATE))


def click() -> Sound:
    sound = np.zeros(2 * RATE)
    sound[RATE] = 0.9
    return sound


def piano() -> Sound:
    """Partials that fade, the higher the sooner and the softer."""
    time = np.arange(2 * RATE) / RATE
    partials = (
        0.3 * np.exp(-k / 6 - k * time / 4) * np.sin(2 * np.pi * 261.6 * k * np.sqrt(1 + 4e-4 * k * k) * time)
        for k in range(1, 60)
    )
    return sum(partials, np.zeros(2 * RATE))


ENDLESS: dict[str, Callable[[], Sound]] = {
    "sine": lambda: tones(997),
    "high sine": lambda: tones(6_000),
    "chord": lambda: tones(261.6, 329.6, 392.0, 523.3),
    "high chord": lambda: tones(2_093, 2_637, 3_136, 4_186),
    "white": lambda: noise(2 * RATE),
    "pink": lambda: noise(2 * RATE, 1),
    "brown": lambda: noise(2 * RATE, 2),
    "dark": lambda: noise(2 * RATE, 4),
    "plucked": plucked,
    "click": click,
    "piano": piano,
    "silence": lambda: np.zeros(RATE),
    "constant": lambda: np.full(RATE, 0.5),
    "in 16 bits": lambda: np.round(tones(261.6, 329.6, 392.0) * 32_768) / 32_768,
}


@pytest.mark.parametrize("name", ENDLESS)
def test_sounds_without_an_edge_reach_half_the_rate(name: str) -> None:
    assert bandwidth(clip(ENDLESS[name]())) == Bandwidth(RATE / 2, is_limited=False)


def test_full_band_speech_is_not_limited_and_neither_is_it_through_a_dark_microphone() -> None:
    sound = speech()
    dark = signal.sosfilt(signal.butter(1, 500, fs=RATE, output="sos"), sound)
    for heard in (sound, dark):
        assert bandwidth(clip(heard)).hz > 16_000


@pytest.mark.parametrize("rate", [4_000, 8_000, 16_000, 22_050, 44_100])
def test_a_clip_at_its_own_rate_is_not_limited(rate: int) -> None:
    for sound in (syllables(), speech()):
        slow = resample_samples(sound.astype(np.float32)[np.newaxis], RATE, rate)
        found = bandwidth(Clip(slow, rate))
        if sound is not speech() or rate < 44_100:  # the recording itself ends at 19 kHz
            assert not found.is_limited
            assert 0.88 * rate / 2 <= found.hz <= rate / 2


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000, 192_000])
def test_any_rate_shows_the_same_edge(rate: int) -> None:
    limited = filtered(syllables(), 3_000, "linear").astype(np.float32)[np.newaxis]
    found = bandwidth(Clip(resample_samples(limited, RATE, rate), rate))

    assert found.is_limited
    assert found.hz == pytest.approx(3_000, rel=0.08)


def test_level_and_channels_do_not_matter() -> None:
    limited = filtered(syllables(), 5_500, "elliptic")
    plain = bandwidth(clip(limited))
    for gain in (1e-4, 0.3, 30.0):
        assert bandwidth(clip(gain * limited)).hz == pytest.approx(plain.hz, rel=0.02)
    stereo = Clip(np.stack((limited, -limited)).astype(np.float32), RATE)
    wide = Clip(np.stack((limited, syllables())).astype(np.float32), RATE)

    assert bandwidth(stereo).hz == pytest.approx(plain.hz, rel=0.02)
    assert not bandwidth(wide).is_limited


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_a_tenth_of_a_second_is_enough(seconds: float) -> None:
    limited = filtered(noise(RATE), 4_000, "linear")[RATE // 4 :][: round(seconds * RATE)]

    assert bandwidth(clip(limited)).hz == pytest.approx(4_000, rel=0.08)


@pytest.mark.parametrize("frames", [1, 100, 1_535, 1_537])
def test_the_shortest_sounds_are_no_error(frames: int) -> None:
    assert 1_500 <= bandwidth(clip(noise(frames))).hz <= RATE / 2


def test_a_click_does_not_widen_the_band_but_a_hiss_in_every_third_second_does() -> None:
    sound = filtered(np.tile(syllables(), 3), 8_000, "linear")
    clicked, hissing = sound.copy(), sound.copy()
    clicked[3 * RATE] += 0.9
    for second in range(0, 9, 3):
        hissing[second * RATE :][: RATE // 5] += 0.1 * noise(RATE // 5)

    assert bandwidth(clip(clicked)).hz == pytest.approx(8_000, rel=0.08)
    assert not bandwidth(clip(hissing)).is_limited


@cache
def call() -> Sound:
    """Speech up to 3.4 kHz, at 8 kHz."""
    slow = resample_samples(speech().astype(np.float32)[np.newaxis], RATE, 8_000)[0]
    filtered: Sound = signal.sosfilt(signal.butter(6, 3_400, fs=8_000, output="sos"), slow)
    return filtered


def call_at(rate: int) -> Sound:
    return np.array(resample_samples(call().astype(np.float32)[np.newaxis], 8_000, rate)[0], np.float64)


@pytest.mark.parametrize("amplitude", [1e-3, 0.02, 0.1])
@pytest.mark.parametrize("hz", [(15_625,), (15_734,), (19_000,), (9_000, 15_625, 19_000)])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_line_high_up_does_not_widen_the_band(rate: int, hz: tuple[float, ...], amplitude: float) -> None:
    sound = call_at(rate)
    time = np.arange(len(sound)) / rate
    for one in hz:
        sound += amplitude * np.sin(2 * np.pi * one * time)
    assert bandwidth(clip(sound, rate)).hz == pytest.approx(3_450, rel=0.08)


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("length", [1, 24])
def test_a_few_clicks_do_not_widen_the_band(count: int, length: int) -> None:
    sound, generator = call_at(RATE), np.random.default_rng(count)
    for start in generator.integers(0, len(sound) - length, count):
        sound[start : start + length] += 0.5 * generator.standard_normal(length)
    assert bandwidth(clip(sound)).hz == pytest.approx(3_450, rel=0.08)


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("way", ["linear", "repeated"])
def test_images_of_a_crude_resampler_are_no_band(rate: int, way: str) -> None:
    places = np.arange(round(len(call()) * rate / 8_000)) * 8_000 / rate
    if way == "linear":
        sound = np.interp(places, np.arange(len(call())), call())
    else:
        sound = call()[np.floor(places).astype(int).clip(0, len(call()) - 1)]
    found = bandwidth(clip(sound, rate))
    assert found.is_limited
    assert found.hz == pytest.approx(3_450, rel=0.12)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_partials_are_no_lines(rate: int) -> None:
    """A bright instrument over a dull noise: its partials reach up, so its band does."""
    time = np.arange(2 * rate) / rate
    partials = sum(np.sin(2 * np.pi * 523.25 * k * time + k) / k for k in range(1, 38))
    dull = filtered(noise(2 * RATE), 3_400, "linear")[: len(time)]
    dull = np.pad(dull, (0, len(time) - len(dull)))
    assert not bandwidth(clip(0.1 * partials + 0.01 * dull, rate)).is_limited


def test_silence_around_it_does_not_hide_the_band() -> None:
    sound = np.concatenate((np.zeros(20 * RATE), filtered(syllables(), 4_000, "linear"), np.zeros(20 * RATE)))
    sound += 1e-6 * noise(len(sound))

    assert bandwidth(clip(sound)).hz == pytest.approx(4_000, rel=0.08)


def test_steps_rise_to_1_and_end_in_the_same() -> None:
    sound = clip(filtered(syllables(), 4_000, "linear"))
    steps, shares = bandwidth.steps(sound), list[float]()
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            assert end.value == bandwidth(sound)
            break

    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == 3


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        bandwidth(clip(np.zeros(0)))
    with pytest.raises(InputError, match=r"far beyond full scale\. Export the file again"):
        bandwidth(clip(np.array([0.0, np.nan])))
    with pytest.raises(InputError, match="4000"):
        bandwidth(clip(np.ones(3_000), 3_000))


def test_importing_it_imports_neither_torch_nor_scipy_signal() -> None:
    check = "import sys, aural.audio.bandwidth; sys.exit(bool({'torch', 'scipy.signal'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
