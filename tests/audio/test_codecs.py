"""Codecs there and back: on time, as long as before, as loud, and cut where they are told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, correlate, sosfilt

from aural.audio import codecs
from aural.audio.clip import Samples
from aural.audio.codecs import KILOBITS, RATE, Codec, CodecName, transcode
from aural.errors import InputError, OptionError

ALL = [Codec(name, rates[-1]) for name, rates in KILOBITS.items()]


def white(length: int) -> Samples:
    noise = np.random.default_rng(0).standard_normal(length, dtype=np.float32)
    return np.float32(0.1) * noise


def voice_like(length: int = 2 * RATE) -> Samples:
    """Noise in the band of a telephone that comes and goes as syllables do."""
    syllables = np.maximum(0, np.sin(2 * np.pi * 4 * np.arange(length) / RATE)) * white(length)
    sound = sosfilt(butter(2, (200, 2500), "bandpass", fs=RATE, output="sos"), syllables)
    scaled: Samples = (0.3 * sound / np.abs(sound).max()).astype(np.float32)
    return scaled


def power_db(sound: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


def gain_db(sound: Samples, original: Samples, low_hz: float, high_hz: float) -> float:
    """Power between two frequencies, relative to the original's."""
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
    window = np.hanning(len(sound))  # a sudden end has content everywhere
    powers = [np.square(np.abs(np.fft.rfft(window * each)[inside])).sum() for each in (sound, original)]
    return float(10 * np.log10(powers[0] / powers[1] + 1e-20))


def lag(late: Samples, early: Samples) -> int:
    return int(np.argmax(correlate(late, early, method="fft"))) - (len(early) - 1)


@pytest.mark.parametrize("codec", ALL, ids=str)
def test_codecs_are_on_time_and_lose_something(codec: Codec) -> None:
    speech = voice_like()
    received = transcode(speech, codec)

    # Opus and AMR resample and high-pass inside: some µs depend on the sound.
    assert abs(lag(received, speech)) <= (1 if codec.name in ("opus", "amr") else 0)
    assert not np.allclose(received, speech, atol=1e-3)
    assert power_db(received) == pytest.approx(power_db(speech), abs=3)
    # The end is there as well, not cut off by the delay.
    assert power_db(received[-RATE // 8 - 2400 : -RATE // 8]) > power_db(speech) - 10


@pytest.mark.parametrize("codec", ALL, ids=str)
@pytest.mark.parametrize("length", [1, 1_000, 47_999])
def test_any_length_stays(codec: Codec, length: int) -> None:
    received = transcode(voice_like(length + RATE // 8)[-length:], codec)

    assert received.shape == (length,)
    assert received.dtype == np.float32


@pytest.mark.parametrize("name", ["mp3", "aac"])
@pytest.mark.parametrize("cutoff_hz", [3_000, 5_500, 11_000, 16_000])
def test_the_encoder_cuts_where_it_is_told(name: CodecName, cutoff_hz: float) -> None:
    sound = white(2 * RATE)
    received = transcode(sound, Codec(name, 128, cutoff_hz))

    assert gain_db(received, sound, 0.85 * cutoff_hz, 0.93 * cutoff_hz) > -1
    assert gain_db(received, sound, 1.2 * cutoff_hz, RATE / 2) < -40
    assert lag(received, sound) == 0


def test_one_measurement_of_the_delay_serves_all_cut_offs() -> None:
    codecs._delay.cache_clear()
    for cutoff_hz in (4_000, 8_000, 12_345.6):
        transcode(voice_like(4_800), Codec("aac", 96, cutoff_hz))

    assert codecs._delay.cache_info().misses == 1


def test_silence_comes_back_as_next_to_nothing() -> None:
    for codec in ALL:
        # G.711 has no step at zero, and neither have the noises that others fill gaps with.
        assert np.abs(transcode(np.zeros(RATE // 2, np.float32), codec)).max() < 1e-3


def test_what_cannot_be_coded_is_refused() -> None:
    with pytest.raises(OptionError, match=r'^There is no codec "flac"\. Choose one of opus, aac'):
        Codec("flac", 100)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="bit rate"):
        Codec("mp3", 0)
    with pytest.raises(OptionError, match=r"has no cut-off to set\. Leave it out\.$"):
        Codec("opus", 24, cutoff_hz=4_000)
    with pytest.raises(OptionError, match="cut-off"):
        Codec("mp3", 64, cutoff_hz=30_000)
    with pytest.raises(OptionError, match=r"does not work at 500 kbit/s\. Choose another bit rate\.$"):
        transcode(white(RATE // 10), Codec("opus", 500))
    for wrong in (np.zeros(0, np.float32), np.zeros((1, 9), np.float32)):
        with pytest.raises(InputError, match="shape"):
            transcode(wrong, Codec("mp3", 64))
