"""What the meter promises compared with its peers. Not part of `make test`: a busy machine can fail it.

Run it with `pytest -o addopts= tests/bench`.
"""

import pytest

from aural.audio import Clip
from tests.bench.bench_loudness import METERS, compare, memory_ratio, programmes

CLIPS = programmes()


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_all_five_figures_come_at_least_as_fast_as_from_pyav(clip: Clip) -> None:
    times = compare(clip, {name: METERS[name] for name in ("AURAL", "PyAV's ebur128")})

    (ours, our_figures), (theirs, their_figures) = times.values()
    assert ours <= theirs
    # The finer hop finds a momentary maximum that is a little higher.
    assert our_figures == pytest.approx(their_figures, abs=0.2)


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_peak_memory_stays_below_three_times_the_decoded_file(clip: Clip) -> None:
    assert memory_ratio(clip) < 3
