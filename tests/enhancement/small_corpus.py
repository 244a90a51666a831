"""A corpus of seconds at 48 kHz: every sort of voice, noises of two folds and two pieces of music."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from aural.enhancement.data import HELD_BACK_MUSIC, RATE
from aural.training.corpus import Corpus, Recording

# Kind, source, pitch in Hz (0: noise), seconds, for validation.
RECORDINGS = [
    *(("speech", f"speech/reader/{number}.wav", 200 + number, 1.5, number == 9) for number in range(10)),
    ("speech", "speech/teller/0.wav", 110, 1.5, False),
    ("speech", "speech/teller/1.wav", 112, 1.5, True),
    ("speech", "speech/ravdess/03-1.wav", 130, 1.0, False),
    ("speech", "speech/ravdess/03-2.wav", 131, 1.0, False),
    ("speech", "speech/ravdess/04-1.wav", 230, 1.0, False),
    ("speech", "speech/ravdess/22-1.wav", 240, 1.0, True),
    ("speech", "speech/freesound_unseen/a.wav", 160, 6.0, True),
    ("speech", "speech/freesound_unseen/b.wav", 90, 1.0, True),
    ("music", "music/song.wav", 330, 4.0, False),
    ("music", "music/song.wav", 335, 0.5, True),
    ("music", f"music/{HELD_BACK_MUSIC}.wav", 440, 1.0, False),
    ("esc50", "esc50/audio/1.wav", 0, 1.0, False),
    ("esc50", "esc50/audio/5.wav", 0, 1.0, True),
]


def small_corpus() -> Corpus:
    """The recordings, one after the other, in memory."""
    waves = [_sound(pitch_hz, seconds) for _, _, pitch_hz, seconds, _ in RECORDINGS]
    starts = np.cumsum([0, *(len(wave) for wave in waves)])
    recordings = tuple(
        Recording(kind, int(start), len(wave), -1, is_validation, source)
        for (kind, source, _, _, is_validation), start, wave in zip(RECORDINGS, starts, waves, strict=False)
    )
    return Corpus(np.concatenate(waves), recordings)


def write_folder(folder: Path) -> Path:
    """Files of each kind except music, with the layout of `aural.training.corpus`."""
    for kind, source, pitch_hz, seconds, _ in RECORDINGS:
        if kind != "music":
            path = folder / source
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, _sound(pitch_hz, seconds), RATE)
    table = folder / "esc50" / "meta" / "esc50.csv"
    table.parent.mkdir()
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["filename", "fold", "target"])
        writer.writeheader()
        writer.writerows({"filename": f"{fold}.wav", "fold": fold, "target": 0} for fold in (1, 5))
    return folder


def _sound(pitch_hz: float, seconds: float) -> NDArray[np.int16]:
    """Syllables of a buzz, or white noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    if pitch_hz == 0:
        wave = 0.1 * np.random.default_rng(0).standard_normal(time.size)
    else:
        syllables = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * time)
        partials = [np.sin(2 * np.pi * pitch_hz * n * time) / n for n in range(1, 30)]
        wave = 0.2 * syllables * np.sum(partials, axis=0)
    sound: NDArray[np.int16] = np.round(32767 * wave.clip(-1, 1)).astype(np.int16)
    return sound
