"""How much of the denoiser's change a recording needs."""

import numpy as np
import torch
from torch import Tensor

from aural.audio.spectral import istft, stft
from aural.enhancement.adaptation import AROUND_FRAMES, need, need_so_far
from aural.enhancement.denoiser_causal import Past
from aural.enhancement.denoiser_convolutional import MASK_FRONT_END
from aural.enhancement.features import FRONT_END, RATE
from aural.enhancement.level import ACTIVE_RMS

SECONDS = 8
PAUSE = slice(4 * RATE, 5 * RATE)


def noise(level_db: float, seed: int = 0) -> Tensor:
    """White noise, relative to the level of a voice. Shape: (1, time)."""
    samples = np.random.default_rng(seed).standard_normal((1, SECONDS * RATE))
    return torch.tensor(samples * ACTIVE_RMS * 10 ** (level_db / 20), dtype=torch.float32)


def talker() -> Tensor:
    """Noise at the level of a voice, with a pause of a second in the middle. Shape: (1, time)."""
    samples = noise(0)
    samples[:, PAUSE] = 0
    return samples


def spectra(*sounds: Tensor) -> list[Tensor]:
    return [stft(sound, FRONT_END) for sound in sounds]


def frames(seconds: slice) -> slice:
    """The frames well inside of some samples."""
    return slice(seconds.start // FRONT_END.hop + 3, seconds.stop // FRONT_END.hop - 3)


def test_an_unchanged_recording_needs_nothing() -> None:
    (clean,) = spectra(talker())
    assert not need(clean, clean).any()


def test_a_small_error_is_not_made() -> None:
    (clean,) = spectra(talker())
    assert not need(clean, 0.9 * clean).any(), "0.9 dB softer"
    assert not need(clean, 1.3 * clean).any(), "louder"


def test_noise_in_a_pause_asks_for_the_whole_change_around_it() -> None:
    voice, hiss = talker(), noise(-15, 1)
    mixture, clean = spectra(voice + hiss, voice)
    share = need(mixture, clean)[0]
    pause = PAUSE.start // FRONT_END.hop
    around = slice(pause - AROUND_FRAMES // 2, pause + AROUND_FRAMES // 2)
    assert share.shape == mixture.shape[1:]
    assert (share[:, around] == 1).all()
    far = share[:, : pause - AROUND_FRAMES - 5]
    assert far.mean() < 0.02, "nothing is removed there but what the voice hides"


def test_a_soft_floor_is_removed_in_pauses_alone() -> None:
    voice, floor = talker(), noise(-50, 1)
    mixture, clean = spectra(voice + floor, voice)
    share = need(mixture, clean)[0]
    assert (share[:, frames(PAUSE)] == 1).all()
    assert (share[:, frames(slice(RATE, 3 * RATE))] == 0).all()


def test_rumble_is_no_sign_of_noise() -> None:
    voice = talker()
    spectrum = torch.fft.rfft(noise(0, 1))
    spectrum[:, 30 * SECONDS :] = 0  # above 30 Hz
    rumble = torch.fft.irfft(spectrum)
    mixture, clean = spectra(voice + rumble * ACTIVE_RMS / rumble.std(), voice)
    share = need(mixture, clean)[0]
    above = slice(round(400 / RATE * FRONT_END.fft), None)
    assert (share[above, frames(slice(RATE, 3 * RATE))] == 0).all()
    assert share[0, frames(slice(RATE, 3 * RATE))].max() > 0.3, "it goes itself"


def test_the_change_is_made_by_critical_bands() -> None:
    """So no line is left alone in its band."""
    voice = talker()
    mixture, halved = spectra(voice, voice)
    low = slice(0, round(3_000 / RATE * FRONT_END.fft))
    halved[:, low] *= 0.63  # 4 dB softer: neither kept nor noise
    share = need(mixture, halved)[0]
    voiced = frames(slice(RATE, 3 * RATE))
    assert torch.allclose(share[: low.stop - 20, voiced], torch.tensor(0.6), atol=0.01)
    assert (share[low.stop + 20 :, voiced] == 0).all()
    kept = istft(mixture * share, voice.shape[-1], FRONT_END)
    assert kept.isfinite().all()


def live(*sounds: Tensor) -> list[Tensor]:
    return [stft(sound, MASK_FRONT_END) for sound in sounds]


def live_frames(start: float, stop: float) -> slice:
    """The frames of some seconds."""
    return slice(*(round(seconds * RATE / MASK_FRONT_END.hop) for seconds in (start, stop)))


def test_live_sound_is_judged_by_its_past() -> None:
    """Clean for four seconds, then noise: nothing is changed before, all at once, and for two seconds."""
    voice = talker()
    hiss = noise(-15, 1)
    hiss[:, : PAUSE.start] = hiss[:, PAUSE.stop :] = 0
    share = need_so_far(*live(voice + hiss, voice), Past())[0]
    assert (share[:, live_frames(0.1, 3.9)] == 0).all()
    assert (share[:, live_frames(4.1, 6.0)] == 1).all()
    assert (share[:, live_frames(7.2, 7.9)] == 0).all(), "two seconds after its last"


def test_noise_alone_is_removed_in_full_and_silence_asks_for_nothing() -> None:
    hiss = noise(-40)
    assert (need_so_far(*live(hiss, 0.1 * hiss), Past()) == 1).all()
    silence = torch.zeros(1, RATE)
    assert not need_so_far(*live(silence, silence), Past()).any()


def test_live_sound_of_any_level_and_in_pieces_asks_for_the_same() -> None:
    voice = talker()
    mixture, clean = live(voice + noise(-28, 1), voice)
    share = need_so_far(mixture, clean, Past())
    assert share.std() > 0.1
    past = Past()
    pieces = [
        need_so_far(1e-4 * mixture[..., part], 1e-4 * clean[..., part], past)
        for part in (slice(0, 2), slice(2, 300), slice(300, None))
    ]
    assert torch.allclose(torch.cat(pieces, -1), share, atol=1e-4)
