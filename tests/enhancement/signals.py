"""Signals for the tests of the networks, and what they measure."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aural.audio.spectral import mel_from_magnitude, stft
from aural.enhancement.completer import Completer
from aural.enhancement.denoiser import Masks
from aural.enhancement.features import FRONT_END, RATE


def voice(seconds: float = 1.0) -> Tensor:
    """Harmonics of a gliding pitch that fall by 6 dB an octave, up to 12 kHz. Shape: (1, time)."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    phase = 2 * math.pi * (120 * time + 10 * (1 - torch.cos(2 * math.pi * time)))
    harmonics = torch.arange(1, 80)[:, None]
    syllables = 0.6 + 0.4 * torch.sin(2 * math.pi * 4 * time)
    return (0.05 * syllables * ((harmonics * phase).sin() / harmonics).sum(0)).float()[None]


def white(channels: int = 1, seconds: float = 1.0) -> Tensor:
    return 0.05 * torch.randn(channels, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def spectrum_of(samples: Tensor) -> Tensor:
    return stft(samples, FRONT_END)


def mel_of(spectrum: Tensor) -> Tensor:
    return mel_from_magnitude(spectrum.abs(), FRONT_END)


def tensors(masks: Masks) -> list[Tensor]:
    return [masks.taps, masks.gain, masks.noise_gain, masks.pitch, masks.bands]


def below_db(difference: Tensor, whole: Tensor) -> float:
    return 20 * math.log10(float(difference.norm() / whole.norm()))


def complete(completer: Completer, spectrum: Tensor, seed: int = 0) -> Tensor:
    mixture = spectrum.mean(0, keepdim=True)
    with torch.inference_mode():
        return completer.complete(spectrum, mixture, None, torch.Generator().manual_seed(seed))
