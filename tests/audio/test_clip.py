"""`Clip`: samples that never lose their rate."""

import numpy as np
import pytest

from aural.audio import Clip
from aural.errors import InputError


def test_a_clip_tells_its_shape_and_length() -> None:
    clip = Clip(np.zeros((6, 24_000), np.float32), 48_000, "5.1")
    assert (clip.channels, clip.frames, clip.seconds, clip.layout) == (6, 24_000, 0.5, "5.1")


def test_samples_become_float32_and_float32_is_not_copied() -> None:
    assert Clip(np.full((1, 3), 0.25), 8_000).samples.dtype == np.float32
    samples = np.zeros((1, 3), np.float32)
    assert np.shares_memory(Clip(samples, 8_000).samples, samples)


def test_no_stage_can_change_what_another_holds() -> None:
    samples = np.zeros((1, 3), np.float32)
    clip = Clip(samples, 8_000)
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0, 0] = 1
    samples[0, 0] = 1  # the owner's array stays writable


def test_new_samples_keep_the_rate_and_the_layout_where_it_still_fits() -> None:
    clip = Clip(np.zeros((6, 10), np.float32), 44_100, "5.1(side)")
    same, folded = (
        clip.with_samples(np.ones((6, 20), np.float32)),
        clip.with_samples(np.ones((2, 10), np.float32)),
    )
    assert (same.rate, same.layout) == (44_100, "5.1(side)")
    assert (folded.rate, folded.layout) == (44_100, None)
    assert clip.with_samples(np.ones((2, 10), np.float32), "stereo").layout == "stereo"


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(5), 48_000, r"shape \(channels, time\)"),
        (np.zeros((0, 5)), 48_000, r"^The clip has no channels\. Pass at least one\.$"),
        (np.zeros((1, 5)), 0, "rate"),
        (np.zeros((1, 5)), 44_100.5, "whole number"),
    ],
)
def test_what_is_no_clip_is_refused(samples: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Clip(samples, rate)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_samples_are_counted(value: float) -> None:
    samples = np.zeros((2, 100), np.float32)
    samples[0, 3] = samples[1, 99] = value
    with pytest.raises(InputError, match="2 samples are NaN, infinite or far beyond full scale"):
        Clip(samples, 48_000).require_finite()


def test_an_empty_clip_is_refused_and_one_sample_is_enough() -> None:
    with pytest.raises(InputError, match="empty"):
        Clip(np.zeros((1, 0)), 48_000).require_finite()
    clip = Clip(np.ones((1, 1)), 48_000)
    assert clip.require_finite() is clip
