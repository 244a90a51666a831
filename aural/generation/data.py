"""ESC-50 (Piczak 2015) as scaled log-mel spectrograms, and training batches for the diffusion model.

See `aural.training.esc50` for the folder and its folds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aural.audio.spectral import DEFAULT_FRONT_END, log_mel, scale, unscale
from aural.files import write_then_rename
from aural.generation.model import (
    FRAMES,
    QUANTILES,
    REAL_FRAMES,
    SILENT_BELOW,
    Conditioning,
    active_share,
)
from aural.training.esc50 import VALIDATION_FOLD, esc50_clips, table_path
from aural.training.recordings import cache_folder, decode

SECONDS = 5
LENGTH = SECONDS * DEFAULT_FRONT_END.rate


@dataclass(frozen=True)
class Esc50:
    """Clips of ESC-50."""

    mel: Tensor  # (clips, 80, 425) float16, scaled log-mel
    waves: NDArray[np.int16]  # (clips, 110250) at 22,050 Hz, full scale at 32767
    labels: Tensor  # (clips,)
    folds: Tensor  # (clips,)
    sources: tuple[str, ...]  # the recordings that the clips were cut from

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: Tensor) -> Esc50:
        """The clips where a boolean mask (clips,) is True."""
        sources = tuple(
            source for source, is_chosen in zip(self.sources, chosen.tolist(), strict=True) if is_chosen
        )
        return replace(
            self,
            mel=self.mel[chosen],
            waves=self.waves[chosen.numpy()],
            labels=self.labels[chosen],
            folds=self.folds[chosen],
            sources=sources,
        )

    @property
    def training(self) -> Esc50:
        return self.take(self.folds != VALIDATION_FOLD)

    @property
    def validation(self) -> Esc50:
        return self.take(self.folds == VALIDATION_FOLD)


def load(folder: Path) -> Esc50:
    """All clips, cached after the first call for a folder.

    The cache, half a gigabyte, is under XDG_CACHE_HOME (or ~/.cache)/aural.

    Raises:
        InputError: the folder does not contain ESC-50.
    """
    clips = esc50_clips(folder)
    digest = hashlib.sha256(table_path(folder).read_bytes() + repr(DEFAULT_FRONT_END).encode()).hexdigest()[
        :16
    ]
    cache = cache_folder() / f"esc50-{digest}.npz"
    if cache.is_file():
        with np.load(cache) as arrays:
            mel, waves = arrays["mel"], arrays["waves"]
    else:
        paths = [clip.path for clip in clips]
        with ProcessPoolExecutor() as workers:
            waves = np.stack(list(workers.map(_wave, paths, chunksize=20)))
        mel = np.concatenate([_mel(waves[start : start + 50]) for start in range(0, len(waves), 50)])
        cache.parent.mkdir(parents=True, exist_ok=True)
        with write_then_rename(cache) as temporary, temporary.open("wb") as handle:
            np.savez(handle, mel=mel, waves=waves)
    return Esc50(
        torch.from_numpy(mel),
        waves,
        torch.tensor([clip.label for clip in clips]),
        torch.tensor([clip.fold for clip in clips]),
        tuple(clip.source for clip in clips),
    )


@dataclass(frozen=True)
class Batch:
    """The batch of one training step."""

    mel: Tensor  # (batch, 80, FRAMES), scaled
    labels: Tensor  # (batch,)
    active: Tensor  # (batch,)


def batch_sampler(
    clips: Esc50, size: int, device: torch.device | str = "cpu"
) -> Callable[[torch.Generator], Batch]:
    """A function that samples augmented batches: mixing, gain, pitch and a shift in time.

    The shift is circular: 425 real frames fill the network's 432 as a loop, so the network learns no silent
    edge that the clips do not have. A clip with a silent end is only shifted into that silence.
    """
    mel = clips.mel.to(device)
    active = active_share(mel)
    sounding = _last_sound(mel)
    order = torch.argsort(clips.labels, stable=True).to(device)
    counts = torch.bincount(clips.labels, minlength=int(clips.labels.max()) + 1).to(device)
    starts = torch.cumsum(counts, 0) - counts
    labels = clips.labels.to(device)

    def sample(generator: torch.Generator) -> Batch:
        def uniform(low: float, high: float) -> Tensor:
            return (torch.rand(size, generator=generator) * (high - low) + low).to(device)

        chosen = torch.randint(len(clips), (size,), generator=generator).to(device)
        label = labels[chosen]
        batch = mel[chosen].float()
        room = REAL_FRAMES - sounding[chosen]
        max_shift = torch.where(room > REAL_FRAMES // 10, room // 3, REAL_FRAMES)
        batch = roll_loops(batch, (uniform(0, 1) * max_shift).long())

        partner = order[starts[label] + (uniform(0, 1) * counts[label]).long()]
        other = roll_loops(mel[partner].float(), (uniform(0, 1) * REAL_FRAMES).long())
        is_mixed = uniform(0, 1) < 0.15
        share = torch.where(is_mixed, uniform(0.2, 0.7), 0.0)[:, None, None]
        gain = (10 ** (uniform(-6, 6) / 20))[:, None, None]
        powers = ((1 - share) * unscale(batch)) ** 2 + (share * unscale(other)) ** 2
        batch = shift_bands(scale(powers.sqrt() * gain), (uniform(0, 3)).long() - 1)
        actives = torch.where(is_mixed, active_share(batch), active[chosen])
        return Batch(batch, label, actives)

    return sample


def roll_loops(mel: Tensor, shift: Tensor) -> Tensor:
    """Delay each clip, as a loop, by its own number of frames, to a length of FRAMES.

    Shape: mel: (batch, 80, REAL_FRAMES); shift: (batch,); result: (batch, 80, FRAMES).
    """
    time = (torch.arange(FRAMES, device=mel.device)[None] - shift[:, None]) % mel.shape[-1]
    return torch.gather(mel, 2, time[:, None].expand(-1, mel.shape[1], -1))


def shift_bands(mel: Tensor, bands: Tensor) -> Tensor:
    """Shift each clip up by its own number of bands; the outermost band fills the gap.

    Shape: mel: (batch, 80, frames); bands: (batch,).
    """
    rows = (torch.arange(mel.shape[1], device=mel.device)[None] - bands[:, None]).clamp(0, mel.shape[1] - 1)
    return torch.gather(mel, 1, rows[:, :, None].expand(-1, -1, mel.shape[2]))


def fit_statistics(clips: Esc50, conditioning: Conditioning) -> None:
    """Store the mean and deviation of each band and the active shares of each class in the model."""
    mel = clips.mel.float()
    conditioning.mean.copy_(mel.mean((0, 2))[:, None])
    conditioning.deviation.copy_(mel.std((0, 2))[:, None].clamp_min(1e-3))
    active = active_share(mel)
    for label in sorted(set(clips.labels.tolist())):
        shares = active[clips.labels == label]
        conditioning.active_quantiles[label] = torch.quantile(shares, torch.linspace(0, 1, QUANTILES))


def _last_sound(mel: Tensor) -> Tensor:
    """(clips,): the number of frames up to the last one that is not silent."""
    sounds = (mel.amax(1) > SILENT_BELOW).long()
    return (sounds * torch.arange(1, mel.shape[2] + 1, device=mel.device)).amax(1)


def _wave(path: Path) -> NDArray[np.int16]:
    wave = decode(path, DEFAULT_FRONT_END.rate)[:LENGTH]
    return np.pad(wave, (0, LENGTH - len(wave)))


def _mel(waves: NDArray[np.int16]) -> NDArray[np.float16]:
    samples = torch.from_numpy(waves.astype(np.float32) / 32767)
    return log_mel(samples).numpy().astype(np.float16)
