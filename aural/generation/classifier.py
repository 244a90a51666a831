"""The sound classifier: a small residual CNN from a log-mel spectrogram to the 50 classes of ESC-50.

It scores generated clips and names their classes, and its pooled features measure the distance of two sets of
clips. The two-dimensional residual blocks follow He et al. 2016. Pooling uses both the mean and the maximum
over time, as in Kong et al. 2020 (PANNs), so a short event in a silent clip counts.
"""

from __future__ import annotations

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

# The stem and the blocks shrink time 32-fold; shorter clips are padded with silence.
MIN_FRAMES = 32


@dataclass(frozen=True)
class Config(NetworkConfig):
    """The size of a classifier."""

    classes: int = 50  # logits
    mel_bands: int = DEFAULT_FRONT_END.mel_bands  # bands of the input spectrograms
    rate: int = DEFAULT_FRONT_END.rate  # Hz, of their audio
    hop: int = DEFAULT_FRONT_END.hop  # samples from frame to frame
    stem: int = 32  # channels at half the bands and a quarter of the frames
    channels: tuple[int, ...] = (64, 128, 256)  # channels of the residual stages, each at half the resolution
    features: int = 128  # width of the pooled embedding
    dropout: float = 0.2  # dropout of the embedding, in training


class Classifier(Pretrained, pipeline_tag="audio-classification"):
    """Scaled log-mel spectrogram -> logits, see `aural.audio.spectral.log_mel`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # Statistics of the training clips, to standardize each band.
        self.register_buffer("mean", torch.zeros(config.mel_bands, 1))
        self.register_buffer("deviation", torch.ones(config.mel_bands, 1))
        # Early striding is cheap, and frames of 12 ms are finer than classification needs.
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.stem, (5, 7), stride=(2, 4), padding=(2, 3), bias=False),
            nn.BatchNorm2d(config.stem),
        )
        # A learned embedding of frequency, since convolutions are shift-invariant.
        self.place = nn.Parameter(torch.zeros(1, config.stem, (config.mel_bands + 1) // 2, 1))
        widths = [config.stem, *config.channels]
        self.stages = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.embed = nn.Linear(2 * widths[-1], config.features)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.features, config.classes)

    def forward(self, mel: Tensor) -> Tensor:
        """Logits.

        Shape:
            mel: (batch, mel_bands, frames), any number of frames; result: (batch, classes).

        Raises:
            OptionError: another number of bands.
        """
        logits: Tensor = self.head(self.dropout(self.features(mel)))
        return logits

    def features(self, mel: Tensor) -> Tensor:
        """The pooled embedding before the logits, in which similar sounds are close.

        Shape:
            mel: (batch, mel_bands, frames); result: (batch, features), not negative.

        Raises:
            OptionError: another number of bands.
        """
        if mel.dim() != 3 or mel.shape[1] != self.config.mel_bands:
            raise OptionError(
                f"The classifier needs the shape (batch, {self.config.mel_bands}, frames), not "
                f"{tuple(mel.shape)}. Use `log_mel` with the default front end."
            )
        mel = functional.pad(mel, (0, max(0, MIN_FRAMES - mel.shape[-1])))
        maps = self.stem(
            ((mel - self.mean) / self.deviation)[:, None].contiguous(memory_format=torch.channels_last)
        )
        maps = self.stages(functional.relu(maps + self.place))
        series = maps.mean(2)
        pooled = torch.cat([series.mean(-1), series.amax(-1)], 1)
        return functional.relu(self.embed(pooled))


class _Block(nn.Module):
    """A residual block of two convolutions at half the resolution."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(wide)
        self.second = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(wide)
        self.shortcut = nn.Conv2d(narrow, wide, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(maps)))
        inner = self.second_norm(self.second(inner))
        # Average pooling keeps all positions in the shortcut.
        around = self.shortcut(functional.avg_pool2d(maps, 2, ceil_mode=True))
        return functional.relu(inner + around)


def build(config: Mapping[str, Any]) -> Classifier:
    """An untrained classifier from a checkpoint's config.

    Raises:
        TypeError: the config has unknown fields.
    """
    return Classifier(Config.from_dict(config))


def load() -> Classifier:
    """The shipped classifier.

    Raises:
        CheckpointError: see `hub.load`.
    """
    model: Classifier = hub.load("classifier")
    return model


@torch.inference_mode()
def classify(mel: Tensor, model: Classifier | None = None) -> Tensor:
    """The probability of each class.

    Shape:
        mel: (batch, mel_bands, frames), scaled; result: (batch, classes), rows add up to 1.

    Args:
        model: None: the shipped one.

    Raises:
        OptionError: another number of bands.
        CheckpointError: the shipped classifier is not available.
    """
    model = model or load()
    logits: Tensor = model(mel.to(model.mean))
    return logits.softmax(-1)
