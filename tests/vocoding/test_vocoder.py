"""The vocoder: a tiny one with random weights, and the shipped one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aural import hub
from aural.audio.spectral import DEFAULT_FRONT_END, FrontEnd, log_mel, stft
from aural.errors import OptionError
from aural.training.checkpoints import save
from aural.vocoding import reconstruct
from aural.vocoding.model import Config, Vocoder, white_noise

TINY = Config(width=16, layers=1)
LENGTH = 60 * DEFAULT_FRONT_END.hop


def tiny(config: Config = TINY) -> Vocoder:
    torch.manual_seed(0)
    return Vocoder(config).eval().requires_grad_(False)


def hiss(length: int = LENGTH, seed: int = 0) -> Tensor:
    """Noise that swells, with a tone in it."""
    time = torch.arange(length) / DEFAULT_FRONT_END.rate
    noise = torch.randn(length, generator=torch.Generator().manual_seed(seed))
    return 0.05 * (1 + time) * noise + 0.1 * torch.sin(2 * torch.pi * 1000 * time)


def mel_error(made: Tensor, real: Tensor) -> float:
    return float((log_mel(made) - log_mel(real)).abs().mean())


def test_the_bands_are_met_before_anything_is_learnt_and_more_rounds_meet_them_better() -> None:
    mel = log_mel(hiss())[None]
    errors = [mel_error(tiny()(mel, LENGTH, rounds=rounds)[0], hiss()) for rounds in (0, 2, 12)]
    assert errors[0] > 1.5 * errors[1]
    assert errors[1] > 1.1 * errors[2]
    assert errors[2] < 0.005  # half a decibel


def test_silence_stays_exactly_silent_next_to_sound_too() -> None:
    mel = torch.stack([torch.zeros(80, 61), log_mel(hiss())])
    made = tiny()(mel, LENGTH)
    assert not made[0].any()
    assert made[1].std() > 0.01


@pytest.mark.parametrize("length", [1, 129, 130, 1023, 5000])
def test_any_length_can_be_made(length: int) -> None:
    made = tiny()(log_mel(hiss(length))[None], length)
    assert made.shape == (1, length)
    assert made.isfinite().all()


def test_a_batch_sounds_like_its_items_one_by_one() -> None:
    mel = log_mel(torch.stack([hiss(seed=0), hiss(seed=1)]))
    vocoder = tiny()
    alone = torch.cat([vocoder(item[None], LENGTH) for item in mel])
    torch.testing.assert_close(vocoder(mel, LENGTH), alone, rtol=0, atol=1e-4)


def test_the_noise_decides_and_nothing_else_does() -> None:
    mel, vocoder = log_mel(hiss())[None], tiny()
    first, again = vocoder(mel, LENGTH), vocoder(mel, LENGTH, white_noise(LENGTH))
    other = vocoder(mel, LENGTH, white_noise(LENGTH, torch.Generator().manual_seed(1)))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)


def test_the_level_follows_the_spectrogram() -> None:
    vocoder = tiny()
    loud, soft = (vocoder(log_mel(gain * hiss())[None], LENGTH) for gain in (1.0, 0.01))
    assert 20 * float((loud.norm() / soft.norm()).log10()) == pytest.approx(40, abs=1)


def test_what_was_learnt_can_move_every_weight() -> None:
    torch.manual_seed(0)
    vocoder = Vocoder(TINY)
    vocoder(log_mel(hiss())[None], LENGTH).square().mean().backward()
    for name, weight in vocoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        # Beneath a normalisation that takes their mean away, biases of a kernel may rest.
        assert weight.grad.any(), name


@pytest.mark.parametrize("shape", [(1, 64, 61), (1, 80, 60), (80, 61)])
def test_a_spectrogram_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        OptionError,
        match=r"needs a spectrogram of the shape \(batch, 80, 61\), not .*\. Use `log_mel`",
    ):
        tiny()(torch.zeros(shape), LENGTH)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vocoder:
    """A tiny vocoder in place of the shipped one."""
    vocoder = tiny()
    save("vocoder", vocoder, TINY.to_dict(), "CC0-1.0", folder=tmp_path, half=False)
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(hub, "_models", {})
    return vocoder


def test_a_checkpoint_comes_back_as_the_same_model(checkpoint: Vocoder) -> None:
    loaded = hub.load("vocoder", device="cpu")
    mel = log_mel(hiss())[None]
    assert torch.equal(loaded(mel, LENGTH), checkpoint(mel, LENGTH))
    assert loaded.front_end == DEFAULT_FRONT_END


def test_as_a_phase_setting_it_makes_what_the_model_makes(checkpoint: Vocoder) -> None:
    samples = torch.stack([hiss(seed=0), hiss(seed=1)])
    made = reconstruct(stft(samples).abs()[:, None], "vocoder", LENGTH, DEFAULT_FRONT_END)
    assert made.shape == (2, 1, LENGTH)
    torch.testing.assert_close(made[:, 0], checkpoint(log_mel(samples), LENGTH), rtol=0, atol=1e-4)
    seeded = torch.Generator().manual_seed(3)
    other = reconstruct(stft(samples).abs()[:, None], "vocoder", LENGTH, DEFAULT_FRONT_END, generator=seeded)
    assert not torch.allclose(made, other, atol=1e-2)


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("front_end", [FrontEnd(rate=48_000), FrontEnd(hop=256), FrontEnd(mel_bands=64)])
def test_other_front_ends_are_refused_with_what_it_takes(front_end: FrontEnd) -> None:
    magnitude = stft(hiss(), front_end).abs()
    with pytest.raises(OptionError, match="22050 Hz, a window of 1024, a hop of 260 and 80 mel bands"):
        reconstruct(magnitude, "vocoder", LENGTH, front_end)
