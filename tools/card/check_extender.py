"""Compare super-resolution by several checkpoints on held-back voices, through the app's own pipeline.

    python -m tools.card.check_extender --data DIR --checkpoints earlier=DIR shipped=checkpoints [--json FILE]

Four kinds of recordings, 4 s of each:

- studio voices to 19-24 kHz, speakers held back (`many/full`, split `val`);
- the same with a noise floor of some tilt, 35 to 60 dB below the voice, up to 24 kHz;
- a reader's held-back sentences with the room's own floor (`nathalie`, the last tenth);
- five studio recordings of unseen speakers (`freesound_unseen`, 44.1 kHz).

Each is downsampled to 8, 12, 16 or 24 kHz and restored to 48 kHz by `aural.super_resolve`. LSD is defined as
in the literature (window 2048, hop 512, log10 |X|², floor 1e-8), over all frequencies, and over the solid
band, up to where the recording is good: above it a codec has left holes. Level is the error of third-octave
bands, averaged over the recording, from 1.1 times the bandwidth to 16 kHz: its mean size, and its signed
mean. "Worse" is the share of recordings whose LSD over all frequencies is higher than the first checkpoint's.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

RATE = 48_000
SECONDS = 4
RATES = (8_000, 12_000, 16_000, 24_000)
TOP_HZ = 16_000.0  # highest band whose level is compared
Samples = NDArray[np.float32]


def recordings(data: Path) -> dict[str, list[tuple[Samples, float]]]:
    """Kind -> samples at 48 kHz, and the end of their solid band in Hz."""
    speech = data / "speech"
    table = (speech / "many" / "meta.csv").read_text(encoding="utf-8").splitlines()
    rows = [row for row in csv.DictReader(table) if row["split"] == "val" and row["tier"] == "full"]
    studio = [
        (_piece(speech / "many" / row["file"]), min(float(row["solid_bw_hz"]), 23_000.0)) for row in rows
    ]
    generator = np.random.default_rng(1)
    reader = []
    for path in sorted((speech / "nathalie").iterdir())[-113::14]:
        try:
            reader.append((_piece(path), 20_000.0))
        except soundfile.LibsndfileError:  # a few recordings that a browser never finished
            continue
    unseen = sorted((speech / "freesound_unseen").glob("*.ogg"))
    return {
        "studio voices": studio,
        "with a noise floor": [(_with_floor(wave, generator), 24_000.0) for wave, _ in studio],
        "a reader and her room": reader,
        "freesound": [(_piece(path), 16_000.0) for path in unseen],
    }


def _piece(path: Path) -> Samples:
    samples, rate = soundfile.read(path, always_2d=True, dtype="float32")
    wave = soxr.resample(samples.mean(1), rate, RATE, "VHQ")
    start = max(0, (len(wave) - SECONDS * RATE) // 2)
    return np.asarray(wave[start : start + SECONDS * RATE], np.float32)


def _with_floor(wave: Samples, generator: np.random.Generator) -> Samples:
    hz = np.fft.rfftfreq(len(wave), 1 / RATE)
    gain_db = generator.uniform(-6, 0) * np.log2(np.maximum(hz, 100) / 1_000)
    noise = np.fft.irfft(np.fft.rfft(generator.standard_normal(len(wave))) * 10 ** (gain_db / 20), len(wave))
    under_db = generator.uniform(35, 60)
    noise *= np.sqrt(np.mean(wave**2) / np.mean(noise**2)) * 10 ** (-under_db / 20)
    return np.asarray(wave + noise, np.float32)


def measure(data: Path, methods: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each recording, rate and method, by the checkpoints in AURAL_CHECKPOINTS."""

    from aural.audio.clip import Clip
    from aural.superres.pipeline import Options, super_resolve

    rows = []
    for kind, items in recordings(data).items():
        for number, (wave, solid_hz) in enumerate(items):
            for rate in RATES:
                low = Clip(soxr.resample(wave, RATE, rate, "VHQ")[None], rate)
                for method in methods:
                    made = super_resolve(low, Options(rate=RATE, method=method)).clip.samples[0]  # type: ignore[arg-type]
                    length = min(len(made), len(wave))
                    figures = _figures(made[:length], wave[:length], 1.1 * rate / 2, solid_hz)
                    rows.append({"kind": kind, "item": number, "rate": rate, "method": method, **figures})
    return rows


def _figures(made: Samples, wave: Samples, low_hz: float, solid_hz: float) -> dict[str, float]:
    ours, theirs = _power(made), _power(wave)
    logarithms = np.log10(ours + 1e-8) - np.log10(theirs + 1e-8)
    end = int(solid_hz / RATE * 2048) + 1
    hz = np.arange(1025) * RATE / 2048
    errors = []
    for edge in 1_000 * 2 ** (np.arange(0, 15) / 3):
        band = (hz >= edge) & (hz < edge * 2 ** (1 / 3))
        if edge >= low_hz and edge * 2 ** (1 / 3) <= min(solid_hz, TOP_HZ) + 1:
            errors.append(10 * np.log10((ours[band].mean() + 1e-9) / (theirs[band].mean() + 1e-9)))
    return {
        "lsd": float(np.sqrt((logarithms**2).mean(0)).mean()),
        "lsd_solid": float(np.sqrt((logarithms[:end] ** 2).mean(0)).mean()),
        "level_db": float(np.mean(np.abs(errors))) if errors else float("nan"),
        "bias_db": float(np.mean(errors)) if errors else float("nan"),
    }


def _power(wave: Samples) -> NDArray[np.float64]:
    spectrum = torch.stft(
        torch.from_numpy(np.ascontiguousarray(wave)),
        2048,
        512,
        window=torch.hann_window(2048),
        return_complex=True,
    )
    return np.asarray(spectrum.abs().double().square())


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a block for each kind, a line for each rate and checkpoint."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        count = len({row["item"] for row in rows if row["kind"] == kind})
        lines += [
            "",
            f"**{kind[0].upper()}{kind[1:]}, {count} recordings**",
            "",
            "| from | | LSD ↓ | LSD, solid band ↓ | level error, dB ↓ | bias, dB | worse |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for rate in RATES:
            chosen = {
                name: [r for r in rows if (r["kind"], r["rate"], r["name"]) == (kind, rate, name)]
                for name in names
            }
            first = next((own for name, own in chosen.items() if name != "sinc"), [])
            for number, name in enumerate(names):
                own = chosen[name]
                means = {key: np.nanmean([row[key] for row in own]) for key in ("lsd", "lsd_solid")}
                with np.errstate(all="ignore"):
                    level, bias = (_mean([row[key] for row in own]) for key in ("level_db", "bias_db"))
                worse = np.mean([a["lsd"] > b["lsd"] for a, b in zip(own, first, strict=True)])
                share = "" if name == "sinc" or own is first else f"{100 * worse:.0f} %"
                label = f"{rate / 1000:g} kHz" if number == 0 else ""
                lines.append(
                    f"| {label} | {name} | {means['lsd']:.3f} | {means['lsd_solid']:.3f} | "
                    f"{level} | {bias} | {share} |"
                )
    return "\n".join(lines[1:])


def _mean(values: list[float]) -> str:
    finite = [value for value in values if np.isfinite(value)]
    return f"{np.mean(finite):.1f}" if finite else ""


def main() -> None:
    """Measure with the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoints", nargs="+", default=["shipped=checkpoints"], metavar="NAME=DIR")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--methods", nargs="+", help=argparse.SUPPRESS)  # used in child processes
    chosen = parser.parse_args()
    if chosen.methods:
        torch.set_num_threads(1)
        json.dump(measure(chosen.data, tuple(chosen.methods)), sys.stdout)
        return
    rows = []
    folders = dict(pair.split("=", 1) for pair in chosen.checkpoints)
    for name, folder, method in [
        ("sinc", "checkpoints", "sinc"),
        *((name, folder, "default") for name, folder in folders.items()),
    ]:
        command = [sys.executable, "-m", "tools.card.check_extender", "--data", str(chosen.data)]
        done = subprocess.run(
            [*command, "--methods", method],
            env={**os.environ, "AURAL_CHECKPOINTS": folder},
            stdout=subprocess.PIPE,
            check=True,
        )
        rows += [{"name": name, **row} for row in json.loads(done.stdout)]
    if chosen.json:
        chosen.json.write_text(json.dumps(rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
