"""The class-conditional diffusion model: a `UNet2DModel` that predicts the clean log-mel spectrogram.

The spectrogram is cut into patches, of 4 bands x 4 frames for example, which become the channels of a smaller
image (20 x 108; "space to depth", lossless), so the convolutions see the whole clip and still run on a
laptop. The class, the active share of the clip and the augmentation of a training clip are embedded and
added to the time embedding.

Sources: Ho et al. 2020 (L-simple), Nichol and Dhariwal 2021 (cosine schedule), Ho and Salimans 2022
(classifier-free guidance), Karras et al. 2022 (augmentation values as conditions), Li and He 2025 (predicting
the clean image with large patches), Wiener 1949; Song et al. 2021 (DDIM), Lu et al. 2022 (DPM-Solver++), Zhao
et al. 2023 (UniPC).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DModel, UniPCMultistepScheduler
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from aural.errors import OptionError
from aural.generation.classes import CLASSES
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

BANDS = 80
REAL_FRAMES = 425  # 5 s at 22,050 Hz and a hop of 260
FRAMES = 432  # input of the network: the next multiple of `Config.frame_multiple`, for 9 frames and for 4
NULL_CLASS = len(CLASSES)  # label of no class, for guidance
SILENT_BELOW = 0.1  # scaled magnitude (-92 dB) below which a frame is silent
QUANTILES = 11  # quantiles of each class's active share: 0, 10, ..., 100 %
MIN_QUANTILE = 0.2  # clips of a class that are less active are nearly silent and not sampled
MIN_ACTIVE = 0.1  # half a second of 5 s; smaller active shares are not sampled either
AUGMENTATIONS = 4  # pitch shift, gain, speed, mixing: see `Conditioning`
TRAIN_STEPS = 1000  # noise levels

Sampler = Literal["dpm++", "unipc", "ddim"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
Scheduler: TypeAlias = DPMSolverMultistepScheduler | UniPCMultistepScheduler


@dataclass(frozen=True)
class Config(NetworkConfig):
    """The size of a `DiffusionModel`."""

    channels: tuple[int, ...] = (
        96,
        160,
        224,
    )  # channels of the levels, each at half the resolution
    layers: int = 1  # residual blocks per level going down; one more going up
    attention: bool = True  # at all levels but the finest, and in the middle
    normalise: bool = True  # standardize each mel band; else the input is in [0, 1]
    predicts: Literal["clean", "noise"] = "clean"
    texture: float = 0.03  # variance of unpredictable noise, see `DiffusionModel.predict`
    dropout: float = 0.1
    groups: int = 16  # number of groups of group normalization
    patch_bands: int = 5  # bands of a patch, which becomes one position of the image
    patch_frames: int = 9
    embedding: int | None = None  # width of the condition; None: four times the channels of the finest level
    augmented: bool = False  # augmentation values are part of the condition

    @property
    def width(self) -> int:
        """The number of values of a condition."""
        return self.embedding or 4 * self.channels[0]

    @property
    def frame_multiple(self) -> int:
        """The number of frames of the input is a multiple of this."""
        return int(self.patch_frames * 2 ** (len(self.channels) - 1))


class Conditioning(ModelMixin, ConfigMixin):  # type: ignore[misc]  # their types are unknown
    """Embeds class, active share and augmentation; also holds the statistics of the data.

    A network that knows the augmentation of each training clip learns the sound of clips without augmentation
    (Karras et al. 2022), for which all values are 0, as in generation. The values: pitch shift in bands / 2,
    gain in dB / 6, log2 of the speed / 0.2, and 1 for two mixed clips.

    Shape:
        labels: (batch,) integers, `NULL_CLASS` for none; active: (batch,) in [0, 1];
        augmentation: (batch, AUGMENTATIONS), None for all 0; result: (batch, width).
    """

    mean: Tensor  # (bands, 1), of the scaled log-mel
    deviation: Tensor  # (bands, 1)
    active_quantiles: Tensor  # (classes, QUANTILES)

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, width: int = 384, augmented: bool = False) -> None:
        super().__init__()
        self.classes = nn.Embedding(len(CLASSES) + 1, width)
        self.active = nn.Sequential(nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width))
        self.augmentation = (
            nn.Sequential(nn.Linear(AUGMENTATIONS, width), nn.SiLU(), nn.Linear(width, width))
            if augmented
            else None
        )
        self.register_buffer("mean", torch.zeros(BANDS, 1))
        self.register_buffer("deviation", torch.ones(BANDS, 1))
        self.register_buffer("active_quantiles", torch.ones(len(CLASSES), QUANTILES))

    def forward(self, labels: Tensor, active: Tensor, augmentation: Tensor | None = None) -> Tensor:
        angles = active[:, None] * math.pi * torch.arange(1, 5, device=active.device)
        share = self.active(torch.cat((angles.sin(), angles.cos()), 1).to(self.mean.dtype))
        if self.augmentation is not None:
            values = share.new_zeros(len(share), AUGMENTATIONS) if augmentation is None else augmentation
            share = share + self.augmentation(values.to(share.dtype))
        known = (labels != NULL_CLASS).to(share)[:, None]
        result: Tensor = self.classes(labels) + known * share
        return result


class DiffusionModel(Pretrained, pipeline_tag="text-to-audio"):
    """Noisy spectrogram, noise level and condition -> clean spectrogram.

    The spectrograms are in the network's units: see `normalise` and `denormalise`.
    """

    alphas_cumprod: Tensor

    def __init__(
        self,
        config: Config = Config(),
        *,
        unet: UNet2DModel | None = None,
        conditioning: Conditioning | None = None,
    ) -> None:
        """Args: unet, conditioning: existing parts of any size; None: new ones."""
        super().__init__()
        self.config = config
        self.unet: UNet2DModel = unet or _new_unet(config)
        self.conditioning = conditioning or Conditioning(config.width, config.augmented)
        betas = schedule("ddim").betas
        self.register_buffer("alphas_cumprod", torch.cumprod(1 - betas, 0), persistent=False)

    def forward(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """The predicted clean spectrogram.

        Shape:
            noisy: (batch, 80, frames), frames a multiple of `Config.frame_multiple`;
            timesteps: (batch,) in 0 .. TRAIN_STEPS - 1; condition: (batch, width);
            result: (batch, 80, frames).
        """
        predicted = self.predict(noisy, timesteps, condition)
        if self.config.predicts == "clean":
            return predicted
        signal, noise = self.levels(timesteps)
        low, high = self.normalise(torch.zeros_like(noisy)), self.normalise(torch.ones_like(noisy))
        return ((noisy - noise * predicted) / signal).clamp(low, high)

    def predict(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """The prediction target of the training, clean spectrogram or noise; shapes as in `forward`.

        The network predicts the outlines, g. The texture of a noise is unpredictable and has to be read from
        the input, so the clean spectrogram is a Wiener estimate from both,

            c = t / (t + (noise / signal)²)    clean = (1 - c) g + c noisy / signal

        with the variance t of that texture.
        """
        size = self.config.patch_bands, self.config.patch_frames
        image = to_patches(noisy, *size)
        band = torch.linspace(-1, 1, image.shape[2], device=noisy.device, dtype=image.dtype)
        band = band[None, None, :, None].expand(image.shape[0], 1, -1, image.shape[3])
        image = torch.cat((image, band), 1)
        network_output = from_patches(self.unet(image, timesteps, class_labels=condition).sample, *size)
        if self.config.predicts == "noise":
            return network_output
        signal, noise = self.levels(timesteps)
        share = self.config.texture * signal**2 / (self.config.texture * signal**2 + noise**2)
        # The share vanishes as the square of the signal, so dividing by the signal is safe.
        return (1 - share) * network_output.float() + share / signal * noisy

    def condition(self, labels: Tensor, active: Tensor, augmentation: Tensor | None = None) -> Tensor:
        """See `Conditioning`."""
        result: Tensor = self.conditioning(labels, active, augmentation)
        return result

    def levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Amplitudes of signal and noise, each (batch, 1, 1); their squares add up to 1."""
        power = self.alphas_cumprod[timesteps][:, None, None]
        return power.sqrt(), (1 - power).sqrt()

    def normalise(self, mel: Tensor) -> Tensor:
        """Scaled log-mel, in [0, 1], to the network's units.

        Shape: mel, result: (..., 80, frames).
        """
        normalised: Tensor = (mel - self.conditioning.mean) / self.conditioning.deviation
        return normalised

    def denormalise(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        mel: Tensor = normalised * self.conditioning.deviation + self.conditioning.mean
        return mel

    def sample_active(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Random active shares (batch,), distributed as in the training clips of the class.

        They are at least the class's quantile MIN_QUANTILE and at least MIN_ACTIVE, since for smaller shares
        the network often generates silence.
        """
        quantile = torch.rand(len(labels), generator=generator).to(labels.device)
        place = (MIN_QUANTILE + (1 - MIN_QUANTILE) * quantile) * (QUANTILES - 1)
        lower = place.long().clamp_max(QUANTILES - 2)
        quantiles = self.conditioning.active_quantiles[labels]
        ends = torch.gather(quantiles, 1, torch.stack((lower, lower + 1), 1))
        return torch.lerp(ends[:, 0], ends[:, 1], (place - lower).to(ends)).clamp_min(MIN_ACTIVE)


def _new_unet(config: Config) -> UNet2DModel:
    size = config.patch_bands * config.patch_frames
    plain, attending = ("DownBlock2D", "UpBlock2D"), ("AttnDownBlock2D", "AttnUpBlock2D")
    kinds = [plain] + [attending if config.attention else plain] * (len(config.channels) - 1)
    return UNet2DModel(
        sample_size=(BANDS // config.patch_bands, FRAMES // config.patch_frames),
        in_channels=size + 1,  # plus the band, which a convolution does not know
        out_channels=size,
        layers_per_block=config.layers,
        block_out_channels=config.channels,
        down_block_types=[down for down, _ in kinds],
        up_block_types=[up for _, up in reversed(kinds)],
        add_attention=config.attention,
        attention_head_dim=32,
        norm_num_groups=config.groups,
        dropout=config.dropout,
        class_embed_type="identity",
        time_embedding_dim=config.embedding,
    )


def build(config: Mapping[str, Any]) -> DiffusionModel:
    """An untrained model from a checkpoint's config."""
    return DiffusionModel(Config.from_dict(config))


def schedule(sampler: Sampler) -> Scheduler:
    """The sampler's scheduler for the noise levels of the training.

    Raises:
        OptionError: an unknown sampler.
    """
    levels = {
        "num_train_timesteps": TRAIN_STEPS,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "sample",
    }
    if sampler in ("dpm++", "ddim"):  # to first order, DPM-Solver++ is DDIM
        order = 2 if sampler == "dpm++" else 1
        return DPMSolverMultistepScheduler(**levels, algorithm_type="dpmsolver++", solver_order=order)
    if sampler == "unipc":
        return UniPCMultistepScheduler(**levels, solver_order=2)
    raise OptionError(f'There is no sampler "{sampler}". Choose one of {", ".join(SAMPLERS)}.')


def to_patches(mel: Tensor, patch_bands: int, patch_frames: int) -> Tensor:
    """Move patches into channels.

    Shape:
        mel: (batch, bands, frames);
        result: (batch, patch_bands * patch_frames, bands / patch_bands, frames / patch_frames).
    """
    batch, bands, frames = mel.shape
    cut = mel.reshape(batch, bands // patch_bands, patch_bands, frames // patch_frames, patch_frames)
    return cut.permute(0, 2, 4, 1, 3).flatten(1, 2)


def from_patches(image: Tensor, patch_bands: int, patch_frames: int) -> Tensor:
    """The inverse of `to_patches`."""
    batch, _, rows, columns = image.shape
    cut = image.reshape(batch, patch_bands, patch_frames, rows, columns)
    return cut.permute(0, 3, 1, 4, 2).reshape(batch, rows * patch_bands, columns * patch_frames)


def active_share(mel: Tensor) -> Tensor:
    """The share of frames that are not silent.

    Shape: mel: (..., 80, frames), scaled; result: (...).
    """
    return (mel.amax(-2) > SILENT_BELOW).float().mean(-1)
