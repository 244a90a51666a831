"""Mastering: targets are met and ceilings kept by another meter, or the result says what stopped it."""

import json
import math
import re

import numpy as np
import pyebur128
import pytest
from scipy.signal import butter, sosfilt

import aural
from aural.audio import Clip
from aural.audio.steps import finish
from aural.errors import InputError, OptionError
from aural.loudness.meter import gated_lufs, gating_blocks
from aural.loudness.pipeline import FREE, Options, compare_downmixes_steps, master, master_album
from aural.loudness.targets import TARGETS
from tests.loudness import peers

RATE = 44_100


def programme(seconds: float = 12, level: float = 0.1, channels: int = 2, seed: int = 0) -> Clip:
    """Bursts of coloured noise with rests between them: peaks, pauses and a loudness range, as music has."""
    generator = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    common, own = generator.standard_normal((1, frames)), generator.standard_normal((channels, frames))
    raw = np.cumsum(0.7 * common + 0.5 * own, axis=1)
    coloured = raw - np.concatenate((np.zeros((channels, 40)), raw[:, :-40]), axis=1)
    beat = 0.4 + 0.6 * np.exp(-((np.arange(frames) / RATE * 2) % 1) * 5)
    phrase = 0.55 + 0.45 * np.sin(2 * np.pi * np.arange(frames) / RATE / 6)
    return Clip((level * np.tanh(coloured / coloured.std()) * beat * phrase * 2).astype(np.float32), RATE)


def libebur128(clip: Clip) -> tuple[float, float]:
    """Integrated loudness and true peak by another meter."""
    modes = pyebur128.MeasurementMode.MODE_I | pyebur128.MeasurementMode.MODE_TRUE_PEAK
    state = pyebur128.R128State(clip.channels, clip.rate, modes)
    state.add_frames(np.ascontiguousarray(clip.samples.T).reshape(-1), clip.frames)
    peak = max(pyebur128.get_true_peak(state, channel) for channel in range(clip.channels))
    return pyebur128.get_loudness_global(state), 20 * math.log10(peak)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_met_by_an_independent_meter(target: str) -> None:
    result = master(programme(), Options(target=target))
    loudness, peak = libebur128(result.clip)
    assert peak <= TARGETS[target].ceiling_dbtp
    if result.limited_by is None:
        assert loudness == pytest.approx(TARGETS[target].loudness_lufs, abs=0.1)
    else:
        assert result.limited_by in ("short_term", "down_only")
        assert "LU below" in result.message


@pytest.mark.parametrize("loudness", [-9.0, -14.0, -30.0, -50.0])
@pytest.mark.parametrize("ceiling", [0.0, -1.0, -6.0])
def test_free_values_are_met_or_the_message_says_by_how_much_not(loudness: float, ceiling: float) -> None:
    options = Options(target=FREE, loudness_lufs=loudness, ceiling_dbtp=ceiling)
    result = master(programme(), options)
    reached, peak = libebur128(result.clip)
    assert peak <= ceiling
    if result.limited_by is None:
        assert reached == pytest.approx(loudness, abs=0.1)
    else:
        assert result.limited_by == "limiting"
        assert result.message.startswith(f"{loudness - reached:.1f} LU below")
        assert result.limiting_db == pytest.approx(options.max_limiting_db, abs=0.5)


def test_rate_channels_and_length_are_kept() -> None:
    clip = programme(channels=6)
    result = master(clip, Options(target="ebu_r128"))
    assert (result.clip.rate, result.clip.samples.shape) == (clip.rate, clip.samples.shape)


def test_without_the_limiter_the_result_is_the_input_times_one_gain() -> None:
    clip = programme()
    result = master(clip, Options(limiter=False))
    gain = np.float32(10 ** (result.gain_db / 20))
    assert np.allclose(result.clip.samples, clip.samples * gain, rtol=1e-6)
    assert result.limiting_db == 0


def test_without_the_limiter_the_ceiling_stops_the_gain_and_says_so() -> None:
    result = master(programme(), Options(target=FREE, loudness_lufs=-6, limiter=False))
    assert result.limited_by == "ceiling"
    assert -1.3 < libebur128(result.clip)[1] <= -1.0


def test_a_nearly_silent_file_is_not_raised_beyond_the_largest_gain() -> None:
    result = master(programme(level=1e-3), Options(max_gain_db=20))
    assert result.limited_by == "quiet"
    assert result.gain_db == 20


def test_silence_comes_back_as_silence_and_says_so() -> None:
    clip = Clip(np.zeros((2, RATE), np.float32), RATE)
    result = master(clip)
    assert result.limited_by == "silence"
    assert np.array_equal(result.clip.samples, clip.samples)


def test_youtube_leaves_quiet_files_as_they_are() -> None:
    clip = programme(level=0.01)
    result = master(clip, Options(target="youtube"))
    assert result.limited_by == "down_only"
    assert np.array_equal(result.clip.samples, clip.samples)


def test_short_term_loudness_keeps_below_the_limit_of_r128_s1() -> None:
    clip = programme(30)
    samples = clip.samples.copy()
    samples[:, : 24 * RATE] *= 0.2
    result = master(clip.with_samples(samples), Options(target="ebu_r128_s1"))
    assert result.limited_by == "short_term"
    assert result.after.short_term_max_lufs == pytest.approx(-18, abs=0.1)


def test_range_control_reaches_the_range_asked_for() -> None:
    clip = programme(40)
    samples = clip.samples.copy()
    samples[:, : 20 * RATE] *= 0.2
    result = master(clip.with_samples(samples), Options(control_range=True, range_lu=8))
    assert result.before.range_lu is not None and result.before.range_lu > 12
    assert result.after.range_lu is not None and result.after.range_lu < 8.5
    assert result.limited_by is None


def test_a_mono_file_for_a_smart_speaker_is_set_3_lu_softer() -> None:
    result = master(programme(), Options(target="smart_speaker", downmix="mono"))
    assert result.target_lufs == -19
    assert result.clip.channels == 1


def test_listening_level_compensation_raises_the_bass() -> None:
    def share_of_bass(clip: Clip) -> float:
        power = np.abs(np.fft.rfft(clip.samples[0])) ** 2
        return float(power[np.fft.rfftfreq(clip.frames, 1 / clip.rate) < 120].sum() / power.sum())

    clip = programme()
    assert share_of_bass(master(clip, Options(playback_phon=50)).clip) > 2 * share_of_bass(clip)


def test_an_album_gets_one_gain_and_its_pooled_loudness_meets_the_target() -> None:
    tracks = [programme(seed=1), programme(seed=2, level=0.03), Clip(np.zeros((2, RATE), np.float32), RATE)]
    results = master_album(tracks, Options(target="apple_music"))
    assert len({result.gain_db for result in results}) == 1
    blocks = [gating_blocks(result.after.powers, result.after.seconds) for result in results]
    assert gated_lufs(blocks) == pytest.approx(-16, abs=0.1)
    loud, soft = (result.after.integrated_lufs for result in results[:2])
    assert loud is not None and soft is not None and loud - soft > 8


@pytest.mark.parametrize("limiting_db", [6.0, 12.0, 24.0])
@pytest.mark.parametrize("high_pass_hz", [0, 10_000])
def test_the_ceiling_holds_by_every_meter_on_bright_material(high_pass_hz: int, limiting_db: float) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 6 * 48_000))
    if high_pass_hz:
        noise = sosfilt(butter(8, high_pass_hz, "high", fs=48_000, output="sos"), noise)
    clip = Clip((noise / np.abs(noise).max()).astype(np.float32), 48_000)
    result = master(clip, Options(target=FREE, loudness_lufs=0, max_limiting_db=limiting_db))
    for meter in (peers.ffmpeg, peers.libebur128):
        assert meter(result.clip).true_peak_dbtp <= -1


def test_a_click_that_the_limiter_presses_below_the_gate_is_said_to_be_short() -> None:
    samples = np.zeros((1, 2 * RATE), np.float32)
    samples[0, RATE] = 1
    options = Options(target=FREE, loudness_lufs=-50, ceiling_dbtp=-40, max_limiting_db=40)
    result = master(Clip(samples, RATE), options)
    assert result.limited_by == "limiting"
    json.dumps(result.figures(), allow_nan=False)


def lows(name: str, frames: int) -> np.ndarray:
    """What nobody hears, 20 dB and more above a quiet programme."""
    time = np.arange(frames) / RATE
    noise = sosfilt(
        butter(6, (18, 50), "bandpass", fs=RATE, output="sos"),
        np.random.default_rng(3).standard_normal(frames),
    )
    return {
        "offset": np.full(frames, 0.4),
        "negative offset": np.full(frames, -0.2),
        "tone of 16 Hz": 0.4 * np.sin(2 * np.pi * 16 * time),
        "tone of 30 Hz": 0.3 * np.sin(2 * np.pi * 30 * time),
        "hum of 50 Hz": 0.3 * np.sin(2 * np.pi * 50 * time),
        "traffic": 0.05 * noise / noise.std(),
        "thump": 0.9 * np.exp(-np.square((time - 2) / 0.05)) * np.sin(2 * np.pi * 28 * time),
    }[name]


@pytest.mark.parametrize(
    "name",
    ["offset", "negative offset", "tone of 16 Hz", "tone of 30 Hz", "hum of 50 Hz", "traffic", "thump"],
)
def test_what_nobody_hears_takes_no_headroom_and_no_loudness(name: str) -> None:
    clip = programme(6, level=0.01)
    samples = sosfilt(butter(4, 150, "highpass", fs=RATE, output="sos"), clip.samples)
    plain = master(clip.with_samples(samples.astype(np.float32)), Options(target="apple_podcasts"))
    heard = master(
        clip.with_samples((samples + lows(name, clip.frames)).astype(np.float32)),
        Options(target="apple_podcasts"),
    )
    assert heard.limited_by is None
    assert libebur128(heard.clip)[0] == pytest.approx(-16, abs=0.1)
    difference = heard.clip.samples - plain.clip.samples
    assert np.mean(np.square(difference)) < 0.02 * np.mean(np.square(plain.clip.samples))
    assert np.abs(heard.clip.samples.mean(axis=1)).max() < 1e-3
    assert "removed." in heard.message and "removed." not in plain.message


@pytest.mark.parametrize("value", [10 ** (85 / 20), -50.0])
def test_a_damaged_sample_does_not_decide_and_is_said_to_be_mended(value: float) -> None:
    clip = programme(6)
    damaged = clip.samples.copy()
    damaged[1, 2 * RATE] = value
    plain, mended = (master(clip.with_samples(samples)) for samples in (clip.samples, damaged))
    assert mended.message.startswith("1 damaged sample mended. Done:")
    assert mended.before.true_peak_dbtp is not None and mended.before.true_peak_dbtp > 30
    assert mended.after.integrated_lufs == pytest.approx(plain.after.integrated_lufs, abs=0.05)
    np.testing.assert_allclose(mended.clip.samples[0], plain.clip.samples[0], atol=0.02)


def test_an_album_needs_a_track() -> None:
    with pytest.raises(InputError, match="at least one"):
        master_album([])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "nowhere"}, 'There is no target "nowhere". Choose one of earbuds, '),
        ({"target": FREE}, "The custom target needs a loudness (loudness_lufs). Set one, "),
        ({"downmix": "sideways"}, 'There is no down-mix "sideways". Choose one of keep, '),
        ({"layout": "7.1"}, "The layout 7.1 has 8 channels and the audio 2. Choose a layout that fits, "),
        ({"layout": "octophonic"}, 'There is no channel layout "octophonic". Choose one of auto, '),
        ({"loudness_lufs": 3.0}, "The loudness must be from -60 to 0 LUFS, not 3.0."),
        ({"loudness_lufs": math.nan}, "The loudness must be from -60 to 0 LUFS, not nan."),
        ({"ceiling_dbtp": 1.0}, "The true-peak ceiling must be from -40 to 0 dBTP, not 1.0."),
        ({"max_gain_db": math.inf}, "The largest gain must be from 0 to 80 dB, not inf."),
        ({"max_limiting_db": -1.0}, "The largest limiting must be from 0 to 40 dB, not -1.0."),
        ({"control_range": True, "range_lu": 0.0}, "The loudness range must be from 1 to 40 LU, not 0.0."),
        ({"control_range": True}, "Spotify sets no loudness range (range_lu). Set one, such as 8 LU."),
        ({"playback_phon": 300.0}, "The listening level must be from 20 to 90 phon, not 300.0."),
        ({"playback_phon": math.nan}, "The listening level must be from 20 to 90 phon, not nan."),
        ({"max_gain_db": None}, "The largest gain must be from 0 to 80 dB, not empty."),
        (
            {"playback_phon": 60.0, "reference_phon": None},
            "The level of the mix must be from 20 to 90 phon, not empty.",
        ),
    ],
)
def test_a_setting_out_of_range_is_refused_with_a_remedy(options: dict, sentence: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(sentence)}"):
        aural.master(programme(1), **options)


@pytest.mark.parametrize("frames", [1, 100, 10_000])
def test_very_short_clips_are_mastered_without_nan(frames: int) -> None:
    samples = programme(1).samples[:, 5000 : 5000 + frames]
    result = master(Clip(samples, RATE))
    assert np.isfinite(result.clip.samples).all()
    json.dumps(result.figures(), allow_nan=False)


def test_dc_comes_back_finite() -> None:
    result = master(Clip(np.full((2, 2 * RATE), 0.5, np.float32), RATE))
    assert np.isfinite(result.clip.samples).all()
    json.dumps(result.figures(), allow_nan=False)


def test_progress_rises_from_0_to_1_and_work_can_be_given_up() -> None:
    shares = list(master.steps(programme(), Options(target="spotify_loud", downmix="mono_phase_safe")))
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    steps = master.steps(programme())
    next(steps)
    steps.close()


def test_the_comparison_of_down_mixes_shows_what_mono_loses() -> None:
    clip = programme(4)
    opposite = clip.with_samples(np.stack([clip.samples[0], -clip.samples[0]]))
    folds = {f.method: f for f in finish(compare_downmixes_steps(opposite, aural.measure(opposite)))}
    assert folds["mono_mid"].integrated_lufs is None, "out-of-phase sound vanishes in a plain sum"
    assert folds["mono_phase_safe"].change_lu == pytest.approx(-3.01, abs=1), "one channel of two, as loud"
    assert folds["keep"].change_lu == 0
