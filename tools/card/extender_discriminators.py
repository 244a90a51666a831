"""The extender's discriminators on a card: spectrograms at three resolutions and waves at three periods.

Unlike those of `aural.training.discriminators`, each also gets the extender's input (its spectrogram, or only
its level), and so scores the generated highs in context.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm


class Discriminators(nn.Module):
    """All six; `parts` holds the spectrogram discriminators first."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [SpectrogramDiscriminator(window, width) for window in (512, 1024, 2048)]
            + [PeriodDiscriminator(period, width // 2) for period in (2, 3, 5)]
        )

    def forward(self, waves: Tensor, given: Tensor) -> list[list[Tensor]]:
        """Shape: waves, given (batch, time)."""
        return [part(waves, given) for part in self.parts]


class SpectrogramDiscriminator(nn.Module):
    """Sees the compressed complex spectra of the output and of the input."""

    def __init__(self, window: int, width: int) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("hann", torch.hann_window(window) * (2 / window), persistent=False)
        layers = [nn.Conv2d(5, width, (3, 9), padding=(1, 4))]
        layers += [
            nn.Conv2d(width, width, (3, 9), stride=(1, 2), dilation=(dilation, 1), padding=(dilation, 4))
            for dilation in (1, 2, 4)
        ]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)]
        self.layers = nn.ModuleList([weight_norm(layer) for layer in layers])

    def picture(self, waves: Tensor) -> Tensor:
        """(batch, 3, frames, bins): compressed real and imaginary part, and the logarithm of the power."""
        spectrum = torch.stft(
            waves, self.window, self.window // 4, window=self.hann, center=True, return_complex=True
        ).transpose(1, 2)
        power = spectrum.real.square() + spectrum.imag.square() + 1e-12
        factor = power.pow(-0.35)
        return torch.stack(
            (3 * spectrum.real * factor, 3 * spectrum.imag * factor, (power.log10() + 7) / 3), 1
        )

    def forward(self, waves: Tensor, given: Tensor) -> list[Tensor]:
        """The features of each layer, the scores last. Shape: waves, given (batch, time)."""
        with torch.autocast(waves.device.type, enabled=False):
            seen = self.picture(given)
            x = torch.cat((self.picture(waves), seen[:, 2:], seen[:, :1]), 1)
            x = x.contiguous(memory_format=torch.channels_last)
        return _features(self.layers, x)


class PeriodDiscriminator(nn.Module):
    """Sees every p-th sample of the pre-emphasised wave (Kong et al. 2020, with fewer channels)."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, width, 2 * width, 4 * width, 4 * width)
        layers = [
            nn.Conv2d(before, after, (5, 1), (3, 1), padding=(2, 0)) for before, after in pairwise(widths)
        ]
        layers.append(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))
        self.layers = nn.ModuleList([weight_norm(layer) for layer in layers])

    def forward(self, waves: Tensor, given: Tensor) -> list[Tensor]:
        """The features of each layer, the scores last. Shape: waves, given (batch, time)."""
        x = waves[:, 1:] - 0.97 * waves[:, :-1]
        scale = (given[:, 1:] - 0.97 * given[:, :-1]).square().mean(1, keepdim=True)
        x = 0.3 * x * (scale + 1e-8).rsqrt()
        x = x[:, : x.shape[1] // self.period * self.period]
        x = x.reshape(len(x), 1, -1, self.period).contiguous(memory_format=torch.channels_last)
        return _features(self.layers, x)


def _features(layers: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """The features of each layer, the scores last."""
    features = []
    for layer in layers[:-1]:
        x = functional.leaky_relu(layer(x), 0.2)
        features.append(x)
    return [*features, layers[-1](x)]
