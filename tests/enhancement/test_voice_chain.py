"""The finish: each stage does what its settings say, and the whole lands on its target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from aural.audio import Clip
from aural.audio.steps import finish
from aural.enhancement.voice_chain import (
    VOICE_CHAINS,
    Compressor,
    DeEsser,
    VoiceChain,
    VoiceChainResult,
    process_steps,
    reduction_db,
    voice_chain_steps,
)
from aural.errors import InputError, OptionError
from aural.loudness.layouts import LAYOUTS
from aural.loudness.meter import measure

RATE = 48_000
# Each stage by itself.
BARE = VoiceChain(-16.0, high_pass_hz=None, compressor=None, de_esser=None)
COMPRESSOR = Compressor(threshold_lu=0.0, ratio=4.0, knee_db=6.0)
PRESETS = [name for name, settings in VOICE_CHAINS.items() if settings is not None]


def sine(frequency_hz: float, level_db: float, seconds: float = 1.0, rate: int = RATE) -> NDArray[np.float32]:
    """(1, time); the level is that of the root mean square."""
    time = np.arange(round(seconds * rate)) / rate
    wave = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency_hz * time)
    return wave[np.newaxis].astype(np.float32)


def level_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def shape(samples: NDArray[np.float32], settings: VoiceChain, loudness_lufs: float = -20.0, rate: int = RATE):
    return finish(process_steps(samples, rate, settings, loudness_lufs))


def speech(seconds: float = 6.0, channels: int = 2, rate: int = RATE, seed: int = 0) -> Clip:
    """Syllables of a buzz with hiss between them and rumble below: all that a voice chain processes."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 130 * n * time + n) / n for n in range(1, 25))
    hiss_hz = (min(5_000, 0.3 * rate), min(9_000, 0.45 * rate))
    hiss = sosfilt(
        butter(2, hiss_hz, "bandpass", fs=rate, output="sos"), generator.standard_normal(time.size)
    )
    syllable = np.maximum(0, np.sin(2 * np.pi * 2.5 * time)) * (0.3 + 0.7 * (np.sin(time) > 0))
    hissing = np.maximum(0, -np.sin(2 * np.pi * 2.5 * time)) ** 8
    wave = 0.1 * syllable * buzz + 0.08 * hissing * hiss + 0.02 * np.sin(2 * np.pi * 25 * time)
    gains = 0.8 ** np.arange(channels)[:, np.newaxis]
    return Clip((gains * wave).astype(np.float32), rate)


def run(clip: Clip, settings: VoiceChain, mix: float = 1.0) -> VoiceChainResult:
    return finish(voice_chain_steps(clip, settings, mix))


@pytest.mark.parametrize("cutoff_hz", [30.0, 80.0])
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_the_high_pass_takes_3_db_at_its_cutoff_and_12_db_more_an_octave_below(
    cutoff_hz: float, rate: int
) -> None:
    def loss_db(frequency_hz: float) -> float:
        tone = sine(frequency_hz, -20, 3, rate)
        filtered = shape(tone, replace(BARE, high_pass_hz=cutoff_hz), rate=rate)[0]
        return level_db(tone[:, rate:]) - level_db(filtered[:, rate:])

    assert loss_db(cutoff_hz) == pytest.approx(3.01, abs=0.05)
    assert loss_db(cutoff_hz / 4) - loss_db(cutoff_hz / 2) == pytest.approx(12, abs=0.5)
    assert loss_db(20 * cutoff_hz) == pytest.approx(0, abs=0.01)


def test_the_high_pass_adds_no_delay() -> None:
    samples = np.zeros((1, RATE), np.float32)
    samples[0, 1000] = 1
    filtered = shape(samples, replace(BARE, high_pass_hz=80.0))[0]
    assert not filtered[0, :1000].any()
    assert filtered[0, 1000] > 0.99


def surround(layout: str, lfe_hz: float, lfe_level_db: float = -20.0, rate: int = RATE) -> Clip:
    """Speech in every channel, and in the LFE a sine instead."""
    speakers = LAYOUTS[layout]
    clip = speech(4, len(speakers), rate)
    samples = clip.samples.copy()
    samples[speakers.index("LFE")] = sine(lfe_hz, lfe_level_db, 4, rate)
    return Clip(samples, rate, layout=layout)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("layout", "lfe_hz"), [("5.1", 40.0), ("7.1", 25.0), ("2.1", 70.0)])
def test_the_lfe_keeps_its_polarity_and_its_level(preset: str, layout: str, lfe_hz: float) -> None:
    clip, lfe = surround(layout, lfe_hz), LAYOUTS[layout].index("LFE")
    result = run(clip, VOICE_CHAINS[preset])
    assert np.corrcoef(clip.samples[lfe], result.clip.samples[lfe])[0, 1] > 0.95
    # Its level goes with that of the other channels, but for what the high-pass takes from them.
    assert level_db(result.clip.samples[lfe]) - level_db(clip.samples[lfe]) == pytest.approx(
        level_db(result.clip.samples[0]) - level_db(clip.samples[0]), abs=3
    )


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("cutoff_hz", [30.0, 80.0])
def test_beside_an_lfe_the_high_pass_turns_and_delays_no_channel(cutoff_hz: float, rate: int) -> None:
    for share, loss_db in ((0.25, 24.1), (0.5, 12.3), (1.0, 3.01), (2.0, 0.26)):
        tone = sine(share * cutoff_hz, -20, 3, rate)
        samples = np.repeat(tone, 6, axis=0)
        settings = replace(BARE, high_pass_hz=cutoff_hz)
        filtered = finish(process_steps(samples, rate, settings, -20.0, lfe=(3,)))[0]
        assert np.array_equal(filtered[3], samples[3])
        within = slice(rate, 2 * rate)
        for channel in (0, 1, 2, 4, 5):
            assert np.corrcoef(filtered[channel, within], tone[0, within])[0, 1] > 0.9999
            assert level_db(tone[0, within]) - level_db(filtered[channel, within]) == pytest.approx(
                loss_db, abs=0.2
            )


def test_the_lfe_decides_over_no_gain() -> None:
    quiet, loud = (run(surround("5.1", 50.0, level), VOICE_CHAINS["podcast"]) for level in (-90.0, -12.0))
    assert quiet.compression_db > 1 and quiet.de_essing_db > 1
    assert loud.compression_db == pytest.approx(quiet.compression_db, abs=0.01)
    assert loud.de_essing_db == pytest.approx(quiet.de_essing_db, abs=0.01)


def test_the_high_pass_beside_an_lfe_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = surround("5.1", 40.0).samples
    whole = finish(process_steps(samples, RATE, VOICE_CHAINS["podcast"], -25.0, lfe=(3,)))
    for seconds in (0.01, 1):
        monkeypatch.setattr("aural.enhancement.voice_chain.BLOCK_SECONDS", seconds)
        blocks = finish(process_steps(samples, RATE, VOICE_CHAINS["podcast"], -25.0, lfe=(3,)))
        np.testing.assert_allclose(blocks[0], whole[0], atol=1e-6)


def test_a_sine_below_the_threshold_passes_the_compressor_untouched() -> None:
    tone = sine(1000, -23.5)  # the knee ends at -23
    compressed, max_db, _ = shape(tone, replace(BARE, compressor=COMPRESSOR))
    assert np.array_equal(compressed, tone)
    assert max_db == 0


@pytest.mark.parametrize("over_db", [6.0, 12.0, 18.0])
def test_above_the_threshold_the_level_rises_by_one_over_the_ratio(over_db: float) -> None:
    tone = sine(1000, -20 + over_db, 2)
    compressed, max_db, _ = shape(tone, replace(BARE, compressor=COMPRESSOR))
    assert level_db(compressed[:, RATE:]) == pytest.approx(-20 + over_db / 4, abs=0.05)
    assert max_db == pytest.approx(over_db * 3 / 4, abs=0.05)


def test_the_knee_joins_both_slopes_without_a_corner() -> None:
    over_db = np.linspace(-12, 12, 241)
    reduction = reduction_db(over_db, ratio=4.0, knee_db=6.0)
    slopes = np.diff(reduction) / np.diff(over_db)
    assert slopes.min() == 0 and slopes.max() == pytest.approx(0.75)
    assert np.all(np.diff(slopes) >= -1e-9) and np.diff(slopes).max() < 0.02
    assert reduction_db(np.array([0.1]), 4.0, 0.0)[0] == pytest.approx(0.075), "no knee is a corner"


def test_attack_and_release_last_as_long_as_set() -> None:
    settings = Compressor(0.0, ratio=100.0, knee_db=0.0, attack_seconds=0.05, release_seconds=0.2)
    tone = np.concatenate([sine(1000, -40), sine(1000, -8), sine(1000, -40)], axis=1)
    compressed = shape(tone, replace(BARE, compressor=settings))[0]

    def gain_db(seconds: float) -> float:
        around = slice(round((seconds - 0.005) * RATE), round((seconds + 0.005) * RATE))
        return level_db(compressed[:, around]) - level_db(tone[:, around])

    assert gain_db(1.995) == pytest.approx(-12 * 0.99, abs=0.1)
    # After its time constant a change has come to 63 %; the level itself takes some 10 ms.
    assert gain_db(1.05) == pytest.approx(-12 * 0.63, abs=2)
    assert gain_db(2.22) == pytest.approx(-12 * 0.37, abs=1)


def test_the_de_esser_leaves_a_low_tone_untouched() -> None:
    tone = sine(300, -12)
    shaped, _, max_db = shape(tone, replace(BARE, de_esser=DeEsser()))
    assert np.array_equal(shaped, tone)
    assert max_db == 0


def test_the_de_esser_turns_down_a_hiss_as_its_ratio_says_and_nothing_beneath_it() -> None:
    settings = DeEsser(threshold_db=-12.0, ratio=3.0, knee_db=0.0)
    hiss, hum = sine(6300, -30, 2), sine(200, -36, 2)
    shaped, _, max_db = shape(hiss + hum, replace(BARE, de_esser=settings))
    # The hiss is the band and 0.97 dB less than the whole: 11 dB above the threshold, less two thirds.
    assert max_db == pytest.approx(11.03 * 2 / 3, abs=0.1)
    before, after = (np.abs(np.fft.rfft(samples[0, RATE:])) for samples in (hiss + hum, shaped))
    assert 20 * np.log10(after[6300] / before[6300]) == pytest.approx(-11.03 * 2 / 3, abs=0.2)
    assert after[200] == pytest.approx(before[200], rel=1e-3)


def test_the_de_esser_does_not_depend_on_the_level() -> None:
    clip = speech(2)
    loud, _, loud_db = shape(clip.samples, replace(BARE, de_esser=DeEsser()))
    soft, _, soft_db = shape(clip.samples * np.float32(2**-6), replace(BARE, de_esser=DeEsser()))
    assert loud_db > 2
    assert soft_db == pytest.approx(loud_db, abs=1e-6)
    np.testing.assert_allclose(soft * 2**6, loud, atol=1e-6)


@pytest.mark.parametrize(("rate", "has_band"), [(4_000, False), (8_000, False), (16_000, True)])
def test_where_the_rate_has_no_hissing_there_is_no_de_essing(rate: int, has_band: bool) -> None:
    noise = np.random.default_rng(0).standard_normal((1, rate)).astype(np.float32)
    noise = sosfilt(butter(2, 0.7, "high", output="sos"), noise).astype(np.float32)
    shaped, _, max_db = shape(noise, replace(BARE, de_esser=DeEsser()), rate=rate)
    assert (max_db > 1) == has_band
    assert np.array_equal(shaped, noise) != has_band


@pytest.mark.parametrize("preset", PRESETS)
def test_the_stereo_image_stays(preset: str) -> None:
    clip = speech(channels=2)
    quiet_right = np.stack([clip.samples[0], clip.samples[0] / 4])
    result = run(clip.with_samples(quiet_right), VOICE_CHAINS[preset]).clip.samples
    np.testing.assert_allclose(result[1] * 4, result[0], atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (22_050, 2), (8_000, 1)])
def test_a_finish_lands_on_its_target_and_keeps_what_it_should(preset: str, rate: int, channels: int) -> None:
    settings, clip = VOICE_CHAINS[preset], speech(8, channels, rate)
    result = run(clip, settings)
    measured = measure(result.clip)
    assert measured.integrated_lufs == pytest.approx(settings.loudness_lufs, abs=0.1)
    assert measured.true_peak_dbtp <= settings.ceiling_dbtp
    assert (result.clip.rate, result.clip.samples.shape) == (rate, clip.samples.shape)
    assert f"Done: {settings.loudness_lufs:.1f} LUFS".replace("-", "−") in result.message
    assert result.compression_db > 1
    assert f"ompression up to {result.compression_db:.1f} dB" in result.message


def test_how_much_is_compressed_does_not_depend_on_the_level_of_the_recording() -> None:
    clip = speech()
    loud = run(clip, VOICE_CHAINS["podcast"])
    soft = run(clip.with_samples(clip.samples * np.float32(0.2)), VOICE_CHAINS["podcast"])
    assert loud.compression_db > 1
    assert soft.compression_db == pytest.approx(loud.compression_db, abs=0.02)
    assert soft.gain_db == pytest.approx(loud.gain_db + 14, abs=0.05)


def test_an_interview_of_a_loud_and_a_soft_voice_is_evened_out() -> None:
    clip = speech(16, 1)
    samples = clip.samples.copy()
    samples[:, 8 * RATE :] *= 0.1
    result = run(clip.with_samples(samples), VOICE_CHAINS["interview"])
    before, after = measure(clip.with_samples(samples)), measure(result.clip)
    assert before.range_lu > 15
    assert after.range_lu < 8.5


@pytest.mark.parametrize("preset", PRESETS)
def test_silence_stays_silence(preset: str) -> None:
    clip = Clip(np.zeros((2, RATE), np.float32), RATE)
    result = run(clip, VOICE_CHAINS[preset])
    assert not result.clip.samples.any()
    assert "silent" in result.message


def test_the_result_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (22_050, 48_000):
        clip = speech(5, rate=rate)
        whole = shape(clip.samples, VOICE_CHAINS["podcast"], -25.0, rate)
        for seconds in (0.001, 0.37, 1, 60):
            with monkeypatch.context() as patch:
                patch.setattr("aural.enhancement.voice_chain.BLOCK_SECONDS", seconds)
                blocks = shape(clip.samples, VOICE_CHAINS["podcast"], -25.0, rate)
            assert np.array_equal(blocks[0], whole[0])
            assert blocks[1:] == whole[1:]


def test_the_mix_goes_from_the_dry_sound_bit_for_bit_to_the_wet() -> None:
    clip = speech(2)
    dry, half, wet = (
        finish(process_steps(clip.samples, RATE, VOICE_CHAINS["podcast"], -25.0, mix))[0]
        for mix in (0.0, 0.5, 1.0)
    )
    assert np.array_equal(dry, clip.samples)
    assert np.abs(wet - dry).max() > 0.01
    np.testing.assert_allclose(half, (dry + wet) / 2, atol=1e-6)
    # The loudness is set after it.
    finished = run(clip, VOICE_CHAINS["podcast"], mix=0.0)
    assert finished.compression_db == finished.de_essing_db == 0
    assert measure(finished.clip).integrated_lufs == pytest.approx(-16, abs=0.1)


@pytest.mark.parametrize("frames", [1, 47, 1000])
def test_very_short_clips_are_finished_without_nan(frames: int) -> None:
    clip = Clip(speech(1).samples[:, 5000 : 5000 + frames], RATE)
    result = run(clip, VOICE_CHAINS["podcast"])
    assert result.clip.samples.shape == clip.samples.shape
    assert np.isfinite(result.clip.samples).all()


def test_progress_rises_from_0_to_1_and_work_can_be_given_up() -> None:
    shares = list(voice_chain_steps(speech(), VOICE_CHAINS["podcast"]))
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    steps = voice_chain_steps(speech(), VOICE_CHAINS["podcast"])
    next(steps)
    steps.close()


def test_what_cannot_be_finished_is_refused() -> None:
    for mix in (-0.1, 1.1, float("nan")):
        with pytest.raises(OptionError, match=r"from 0 \(dry\) to 1"):
            run(speech(1), VOICE_CHAINS["podcast"], mix=mix)
    with pytest.raises(InputError, match=r"far beyond full scale\. Export the file again"):
        run(Clip(np.full((1, RATE), np.nan, np.float32), RATE), VOICE_CHAINS["podcast"])
