"""Pairs of phone and studio recordings: examples to train on, and fixed items to evaluate on.

Training examples are computed once for each folder, number and seed, and cached: degrading one takes as long
as a training step, and both stages train on the same ones. Every batch cuts new pieces at new levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aural.audio.resample import resample_samples
from aural.enhancement.degrade.phone import DEGRADATIONS, degrade, sample_chain
from aural.enhancement.features import FRONT_END
from aural.enhancement.level import ACTIVE_RMS, active_level
from aural.errors import InputError
from aural.files import write_then_rename
from aural.training.corpus import Corpus, Recording
from aural.training.recordings import cache_folder

Wave = NDArray[np.float32]

RATE = FRONT_END.rate
EXAMPLE_FRAMES = 192  # 3 s
EXAMPLE_LENGTH = EXAMPLE_FRAMES * FRONT_END.hop
EXAMPLE_COUNT = 7_000
EXAMPLES_VERSION = 1  # version of the examples; a new one invalidates the cache

MUSIC_SHARE = 0.12  # share of the examples; music should stay unchanged, except for noise
UNTOUCHED_SHARE = {"speech": 0.05, "music": 0.5}  # so that good recordings stay unchanged
MIN_MUSIC_SNR_DB = 10.0
HELD_BACK_MUSIC = "vibe_ace"  # not trained on, to evaluate unseen music
# Most speech is by two women: other voices are simulated by playing it faster and slower.
SHIFT_SHARE = 0.6
SHIFTS = (0.78, 1.2)
VOICE_SHARES = {"ravdess": 0.4}  # the other voices share the rest equally
SYNTHETIC_NOISE_SHARE = 0.25  # hiss, fans and hum, which are rare in ESC-50
LEVEL_DB = (-5.0, 5.0)  # around ACTIVE_RMS

ITEM_SECONDS = 5.0
UNSEEN = ("ravdess", "freesound_unseen")


@dataclass(frozen=True)
class Examples:
    """A batch of pairs, at the level that the networks expect."""

    recording: Tensor  # (batch, time), from the phone
    speech: Tensor  # (batch, time), clean, at the level of the voice in the recording
    noise: Tensor  # (batch, time), the background as it is in the recording


@dataclass(frozen=True)
class Item:
    """One recording to evaluate enhancement on."""

    name: str  # speaker and number
    recording: Wave  # (time,), at 48 kHz
    clean: Wave  # (time,)
    unseen: bool  # whether the speaker is not in the training data


def precomputed_examples(
    corpus: Corpus, count: int = EXAMPLE_COUNT, seed: int = 0, workers: int | None = None
) -> NDArray[np.int16]:
    """Degraded training examples: computed at the first call, then read from the cache.

    Shape: (count, 3, EXAMPLE_LENGTH), full scale at 32767: recording, speech, noise.

    Raises:
        InputError: the corpus has no speech or no noise to train on.
    """
    _require(corpus, validation=False)
    sources = [(item.source, item.start, item.length, item.is_validation) for item in corpus.recordings]
    digest = hashlib.sha256(repr((EXAMPLES_VERSION, count, seed, sources)).encode()).hexdigest()[:16]
    path = cache_folder() / f"phone-{digest}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_then_rename(path) as temporary:
            examples = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=np.int16, shape=(count, 3, EXAMPLE_LENGTH)
            )
            with ProcessPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as processes:
                made = processes.map(partial(example, corpus, seed), range(count), chunksize=50)
                for number, waves in enumerate(made):
                    examples[number] = waves
            examples.flush()
    made_before: NDArray[np.int16] = np.load(path, mmap_mode="r")
    return made_before


def example(corpus: Corpus, seed: int, number: int) -> NDArray[np.int16]:
    """One training example; the same seed and number give the same example. Shape: (3, time)."""
    generator = np.random.default_rng((seed, number))
    is_music = generator.random() < MUSIC_SHARE and any(corpus.of("music", validation=False))
    kind = "music" if is_music else "speech"
    clean = _music(corpus, generator) if is_music else _speech(corpus, generator)
    untouched = generator.random() < UNTOUCHED_SHARE[kind]
    degradations: Collection[str] | None = () if untouched else None
    if is_music and not untouched:
        degradations = [
            degradation for degradation in DEGRADATIONS if degradation != "room" and generator.random() < 0.4
        ]
    chain = sample_chain(generator, degradations)
    noise = _noise(corpus, generator) if chain.snr_db is not None else None
    if is_music and chain.snr_db is not None and chain.snr_db < MIN_MUSIC_SNR_DB:
        noise = None
    made = degrade(clean, chain, noise)
    waves = np.stack((made.samples, made.speech, made.noise))
    # The clean voice can be louder than the clipped recording; it must not clip here.
    waves = waves * min(1.0, 0.99 / max(float(np.abs(waves).max()), 1e-9))
    quantised: NDArray[np.int16] = np.round(waves * 32767).astype(np.int16)
    return quantised


def sample_batch(examples: NDArray[np.int16], size: int, frames: int, generator: torch.Generator) -> Examples:
    """Pieces of random examples at random levels, of `frames` + 1 frames of the front end."""
    length = frames * FRONT_END.hop
    pieces = []
    for _ in range(size):
        number = int(torch.randint(len(examples), (), generator=generator))
        start = int(torch.randint(EXAMPLE_LENGTH - length + 1, (), generator=generator))
        piece = examples[number, :, start : start + length].astype(np.float32) / np.float32(32767)
        low_db, high_db = LEVEL_DB
        level_db = low_db + (high_db - low_db) * float(torch.rand((), generator=generator))
        level = active_level(piece[:1])
        if level > 0:
            piece *= np.float32(ACTIVE_RMS / level * 10 ** (level_db / 20))
        pieces.append(torch.from_numpy(piece))
    recording, speech, noise = torch.stack(pieces, 1)
    return Examples(recording, speech, noise)


def validation_items(
    corpus: Corpus, degradations: Collection[str] | None = None, count: int = 120, seed: int = 2026
) -> list[Item]:
    """Validation speech, half of it by unseen speakers, through phones that no training draws.

    Noise comes from the validation fold of ESC-50. The same arguments make the same items.

    Args:
        degradations: those of `degrade.phone.DEGRADATIONS` that every item has; None: each at its own odds.

    Raises:
        InputError: the corpus has no speech or no noise for validation.
    """
    _require(corpus, validation=True)
    speech = corpus.of("speech", validation=True)
    unseen = [item for item in speech if _voice(item) in UNSEEN]
    seen = [item for item in speech if _voice(item) not in UNSEEN]
    groups = [group for group in (unseen, seen) if group]
    noises = corpus.of("esc50", validation=True)
    items = []
    for number in range(count):
        generator = np.random.default_rng((seed, number))
        group = groups[number % len(groups)]
        # All speakers equally often.
        speakers = sorted({_speaker(item) for item in group})
        speaker = speakers[number // len(groups) % len(speakers)]
        own = [item for item in group if _speaker(item) == speaker]
        recording = own[int(generator.integers(len(own)))]
        length = min(recording.length, round(ITEM_SECONDS * RATE))
        start = int(generator.integers(recording.length - length + 1))
        clean = corpus.wave(recording, start, length).numpy()
        chain = sample_chain(generator, degradations)
        noise = corpus.wave(noises[int(generator.integers(len(noises)))]).numpy()
        made = degrade(clean, chain, noise if chain.snr_db is not None else None)
        items.append(Item(f"{number:03d} {speaker}", made.samples, made.speech, group is unseen))
    return items


def _require(corpus: Corpus, *, validation: bool) -> None:
    for kind, content in (("speech", "voices"), ("esc50", "a clone of karolpiczak/ESC-50")):
        if not corpus.of(kind, validation=validation):
            purpose = "validate by" if validation else "train on"
            raise InputError(f"The folder {kind}/ has nothing to {purpose}. Add {content}.")


def _speech(corpus: Corpus, generator: np.random.Generator) -> Wave:
    """Sentences of one voice with pauses, as long as an example."""
    speech = corpus.of("speech", validation=False)
    voices = sorted({_voice(item) for item in speech})
    left = 1 - sum(VOICE_SHARES.get(voice, 0.0) for voice in voices)
    others = sum(voice not in VOICE_SHARES for voice in voices)
    shares = np.array([VOICE_SHARES.get(voice, left / max(others, 1)) for voice in voices])
    voice = voices[int(generator.choice(len(voices), p=shares / shares.sum()))]
    sentences = [item for item in speech if _voice(item) == voice]
    first = sentences[int(generator.integers(len(sentences)))]
    sentences = [item for item in sentences if _speaker(item) == _speaker(first)]
    shift = generator.uniform(*SHIFTS) if generator.random() < SHIFT_SHARE else 1.0
    needed = int(EXAMPLE_LENGTH * shift) + 1
    pieces = [np.zeros(int(generator.integers(RATE // 3)), np.float32)]
    item = first
    while sum(piece.size for piece in pieces) < needed:
        pieces.append(corpus.wave(item).numpy())
        pieces.append(np.zeros(int(generator.integers(RATE // 10, RATE // 2)), np.float32))
        item = sentences[int(generator.integers(len(sentences)))]
    wave = np.concatenate(pieces)
    start = int(generator.integers(wave.size - needed + 1))
    wave = wave[start : start + needed]
    if shift != 1.0:
        # Played at another speed: pitch, formants and tempo change together.
        wave = resample_samples(wave[None], round(RATE * shift), RATE)[0]
    return _fit_length(wave)


def _music(corpus: Corpus, generator: np.random.Generator) -> Wave:
    pieces = [item for item in corpus.of("music", validation=False) if HELD_BACK_MUSIC not in item.source]
    piece = pieces[int(generator.integers(len(pieces)))]
    start = int(generator.integers(max(piece.length - EXAMPLE_LENGTH, 0) + 1))
    return _fit_length(corpus.wave(piece, start, min(EXAMPLE_LENGTH, piece.length - start)).numpy())


def _noise(corpus: Corpus, generator: np.random.Generator) -> Wave:
    if generator.random() < SYNTHETIC_NOISE_SHARE:
        return _colored_noise(generator)
    clips = corpus.of("esc50", validation=False)
    return corpus.wave(clips[int(generator.integers(len(clips)))]).numpy()


def _colored_noise(generator: np.random.Generator) -> Wave:
    """Noise that falls by 0 to 9 dB per octave above a corner, with or without mains hum."""
    spectrum = np.fft.rfft(generator.standard_normal(EXAMPLE_LENGTH))
    frequencies = np.fft.rfftfreq(EXAMPLE_LENGTH, 1 / RATE)
    corner_hz = 10 ** generator.uniform(1.7, 3.5)
    slope = generator.uniform(0, 1.5)
    noise = np.fft.irfft(spectrum * (1 + frequencies / corner_hz) ** -slope, EXAMPLE_LENGTH)
    noise /= np.sqrt(np.mean(noise**2))
    if generator.random() < 0.3:
        time = np.arange(EXAMPLE_LENGTH) / RATE
        mains_hz = generator.choice((50.0, 60.0))
        for harmonic in range(1, 8):
            phase = generator.uniform(0, 2 * np.pi)
            noise += (
                generator.uniform(0, 1) / harmonic * np.sin(2 * np.pi * harmonic * mains_hz * time + phase)
            )
    wave: Wave = (0.1 * noise).astype(np.float32)
    return wave


def _fit_length(wave: Wave) -> Wave:
    """Cut or pad with silence to the length of an example."""
    padded: Wave = np.pad(wave[:EXAMPLE_LENGTH], (0, max(0, EXAMPLE_LENGTH - wave.size))).astype(np.float32)
    return padded


def _voice(item: Recording) -> str:
    """The folder of a speech recording."""
    return Path(item.source).parent.name


def _speaker(item: Recording) -> str:
    """RAVDESS has 24 speakers in one folder, by the first two digits; unseen speakers have one file each."""
    name = Path(item.source).name
    if _voice(item) == "ravdess":
        return f"ravdess {name[:2]}"
    return f"{_voice(item)} {name}" if _voice(item) == "freesound_unseen" else _voice(item)
