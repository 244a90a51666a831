"""How good a set of clips is, and how new.

Source: Kilgour et al. 2019 (FAD, the Fréchet distance between the features of two sets of clips).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aural.audio import Clip
from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
from aural.evaluation.metrics import (
    Floats,
    Integers,
    diversity,
    frechet_distance,
    mean_reciprocal_rank,
    nearest_similarity,
    ranks,
    top_k_accuracy,
)
from aural.generation.evaluate_scorers import Scored, Scorer, first_of_each, score
from aural.generation.evaluate_sounds import Real, Sounds, batches, floats
from aural.generation.model import active_share
from aural.loudness.meter import measure as measure_loudness

SMALL = 8  # clips per class in a fold: FAD at this size is comparable with that of real clips
# Spectrograms are compared for copies at this resolution: 4 bands, 4 frames (47 ms).
SHAPE_BANDS, SHAPE_FRAMES = 4, 4


@dataclass(frozen=True)
class Quality:
    """Figures of one set of clips; `None` for figures that would be meaningless."""

    clips: int
    fad: float | None  # all classes pooled, to the real clips of the judge's training folds
    fad_small: float | None  # the same with 8 clips per class, as many as the unseen fold has
    fad_unseen: float | None  # 8 clips per class, to the unseen fold
    fad_class: float | None  # mean over classes of the distance within the class
    top_1: float | None  # share whose class the scorer ranks first
    top_5: float | None
    top_10: float | None
    map_10: float | None  # mean reciprocal rank, 0 beyond 10


@dataclass(frozen=True)
class Novelty:
    """Similarity to the training clips, variety and level of one set of clips."""

    nearest: float  # mean cosine of the features to those of the most similar training clip
    nearest_95: float  # its 95th percentile
    shape: float  # mean correlation with the training spectrogram most similar at any shift in time
    shape_95: float
    diversity: float  # mean over classes of 1 - cosine of the features of two clips of the class
    loudness_lufs: float  # mean of the clips that are not silent
    active: float  # mean share of frames in which anything sounds


@dataclass(frozen=True)
class Originals:
    """The training clips, of which others may be copies."""

    sounds: Sounds
    scored: Scored
    shapes: Tensor  # see `shapes`

    @staticmethod
    def of(sounds: Sounds, scored: Scored) -> Originals:
        """The clips with their coarse spectrograms."""
        return Originals(sounds, scored, shapes(sounds))


def compare(real: Real, sets: Mapping[str, Sounds], scorer: Scorer) -> dict[str, tuple[Quality, Scored]]:
    """The figures of real and other clips by one scorer, one row for each set."""
    training, unseen = score(real.training, scorer), score(real.unseen, scorer)
    rows = {
        real.halves_row: (real_vs_real(training, real.folds), training),
        real.unseen_row: (quality(unseen, training, unseen), unseen),
    }
    for name, sounds in sets.items():
        scored = score(sounds, scorer)
        rows[name] = (quality(scored, training, unseen), scored)
    return rows


def quality(scored: Scored, training: Scored, unseen: Scored) -> Quality:
    """The figures of a set of clips, compared with the real ones that the judge has met and has not."""
    places = ranks(scored.scores, scored.labels)
    small = first_of_each(scored, SMALL)
    is_unseen_itself = scored is unseen
    return Quality(
        clips=len(places),
        fad=frechet_distance(scored.features, training.features),
        fad_small=frechet_distance(small.features, training.features),
        fad_unseen=None if is_unseen_itself else frechet_distance(small.features, unseen.features),
        fad_class=float(np.mean(list(class_distances(scored, training).values()))),
        top_1=top_k_accuracy(places, 1),
        top_5=top_k_accuracy(places, 5),
        top_10=top_k_accuracy(places, 10),
        map_10=mean_reciprocal_rank(places),
    )


def real_vs_real(training: Scored, folds: Integers) -> Quality:
    """Real compared with real: the odd folds with the even ones, which share no recording.

    The scorer was trained on these clips, so their accuracy would be meaningless and is left out.
    """
    odd, even = training.take(folds % 2 == 1), training.take(folds % 2 == 0)
    small = first_of_each(odd, SMALL)
    return Quality(
        clips=len(training.labels),
        fad=frechet_distance(odd.features, even.features),
        fad_small=frechet_distance(small.features, even.features),
        fad_unseen=None,
        fad_class=float(np.mean(list(class_distances(odd, even).values()))),
        top_1=None,
        top_5=None,
        top_10=None,
        map_10=None,
    )


def class_distances(scored: Scored, training: Scored) -> dict[int, float]:
    """The Fréchet distance within each class; classes with fewer than two clips are left out."""
    distances = {}
    for label in np.unique(scored.labels):
        ours, theirs = scored.labels == label, training.labels == label
        if ours.sum() > 1 and theirs.sum() > 1:
            distances[int(label)] = frechet_distance(scored.features[ours], training.features[theirs])
    return distances


def class_accuracies(scored: Scored) -> dict[int, float]:
    """Top-1 of each class."""
    places = ranks(scored.scores, scored.labels)
    return {
        int(label): top_k_accuracy(places[scored.labels == label], 1) for label in np.unique(scored.labels)
    }


def novelty(sounds: Sounds, scored: Scored, training: Originals) -> Novelty:
    """How similar the sounds are to the training clips, how varied, and how loud.

    Clips cut from the same recording are not compared.
    """
    # Features are never negative, so all their cosines are high. Without the mean they tell sounds apart.
    mean = training.scored.features.mean(0)
    about_mean = scored.features - mean
    theirs = training.scored.features - mean
    nearest = nearest_similarity(about_mean, theirs, sounds.sources, training.sounds.sources)
    shape = nearest_shape(shapes(sounds), training.shapes, sounds.sources, training.sounds.sources)
    varieties = [
        diversity(about_mean[chosen])
        for label in np.unique(sounds.labels)
        if (chosen := sounds.labels == label).sum() > 1
    ]
    levels, active = zip(*(_level(wave) for wave in sounds.waves), strict=True)
    return Novelty(
        nearest=float(nearest.mean()),
        nearest_95=float(np.percentile(nearest, 95)),
        shape=float(shape.mean()),
        shape_95=float(np.percentile(shape, 95)),
        diversity=float(np.mean(varieties)),
        loudness_lufs=float(np.nanmean(levels)),
        active=float(np.mean(active)),
    )


def shapes(sounds: Sounds) -> Tensor:
    """Coarse spectrograms.

    Shape: result: (clips, 80 / SHAPE_BANDS, frames / SHAPE_FRAMES), in [0, 1].
    """
    coarse = []
    for part in batches(sounds.waves):
        mel = log_mel(floats(part))
        coarse.append(torch.nn.functional.avg_pool2d(mel[:, None], (SHAPE_BANDS, SHAPE_FRAMES))[:, 0])
    return torch.cat(coarse)


def nearest_shape(ours: Tensor, others: Tensor, groups: Integers, other_groups: Integers) -> Floats:
    """Correlation of each coarse spectrogram with the other one most similar to it, at any circular shift.

    Each one's mean per band is subtracted first: otherwise any two steady noises would be similar. What is
    left is the course over time, which only a copy repeats.

    Shape:
        ours: (clips, bands, frames); others: (other clips, bands, frames); groups, other_groups: one per clip
        each, clips of the same group are not compared; result: (clips,), from -1 to 1.
    """

    def spectra(pictures: Tensor) -> Tensor:
        changes = pictures - pictures.mean(2, keepdim=True)
        flat = torch.nn.functional.normalize(changes.flatten(1)).reshape(pictures.shape)
        spectrum: Tensor = torch.fft.rfft(flat)
        return spectrum.permute(2, 0, 1)  # (frequency, clips, bands)

    theirs = spectra(others).conj().transpose(1, 2).contiguous()
    is_same = torch.from_numpy(groups[:, None] == other_groups[None])
    best = []
    for start in range(0, len(ours), 16):  # in parts: all products at once would fill gigabytes
        product = spectra(ours[start : start + 16]) @ theirs  # (frequency, clips, other clips)
        correlation = torch.fft.irfft(product, ours.shape[2], dim=0).amax(0)
        correlation[is_same[start : start + 16]] = -1
        best.append(correlation.amax(1))
    return np.asarray(torch.cat(best), np.float64)


def _level(wave: NDArray[np.int16]) -> tuple[float, float]:
    """Loudness in LUFS (not a number if silent), and the share of frames that are not silent."""
    samples = floats(wave[None])
    loudness = measure_loudness(Clip(samples.numpy(), DEFAULT_FRONT_END.rate)).integrated_lufs
    return np.nan if loudness is None else loudness, float(active_share(log_mel(samples))[0])
