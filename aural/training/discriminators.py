"""Discriminators of waveforms, for training only: complex spectra, and every n-th sample.

Each takes waveforms and returns the features of each of its layers, the scores last. A list of them gives the
input of the losses in `aural.training.adversarial`:

    discriminators = nn.ModuleList([PeriodDiscriminator(2), SpectrogramDiscriminator(1024)])
    outputs = [discriminator(waves) for discriminator in discriminators]

All convolutions have two dimensions: `.to(memory_format=torch.channels_last)` and bf16 make them fast.

Sources: Kong et al. 2020, HiFi-GAN (periods); Défossez et al. 2022, EnCodec, and Kumar et al. 2023, DAC
(complex spectra at several resolutions, weight normalisation).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aural.audio.spectral import FrontEnd, stft

SLOPE = 0.1  # slope of the leaky ReLUs
# Root mean square below which waveforms are not amplified further.
MIN_LEVEL = 1e-4
# Magnitudes are raised to this power, which makes soft ones louder relative to loud ones; phases stay.
COMPRESSION = 0.3
# (-100 dB) squared, below which magnitudes are no longer compressed.
MIN_POWER = 1e-10


class PeriodDiscriminator(nn.Module):
    """Sees samples that are `period` apart side by side: pitch, and the phase of harmonics.

    It ignores the level: each waveform is normalised to a root mean square of 1.

    Args:
        width: channels of the first layer; the last has 32 times as many. HiFi-GAN uses 32.
    """

    def __init__(self, period: int, width: int = 8) -> None:
        super().__init__()
        self.period = period
        channels = [1, width, 4 * width, 16 * width, 32 * width, 32 * width]
        strides = (3, 3, 3, 3, 1)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (stride, 1), padding=(2, 0)))
            for before, after, stride in zip(channels, channels[1:], strides, strict=False)
        )
        self.scores = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waves: Tensor) -> list[Tensor]:
        """The features of each layer, (batch, channels, time, period), the scores last.

        Shape:
            waves: (batch, time).
        """
        level = (waves.float().square().mean(-1, keepdim=True) + MIN_LEVEL**2).sqrt()
        normalised = functional.pad(waves / level, (0, -waves.shape[-1] % self.period))
        return _features(self.layers, self.scores, normalised.reshape(len(waves), 1, -1, self.period))


class SpectrogramDiscriminator(nn.Module):
    """Sees patches of the complex STFT with compressed magnitudes: texture and phase.

    Args:
        window: samples of the Hann window; the hop is a quarter of it.
        width: channels of every layer.
    """

    def __init__(self, window: int, width: int = 32) -> None:
        super().__init__()
        self.front_end = FrontEnd(window=window, hop=window // 4, fft=window, mel_bands=1)
        # Each layer spans 9 bins, and the number of bins is halved from layer to layer.
        kernels = [((3, 9), (1, 1), 2)] + 3 * [((3, 9), (1, 2), width)] + [((3, 3), (1, 1), width)]
        self.layers = nn.ModuleList(
            weight_norm(
                nn.Conv2d(before, width, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2)),
            )
            for kernel, stride, before in kernels
        )
        self.scores = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, waves: Tensor) -> list[Tensor]:
        """The features of each layer, (batch, channels, frames, bins), the scores last.

        Shape:
            waves: (batch, time).
        """
        with torch.autocast(waves.device.type, enabled=False):
            spectrum = torch.view_as_real(stft(waves.float(), self.front_end))
            power = spectrum.square().sum(-1, keepdim=True) + MIN_POWER
            compressed = spectrum * power.pow((COMPRESSION - 1) / 2)
        # (batch, bins, frames, 2) -> (batch, 2, frames, bins), which is channels_last in memory already.
        return _features(self.layers, self.scores, compressed.permute(0, 3, 2, 1))


def _features(layers: nn.ModuleList, scores: nn.Module, values: Tensor) -> list[Tensor]:
    features = []
    for layer in layers:
        values = functional.leaky_relu(layer(values), SLOPE)
        features.append(values)
    return [*features, scores(values)]
