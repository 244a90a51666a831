"""The reporting judge of generation: a classifier of ESC-50's classes that hears samples, not spectrograms.

It chooses nothing: weights, guidance and steps are chosen by `aural.generation.classifier`. It differs from
that one in what could flatter both: it learns its own filters, all its convolutions run over time alone, and
it was trained on folds 2 to 5.

The filters are pairs, a cosine and a sine at first, whose modulus is the envelope of a band (Zeghidour et al.
2021, LEAF). The residual blocks follow He et al. 2016, with every channel mixed (Dai et al. 2017). Pooling
uses the mean and the maximum over time, as in Kong et al. 2020 (PANNs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural import hub
from aural.audio.spectral import DEFAULT_FRONT_END
from aural.errors import OptionError
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

UNSEEN_FOLD = 1  # of ESC-50, held back from training
MIN_SAMPLES = 8_192  # the blocks shrink time; shorter clips are padded with silence
LOWEST_HZ, BANDWIDTHS = 50.0, 2.5  # of the filters at first: lowest centre, and centres per bandwidth
SILENCE = 1e-4  # root mean square below which a clip is not amplified to the others' level
ENVELOPE_FLOOR = 1e-3  # of the envelopes, relative to the clip's level


@dataclass(frozen=True)
class Config(NetworkConfig):
    """The size of a classifier."""

    classes: int = 50  # logits
    rate: int = DEFAULT_FRONT_END.rate  # Hz
    bands: int = 64  # pairs of filters
    taps: int = 384  # samples of a filter
    hop: int = 50  # samples between two moduli
    pool: int = 5  # moduli in a frame of the envelope
    channels: tuple[int, ...] = (128, 192, 256, 384)  # of the residual stages, each at half the frames
    features: int = 128  # width of the pooled embedding
    dropout: float = 0.2  # of the embedding, in training


class WaveformClassifier(Pretrained, pipeline_tag="audio-classification"):
    """Samples -> logits."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.filters = nn.Conv1d(1, 2 * config.bands, config.taps, stride=config.hop, bias=False)
        with torch.no_grad():
            self.filters.weight.copy_(gabor_filters(config)[:, None])
        self.norm = nn.BatchNorm1d(config.bands)
        widths = [config.bands, *config.channels]
        self.stages = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.embed = nn.Linear(2 * widths[-1], config.features)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.features, config.classes)

    def forward(self, samples: Tensor) -> Tensor:
        """Logits.

        Shape:
            samples: (batch, time) at the config's rate, of any level; result: (batch, classes).

        Raises:
            OptionError: another number of dimensions.
        """
        logits: Tensor = self.head(self.dropout(self.features(samples)))
        return logits

    def features(self, samples: Tensor) -> Tensor:
        """The pooled embedding before the logits, in which similar sounds are close.

        Shape:
            samples: (batch, time); result: (batch, features), not negative.

        Raises:
            OptionError: another number of dimensions.
        """
        if samples.dim() != 2:
            raise OptionError(f"The classifier needs the shape (batch, time), not {tuple(samples.shape)}.")
        series = self.stages(self.norm(self.envelopes(samples)))
        pooled = torch.cat([series.mean(-1), series.amax(-1)], 1)
        return functional.relu(self.embed(pooled))

    def envelopes(self, samples: Tensor) -> Tensor:
        """The logarithm of each band's envelope, relative to the clip's level.

        Shape: samples: (batch, time); result: (batch, bands, frames).
        """
        level = samples.square().mean(-1, keepdim=True).sqrt()
        samples = samples / level.clamp_min(SILENCE)
        padding = max(0, MIN_SAMPLES - samples.shape[-1])
        pairs = self.filters(functional.pad(samples, (0, padding))[:, None])
        cosine, sine = pairs.chunk(2, 1)
        power = functional.avg_pool1d(cosine.square() + sine.square(), self.config.pool, ceil_mode=True)
        return (power + ENVELOPE_FLOOR**2).log()


class _Block(nn.Module):
    """A residual block of two convolutions over time, at half the frames."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(narrow, wide, 5, stride=2, padding=2, bias=False)
        self.first_norm = nn.BatchNorm1d(wide)
        self.second = nn.Conv1d(wide, wide, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm1d(wide)
        self.shortcut = nn.Conv1d(narrow, wide, 1, bias=False)

    def forward(self, series: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(series)))
        inner = self.second_norm(self.second(inner))
        around = self.shortcut(functional.avg_pool1d(series, 2, ceil_mode=True))
        return functional.relu(inner + around)


def gabor_filters(config: Config) -> Tensor:
    """Cosines and sines under a window, their centres evenly spaced on the mel scale; each of energy 1.

    Shape: (2 bands, taps), the cosines first.
    """

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    places = torch.linspace(mel(LOWEST_HZ), mel(0.47 * config.rate), config.bands + 1, dtype=torch.float64)
    edges = 700 * (10 ** (places / 2595) - 1)
    centres, widths = edges[:-1, None], BANDWIDTHS * edges.diff()[:, None]
    time = (torch.arange(config.taps, dtype=torch.float64) - (config.taps - 1) / 2)[None] / config.rate
    # A Gaussian whose spectrum is `widths` wide at half its height, and at most as long as the taps.
    deviation = (0.375 / widths).clamp_max(config.taps / config.rate / 5)
    window = torch.exp(-0.5 * (time / deviation).square())
    phase = 2 * math.pi * centres * time
    pairs = torch.cat([window * phase.cos(), window * phase.sin()])
    return (pairs / pairs.square().sum(1, keepdim=True).sqrt()).float()


def build(config: Mapping[str, Any]) -> WaveformClassifier:
    """An untrained classifier from a checkpoint's config.

    Raises:
        TypeError: the config has unknown fields.
    """
    return WaveformClassifier(Config.from_dict(config))


def load() -> WaveformClassifier:
    """The shipped classifier.

    Raises:
        CheckpointError: see `hub.load`.
    """
    model: WaveformClassifier = hub.load("waveform_classifier")
    return model
