"""The level of what is active: of a tone, of speech with pauses, in pieces and over channels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aural.enhancement.level import ACTIVE_RMS, BLOCK, active_level, active_level_of, active_rms, block_powers

RATE = 48_000


def tone(peak: float, blocks: int = 100) -> NDArray[np.float32]:
    """A sine of whole periods in each block. Shape: (1, time)."""
    time = np.arange(blocks * BLOCK) / BLOCK
    return (peak * np.sin(2 * np.pi * 16 * time)).astype(np.float32)[None]


def level_db(samples: NDArray[np.float32]) -> float:
    return 20 * float(np.log10(active_rms(block_powers(samples))))


def test_a_tone_has_its_root_mean_square() -> None:
    assert level_db(tone(1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level_db(tone(0.1)) == pytest.approx(-23.01, abs=0.01)


def test_networks_are_trained_26_db_below_full_scale() -> None:
    assert level_db(tone(np.sqrt(2) * ACTIVE_RMS)) == pytest.approx(-26, abs=0.01)


@pytest.mark.parametrize("pause", [0.0, 1e-3])
def test_pauses_do_not_count_however_long(pause: float) -> None:
    speech = np.concatenate((tone(0.2, 30), tone(pause, 270)), axis=1)
    assert level_db(speech) == pytest.approx(level_db(tone(0.2)), abs=1e-3)


def test_soft_syllables_count_up_to_25_db_below_the_loud_ones() -> None:
    for below_db, counts in ((24, True), (26, False)):
        speech = np.concatenate((tone(0.5), tone(0.5 * 10 ** (-below_db / 20))), axis=1)
        # A half that counts, and is far softer, takes away 3 dB.
        assert level_db(speech) == pytest.approx(level_db(tone(0.5)) - 3 * counts, abs=0.03)


def test_a_single_click_does_not_count() -> None:
    samples = tone(0.1)
    samples[0, 5000] = 1.0
    assert level_db(samples) == pytest.approx(level_db(tone(0.1)), abs=0.05)
    # Nor does one that is louder by far than what is spoken make that a pause.
    samples[0, 5000] = 30.0
    assert np.sqrt(np.sort(block_powers(samples))[0]) == pytest.approx(0.1 / np.sqrt(2), rel=1e-3)
    assert level_db(samples) > level_db(tone(0.1))


def test_a_change_of_level_is_its_own() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32)
    assert level_db(0.25 * noise) == pytest.approx(level_db(noise) - 12.04, abs=0.01)


def test_channels_count_by_their_mean_power() -> None:
    mono = tone(0.3)
    assert level_db(np.repeat(mono, 2, axis=0)) == pytest.approx(level_db(mono), abs=1e-4)
    assert level_db(np.concatenate((mono, 0 * mono))) == pytest.approx(level_db(mono) - 3.01, abs=0.01)
    # Channels that cancel each other are no silence.
    assert level_db(np.concatenate((mono, -mono))) == pytest.approx(level_db(mono), abs=1e-4)


def test_pieces_of_whole_blocks_measure_as_the_whole() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 10 * BLOCK + 100)).astype(np.float32)
    pieces = [
        block_powers(noise[:, start : start + 4 * BLOCK]) for start in range(0, noise.shape[1], 4 * BLOCK)
    ]
    assert np.array_equal(np.concatenate(pieces), block_powers(noise))


def test_the_level_of_a_recording_is_that_of_its_pieces() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 600 * BLOCK + 100)).astype(np.float32)
    pieces = np.split(noise, [4 * BLOCK, 300 * BLOCK], axis=1)
    assert active_level_of(pieces) == active_level(noise)
    assert active_level(noise) == pytest.approx(active_rms(block_powers(noise)), rel=1e-6)
    assert active_level_of([0 * piece for piece in pieces]) == 0.0


def test_a_last_block_that_is_shorter_has_its_own_mean() -> None:
    powers = block_powers(np.full((1, 2 * BLOCK + 10), 0.5, np.float32))
    assert powers == pytest.approx([0.25, 0.25, 0.25])


@pytest.mark.parametrize("length", [0, 1, BLOCK, 5 * BLOCK + 1])
def test_silence_has_no_level(length: int) -> None:
    assert active_rms(block_powers(np.zeros((1, length), np.float32))) == 0.0
