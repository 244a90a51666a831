"""Long clips in chunks: split, run, cross-fade; a generator, so that progress and cancelling work.

    earlier chunk    ──────────────────────────┐
    later chunk                     ┌──────────┼──────────────────────
                                    │ overlap  │
    weight of the later chunk       0  0 ╱╱ 1  1  1 ...

The cross-fade takes the middle half of the overlap. The quarter before it gives the later chunk its past, the
quarter after it gives the earlier chunk its future. A function that needs at most a quarter of the overlap on
either side gives the same result as on the whole clip.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from aural.audio.clip import Clip, Samples
from aural.audio.steps import Steps
from aural.errors import OptionError


def process_in_chunks(
    clip: Clip, function: Callable[[Samples], Samples], *, chunk_seconds: float, overlap_seconds: float
) -> Steps[Clip]:
    """Run `function` over a clip in chunks, yield the fraction done after each, return the joined result.

    `aural.audio.steps` says how to run it. All chunks are equally long: the last one starts earlier instead
    of being short. Only a clip shorter than a chunk makes a shorter one.

    Shape:
        function: (channels, time) -> (channels, time), both the same

    Raises:
        OptionError: the overlap is negative, or not shorter than the chunk.

    >>> clip = Clip(np.ones((1, 10), np.float32), rate=1)
    >>> list(process_in_chunks(clip, np.negative, chunk_seconds=4, overlap_seconds=1))
    [0.4, 0.7, 1.0]
    """
    chunk, overlap = round(chunk_seconds * clip.rate), round(overlap_seconds * clip.rate)
    if not 0 <= overlap < chunk:
        raise OptionError(
            f"An overlap of {overlap_seconds:g} s does not fit chunks of {chunk_seconds:g} s. "
            "Use 0 s or more, and less than a chunk."
        )
    chunk = min(chunk, clip.frames)
    joined = np.empty_like(clip.samples)
    end = 0
    while end < clip.frames:
        start = max(0, min(end - overlap, clip.frames - chunk))
        source = clip.samples[:, start : start + chunk]
        processed = function(source)
        assert processed.shape == source.shape, "the function must keep (channels, time)"
        join(joined, processed, start, end, overlap)
        end = start + chunk
        yield end / clip.frames
    return clip.with_samples(joined)


def join(joined: Samples, piece: Samples, start: int, end: int, overlap: int) -> None:
    """Write a piece at `start`, cross-faded with what is already written up to `end`.

    Shape: (channels, time), both. The piece may start more than the overlap before `end`.
    """
    if end > 0:
        faded = joined[:, end - overlap : end]
        # In this form equal chunks stay unchanged, bit for bit.
        faded += _fade_in(overlap) * (piece[:, end - overlap - start : end - start] - faded)
    joined[:, end : start + piece.shape[1]] = piece[:, end - start :]


@lru_cache(maxsize=4)
def _fade_in(overlap: int) -> Samples:
    """Raised cosine from 0 to 1 in the middle half of `overlap` samples; shared, so not to be written to."""
    position = (np.arange(overlap) + 0.5) / max(overlap, 1)
    phase = np.clip(2 * position - 0.5, 0, 1)
    weights: Samples = (0.5 - 0.5 * np.cos(np.pi * phase)).astype(np.float32)
    return weights
