"""Mixtures made on the device: what their parts have to do with each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from aural.enhancement import level
from aural.enhancement.denoiser_mixtures import (
    CURVE,
    DIRECT_DELAY,
    LENGTH,
    ROOM_LENGTH,
    SOURCE_LENGTH,
    Mixture,
    Odds,
    Sources,
    active_rms,
    change_speed,
    minimum_phase,
    mix,
    whisper,
)

NOTHING = {
    "shifted": 0.0, "whispered": 0.0, "room": 0.0, "microphone": 0.0, "gain": 0.0, "noiseless": 1.0,
    "untouched": 0.0, "clipping": 0.0, "codec": 0.0, "low_pass": 0.0, "level_db": 0.0,
}  # fmt: skip
BATCH = 4


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def sources() -> Sources:
    seconds = torch.arange(SOURCE_LENGTH) / 48_000
    harmonics = sum(torch.sin(2 * math.pi * 140 * n * seconds) / n for n in range(1, 40))
    voice = harmonics * (1 + torch.sin(2 * math.pi * 2 * seconds)) * torch.ones(BATCH, 1)
    voice = voice * level.ACTIVE_RMS / active_rms(voice[:, :LENGTH])[:, None]
    room = torch.randn(BATCH, ROOM_LENGTH) * torch.exp(-torch.arange(ROOM_LENGTH) / 6_000) * 0.05
    room[:, :DIRECT_DELAY] = 0
    room[:, DIRECT_DELAY] = 1
    microphone = torch.zeros(BATCH, 2_400)
    microphone[:, 48], microphone[:, 49] = 0.9, -0.4
    return Sources(
        voice=voice,
        solid_hz=torch.full((BATCH,), 20_000.0),
        noise=torch.randn(BATCH, SOURCE_LENGTH),
        room=room,
        microphone=microphone,
        untouched=torch.zeros(BATCH),
    )


def mixed(**odds: float) -> Mixture:
    return mix(sources(), Odds(**{**NOTHING, **odds}))  # type: ignore[arg-type]


def decibels(ratio: Tensor) -> Tensor:
    return 10 * ratio.log10()


def test_where_nothing_is_wrong_the_recording_is_the_target() -> None:
    for mixture in (
        mixed(),
        mixed(microphone=1.0, gain=1.0, low_pass=1.0),
        mixed(untouched=1.0, room=1.0, codec=1.0),
    ):
        torch.testing.assert_close(mixture.recording, mixture.speech)
        assert mixture.noise.abs().max() == 0


def test_speech_and_noise_add_up_where_there_is_no_room() -> None:
    mixture = mixed(noiseless=0.0, microphone=1.0, gain=1.0, low_pass=1.0)
    torch.testing.assert_close(mixture.recording, mixture.speech + mixture.noise, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_the_noise_has_the_requested_ratio_to_the_active_speech(snr_db: float) -> None:
    odds = Odds(**{**NOTHING, "noiseless": 0.0}, snr_db=(snr_db, snr_db))  # type: ignore[arg-type]
    mixture = mix(sources(), odds)
    found_db = 20 * (active_rms(mixture.speech) / active_rms(mixture.noise)).log10()
    torch.testing.assert_close(found_db, torch.full((BATCH,), snr_db), atol=1.0, rtol=0)


def test_the_target_keeps_the_first_30_ms_of_a_room() -> None:
    """The difference between an impulse's recording and its target begins 30 ms after it."""
    given = sources()
    voice = torch.zeros_like(given.voice)
    voice[:, SOURCE_LENGTH - LENGTH + 4_800] = 10.0
    given = Sources(voice, given.solid_hz, given.noise, given.room, given.microphone, given.untouched)
    mixture = mix(given, Odds(**{**NOTHING, "room": 1.0}))  # type: ignore[arg-type]
    late = (mixture.recording - mixture.speech).abs()
    begin = 4_800 + DIRECT_DELAY + round(0.030 * 48_000)
    assert late[:, : begin - 2].max() < 1e-4 * mixture.recording.abs().max()
    assert (late[:, begin + 2 :].amax(-1) > 0).all()
    after = begin + round(0.010 * 48_000) + 2
    assert mixture.speech[:, after:].abs().max() < 1e-4 * mixture.recording.abs().max()


def test_a_target_that_is_not_matched_is_the_voice_of_the_studio_delayed_as_in_the_recording() -> None:
    """The recordings are the same as with matched targets."""
    given = sources()
    impulse = torch.zeros_like(given.voice)
    impulse[:, SOURCE_LENGTH - LENGTH + 4_800] = 10.0
    given = replace(given, voice=impulse)
    changed = {**NOTHING, "room": 1.0, "microphone": 1.0, "low_pass": 1.0}
    mixtures = []
    for is_matched in (True, False):
        torch.manual_seed(0)
        mixtures.append(mix(given, Odds(**{**changed, "matched": is_matched})))  # type: ignore[arg-type]
    matched, studio = mixtures
    torch.testing.assert_close(studio.recording, matched.recording)
    assert (studio.speech.abs() > 1e-4 * studio.speech.abs().amax()).sum() == BATCH
    assert (studio.speech.abs().argmax(-1) - matched.speech.abs().argmax(-1)).abs().max() <= 1


def test_recordings_are_at_the_level_that_the_pipeline_gives_them() -> None:
    mixture = mixed(noiseless=0.0, room=1.0, microphone=1.0)
    torch.testing.assert_close(
        active_rms(mixture.recording), torch.full((BATCH,), level.ACTIVE_RMS), rtol=1e-3, atol=0
    )


def test_the_active_level_is_that_of_the_pipeline() -> None:
    samples = torch.randn(3, 768 * 50) * torch.rand(3, 50, 1).pow(3).repeat(1, 1, 768).reshape(3, -1)
    samples[0, : 768 * 9] = 0
    wanted = [level.active_rms(level.block_powers(row[None].numpy())) for row in samples]
    np.testing.assert_allclose(active_rms(samples).numpy(), wanted, rtol=1e-4)


def test_clipping_and_codecs_harm_the_recording_alone() -> None:
    clean = mixed(low_pass=1.0)
    for mixture in (mixed(clipping=1.0), mixed(codec=1.0)):
        assert torch.isfinite(mixture.recording).all()
        error = (mixture.recording - mixture.speech).square().mean(-1)
        ratio_db = decibels(error / mixture.speech.square().mean(-1))
        assert (ratio_db > -40).all() and (ratio_db < 3).all()
    assert torch.equal(clean.recording, clean.speech)


def test_what_is_played_faster_sounds_higher() -> None:
    seconds = torch.arange(SOURCE_LENGTH) / 48_000
    tone = torch.sin(2 * math.pi * 5_000 * seconds)[None]
    faster = change_speed(tone, torch.tensor([1.2]), LENGTH)[:, 100:-100]
    wanted = torch.sin(2 * math.pi * 6_000 * seconds[:LENGTH])[None, 100:-100]
    assert (faster - wanted).square().mean() < 1e-3
    unchanged = change_speed(tone, torch.tensor([1.0]), LENGTH)
    torch.testing.assert_close(unchanged[:, 50:], tone[:, 50:LENGTH], atol=1e-5, rtol=0)


def test_a_whisper_has_formants_but_no_pitch() -> None:
    voice = sources().voice
    made = whisper(voice, torch.randn_like(voice))
    torch.testing.assert_close(made.square().mean(-1), voice.square().mean(-1), rtol=0.05, atol=0)
    spectra = [
        torch.fft.rfft(x[0, :48_000] * torch.hann_window(48_000)).abs()[1_000:3_000] for x in (voice, made)
    ]
    peaky = [float(spectrum.max() / spectrum.mean()) for spectrum in spectra]
    assert peaky[1] < peaky[0] / 3


def test_minimum_phase_has_the_magnitude_and_comes_at_once() -> None:
    hz = torch.arange(CURVE // 2 + 1) * (48_000 / CURVE)
    wanted_db = -10 * (1 + (hz / 4_000).pow(4)).log10()[None] + 3
    response = minimum_phase(wanted_db)
    found_db = 20 * torch.fft.rfft(response).abs().log10()
    torch.testing.assert_close(found_db, wanted_db, atol=0.05, rtol=0)
    assert response[0, :64].square().sum() > 0.999 * response.square().sum()


def test_a_voice_that_is_played_slower_is_solid_up_to_a_lower_frequency() -> None:
    mixture = mixed(shifted=1.0)
    assert ((mixture.solid_hz > 0.84 * 20_000) & (mixture.solid_hz <= 0.49 * 48_000)).all()
    assert mixture.solid_hz.unique().numel() > 1


def test_the_same_generator_makes_the_same_mixtures() -> None:
    given = sources()
    first, second = (mix(given, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.recording, second.recording)
    assert torch.equal(first.noise, second.noise)
