"""Training pairs and validation items: their sources, what they keep, and that they are reproducible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aural.enhancement import data
from aural.enhancement.data import (
    EXAMPLE_LENGTH,
    HELD_BACK_MUSIC,
    LEVEL_DB,
    MIN_MUSIC_SNR_DB,
    MUSIC_SHARE,
    RATE,
    SHIFTS,
    UNSEEN,
    VOICE_SHARES,
    Wave,
    example,
    precomputed_examples,
    sample_batch,
    validation_items,
)
from aural.enhancement.degrade.phone import Chain, Degraded
from aural.enhancement.features import FRONT_END
from aural.enhancement.level import ACTIVE_RMS, active_rms, block_powers
from aural.errors import InputError
from aural.training.corpus import Corpus, Recording
from tests.enhancement.small_corpus import small_corpus


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return small_corpus()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


NO_CHAIN = Chain(low_pass_kind="bessel")  # the kind is sampled even if there is no low-pass


class Made:
    """The parts of a corpus in the examples, and their phones, which do nothing here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[list[Recording]] = []  # of each example
        self.calls: list[tuple[Chain, Wave | None]] = []
        wave = Corpus.wave

        def watched(
            corpus: Corpus, recording: Recording, start: int = 0, length: int | None = None
        ) -> torch.Tensor:
            self.heard[-1].append(recording)
            return wave(corpus, recording, start, length)

        def degrade(samples: Wave, chain: Chain, noise: Wave | None) -> Degraded:
            self.calls.append((chain, noise))
            return Degraded(samples, samples, 0 * samples)

        monkeypatch.setattr(Corpus, "wave", watched)
        monkeypatch.setattr(data, "degrade", degrade)

    def examples(self, corpus: Corpus, count: int) -> list[NDArray[np.int16]]:
        made = []
        for number in range(count):
            self.heard.append([])
            made.append(example(corpus, 0, number))
        return made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


@pytest.fixture(scope="module")
def many(corpus: Corpus) -> Made:
    """The sources of 300 examples."""
    with pytest.MonkeyPatch.context() as patch:
        made = Made(patch)
        made.examples(corpus, 300)
    return made


def speech_of(recordings: list[Recording]) -> list[Recording]:
    return [item for item in recordings if item.kind == "speech"]


def without(corpus: Corpus, part: str) -> Corpus:
    return replace(corpus, recordings=tuple(item for item in corpus.recordings if part not in item.source))


# Examples


def test_an_example_is_of_its_seed_and_number_and_as_long_as_all(corpus: Corpus) -> None:
    first = example(corpus, 0, 3)
    assert first.shape == (3, EXAMPLE_LENGTH)
    assert first.dtype == np.int16
    assert np.array_equal(first, example(corpus, 0, 3))
    assert not np.array_equal(first, example(corpus, 0, 4))
    assert not np.array_equal(first, example(corpus, 1, 3))


def test_nothing_for_validation_nor_the_held_back_music_is_learned_from(corpus: Corpus, many: Made) -> None:
    heard = {item for items in many.heard for item in items}
    assert {item.kind for item in heard} == {"speech", "music", "esc50"}
    assert not any(item.is_validation for item in heard)
    assert not any(HELD_BACK_MUSIC in item.source for item in heard)
    # And of all the rest something is.
    wanted = {
        item for item in corpus.recordings if not item.is_validation and HELD_BACK_MUSIC not in item.source
    }
    assert heard == wanted


def test_an_example_has_one_speaker_and_voices_have_their_shares(many: Made) -> None:
    voices: Counter[str] = Counter()
    for recordings in many.heard:
        speech = speech_of(recordings)
        speakers = {data._speaker(item) for item in speech}
        assert len(speakers) <= 1
        voices.update({data._voice(item) for item in speech})
        # Speech or music, never both.
        assert bool(speech) != any(item.kind == "music" for item in recordings)
    spoken = voices.total()
    assert 1 - spoken / len(many.heard) == pytest.approx(MUSIC_SHARE, abs=0.06)
    assert voices["ravdess"] / spoken == pytest.approx(VOICE_SHARES["ravdess"], abs=0.1)
    assert voices["reader"] / spoken == pytest.approx(voices["teller"] / spoken, abs=0.12)


def test_music_is_spared_the_room_and_loud_noise(many: Made) -> None:
    pairs = list(zip(many.heard, many.calls, strict=True))
    music = [call for recordings, call in pairs if not speech_of(recordings)]
    speech = [call for recordings, call in pairs if speech_of(recordings)]
    assert all(chain.room is None for chain, _ in music)
    assert all(noise is None or chain.snr_db >= MIN_MUSIC_SNR_DB for chain, noise in music)
    assert any(noise is not None for _, noise in music)
    assert any(
        chain.snr_db < MIN_MUSIC_SNR_DB and noise is not None for chain, noise in speech if chain.snr_db
    )

    def untouched(calls: list[tuple[Chain, Wave | None]]) -> float:
        return float(np.mean([replace(chain, low_pass_kind="bessel") == NO_CHAIN for chain, _ in calls]))

    # Some are good already; of music, far more.
    assert 0.01 < untouched(speech) < 0.15
    assert 0.35 < untouched(music) < 0.75


def test_a_voice_is_played_faster_and_slower(corpus: Corpus, made: Made) -> None:
    teller = without(without(without(corpus, "reader"), "ravdess"), "music")
    pitches = []
    for wave in made.examples(teller, 40):
        power = np.abs(np.fft.rfft(wave[1])) ** 2
        pitches.append(float(np.argmax(power) * RATE / EXAMPLE_LENGTH))
    ratios = np.array(pitches) / 110
    assert SHIFTS[0] - 0.05 < ratios.min() < 0.9
    assert 1.1 < ratios.max() < SHIFTS[1] + 0.05
    # A good part is as it was spoken.
    assert 0.2 < np.mean(np.abs(ratios - 1) < 0.01) < 0.7


def test_added_noise_has_the_slope_and_the_level_of_some_room() -> None:
    slopes = []
    for number in range(12):
        noise = data._colored_noise(np.random.default_rng(number))
        assert noise.shape == (EXAMPLE_LENGTH,) and noise.dtype == np.float32
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(0.1, rel=0.6)
        power = np.abs(np.fft.rfft(noise)) ** 2
        octaves = [power[low : 2 * low].mean() for low in (3 * 5_000, 3 * 10_000)]
        slopes.append(10 * np.log10(octaves[1] / octaves[0]))
    assert -9.5 < min(slopes) < -3
    assert -3 < max(slopes) < 0.5


# The precomputed_examples


def test_examples_are_computed_once_and_cached(
    corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = precomputed_examples(corpus, 3, seed=1, workers=1)
    assert examples.shape == (3, 3, EXAMPLE_LENGTH)
    for number in range(3):
        assert np.array_equal(examples[number], example(corpus, 1, number))
    monkeypatch.setattr(data, "ProcessPoolExecutor", None)
    again = precomputed_examples(corpus, 3, seed=1)
    assert isinstance(again, np.memmap)
    assert np.array_equal(again, examples)
    # Another seed or corpus would be another precomputed_examples.
    for other in ((corpus, 3, 2), (corpus, 2, 1), (replace(corpus, recordings=corpus.recordings[1:]), 3, 1)):
        with pytest.raises(TypeError):
            precomputed_examples(*other)
    # Nor does one that could not be made leave anything behind.
    assert len(list((cache / "aural").iterdir())) == 1


# Batches


@pytest.fixture(scope="module")
def examples() -> NDArray[np.int16]:
    """Examples whose recording is the sum of speech and noise; the last one is silent."""
    generator = np.random.default_rng(0)
    time = np.arange(EXAMPLE_LENGTH) / RATE
    speech = 3000 * np.sin(2 * np.pi * np.array([[200], [300], [400], [500]]) * time)
    noise = 1000 * generator.standard_normal(speech.shape)
    waves = np.stack((speech + noise, speech, noise), axis=1)
    waves[3] = 0
    return np.round(waves).astype(np.int16)


def test_a_batch_follows_its_generator_and_has_the_requested_frames(examples: NDArray[np.int16]) -> None:
    first, again, other = (
        sample_batch(examples, 4, 20, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    for name in ("recording", "speech", "noise"):
        waves = getattr(first, name)
        assert waves.shape == (4, 20 * FRONT_END.hop)
        assert FRONT_END.frames(waves.shape[-1]) == 21
        assert torch.equal(waves, getattr(again, name))
        assert not torch.equal(waves, getattr(other, name))


def test_pieces_of_a_pair_stay_aligned_and_have_one_gain(examples: NDArray[np.int16]) -> None:
    drawn = sample_batch(examples[:3], 8, 20, torch.Generator().manual_seed(0))
    difference = drawn.recording - drawn.speech - drawn.noise
    assert difference.abs().max() < 2e-3 * drawn.recording.abs().max()
    assert (drawn.speech.std(-1) / drawn.noise.std(-1)).tolist() == pytest.approx(
        [3 / np.sqrt(2)] * 8, rel=0.02
    )


def test_recordings_come_at_the_level_that_networks_expect_give_or_take_5_db(
    examples: NDArray[np.int16],
) -> None:
    drawn = sample_batch(examples[:3], 64, 20, torch.Generator().manual_seed(0))
    levels = [active_rms(block_powers(wave[None])) for wave in drawn.recording.numpy()]
    offsets_db = 20 * np.log10(np.array(levels) / ACTIVE_RMS)
    low_db, high_db = LEVEL_DB
    assert low_db - 0.01 < offsets_db.min() < low_db + 1
    assert high_db - 1 < offsets_db.max() < high_db + 0.01


def test_a_whole_example_can_be_sampled_and_silence_stays_silence(examples: NDArray[np.int16]) -> None:
    drawn = sample_batch(examples[3:], 2, data.EXAMPLE_FRAMES, torch.Generator().manual_seed(0))
    assert drawn.recording.shape == (2, EXAMPLE_LENGTH)
    assert not drawn.recording.any() and not drawn.speech.any()


# Validation


def test_the_same_items_come_again_whatever_their_count(corpus: Corpus) -> None:
    items = validation_items(corpus, count=3)
    for item, again in zip(items, validation_items(corpus, count=2), strict=False):
        assert item.name == again.name
        assert np.array_equal(item.recording, again.recording)
        assert np.array_equal(item.clean, again.clean)
    assert items[0].recording.shape == items[0].clean.shape
    assert items[0].recording.dtype == np.float32


@pytest.mark.parametrize("degradations", [None, ("room", "noise")])
def test_items_are_of_validation_and_half_of_them_of_unseen_speakers(
    corpus: Corpus, made: Made, degradations: Collection[str] | None
) -> None:
    made.heard.append([])
    items = validation_items(corpus, degradations, count=24)
    heard = made.heard[0]
    assert all(item.is_validation for item in heard)
    assert {item.kind for item in heard} == {"speech", "esc50"}
    assert [item.unseen for item in items] == [True, False] * 12
    unseen = [data._voice(item) in UNSEEN for item in speech_of(heard)]
    assert unseen == [True, False] * 12
    # Every speaker as often as any other of the group.
    speakers = Counter(item.name.split(" ", 1)[1] for item in items)
    assert speakers == {
        "ravdess 22": 4,
        "freesound_unseen a.wav": 4,
        "freesound_unseen b.wav": 4,
        "reader": 6,
        "teller": 6,
    }
    assert max(len(item.clean) for item in items) == round(data.ITEM_SECONDS * RATE)
    if degradations is not None:
        for chain, noise in made.calls:
            assert chain.room is not None and chain.snr_db is not None and noise is not None
            assert chain.codec is None and chain.clipping is None


@pytest.mark.parametrize("part", ["speech", "esc50"])
def test_a_corpus_without_speech_or_noise_says_what_is_missing(
    corpus: Corpus,
    part: str,
    cache: Path,  # noqa: ARG001
) -> None:
    with pytest.raises(InputError, match=rf"The folder {part}/ has nothing to .*\. Add "):
        precomputed_examples(without(corpus, part), 1)
    with pytest.raises(InputError, match=rf"The folder {part}/ has nothing to .*\. Add "):
        validation_items(without(corpus, part), count=1)


def test_music_may_be_missing_and_so_may_unseen_speakers(corpus: Corpus, made: Made) -> None:
    made.examples(without(corpus, "music"), 20)
    assert all(speech_of(recordings) for recordings in made.heard)
    for name, unseen in (("freesound", [True, False]), ("reader", [True, False])):
        items = validation_items(without(corpus, name), count=2)
        assert [item.unseen for item in items] == unseen
    known = without(without(corpus, "ravdess"), "freesound")
    assert [item.unseen for item in validation_items(known, count=3)] == [False] * 3
    assert {item.name for item in validation_items(known, count=2)} == {"000 reader", "001 teller"}
