"""Metrics of models: distances between sets of features, ranks of the right class, speech ratings.

Sources: Dowson and Landau 1982 (the Fréchet distance between Gaussians; FID, FAD and similar metrics
apply it to embeddings), Reddy et al. 2022 (DNSMOS P.835; by the package `speechmos`, models included).
A sound is compared with its reference by `aural.audio.comparison`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aural.audio.resample import resample_samples
from aural.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DNSMOS_RATE = 16_000


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    The estimate is biased upwards for few samples, more so for wider features: compare sets of similar sizes,
    and report the distance between two halves of one set with it.

    Shape:
        first, second: (samples, width), at least 2 samples each; fewer samples than the width are fine.

    Raises:
        InputError: too few samples, widths that differ, values that are not finite.

    >>> frechet_distance([[-1.0], [1.0]], [[2.0], [4.0]])
    9.0
    """
    a, b = _features(first, 2), _features(second, 2)
    _require_same_width(a, b)
    # |m₁ - m₂|² + tr S₁ + tr S₂ - 2 tr (S₁S₂)^½ with S₁ = AᵀA, S₂ = BᵀB for the centred, scaled samples A, B.
    # AᵀA BᵀB has the non-zero eigenvalues of (ABᵀ)(ABᵀ)ᵀ, so the last trace is the sum of the singular values
    # of ABᵀ. That needs no matrix square root, which is where singular covariances go wrong, and A and B may
    # be replaced by the triangles of their QR decompositions, which are no longer than they are wide.
    a_centred, b_centred = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    a_triangle, b_triangle = (np.asarray(np.linalg.qr(x, mode="r")) for x in (a_centred, b_centred))
    overlap = np.linalg.svd(a_triangle @ b_triangle.T, compute_uv=False).sum()
    shift = np.sum((a.mean(0) - b.mean(0)) ** 2)
    # Rounding may leave -1e-14 instead of 0.
    return max(0.0, float(shift + np.sum(a_centred**2) + np.sum(b_centred**2) - 2 * overlap))


def ranks(scores: ArrayLike, labels: ArrayLike) -> Integers:
    """Rank of the right class, 1 is the best; a tie counts against it.

    Shape:
        scores: (samples, classes); labels: (samples,), indices of classes; result: (samples,).

    Raises:
        InputError: no samples, values that are not finite, labels that are missing or out of range.
    """
    scores = _features(scores, 1)
    labels = np.asarray(labels)
    if labels.shape != (len(scores),) or labels.min() < 0 or labels.max() >= scores.shape[1]:
        highest = scores.shape[1] - 1
        raise InputError(f"{len(scores)} rows of scores need as many labels, from 0 to {highest}.")
    own = scores[np.arange(len(scores)), labels][:, None]
    return np.asarray((scores >= own).sum(1), np.int64)  # a tie with others puts it last among them


def top_k_accuracy(places: ArrayLike, k: int) -> float:
    """Share of the samples whose right class is among the best k; `places` come from `ranks`.

    >>> top_k_accuracy([1, 2, 6, 1], 5)
    0.75
    """
    return float(np.mean(np.asarray(places) <= k))


def mean_reciprocal_rank(places: ArrayLike, k: int = 10) -> float:
    """Mean of 1 / place, 0 beyond k: mAP@k for one right class; `places` come from `ranks`.

    >>> mean_reciprocal_rank([1, 2, 4, 11])
    0.4375
    """
    ranked = np.asarray(places)
    return float(np.mean(np.where(ranked <= k, 1 / ranked, 0)))


def nearest_similarity(
    features: ArrayLike,
    others: ArrayLike,
    groups: ArrayLike | None = None,
    other_groups: ArrayLike | None = None,
) -> Floats:
    """Cosine similarity of each row to the most similar of the others.

    Shape:
        features: (samples, width); others: (other samples, width); groups, other_groups: one per row each,
        rows of the same group (the same source recording) are not compared; result: (samples,).

    Raises:
        InputError: an empty set, widths that differ, values that are not finite, a row without others.
    """
    a, b = _directions(features), _directions(others)
    _require_same_width(a, b)
    similarity = a @ b.T
    if groups is not None and other_groups is not None:
        similarity[np.asarray(groups)[:, None] == np.asarray(other_groups)[None]] = -np.inf
    nearest = similarity.max(1)
    if np.isneginf(nearest).any():
        raise InputError("A sample has no others to compare with. Add samples of other groups.")
    return np.asarray(nearest, np.float64)


def diversity(features: ArrayLike) -> float:
    """Mean of 1 - cosine similarity over all pairs of rows.

    Shape:
        features: (samples, width), at least 2 samples.

    Raises:
        InputError: fewer than 2 samples, or values that are not finite.
    """
    a = _directions(_features(features, 2))
    # The sum over all ordered pairs of distinct rows is |Σa|² less the n squares of a row with itself.
    pairs = len(a) * (len(a) - 1)
    return float(1 - (np.sum(a.sum(0) ** 2) - np.sum(a**2)) / pairs)


@dataclass(frozen=True)
class DnsMos:
    """DNSMOS P.835: predicted opinion scores of speech, 1 (bad) to 5 (excellent)."""

    overall: float
    speech: float  # quality of the voice; higher is less distorted
    background: float  # quality of the background; higher is less intrusive


def dnsmos(samples: NDArray[np.float32], rate: int) -> DnsMos:
    """The predicted ratings of speech, without a reference.

    Computed at 16 kHz, from windows of 9 s; shorter clips are repeated. The level has a small influence, so
    match the levels of clips before comparing them. Peaks above full scale are scaled down.

    Shape:
        samples: (time,)

    Raises:
        InputError: no samples, silence, values that are not finite.
        ImportError: the package `speechmos` is not installed.
    """
    if samples.ndim != 1 or not samples.any() or not np.isfinite(samples).all():
        raise InputError(
            f"Can't rate samples of the shape {samples.shape}. "
            "Choose one channel of finite samples that is not silent."
        )
    low = resample_samples(samples[None], rate, DNSMOS_RATE)[0]
    ratings = _dnsmos_rater()(low / max(1.0, float(np.abs(low).max())), DNSMOS_RATE, False)
    return DnsMos(*(float(ratings[name]) for name in ("ovrl_mos", "sig_mos", "bak_mos")))


@cache
def _dnsmos_rater() -> Any:
    """The package's models, with one thread each, since clips are rated by one process per core."""
    import onnxruntime
    from speechmos import dnsmos as package

    folder = Path(package.__file__).with_name("dnsmos_models")
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    rater = package.DNSMOS(*paths)
    rater.onnx_sess, rater.p808_onnx_sess = (onnxruntime.InferenceSession(path, options) for path in paths)
    return rater


def _features(values: ArrayLike, fewest: int) -> Floats:
    features = np.asarray(values, np.float64)
    if features.ndim != 2 or len(features) < fewest or features.shape[1] == 0:
        raise InputError(
            f"Features must have the shape (samples, width) with at least {fewest} samples, "
            f"not {features.shape}. Add more clips."
        )
    _require_finite(features)
    return features


def _directions(values: ArrayLike) -> Floats:
    """Rows scaled to length 1; rows of zeros, which have no direction, stay zero."""
    features = _features(values, 1)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)


def _require_finite(values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(f"{count} values are not finite, so nothing was measured. Check the model's output.")


def _require_same_width(a: Floats, b: Floats) -> None:
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"Features of {a.shape[1]} and of {b.shape[1]} values can't be compared. "
            "Take both from the same model."
        )
