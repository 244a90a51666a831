"""The phone chain: each degradation does what it says and nothing else, and nothing comes late."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.signal import butter, correlate, sosfilt

from aural.audio import Clip
from aural.audio.clip import Samples
from aural.audio.codecs import CODECS, Codec
from aural.audio.low_pass import LOW_PASSES, LowPass
from aural.audio.steps import finish
from aural.enhancement import degrade as module
from aural.enhancement.degrade import PRESETS, Options, degrade_clip
from aural.enhancement.degrade.phone import (
    DEGRADATIONS,
    PROBABILITIES,
    AutomaticGain,
    Chain,
    Clipping,
    Degradation,
    Degraded,
    Resonance,
    degrade,
    sample_chain,
)
from aural.enhancement.degrade.room import RATE, Room, impulse_response
from aural.errors import InputError, OptionError

HALF = RATE // 2
LOUD, TAIL, SOFT = slice(0, HALF), slice(HALF + RATE // 20, HALF + RATE // 5), slice(RATE, RATE + HALF)
SINGLE: dict[Degradation, Chain] = {
    "room": Chain(room=Room(0.5, 0.5, seed=3)),
    "noise": Chain(snr_db=10.0),
    "band": Chain(high_pass_hz=150.0, resonances=(Resonance(2000, 4, 2),), low_pass_hz=6000.0),
    "automatic_gain": Chain(automatic_gain=AutomaticGain(-15, 4, 0.005, 0.1)),
    "clipping": Chain(clipping=Clipping(0.3, hard=True)),
    "codec": Chain(codec=Codec("amr", 12.2)),
}


def white(samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).standard_normal(samples, dtype=np.float32)


def phrase() -> Samples:
    """Half a second of noise, half a second of nothing, half a second of noise 15 dB softer, nothing."""
    sound = np.zeros(2 * RATE, np.float32)
    sound[LOUD] = 0.1 * white(HALF)
    sound[SOFT] = 0.1 * 10 ** (-15 / 20) * white(HALF, 1)
    return sound


def voice_like(seconds: float = 2.0, seed: int = 5) -> Samples:
    """Noise in the band of a telephone that comes and goes as syllables do."""
    length = round(seconds * RATE)
    syllables = np.maximum(0, np.sin(2 * np.pi * 4 * np.arange(length) / RATE)) * white(length, seed)
    sound = sosfilt(butter(2, (200, 2500), "bandpass", fs=RATE, output="sos"), syllables)
    scaled: Samples = (0.3 * sound / np.abs(sound).max()).astype(np.float32)
    return scaled


def power_db(sound: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


def band_db(sound: Samples, low_hz: float, high_hz: float) -> float:
    """Power between two frequencies."""
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    return float(10 * np.log10(spectrum[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum() + 1e-20))


def lag(late: Samples, early: Samples) -> int:
    return int(np.argmax(correlate(late, early, method="fft"))) - (len(early) - 1)


def struck(degraded: Degraded) -> set[str]:
    """The degradations that can be seen in a degraded `phrase`."""
    found = set()
    clean, voice = degraded.speech, degraded.samples - degraded.noise
    if degraded.noise.any():
        found.add("noise")
    if power_db(voice[TAIL]) > power_db(voice[LOUD]) - 50:
        found.add("room")
    if abs(band_db(voice, 12_000, 20_000) - band_db(clean, 12_000, 20_000)) > 6:
        found.add("band")
    ranges = [power_db(sound[LOUD]) - power_db(sound[SOFT]) for sound in (voice, clean)]
    if abs(ranges[0] - ranges[1]) > 3:
        found.add("automatic_gain")
    if np.mean(np.abs(degraded.samples) > 0.999 * np.abs(degraded.samples).max()) > 0.001:
        found.add("clipping")
    return found


@pytest.mark.parametrize("degradation", DEGRADATIONS)
def test_each_degradation_alone_changes_nothing_else(degradation: Degradation) -> None:
    degraded = degrade(phrase(), SINGLE[degradation], white(2 * RATE, 2))
    # A narrow-band codec is seen by the band that it takes.
    assert struck(degraded) == {"band" if degradation == "codec" else degradation}


@pytest.mark.parametrize("degradation", DEGRADATIONS)
def test_a_degradation_has_the_same_settings_with_others_and_without(degradation: Degradation) -> None:
    every, alone, nothing = (
        sample_chain(np.random.default_rng(4), degradations)
        for degradations in (DEGRADATIONS, {degradation}, ())
    )
    differing = {
        field.name for field in fields(Chain) if getattr(alone, field.name) != getattr(nothing, field.name)
    }
    owned = {"noise": {"snr_db"}, "band": {"high_pass_hz", "resonances", "low_pass_hz"}}
    assert differing == owned.get(degradation, {degradation})
    assert all(getattr(alone, name) == getattr(every, name) for name in differing)


def test_draws_keep_their_ranges_and_chances() -> None:
    chains = [sample_chain(np.random.default_rng(seed)) for seed in range(600)]
    for degradation, name in (
        ("room", "room"),
        ("noise", "snr_db"),
        ("band", "low_pass_hz"),
        ("codec", "codec"),
    ):
        share = np.mean([getattr(chain, name) is not None for chain in chains])
        assert share == pytest.approx(PROBABILITIES[degradation], abs=0.07)  # type: ignore[index]
    ratios = [chain.snr_db for chain in chains if chain.snr_db is not None]
    assert -5 <= min(ratios) < -4 and 24 < max(ratios) <= 25
    assert np.mean(ratios) == pytest.approx(10, abs=1.5)
    assert {chain.codec.name for chain in chains if chain.codec} == set(CODECS)
    assert {chain.low_pass_kind for chain in chains} == set(LOW_PASSES)


def test_the_same_seed_gives_the_same_recording() -> None:
    speech, noise = voice_like(1.0), white(RATE)
    first, again, other = (
        degrade(speech, sample_chain(np.random.default_rng(seed), DEGRADATIONS), noise).samples
        for seed in (7, 7, 8)
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_all_results_are_as_long_as_the_speech_and_within_full_scale(seed: int) -> None:
    speech = 3 * voice_like(0.8)[: 30_000 + seed]
    degraded = degrade(speech, sample_chain(np.random.default_rng(seed), DEGRADATIONS), 5 * white(9000))
    for sound in (degraded.samples, degraded.speech, degraded.noise):
        assert sound.shape == speech.shape and sound.dtype == np.float32
        assert 0 < np.abs(sound).max() <= 1


def test_the_target_is_the_clean_speech_but_for_one_gain() -> None:
    speech = voice_like()
    degraded = degrade(speech, sample_chain(np.random.default_rng(3), DEGRADATIONS), white(RATE))
    loudest = np.argmax(np.abs(speech))
    gain = degraded.speech[loudest] / speech[loudest]
    np.testing.assert_allclose(degraded.speech, gain * speech, rtol=1e-6, atol=1e-9)


def test_the_target_has_the_level_of_the_voice_in_the_recording() -> None:
    """A high-pass shifts the phase of a voice's lowest tones; the gain must not follow it."""
    speech = voice_like()
    degraded = degrade(speech, Chain(high_pass_hz=300.0, room=Room(0.4, 0.3, seed=1)))
    levels = [band_db(sound, 600, 2500) for sound in (degraded.samples, degraded.speech)]
    assert levels[0] == pytest.approx(levels[1], abs=1.5)


@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 25.0])
@pytest.mark.parametrize("room", [None, Room(0.6, 1.5, seed=2)])
def test_speech_and_noise_have_the_requested_ratio_where_they_are_active(
    snr_db: float, room: Room | None
) -> None:
    speech = phrase()
    speech[RATE:] = 0.0
    noise = white(2 * RATE, 9)
    noise[: RATE // 2] = 0.0  # a pause says nothing about a noise's level
    degraded = degrade(speech, Chain(snr_db=snr_db, room=room, bits=None), noise)
    voice = degraded.samples - degraded.noise
    # Speech in a room stays active for the first 30 dB of the tail.
    active = slice(0, HALF if room is None else round(HALF + room.rt60_seconds / 2 * RATE))
    ratio_db = power_db(voice[active]) - power_db(degraded.noise[RATE // 2 :])
    assert ratio_db == pytest.approx(snr_db, abs=0.5)


def test_the_recording_is_the_voice_in_it_plus_the_noise_in_it() -> None:
    chain = replace(sample_chain(np.random.default_rng(1), ("room", "noise", "band")), bits=None)
    speech = 0.1 * voice_like()
    noisy, quiet = degrade(speech, chain, white(RATE)), degrade(speech, chain)
    assert noisy.noise.any()
    np.testing.assert_allclose(noisy.samples - noisy.noise, quiet.samples, atol=1e-6)


def test_short_noise_is_looped_without_a_click_and_silent_noise_is_none() -> None:
    speech = voice_like(2.0)
    cycles = np.sin(2 * np.pi * 401.7 * np.arange(20_000) / RATE).astype(np.float32)
    noise = degrade(speech, Chain(snr_db=0.0), cycles).noise
    assert np.abs(noise[-2000:]).max() > 0.5 * np.abs(noise).max()
    # No step is larger than the sine's own steepest one, cross-fades adding at most √2 to it.
    steepest = np.abs(noise).max() * 2 * np.pi * 401.7 / RATE
    assert np.abs(np.diff(noise)).max() < 1.1 * np.sqrt(2) * steepest
    for silent in (np.zeros(5000, np.float32), np.zeros(0, np.float32), None):
        assert not degrade(speech, Chain(snr_db=0.0), silent).noise.any()


@pytest.mark.parametrize("kind", LOW_PASSES)
def test_low_passes_take_what_is_above_and_leave_what_is_below(kind: LowPass) -> None:
    sound = 0.1 * white(RATE)
    limited = degrade(sound, Chain(low_pass_hz=4000.0, low_pass_kind=kind, bits=None)).samples
    clean = band_db(sound, 100, 2000)
    assert band_db(limited, 100, 2000) == pytest.approx(clean, abs=1)
    assert band_db(limited, 8000, 24_000) < band_db(sound, 8000, 24_000) - 12
    if kind in ("linear", "resampled"):
        assert lag(limited, sound) == 0
        assert band_db(limited, 4500, 24_000) < band_db(sound, 4500, 24_000) - 50


def test_high_pass_and_resonances() -> None:
    sound = 0.1 * white(4 * RATE)
    chain = Chain(high_pass_hz=300.0, resonances=(Resonance(5000, 9, 1),), bits=None)
    limited = degrade(sound, chain)
    gain = [band_db(limited.samples, *band) - band_db(sound, *band) for band in ((20, 75), (4950, 5050))]
    level_db = band_db(limited.samples, 900, 1100) - band_db(sound, 900, 1100)
    assert gain[0] < level_db - 20
    assert gain[1] == pytest.approx(level_db + 9, abs=1)


def test_a_codec_is_on_time_and_loses_something() -> None:
    speech = voice_like()
    received = degrade(speech, Chain(codec=Codec("mp3", 32)))
    assert lag(received.samples, speech) == 0
    assert not np.allclose(received.samples, speech, atol=1e-3)
    assert power_db(received.samples) == pytest.approx(power_db(speech), abs=3)


@pytest.mark.parametrize("hard", [True, False])
def test_clipping_starts_at_the_share_of_the_peak(hard: bool) -> None:
    speech = voice_like()
    clipped = degrade(speech, Chain(clipping=Clipping(0.3, hard), bits=None)).samples
    limit = 0.3 * np.abs(speech).max()
    assert np.abs(clipped).max() == pytest.approx(limit, rel=0.01)
    soft = np.abs(speech) < 0.2 * limit
    np.testing.assert_allclose(clipped[soft], speech[soft], rtol=0.02)
    if hard:
        assert np.mean(np.abs(clipped) >= 0.999 * limit) == np.mean(np.abs(speech) >= 0.999 * limit) > 0.01


def test_automatic_gain_brings_soft_and_loud_nearer() -> None:
    speech = phrase()
    levelled = degrade(speech, Chain(automatic_gain=AutomaticGain(-20, 4, 0.003, 0.05))).samples
    # Late in each part, when the gain has settled: 15 dB apart become a quarter of it.
    late = [slice(part.stop - RATE // 10, part.stop) for part in (LOUD, SOFT)]
    assert power_db(levelled[late[0]]) - power_db(levelled[late[1]]) == pytest.approx(15 / 4, abs=1)


def test_a_room_begins_with_the_direct_sound_and_dies_in_its_time_highs_sooner() -> None:
    near, far = (impulse_response(Room(0.8, distance_m, seed=1)) for distance_m in (0.1, 2.0))
    assert np.argmax(np.abs(near)) == 0
    assert near[0] > 2 * far[0] > 0
    edges = [round(RATE * seconds) for seconds in (0.1, 0.2, 0.5, 0.6)]
    falls_db = [
        band_db(far[edges[0] : edges[1]], *band) - band_db(far[edges[2] : edges[3]], *band)
        for band in ((1000, 3000), (10_000, 20_000))
    ]
    assert falls_db[0] == pytest.approx(60 * 0.4 / 0.8, abs=4)
    assert falls_db[1] > falls_db[0] + 10


def test_sixteen_bits() -> None:
    recording = degrade(voice_like(0.2), Chain()).samples * 32_768
    np.testing.assert_array_equal(recording, np.round(recording))


def test_silence_and_the_shortest_sounds() -> None:
    chain = sample_chain(np.random.default_rng(0), DEGRADATIONS)
    degraded = degrade(np.zeros(RATE, np.float32), chain, white(RATE))
    assert not any(sound.any() for sound in (degraded.samples, degraded.speech, degraded.noise))
    for samples in (1, 7, 1000):
        assert degrade(np.full(samples, 0.1, np.float32), chain, white(RATE)).samples.shape == (samples,)
    for wrong in (np.zeros(0, np.float32), np.zeros((1, 9), np.float32)):
        with pytest.raises(InputError, match="shape"):
            degrade(wrong, chain)


def test_settings_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(OptionError, match=r"\. Choose one of room, noise"):
        sample_chain(np.random.default_rng(0), {"hum"})
    for wrong in (
        {"low_pass_hz": 30_000.0},
        {"low_pass_kind": "brick"},
        {"room": Room(5.0, 1.0, 0)},
        {"snr_db": float("nan")},
    ):
        with pytest.raises(OptionError):
            Chain(**wrong)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_users_clip_keeps_rate_length_and_channels(preset: str) -> None:
    clip = Clip(np.tile(voice_like(1.3)[:60_001], (2, 1)), 44_100)
    degraded, again = (degrade_clip(clip, Options(preset, seed=3)) for _ in range(2))
    assert (degraded.rate, degraded.samples.shape) == (clip.rate, clip.samples.shape)
    assert degraded.samples.tobytes() == again.samples.tobytes()
    assert np.abs(degraded.samples).max() <= 1
    assert power_db(degraded.samples) == pytest.approx(power_db(clip.samples), abs=6)
    # The same chain for both channels: what was in the middle stays there.
    np.testing.assert_array_equal(degraded.samples[0], degraded.samples[1])


@pytest.mark.parametrize("rate", [8000, 22_050, 96_000])
def test_any_rate(rate: int) -> None:
    clip = Clip(0.1 * white(rate // 2 + 1)[np.newaxis], rate)
    degraded = degrade_clip(clip, Options("phone_call"))
    assert (degraded.rate, degraded.frames) == (rate, clip.frames)
    assert degraded.samples.any()


def test_a_phone_call_is_narrow() -> None:
    clip = Clip(0.1 * white(2 * RATE)[np.newaxis], RATE)
    call = degrade_clip(clip, Options("phone_call")).samples[0]
    assert band_db(call, 4500, 24_000) < band_db(call, 300, 3400) - 40


def test_the_background_is_as_loud_as_asked_and_the_seed_changes_it() -> None:
    clip = Clip(phrase()[np.newaxis], RATE)
    pauses = [
        power_db(degrade_clip(clip, Options("voice_memo", snr_db=snr_db)).samples[0, -HALF // 2 :])
        for snr_db in (0.0, 20.0)
    ]
    assert pauses[0] > pauses[1] + 12
    first, other = (degrade_clip(clip, Options(seed=seed)).samples for seed in (0, 1))
    assert not np.allclose(first, other, atol=1e-3)


def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(Room(0.6, 1.0, 1), 15.0, 100.0, (), 7000.0, "resampled", None, Clipping(0.4, hard=True))
    monkeypatch.setitem(PRESETS, "test", lambda _: chain)
    clip = Clip(np.stack((voice_like(9.0), voice_like(9.0, seed=6))), RATE)
    whole = degrade_clip(clip, Options("test"))
    monkeypatch.setattr(module, "CHUNK_SECONDS", 5.0)
    np.testing.assert_allclose(degrade_clip(clip, Options("test")).samples, whole.samples, atol=2**-14)


def test_silence_stays_silence_and_mistakes_are_named() -> None:
    silence = Clip(np.zeros((2, 5000), np.float32), 44_100)
    for preset in PRESETS:
        assert not degrade_clip(silence, Options(preset)).samples.any()
    with pytest.raises(InputError, match="empty"):
        degrade_clip(Clip(np.zeros((1, 0), np.float32), RATE))
    with pytest.raises(OptionError, match=r"\. Choose one of phone_call, voice_memo"):
        Options("walkie_talkie")
    with pytest.raises(OptionError, match="seed"):
        Options(seed=-1)
    with pytest.raises(OptionError, match="ratio"):
        Options(snr_db=float("inf"))


def test_the_verb_tells_what_it_detected() -> None:
    sound = Clip(voice_like()[None], RATE)
    message = finish(module.outcome_steps(sound, Options("voice_memo", seed=0))).message
    assert re.fullmatch(r"Detected: SNR -?\d+ dB, bandwidth \d+\.\d kHz\.", message)
    silence = Clip(np.zeros((1, RATE), np.float32), RATE)
    assert (
        finish(module.outcome_steps(silence, Options("voice_memo", seed=0))).message == "The clip is silent."
    )
