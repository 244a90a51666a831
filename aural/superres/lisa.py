"""LISA, a local implicit representation of sound: samples -> a function of continuous time.

    samples --> level --+--------------------------------------------+
        |               |                                            |
        +---- divided by it --> encoder: one latent per sample       |
                                     |                               |
               z[i-1] z[i] z[i+1] ---+--> decoder --> times level[i] + --> value at t
               2 (t - i) ----------------/

The decoder reads three neighbouring latents and the position of the time t between them, and returns the
value of the sound there. Each of the two samples around t gives one value. The values are weighted by
proximity, so the result is continuous in time. In training, one sample near t is chosen at random instead
("stochastic selection"), so that the values of neighbours agree. The model does not know the rate and accepts
any times.

Source: Kim, Lee, Chae and Kim 2022, "Learning Continuous Representation of Audio for Arbitrary Scale Super
Resolution" (LISA; ICASSP), after Chen, Liu and Wang 2021 (LIIF: local ensemble of two queries). There are two
changes: samples lie at whole times, the first at 0, so nothing is shifted; and the network works relative to
the local level.

A network with tanh and biases processes soft sounds differently from loud ones. Here it reads samples divided
by the level around them, a root mean square under a Hann window, and its output is multiplied by that level.
The level is local, so a stream gives the same result as a file. It is positively homogeneous: a gain on the
samples is a gain on the result, and where the level is 0, so is the result. The window is ten times as long
as the network's receptive field, over which the level is therefore nearly constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

KERNELS = (7, 3, 3, 1)  # samples; the encoder's layers
NEIGHBOURS = 1  # latents on each side of a query's own
# Receptive field of a latent and its neighbours on each side, in samples: 5 + 1.
FIELD = sum(kernel // 2 for kernel in KERNELS) + NEIGHBOURS
UNITS = 2.0  # units of the coordinate per sample
JITTER = 0.5  # samples, standard deviation of the selection in training
# Queries decoded at once, over the batch, so that their activations stay in the processor's cache.
BLOCK = 1024


@dataclass(frozen=True)
class LisaConfig(NetworkConfig):
    """The size of a LISA; the defaults are the published ones."""

    widths: tuple[int, int, int] = (16, 32, 64)  # channels of the encoder's layers, except the last
    latent: int = 32  # channels of a latent
    hidden: int = 128  # width of the decoder
    layers: int = 5  # layers of that width in the decoder
    level: int = 64  # samples on each side over which the level is measured

    @property
    def context(self) -> int:
        """The number of samples on each side that a value depends on."""
        return 1 + FIELD + self.level


def build_lisa(config: Mapping[str, Any]) -> Lisa:
    """The LISA of a checkpoint's config, with random weights; for `aural.hub.load`."""
    return Lisa(LisaConfig.from_dict(config))


class Lisa(Pretrained):
    """Samples -> the sound at any times, see the module.

    `context` is the number of samples on each side that a value depends on. Pieces with that much context on
    both sides decode to the same values as the whole.
    """

    def __init__(self, config: LisaConfig) -> None:
        super().__init__()
        self.config = config
        # The sample after t also contributes; it is up to one sample later than t.
        self.context = config.context
        channels = (1, *config.widths, config.latent)
        self.encoder = nn.ModuleList(
            nn.Conv1d(channels[number], channels[number + 1], kernel) for number, kernel in enumerate(KERNELS)
        )
        # The decoder's first layer in two parts: the latents' part is the same for all queries of a sample.
        self.of_latents = nn.Conv1d(config.latent, config.hidden, 1 + 2 * NEIGHBOURS)
        self.of_coordinate = nn.Linear(1, config.hidden, bias=False)
        self.decoder = nn.ModuleList(
            nn.Linear(config.hidden, config.hidden) for _ in range(config.layers - 1)
        )
        self.output = nn.Linear(config.hidden, 1)
        # Initialised like a single layer that reads all of these.
        bound = 1 / math.sqrt(config.latent * (1 + 2 * NEIGHBOURS) + 1)
        for weight in (*self.of_latents.parameters(), *self.of_coordinate.parameters()):
            nn.init.uniform_(weight, -bound, bound)
        window = torch.hann_window(2 * config.level + 3, periodic=False)[1:-1]
        self.window: Tensor
        self.register_buffer("window", (window / window.sum())[None, None], persistent=False)

    def forward(self, samples: Tensor, positions: Tensor) -> Tensor:
        """The sound at any times; there is silence beyond both ends.

        In training mode, a value comes from one sample near its time, chosen by torch's default generator.
        Otherwise it is a weighted mean of the values of the two samples around it; ascending times then save
        memory.

        Shape:
            samples: (batch, time); positions: (queries,) or (batch, queries), times in samples, float64 if
            longer than some seconds; result: (batch, queries).
        """
        if self.training:
            centres = (positions + JITTER * torch.randn_like(positions)).round()
            return self._values(samples, centres, positions - centres)
        # No autocast: the network is small, and half precision would be audible.
        with torch.autocast(samples.device.type, enabled=False):
            block = max(1, BLOCK // max(1, len(samples)))
            found = [
                self._interpolate(samples.float(), part) for part in torch.split(positions, block, dim=-1)
            ]
        return torch.cat(found, dim=-1)

    def _interpolate(self, samples: Tensor, positions: Tensor) -> Tensor:
        """The values of the two samples around each time, weighted by proximity."""
        before = positions.floor()
        share = positions - before
        both = self._values(samples, torch.cat((before, before + 1), -1), torch.cat((share, share - 1), -1))
        first, second = both.chunk(2, dim=-1)
        return torch.lerp(first, second, share.to(first))

    def _values(self, samples: Tensor, centres: Tensor, offsets: Tensor) -> Tensor:
        """The values that the samples at the whole times `centres` give for times `offsets` later.

        Shape:
            samples: (batch, time); centres, offsets: (queries,) or (batch, queries);
            result: (batch, queries).
        """
        batch, queries = len(samples), centres.shape[-1]
        if queries == 0:
            return samples.new_zeros(batch, 0)
        first, last = int(centres.min()), int(centres.max())
        features, levels = self._features(samples, first, last)
        # Items of a batch are concatenated, so that one index gives both the item and the sample.
        starts = torch.arange(batch, device=samples.device)[:, None] * (last - first + 1)
        index = ((centres - first).long() + starts).flatten()
        coordinates = (UNITS * offsets).to(samples).expand(batch, -1).reshape(-1, 1)
        values = features.index_select(0, index) + coordinates * self.of_coordinate.weight[:, 0]
        for layer in self.decoder:
            values = layer(functional.relu(values, inplace=True))
        decoded: Tensor = self.output(functional.relu(values, inplace=True))[:, 0]
        return (levels.index_select(0, index) * decoded).reshape(batch, queries)

    def _features(self, samples: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """The latents' part of the decoder's first layer, and the level, from time `first` to `last`.

        Shape:
            samples: (batch, time); results: (batch * times, hidden) and (batch * times,).
        """
        level = self.config.level
        start, stop = first - FIELD - level, last + 1 + FIELD + level
        time = samples.shape[-1]
        inside = samples[:, min(max(start, 0), time) : max(min(stop, time), 0)]
        # Pad with silence before the first layer: padding inside would make the ends differ from silence.
        before = min(max(-start, 0), stop - start - inside.shape[-1])
        inside = functional.pad(inside, (before, stop - start - before - inside.shape[-1]))[:, None]
        levels = functional.conv1d(inside.square(), self.window).sqrt()
        inside = inside[..., level:-level] if level else inside
        values = torch.where(levels > 0, inside / levels, 0)
        for number, layer in enumerate(self.encoder):
            values = layer(values if number == 0 else values.tanh())
        features: Tensor = self.of_latents(values)
        return features.transpose(1, 2).flatten(0, 1), levels[:, 0, FIELD:-FIELD].flatten()
