"""Both stages of enhancement in one network, end to end: samples in, samples out.

Source: Défossez et al. 2020 (a U-Net of strided convolutions over time, recurrent in the middle).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

STRIDE = 4  # stride of each convolution


@dataclass(frozen=True)
class WaveformConfig(NetworkConfig):
    """The size of the network."""

    widths: tuple[int, ...] = (16, 32, 64, 96)  # channels after each step down by STRIDE
    hidden: int = 96  # units of each direction of the GRU


class WaveformEnhancer(Pretrained):
    """Both stages in one network from samples to samples, without a spectrum.

    A U-Net of strided convolutions over time with a GRU at the bottom. It predicts what to add to the
    recording.
    """

    def __init__(self, config: WaveformConfig = WaveformConfig()) -> None:
        super().__init__()
        self.config = config
        pairs = list(pairwise((1, *config.widths)))
        self.down = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv1d(before, after, 2 * STRIDE, STRIDE, padding=STRIDE // 2),
                    nn.BatchNorm1d(after),
                    nn.SiLU(),
                    nn.Conv1d(after, 2 * after, 1),
                    nn.GLU(1),
                )
                for before, after in pairs
            ]
        )
        deepest = config.widths[-1]
        self.along = nn.GRU(deepest, config.hidden, batch_first=True, bidirectional=True)
        self.along_out = nn.Linear(2 * config.hidden, deepest)
        self.up = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv1d(after, 2 * after, 3, padding=1),
                    nn.BatchNorm1d(2 * after),
                    nn.GLU(1),
                    nn.ConvTranspose1d(after, before, 2 * STRIDE, STRIDE, padding=STRIDE // 2),
                )
                for before, after in reversed(pairs)
            ]
        )
        # Initially the network adds nothing.
        for weight in self.up[-1][-1].parameters():  # type: ignore[index]
            nn.init.zeros_(weight)

    def forward(self, samples: Tensor) -> Tensor:
        """Shape: (batch, time) at 48 kHz -> the same."""
        whole = STRIDE ** len(self.down)
        x = functional.pad(samples, (0, -samples.shape[-1] % whole))[:, None]
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        y = x.transpose(1, 2)
        x = (y + self.along_out(self.along(y)[0])).transpose(1, 2)
        for number, layer in enumerate(self.up):
            x = layer(x + skips[-1 - number])
            if number < len(self.up) - 1:
                x = functional.silu(x)
        enhanced: Tensor = samples + x[:, 0, : samples.shape[-1]].float()
        return enhanced


def build_waveform(config: Mapping[str, Any]) -> WaveformEnhancer:
    """The network of a checkpoint's config."""
    return WaveformEnhancer(WaveformConfig.from_dict(config))
