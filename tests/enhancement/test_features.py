"""What the networks are told about a voice, held against sounds of known pitch, loudness and sharpness."""

import math
from time import process_time

import pytest
import torch
from torch import Tensor

from aural.audio.spectral import stft
from aural.enhancement.features import (
    FRONT_END,
    FULL_SCALE_DB_SPL,
    HOP,
    RATE,
    VOICED,
    conditioning,
    loudness,
    pitch,
    sharpness,
)

TIME = torch.arange(RATE, dtype=torch.float64) / RATE
INNER = slice(4, -4)  # frames whose windows lie within the sound


def tone(frequency_hz: float, level_db_spl: float) -> Tensor:
    peak = 10 ** ((level_db_spl - FULL_SCALE_DB_SPL) / 20)
    return (peak * torch.sin(2 * torch.pi * frequency_hz * TIME)).float()[None]


def voice(f0_hz: float) -> Tensor:
    harmonic = torch.arange(1, int(8_000 / f0_hz))[:, None]
    return (0.1 / harmonic * torch.sin(2 * torch.pi * f0_hz * harmonic * TIME)).sum(0).float()[None]


def white(seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(seed))


def band(low_hz: float, high_hz: float, level_db_spl: float) -> Tensor:
    spectrum = torch.fft.rfft(white().double())
    frequencies = torch.fft.rfftfreq(2 * RATE, 1 / RATE)
    noise: Tensor = torch.fft.irfft(spectrum * ((frequencies >= low_hz) & (frequencies < high_hz)), 2 * RATE)
    rms = 10 ** ((level_db_spl - FULL_SCALE_DB_SPL) / 20) / math.sqrt(2)
    return (noise * (rms / noise.square().mean().sqrt())).float()


@pytest.mark.parametrize("f0_hz", [61, 85, 120, 210, 333, 480])
def test_the_pitch_of_a_voice_is_read_within_half_a_percent(f0_hz: float) -> None:
    estimate, voicing = pitch(voice(f0_hz))

    assert estimate[0, INNER] == pytest.approx(f0_hz, rel=0.005)
    assert voicing[0, INNER].min() > 0.9


def test_a_missing_fundamental_is_still_the_pitch() -> None:
    estimate, _ = pitch(voice(150) - tone(150, FULL_SCALE_DB_SPL - 20))

    assert estimate[0, INNER] == pytest.approx(150, rel=0.005)


def test_the_pitch_stays_in_noise_of_the_same_level() -> None:
    sound = voice(180)
    noise = white()[:, :RATE] * (sound.std() / 0.1)
    estimate, voicing = pitch(sound + noise)
    voiced = voicing > VOICED

    assert voiced.float().mean() > 0.7
    assert estimate[voiced] == pytest.approx(180, rel=0.03)


def test_noise_and_silence_are_not_voiced() -> None:
    assert (pitch(white())[1] > VOICED).float().mean() < 0.01
    assert pitch(torch.zeros(1, RATE))[1].max() == 0


def test_frame_n_is_centred_on_sample_n_hop() -> None:
    onset = 30 * HOP
    sound = voice(200)
    sound[:, :onset] = 0
    voiced = pitch(sound)[1][0] > VOICED

    assert abs(int(voiced.nonzero()[0]) - 30) <= 1


def test_a_1_khz_tone_at_40_db_is_1_sone_and_10_db_double_it() -> None:
    at_40, at_60, at_70 = (float(loudness(tone(1_000, level))[0, 20]) for level in (40, 60, 70))

    assert at_40 == pytest.approx(1, rel=0.1)
    assert at_60 == pytest.approx(4, rel=0.2)
    assert at_70 / at_60 == pytest.approx(2, rel=0.2)


def test_spreading_the_same_power_over_more_bands_is_louder() -> None:
    narrow, wide = (loudness(band(*edges, 60))[0, INNER].mean() for edges in ((920, 1_080), (500, 4_000)))

    assert wide > 1.5 * narrow


def test_critical_band_noise_at_1_khz_and_60_db_is_1_acum() -> None:
    assert float(sharpness(band(920, 1_080, 60))[0, INNER].mean()) == pytest.approx(1, rel=0.1)


def test_sharpness_grows_with_frequency_and_hardly_with_level() -> None:
    edges = [(200, 300), (920, 1_080), (3_150, 3_700), (9_500, 12_000)]
    values = [float(sharpness(band(*pair, 60))[0, INNER].mean()) for pair in edges]

    assert values == sorted(values)
    assert values[-1] > 5
    assert float(sharpness(tone(1_000, 80))[0, 20]) == pytest.approx(
        float(sharpness(tone(1_000, 60))[0, 20]), rel=0.1
    )


@pytest.mark.parametrize("length", [1, 500, HOP, 10_000, RATE + 1])
def test_the_frames_are_those_of_the_front_end(length: int) -> None:
    result = conditioning(white().repeat(3, 1)[:, :length])

    assert result.shape == (3, 4, FRONT_END.frames(length))
    assert result.isfinite().all()


def test_silence_has_no_pitch_no_loudness_and_no_sharpness() -> None:
    result = conditioning(torch.zeros(2, RATE))

    assert torch.equal(result[0, :, 10], torch.tensor([0.0, 0.0, -1.0, -1.0]))
    assert torch.equal(result[0], result[1])


def test_a_power_at_hand_gives_the_same_values() -> None:
    sound = voice(110)

    assert torch.equal(conditioning(sound, stft(sound, FRONT_END).abs().square()), conditioning(sound))


def test_items_of_a_batch_do_not_touch_each_other() -> None:
    sounds = torch.cat((voice(110), tone(3_000, 70), white()[:, :RATE]))

    torch.testing.assert_close(
        conditioning(sounds), torch.cat([conditioning(sound[None]) for sound in sounds]), rtol=0, atol=1e-3
    )


def test_the_scaled_pitch_is_zero_at_200_hz_and_two_thirds_an_octave_above() -> None:
    at_200, at_400 = (conditioning(voice(f0_hz))[0, 0, INNER].mean() for f0_hz in (200, 400))

    assert at_200 == pytest.approx(0, abs=0.005)
    assert at_400 == pytest.approx(2 / 3, abs=0.005)


def test_a_training_batch_takes_a_fraction_of_a_step() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    batch = torch.randn(8, 3 * RATE, generator=torch.Generator().manual_seed(0))
    try:
        conditioning(batch)
        start = process_time()
        conditioning(batch)
        # A tenth of a second on an idle machine; a step takes several.
        assert process_time() - start < 1
    finally:
        torch.set_num_threads(threads)
