"""A folder laid out as ESC-50, of synthesised clips: tones of ten pitches, half of them cut short."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100


def write_esc50(folder: Path, *, classes: int = 4, folds: int = 5) -> Path:
    """One clip for each class and fold; odd classes sound for the first 2 s only."""
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    time = np.arange(5 * RATE) / RATE
    rows = []
    for fold in range(1, folds + 1):
        for label in range(classes):
            noise = np.random.default_rng(100 * fold + label).normal(0, 0.01, len(time))
            samples = 0.3 * np.sin(2 * np.pi * 220 * (label + 1) * (1 + fold / 50) * time) + noise
            if label % 2:
                samples[2 * RATE :] = 0
            name = f"{fold}-{1000 + fold}-A-{label}.wav"
            soundfile.write(folder / "audio" / name, samples, RATE)
            rows.append(
                {
                    "filename": name,
                    "fold": fold,
                    "target": label,
                    "category": f"class {label}",
                    "esc10": False,
                    "src_file": 1000 + fold,
                    "take": "A",
                }
            )
    with (folder / "meta" / "esc50.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder
