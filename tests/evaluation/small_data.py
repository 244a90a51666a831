"""A data folder of seconds: voices, singing, noise, rooms and music, held back and not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

from aural.audio.clip import Samples

RATE = 24_000
PITCH_HZ = 150.0


def voice(seconds: float, pitch_hz: float = PITCH_HZ, rate: int = RATE) -> Samples:
    """Vowels and breath: harmonics that fall by 6 dB an octave, four syllables a second. Shape: (time,)."""
    time = np.arange(round(seconds * rate)) / rate
    numbers = range(1, int(0.4 * rate / pitch_hz))
    tone = sum(np.sin(2 * np.pi * n * pitch_hz * time + n**2) / n for n in numbers)
    breath = 0.05 * np.random.default_rng(round(pitch_hz)).standard_normal(len(time))
    return np.asarray((0.1 * tone + breath) * np.sin(2 * np.pi * 2 * time) ** 2, np.float32)


def write_data(folder: Path) -> Path:
    """Fill a folder with the layout that `aural.evaluation.recordings` reads."""
    for path in [
        "speech/freesound_unseen/stranger.ogg",
        *(f"speech/ravdess/{actor}-{number:02}.wav" for actor in ("01", "21") for number in range(10)),
        *(f"speech/{reader}/{number:02}.wav" for reader in ("nathalie", "kathleen") for number in range(10)),
        *(
            f"speech/many/{file}.wav"
            for file in ("full/held", "full/known", "full/sung", "full/sang", "wide/held")
        ),
    ]:
        _write(folder / path, voice(1.5))
    hiss = 0.1 * np.random.default_rng(0).standard_normal((2, 5 * RATE)).astype(np.float32)
    for path in ("noise/held.wav", "noise/known.wav", "esc50/audio/1.wav", "esc50/audio/5.wav"):
        _write(folder / path, hiss[0])
    response = hiss[0, :RATE] * np.exp(-np.arange(RATE) / RATE * 20).astype(np.float32)
    response[RATE // 1_000] = 1
    for path in ("rooms/held.wav", "rooms/known.wav"):
        _write(folder / path, response)
    _write(folder / "music/song.wav", np.tile(hiss, 10).T)
    _write(folder / "music/more/held.wav", voice(5, 440))
    _write(folder / "music/more/known.wav", voice(5, 330))
    speech = {"solid_bw_hz": 11_000, "kind": "speech"}
    _table(
        folder / "speech/many/meta.csv",
        {"file": "full/held.wav", "split": "val", **speech},
        {"file": "full/known.wav", "split": "train", **speech},
        {"file": "full/sung.wav", "split": "val", **speech, "kind": "singing"},
        {"file": "full/sang.wav", "split": "train", **speech, "kind": "singing"},
        {"file": "wide/held.wav", "split": "val", **speech, "kind": "words"},
    )
    for part, key, value in (
        ("noise", "kind", "wind"),
        ("rooms", "rt60_s", 0.3),
        ("music/more", "bandwidth_hz", 1e4),
    ):
        _table(
            folder / part / "meta.csv",
            {"file": "held.wav", "split": "val", key: value},
            {"file": "known.wav", "split": "train", key: value},
        )
    _table(
        folder / "esc50/meta/esc50.csv",
        *({"filename": f"{fold}.wav", "fold": fold, "category": "rain"} for fold in (1, 5)),
    )
    return folder


def _write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)


def _table(path: Path, *rows: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
