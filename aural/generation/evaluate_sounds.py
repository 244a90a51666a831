"""The sounds that are scored: real clips, generated ones, and real ones that went through a vocoder.

Generated and vocoded clips are kept in a folder, so a run that was cut goes on where it stopped, and scoring
again generates nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aural import hub
from aural.audio.spectral import log_mel, magnitude_from_mel, unscale
from aural.evaluation.metrics import Integers
from aural.files import write_then_rename
from aural.generation.classes import CLASSES
from aural.generation.data import Esc50
from aural.generation.pipeline import Options, generate
from aural.generation.waveforms import GRIFFIN_LIM_ITERATIONS, Vocoder
from aural.hub import manifest
from aural.training.esc50 import VALIDATION_FOLD
from aural.vocoding.griffin_lim import griffin_lim

CHUNK = 8  # clips in one call of the generator
SEEDS_PER_CLASS = 1000

Waves = NDArray[np.int16]


@dataclass(frozen=True)
class Sounds:
    """Clips of 5 s at 22,050 Hz."""

    waves: Waves  # (clips, time), full scale at 32767
    labels: Integers  # (clips,)
    sources: Integers  # (clips,) the recording each was cut from; -1 for generated clips

    def take(self, chosen: NDArray[Any]) -> Sounds:
        """The clips selected by a mask or by indices."""
        return Sounds(self.waves[chosen], self.labels[chosen], self.sources[chosen])


@dataclass(frozen=True)
class Real:
    """The real clips that all others are compared with."""

    training: Sounds  # those that the judge was trained on
    folds: Integers  # fold of each training clip
    unseen: Sounds  # the fold that the judge has never met
    held_back: int  # that fold

    @staticmethod
    def of(clips: Esc50, labels: Sequence[int], held_back: int = VALIDATION_FOLD) -> Real:
        """The clips of the given classes."""
        sounds, folds = real_sounds(clips), clips.folds.numpy()
        wanted = np.isin(sounds.labels, labels)
        training, unseen = wanted & (folds != held_back), wanted & (folds == held_back)
        return Real(sounds.take(training), folds[training], sounds.take(unseen), held_back)

    @property
    def halves_row(self) -> str:
        """The name of the row that compares the training clips with each other."""
        return f"real, folds {self.folds.min()}-{self.folds.max()}, half against half"

    @property
    def unseen_row(self) -> str:
        """The name of the row of the unseen clips."""
        return f"real, fold {self.held_back}"


def real_sounds(clips: Esc50) -> Sounds:
    """The clips of ESC-50."""
    names = {name: number for number, name in enumerate(sorted(set(clips.sources)))}
    sources = np.array([names[source] for source in clips.sources], np.int64)
    return Sounds(clips.waves, clips.labels.numpy().astype(np.int64), sources)


def generated_sounds(
    folder: Path, labels: Sequence[int], per_class: int, options: Options
) -> tuple[Sounds, float]:
    """Generated clips of the classes, and the mean seconds per clip; clips in the folder are reused.

    Args:
        folder: holds a folder for each set of settings and checkpoints.
        options: the settings; class and count are replaced. Clip k of class c has the seed
            options.seed + 1000 c + k, so asking for more clips keeps the existing ones.
    """
    assert options.candidates == 1  # what is reported is every clip, not the best of several
    settings = asdict(options) | {"checkpoints": _digests("generator", options.vocoder)}
    for name in ("candidates", "description"):  # without effect, and unknown to folders of earlier versions
        del settings[name]
    text = json.dumps(settings, indent=1, sort_keys=True)
    place = folder / hashlib.sha256(text.encode()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    (place / "settings.json").write_text(text + "\n", encoding="utf-8")
    waves, seconds = [], []
    for label in tqdm(labels, desc=f"{options.steps} steps", mininterval=5):
        of_class, seconds_per_clip = _clips_of_class(
            place / f"{CLASSES[label]}.npz", label, per_class, options
        )
        waves.append(of_class)
        seconds.append(seconds_per_clip)
    sounds = Sounds(
        np.concatenate(waves),
        np.repeat(np.asarray(labels, np.int64), per_class),
        np.full(per_class * len(labels), -1, np.int64),
    )
    return sounds, float(np.mean(seconds))


def vocoded_sounds(folder: Path, real: Sounds, vocoder: Vocoder) -> Sounds:
    """Real clips turned into spectrograms and back: the best that a perfect generator could reach.

    The folder's clips are reused if the real clips and the vocoder's checkpoint are the same.
    """
    key = hashlib.sha256(real.waves.tobytes() + repr(_digests(vocoder)).encode() + vocoder.encode())
    file = folder / f"vocoded-{key.hexdigest()[:12]}.npz"
    if file.is_file():
        with np.load(file) as arrays:
            return replace(real, waves=arrays["waves"])
    waves = [
        sixteen_bits(audible(log_mel(floats(part)), vocoder, part.shape[1]).cpu().numpy())
        for part in tqdm(batches(real.waves), desc=f"{vocoder} of real clips", mininterval=5)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with write_then_rename(file) as temporary, temporary.open("wb") as handle:
        np.savez(handle, waves=np.concatenate(waves))
    return replace(real, waves=np.concatenate(waves))


@torch.inference_mode()
def audible(mel: Tensor, vocoder: Vocoder, length: int) -> Tensor:
    """Spectrograms as waveforms, as the app makes them.

    Shape:
        mel: (clips, 80, frames), in [0, 1]; result: (clips, length).
    """
    if vocoder == "griffin_lim":
        return griffin_lim(magnitude_from_mel(unscale(mel)), length, iterations=GRIFFIN_LIM_ITERATIONS)
    model = hub.load("vocoder")
    waves: Tensor = model(mel.to(next(model.parameters()).device), length)
    return waves


def _clips_of_class(file: Path, label: int, count: int, options: Options) -> tuple[Waves, float]:
    """The first clips of a class, and the seconds per clip; the missing ones are generated and kept."""
    waves: list[Waves] = []
    mels: list[NDArray[np.float16]] = []
    seconds = 0.0
    if file.is_file():
        with np.load(file) as arrays:
            waves, mels, seconds = [arrays["waves"]], [arrays["mels"]], float(arrays["seconds"])
    have = sum(map(len, waves))
    for first in range(have, count, CHUNK):
        start = time.perf_counter()
        result = generate(
            replace(
                options,
                label=CLASSES[label],
                count=min(CHUNK, count - first),
                seed=(options.seed or 0) + SEEDS_PER_CLASS * label + first,
            )
        )
        seconds += time.perf_counter() - start
        waves.append(np.stack([sixteen_bits(clip.samples[0]) for clip in result.clips]))
        mels.append(np.stack(result.mels).astype(np.float16))
    clips = np.concatenate(waves)
    if have < count:
        with write_then_rename(file) as temporary, temporary.open("wb") as handle:
            np.savez(handle, waves=clips, mels=np.concatenate(mels), seconds=seconds)
    return clips[:count], seconds / len(clips)


def sixteen_bits(samples: NDArray[np.float32]) -> Waves:
    """Float samples rounded to 16 bits."""
    return np.round(samples * 32767).clip(-32767, 32767).astype(np.int16)


def floats(waves: Waves) -> Tensor:
    """16-bit samples as float32, full scale at 1."""
    return torch.from_numpy(waves.astype(np.float32) / 32767)


def batches(waves: Waves, size: int = 32) -> Iterator[Waves]:
    """The clips, a few at a time."""
    return (waves[start : start + size] for start in range(0, len(waves), size))


def _digests(*names: str) -> dict[str, str]:
    """Hashes of the checkpoints' weights; names without a checkpoint are left out."""
    entries = manifest.entries()
    return {name: entries[name].sha256["model.safetensors"] for name in names if name in entries}
