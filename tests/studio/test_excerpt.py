"""The loudest stretch of a clip."""

import numpy as np
import pytest

from aural.audio import Clip
from aural.studio.excerpt import loudest

RATE = 8_000


def test_it_is_where_the_sound_is() -> None:
    samples = np.full((2, 60 * RATE), 1e-3, np.float32)
    samples[1, 30 * RATE : 40 * RATE] = 0.5
    found = loudest(Clip(samples, RATE), 10)
    assert found.samples.shape == (2, 10 * RATE)
    assert (found.samples[1] == 0.5).all()


@pytest.mark.parametrize("place", [0, 55])
def test_it_lies_within_the_clip_at_either_end(place: int) -> None:
    samples = np.zeros((1, 60 * RATE), np.float32)
    samples[:, place * RATE : (place + 5) * RATE] = 0.5
    found = loudest(Clip(samples, RATE), 10)
    assert found.frames == 10 * RATE
    assert np.square(found.samples).sum() == pytest.approx(np.square(samples).sum())


def test_a_shorter_clip_is_returned_as_it_is() -> None:
    clip = Clip(np.zeros((1, 9 * RATE), np.float32), RATE)
    assert loudest(clip, 10) is clip


def test_a_layout_and_a_rate_that_10_steps_a_second_do_not_divide_stay() -> None:
    clip = Clip(np.random.default_rng(0).standard_normal((1, 20 * 11_025)).astype(np.float32), 11_025)
    found = loudest(clip, 7)
    assert (found.rate, found.frames, found.layout) == (11_025, 7 * 11_025, clip.layout)
