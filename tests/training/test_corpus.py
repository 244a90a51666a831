"""A corpus in another process: the file is mapped there, not sent."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from aural.training.corpus import Corpus, Recording

RATE = 22_050
RECORDINGS = (
    Recording("speech", 0, 5 * RATE, -1, False, "speech/a/1.wav"),
    Recording("music", 9, 7, -1, True),
)
SAMPLES = np.random.default_rng(0).integers(-9000, 9000, 10 * RATE).astype(np.int16)


@pytest.fixture
def mapped(tmp_path: Path) -> Corpus:
    np.save(tmp_path / "recordings.npy", SAMPLES)
    return Corpus(np.load(tmp_path / "recordings.npy", mmap_mode="r"), RECORDINGS)


def test_a_mapped_corpus_is_sent_as_the_place_of_its_file(mapped: Corpus) -> None:
    sent = pickle.dumps(mapped)
    assert len(sent) < 2000 < SAMPLES.nbytes
    received = pickle.loads(sent)
    assert isinstance(received.samples, np.memmap)
    assert received.samples.filename == mapped.samples.filename  # type: ignore[attr-defined]
    assert np.array_equal(received.samples, SAMPLES)
    assert received.recordings == mapped.recordings


def test_a_corpus_in_memory_is_sent_whole() -> None:
    received = pickle.loads(pickle.dumps(Corpus(SAMPLES, RECORDINGS)))
    assert np.array_equal(received.samples, SAMPLES)
    assert received.recordings == RECORDINGS


def test_a_piece_of_a_recording_starts_within_it(mapped: Corpus) -> None:
    first, second = RECORDINGS
    assert np.array_equal(mapped.wave(first).numpy(), SAMPLES[: 5 * RATE].astype(np.float32) / 32767)
    assert np.array_equal(mapped.wave(second, 2, 3).numpy(), SAMPLES[11:14].astype(np.float32) / 32767)
    assert mapped.of("music", validation=True) == [second] and mapped.of("music", validation=False) == []
