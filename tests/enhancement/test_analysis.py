"""What is found in recordings whose noise, band, clipping and room are known."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from time import process_time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from aural.audio import Clip, read
from aural.audio.resample import resample_samples
from aural.audio.steps import finish
from aural.enhancement.analysis import analyze, clipping_share
from aural.errors import InputError
from aural.loudness.meter import measure
from aural.ui.examples import EXAMPLES

RATE = 48_000
Sound = NDArray[np.float64]


def clip(sound: Sound, rate: int = RATE) -> Clip:
    return Clip(sound.astype(np.float32)[np.newaxis], rate)


def example(name: str) -> Clip:
    return next(read(item.path) for item in EXAMPLES if item.path.stem == name)


@cache
def speech() -> Sound:
    return np.array(example("speech").samples[0], np.float64)


def noise(length: int, seed: int = 0, tilt: float = 0.0) -> Sound:
    """Noise of RMS 1 whose power falls as 1 / f^tilt."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    spectrum /= np.maximum(np.fft.rfftfreq(length, 1 / RATE), 40) ** (tilt / 2)
    sound = np.fft.irfft(spectrum, length)
    scaled: Sound = sound / sound.std()
    return scaled


def syllables(seconds: int = 8) -> Sound:
    """Voiced syllables of random pitch and length with pauses between, as clean as numbers can be."""
    generator = np.random.default_rng(1)
    sound = np.zeros(seconds * RATE)
    start = 0
    while start < sound.size:
        length = int(generator.uniform(0.1, 0.3) * RATE)
        time = np.arange(length) / RATE
        f0_hz = generator.uniform(100, 250)
        tone = sum(np.sin(2 * np.pi * k * f0_hz * time) / k for k in range(1, int(7_000 / f0_hz)))
        piece = (tone * np.hanning(length))[: sound.size - start]
        sound[start : start + piece.size] = 0.1 * piece
        start += length + int(generator.uniform(0.05, 0.3) * RATE)
    return sound


@pytest.mark.parametrize("tilt", [0.0, 1.0], ids=["white", "pink"])
@pytest.mark.parametrize("voice", [syllables, speech])
def test_the_noise_in_speech_is_found_within_4_db(voice: Callable[[], Sound], tilt: float) -> None:
    sound = voice()
    for snr_db in (0, 10, 20, 30):
        noisy = sound + noise(sound.size, 3, tilt) * sound.std() * 10 ** (-snr_db / 20)
        assert analyze(clip(noisy)).snr_db == pytest.approx(snr_db, abs=4), snr_db


def test_muted_pauses_do_not_hide_the_noise() -> None:
    noisy = syllables() + 0.1 * syllables().std() * noise(syllables().size)
    gaps = np.concatenate((noisy, np.zeros(8 * RATE)))

    assert analyze(clip(gaps)).snr_db == pytest.approx(analyze(clip(noisy)).snr_db, abs=1)


def test_steady_noise_is_nothing_but_noise() -> None:
    snr_db = analyze(clip(0.1 * noise(4 * RATE))).snr_db

    assert snr_db is not None
    assert snr_db < 0


def _resampled(sound: Sound, cutoff_hz: int) -> Sound:
    slow = resample_samples(sound.astype(np.float32)[np.newaxis], RATE, 2 * cutoff_hz)
    return np.array(resample_samples(slow, 2 * cutoff_hz, RATE)[0], np.float64)


def _cut(sound: Sound, cutoff_hz: int) -> Sound:
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(sound.size, 1 / RATE) > cutoff_hz] = 0
    cut: Sound = np.fft.irfft(spectrum, sound.size)
    return cut


def _stop_hz(cutoff_hz: int) -> float:
    """Where the stop band of that Chebyshev filter begins, for -3 dB at the cut-off."""
    ratio = np.cosh(np.arccosh(np.sqrt(10**5 - 1)) / 10)
    return float(RATE / np.pi * np.arctan(ratio * np.tan(np.pi * cutoff_hz / RATE)))


LOW_PASSES: dict[str, Callable[[Sound, int], Sound]] = {
    "Butterworth": lambda x, f: signal.sosfilt(signal.butter(10, f, fs=RATE, output="sos"), x),
    "Chebyshev I": lambda x, f: signal.sosfilt(signal.cheby1(8, 1, f, fs=RATE, output="sos"), x),
    "Chebyshev II": lambda x, f: signal.sosfilt(signal.cheby2(10, 50, _stop_hz(f), fs=RATE, output="sos"), x),
    "elliptic": lambda x, f: signal.sosfilt(signal.ellip(6, 1, 60, f, fs=RATE, output="sos"), x),
    "linear phase": lambda x, f: signal.fftconvolve(x, signal.firwin(255, f, fs=RATE), "same"),
    "resampled": _resampled,
    "cut in the spectrum": _cut,
}


# A slope of 60 dB an octave is no edge yet: it is followed down a little.
TOLERANCES = {"Butterworth": 0.22}


@pytest.mark.parametrize("kind", LOW_PASSES)
def test_the_band_is_found_within_8_percent_after_any_steep_low_pass(kind: str) -> None:
    # Syllables of a falling spectrum, over the floor that 16 bits leave.
    loudness = np.repeat(np.random.default_rng(2).uniform(0.05, 1, 24), RATE // 6)
    sound = 0.1 * noise(4 * RATE, 1, tilt=1) * loudness
    for cutoff_hz in (3_400, 4_000, 8_000, 12_000, 16_000):
        limited = LOW_PASSES[kind](sound, cutoff_hz) + 1e-5 * noise(sound.size)
        tolerance = TOLERANCES.get(kind, 0.08)
        assert analyze(clip(limited)).bandwidth_hz == pytest.approx(cutoff_hz, rel=tolerance), cutoff_hz


def test_a_phone_band_is_found_in_speech() -> None:
    for cutoff_hz in (4_000, 8_000):
        assert analyze(clip(_cut(speech(), cutoff_hz))).bandwidth_hz == pytest.approx(cutoff_hz, rel=0.08)


@pytest.mark.parametrize("tilt", [0.0, 1.0, 2.0])
def test_full_band_noise_reaches_half_the_rate_whatever_its_colour(tilt: float) -> None:
    assert analyze(clip(0.1 * noise(3 * RATE, tilt=tilt))).bandwidth_hz == RATE / 2


def test_one_click_does_not_widen_the_band() -> None:
    sound = _resampled(0.1 * noise(8 * RATE), 8_000)
    sound[3 * RATE] += 0.9

    assert analyze(clip(sound)).bandwidth_hz == pytest.approx(8_000, rel=0.08)


@pytest.mark.parametrize("scale", [1.0, 0.2])
@pytest.mark.parametrize("depth", [0.7, 0.4, 0.15])
def test_flat_tops_are_counted_at_any_level(depth: float, scale: float) -> None:
    limit = depth * np.abs(speech()).max()
    clipped = np.clip(speech(), -limit, limit)

    assert clipping_share(clip(scale * clipped).samples) == pytest.approx(
        np.mean(np.abs(clipped) == limit), rel=0.15
    )


def test_flat_tops_on_one_side_and_in_one_channel_are_counted() -> None:
    clipped = np.minimum(speech(), 0.3 * speech().max())
    both = np.stack((clipped, speech())).astype(np.float32)

    assert clipping_share(both) == pytest.approx(np.mean(clipped == clipped.max()) / 2, rel=0.15)


def test_tops_that_resampling_made_uneven_are_seen() -> None:
    limit = 0.3 * np.abs(speech()).max()
    clipped = np.clip(speech(), -limit, limit)
    share = clipping_share(_resampled(clipped, 16_000).astype(np.float32)[np.newaxis])

    assert 0.2 < share / np.mean(np.abs(clipped) == limit) < 1.2


@pytest.mark.parametrize("frequency_hz", [50, 440, 997, 1_000, 1_500, 2_000, 6_000, 12_000])
def test_a_full_scale_sine_is_not_clipped(frequency_hz: int) -> None:
    sine = np.sin(2 * np.pi * frequency_hz * np.arange(2 * RATE) / RATE)

    assert clipping_share(clip(sine).samples) == 0


def test_a_clipped_sine_counts_for_as_long_as_it_stays_at_the_limit() -> None:
    sine = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    share = clipping_share(clip(np.clip(sine, -0.9, 0.9)).samples)

    assert share == pytest.approx(1 - 2 / np.pi * np.arcsin(0.9), rel=0.1)


@pytest.mark.parametrize("name", ["speech", "celesta", "orchestra", "song"])
def test_speech_and_music_that_nobody_clipped_read_zero(name: str) -> None:
    assert clipping_share(example(name).samples) == 0


def test_the_reverberation_time_is_found_within_a_sixth_of_a_second() -> None:
    found: list[float] = []
    for seconds in (0.2, 0.4, 0.6, 0.9):
        generator = np.random.default_rng(4)
        time = np.arange(int(1.3 * seconds * RATE)) / RATE
        room = generator.standard_normal(time.size) * 10 ** (-3 * time / seconds)
        room *= 0.7 / np.sqrt(np.square(room).sum())
        room[0] = 1
        wet = signal.fftconvolve(speech(), room)
        found.append(analyze(clip(wet)).reverberation_seconds or 0.0)

    assert found == pytest.approx([0.2, 0.4, 0.6, 0.9], abs=0.17)
    assert found == sorted(found)


def test_without_decays_there_is_no_reverberation_time() -> None:
    assert analyze(clip(0.1 * noise(4 * RATE))).reverberation_seconds is None
    assert analyze(clip(np.sin(np.arange(4 * RATE)))).reverberation_seconds is None


def test_loudness_is_that_of_the_meter() -> None:
    song = example("song")
    found, loudness = analyze(song), measure(song)

    assert found.integrated_lufs == loudness.integrated_lufs
    assert found.true_peak_dbtp == loudness.true_peak_dbtp


def test_level_rate_and_channels_hardly_matter() -> None:
    noisy = speech() + 0.03 * speech().std() * noise(speech().size)
    plain, soft = analyze(clip(noisy)), analyze(clip(0.1 * noisy))
    stereo = analyze(Clip(np.stack((noisy, -noisy)).astype(np.float32), RATE))
    slower = analyze(Clip(resample_samples(clip(noisy).samples, RATE, 44_100), 44_100))

    for other in (soft, stereo, slower):
        assert other.snr_db == pytest.approx(plain.snr_db, abs=0.5)
        assert other.reverberation_seconds == pytest.approx(plain.reverberation_seconds, abs=0.02)
        assert other.pitch_hz == pytest.approx(plain.pitch_hz, rel=0.01)
        assert other.voiced_share == pytest.approx(plain.voiced_share, abs=0.03)
    assert stereo.bandwidth_hz == plain.bandwidth_hz


def test_the_pitch_is_that_of_the_voiced_part() -> None:
    time = np.arange(2 * RATE) / RATE
    hum = sum(0.1 / k * np.sin(2 * np.pi * 220 * k * time) for k in range(1, 20))
    found = analyze(clip(np.concatenate((hum, 0.05 * noise(2 * RATE)))))

    assert found.pitch_hz == pytest.approx(220, rel=0.005)
    assert found.voiced_share == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("frames", [1, 100, 5 * RATE])
def test_silence_of_any_length_has_no_figures_but_zeros(frames: int) -> None:
    figures = analyze(clip(np.zeros(frames))).figures()

    assert {value for value in figures.values() if value is not None} == {0.0}
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize("frames", [1, 700, 1_536, 3_000, RATE // 2])
def test_the_shortest_sounds_have_figures_too(frames: int) -> None:
    found = analyze(clip(speech()[RATE : RATE + frames]))

    assert found.true_peak_dbtp is not None
    assert all(value is None or np.isfinite(value) for value in found.figures().values())


def test_samples_that_are_no_sound_are_refused() -> None:
    with pytest.raises(InputError, match=r"far beyond full scale\. Export the file again"):
        analyze(clip(np.array([0.0, np.nan])))


def test_steps_rise_to_1() -> None:
    shares = []
    steps = analyze.steps(clip(0.1 * noise(25 * RATE)))
    while True:
        try:
            shares.append(next(steps))
        except StopIteration:
            break

    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 6


def test_two_minutes_of_stereo_take_seconds_and_not_minutes() -> None:
    sound = np.tile(speech(), 20)[: 120 * RATE]
    stereo = Clip(np.stack((sound, sound)).astype(np.float32), RATE)
    analyze(clip(speech()))  # imports torch
    start = process_time()
    finish(analyze.steps(stereo))

    # A second on an idle machine, of all cores together; more where they are shared.
    assert process_time() - start < 5


def test_importing_findings_does_not_import_torch() -> None:
    check = "import sys, aural.enhancement.analysis; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
