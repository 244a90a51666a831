"""The same figures as FFmpeg's ebur128 and libebur128, on the shipped music and on noise that moves like it.

FFmpeg reads 0.005 LU low throughout: its histogram rounds down to a hundredth.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from aural.audio import Clip, read
from aural.loudness import meter
from aural.loudness.layouts import LAYOUTS
from aural.loudness.meter import Loudness, loudness_range, measure
from tests.loudness.examples import MUSIC
from tests.loudness.peers import Reading, ffmpeg, libebur128
from tests.loudness.signals import programme

SECONDS = 40

Peer = Callable[[Clip], Reading]

every_programme = pytest.mark.parametrize(
    "source", [*MUSIC, 44_100, 48_000, 96_000], ids=lambda source: getattr(source, "name", source)
)
every_peer = pytest.mark.parametrize("peer", [ffmpeg, libebur128])


@cache
def clip_of(source: Path | int) -> Clip:
    """A shipped file, or noise at a rate."""
    if isinstance(source, int):
        return programme(source, SECONDS)
    clip = read(source)
    return clip.with_samples(clip.samples[:, : SECONDS * clip.rate])


@cache
def reading_of(peer: Peer, source: Path | int) -> Reading:
    return peer(clip_of(source))


@cache
def ours(source: Path | int) -> Loudness:
    return measure(clip_of(source))


def test_there_is_music_to_measure() -> None:
    assert MUSIC


@every_peer
@every_programme
def test_integrated_loudness_agrees(source: Path | int, peer: Peer) -> None:
    assert ours(source).integrated_lufs == pytest.approx(reading_of(peer, source).integrated_lufs, abs=0.05)


@every_peer
@every_programme
def test_true_peak_agrees(source: Path | int, peer: Peer) -> None:
    assert ours(source).true_peak_dbtp == pytest.approx(reading_of(peer, source).true_peak_dbtp, abs=0.2)


@every_peer
@every_programme
def test_momentary_and_short_term_loudness_agree_at_every_tick(source: Path | int, peer: Peer) -> None:
    reading, loudness = reading_of(peer, source), ours(source)
    _, momentary, short_term = loudness.history()
    short_term = short_term[26:]  # from the first window of 3 s on; theirs begin at 0.1 s

    for mine, theirs in ((momentary, reading.momentary_lufs[3:]), (short_term, reading.short_term_lufs[29:])):
        ticks = np.flatnonzero(theirs > -70)
        assert abs(mine.size - theirs.size) <= 1  # an incomplete last tick
        assert mine[ticks] == pytest.approx(theirs[ticks], abs=0.02)


@every_peer
@every_programme
def test_the_finer_hop_finds_maxima_that_are_no_lower(source: Path | int, peer: Peer) -> None:
    reading, loudness = reading_of(peer, source), ours(source)

    assert -0.01 < loudness.momentary_max_lufs - reading.momentary_lufs.max() < 0.5
    assert -0.01 < loudness.short_term_max_lufs - reading.short_term_lufs.max() < 0.1


@every_programme
def test_range_agrees_with_ffmpeg(source: Path | int) -> None:
    # FFmpeg takes other neighbours for its percentiles, which shows where windows are few.
    assert ours(source).range_lu == pytest.approx(reading_of(ffmpeg, source).range_lu, abs=0.5)


@every_programme
def test_range_is_that_of_libebur128_at_its_one_window_a_second(
    source: Path | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "BLOCK_STEPS", meter.STEPS_PER_SECOND)

    measured = ours(source)
    assert loudness_range(measured.powers, measured.seconds) == pytest.approx(
        reading_of(libebur128, source).range_lu, abs=0.001
    )


@every_peer
@pytest.mark.parametrize("layout", ["mono", "quad", "5.0", "5.1"])
def test_surround_is_weighted_alike(layout: str, peer: Peer) -> None:
    levels = np.linspace(0.05, 0.2, len(LAYOUTS[layout]))[:, np.newaxis]
    noise = levels * np.random.default_rng(5).standard_normal((levels.size, 4 * 48_000))
    clip = Clip(noise.astype(np.float32), 48_000, layout)

    assert measure(clip).integrated_lufs == pytest.approx(peer(clip).integrated_lufs, abs=0.05)
