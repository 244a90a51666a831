"""Passages of a narrower band: found to a tenth of a second, whatever the rate; none in full-band sound."""

from __future__ import annotations

import numpy as np
import pytest

from aural.audio import Clip
from aural.audio.bandwidth import bandwidth
from aural.audio.narrow_passages import Passage, narrow_passages


def syllables(seconds: float, rate: int, band_hz: float, seed: int = 0, channels: int = 1) -> Clip:
    """Noise that falls by 6 dB an octave and swells three times a second, up to the end of a band."""
    frames = round(seconds * rate)
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(frames, 1 / rate)
    spectrum = np.fft.rfft(rng.standard_normal((channels, frames))) / np.maximum(hz, 200) * (hz < band_hz)
    noise = np.fft.irfft(spectrum, frames)
    swell = np.sin(np.pi * 3 * np.arange(frames) / rate) ** 2
    return Clip((0.1 * noise / noise.std() * swell).astype(np.float32), rate)


def joined(*clips: Clip) -> Clip:
    return Clip(np.concatenate([clip.samples for clip in clips], axis=1), clips[0].rate)


def passages(clip: Clip) -> tuple[Passage, ...]:
    return narrow_passages(clip, bandwidth(clip).hz)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1), (96_000, 1)])
@pytest.mark.parametrize("seconds", [(7.3, 8.1, 5.0), (0.0, 6.4, 7.0), (7.0, 6.9, 0.0)])
def test_a_guest_on_the_phone_is_found(rate: int, channels: int, seconds: tuple[float, ...]) -> None:
    parts = [
        syllables(length, rate, band_hz, seed, channels)
        for seed, (length, band_hz) in enumerate(zip(seconds, (rate / 2, 3_400, rate / 2), strict=True))
        if length
    ]
    found = passages(joined(*parts))
    assert len(found) == 1
    assert found[0].start / rate == pytest.approx(seconds[0], abs=0.15)
    assert found[0].stop / rate == pytest.approx(seconds[0] + seconds[1], abs=0.15)
    assert found[0].bandwidth_hz == pytest.approx(3_400, rel=0.05)


def test_two_guests_of_different_bands() -> None:
    bands_hz = (24_000, 3_400, 24_000, 7_000)
    clip = joined(*(syllables(6, 48_000, band_hz, seed) for seed, band_hz in enumerate(bands_hz)))
    found = passages(clip)
    assert [passage.bandwidth_hz for passage in found] == pytest.approx([3_400, 7_000], rel=0.05)
    assert [passage.start / 48_000 for passage in found] == pytest.approx([6, 18], abs=0.15)
    assert found[-1].stop == clip.frames


def test_one_band_silence_and_dark_passages_have_none() -> None:
    full, phone = (syllables(6, 48_000, band_hz) for band_hz in (24_000, 3_400))
    silence = Clip(np.zeros((1, 6 * 48_000), np.float32), 48_000)
    hiss = Clip(1e-3 * phone.samples, 48_000)
    frames = 6 * 48_000
    hz = np.fft.rfftfreq(frames, 1 / 48_000)
    dark = np.fft.irfft(np.fft.rfft(full.samples) / np.maximum(1, hz / 1_000), frames)
    short = Clip(phone.samples[:, : 3 * 48_000], 48_000)
    for clip in (full, phone, silence):
        assert passages(clip) == ()
    for middle in (silence, hiss, Clip(dark.astype(np.float32), 48_000), short):
        assert passages(joined(full, middle, full)) == ()
