"""Long clips in chunks."""

from collections.abc import Generator
from itertools import pairwise

import numpy as np
import pytest

from aural.audio import Clip
from aural.audio.chunks import process_in_chunks
from aural.audio.clip import Samples
from aural.audio.steps import finish
from aural.errors import OptionError

RATE = 1_000


def noise(frames: int, channels: int = 2) -> Clip:
    samples = np.random.default_rng(frames).standard_normal((channels, frames))
    return Clip(samples.astype(np.float32), RATE, "stereo" if channels == 2 else None)


LENGTHS = [1, 2, 399, 400, 401, 700, 701, 1_000, 1_001, 5_003]


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("overlap_seconds", [0, 0.001, 0.1, 0.399])
def test_doing_nothing_returns_every_bit(frames: int, overlap_seconds: float) -> None:
    clip = noise(frames)
    work = process_in_chunks(clip, np.copy, chunk_seconds=0.4, overlap_seconds=overlap_seconds)
    result = finish(work)
    np.testing.assert_array_equal(result.samples, clip.samples)
    assert (result.rate, result.layout) == (RATE, "stereo")


@pytest.mark.parametrize("frames", LENGTHS)
def test_a_function_of_single_samples_may_be_chunked(frames: int) -> None:
    clip = noise(frames)
    result = finish(process_in_chunks(clip, np.tanh, chunk_seconds=0.4, overlap_seconds=0.1))
    np.testing.assert_allclose(result.samples, np.tanh(clip.samples), atol=1e-7)


@pytest.mark.parametrize("frames", LENGTHS)
def test_a_filter_that_looks_a_quarter_of_the_overlap_around_may_be_chunked(frames: int) -> None:
    kernel = np.random.default_rng(0).standard_normal(2 * 25 + 1)

    def smooth(samples: Samples) -> Samples:
        padded = np.pad(samples, ((0, 0), (25, 25)))
        return np.stack([np.convolve(channel, kernel, "valid") for channel in padded]).astype(np.float32)

    clip = noise(frames)
    result = finish(process_in_chunks(clip, smooth, chunk_seconds=0.4, overlap_seconds=0.1))
    np.testing.assert_allclose(result.samples, smooth(clip.samples), atol=1e-5)


def test_chunks_that_differ_are_faded_into_each_other() -> None:
    levels = iter([1.0, 3.0, 2.0])
    work = process_in_chunks(
        Clip(np.zeros((1, 1_000), np.float32), RATE),
        lambda samples: np.full_like(samples, next(levels)),
        chunk_seconds=0.4,
        overlap_seconds=0.1,
    )
    joined = finish(work).samples[0]
    assert (joined[0], joined[500], joined[-1]) == (1, 3, 2)
    assert np.abs(np.diff(joined)).max() < 0.1
    assert (joined.min(), joined.max()) == (1, 3)


def test_all_chunks_are_equally_long_and_the_last_ends_with_the_clip() -> None:
    clip = Clip(np.arange(1_001, dtype=np.float32)[np.newaxis], RATE)
    seen: list[tuple[float, float]] = []

    def look(samples: Samples) -> Samples:
        seen.append((samples[0, 0], samples[0, -1]))
        return samples

    finish(process_in_chunks(clip, look, chunk_seconds=0.4, overlap_seconds=0.1))
    assert seen == [(0, 399), (300, 699), (600, 999), (601, 1_000)]


@pytest.mark.parametrize("frames", LENGTHS)
def test_progress_rises_to_one(frames: int) -> None:
    fractions = list(process_in_chunks(noise(frames), np.copy, chunk_seconds=0.4, overlap_seconds=0.1))
    assert fractions[-1] == 1
    assert all(earlier < later for earlier, later in pairwise(fractions))
    assert len(fractions) == 1 or frames > 400


def test_closing_the_generator_stops_the_work_and_tidies_up() -> None:
    calls: list[int] = []
    tidied: list[bool] = []

    def pipeline() -> Generator[float, None, Clip]:
        try:
            return (
                yield from process_in_chunks(
                    noise(5_000),
                    lambda samples: calls.append(len(calls)) or samples,
                    chunk_seconds=0.4,
                    overlap_seconds=0.1,
                )
            )
        finally:
            tidied.append(True)

    work = pipeline()
    assert next(work) < next(work) < 1
    work.close()
    assert (len(calls), tidied) == (2, [True])
    assert list(work) == []


def test_the_input_is_handed_out_read_only() -> None:
    def spoil(samples: Samples) -> Samples:
        samples *= 0
        return samples

    with pytest.raises(ValueError, match="read-only"):
        finish(process_in_chunks(noise(1_000), spoil, chunk_seconds=0.4, overlap_seconds=0.1))


@pytest.mark.parametrize(("chunk_seconds", "overlap_seconds"), [(0.4, 0.4), (0.4, -0.1), (0, 0), (0.1, 0.4)])
def test_an_overlap_that_does_not_fit_is_refused(chunk_seconds: float, overlap_seconds: float) -> None:
    work = process_in_chunks(
        noise(1_000), np.copy, chunk_seconds=chunk_seconds, overlap_seconds=overlap_seconds
    )
    with pytest.raises(OptionError, match=r"\. Use 0 s or more, and less than a chunk\.$"):
        finish(work)
