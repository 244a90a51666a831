"""Pack the training data into parts that are transferred one after the other.

    python -m tools.card.pack --data DIR --out .card/data

Only training data is packed: folds 1 to 4 of ESC-50, and the recordings, rooms, microphones and noises that
are not held back. Each part is a folder with the files, `index.json`, and `complete`.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aural.training.corpus import HELD_BACK, VALIDATION_ACTORS
from aural.training.esc50 import esc50_clips

PARTS = 4
# Frequencies up to which a codec kept the recordings intact, see the data's README.
READERS_HZ = {"kathleen": 20_000.0, "nathalie": 20_000.0, "ravdess": 16_000.0}
VORBIS_HZ = 16_000.0
KATHLEEN_SHARE = 0.5  # one voice doesn't need a thousand sentences here
Row = dict[str, Any]


def rows(data: Path) -> Iterator[tuple[int, Path, Row]]:
    """Part, file and index row of all packed data."""
    for voice, solid_hz in READERS_HZ.items():
        paths = sorted(path for path in (data / "speech" / voice).iterdir() if path.suffix != ".csv")
        if voice == "ravdess":
            groups: dict[str, list[Path]] = {}
            for path in paths:
                if int(path.name[:2]) not in VALIDATION_ACTORS:
                    groups.setdefault(path.name[:2], []).append(path)
        else:
            groups = {voice: paths}
        for speaker, own in groups.items():
            kept = own[: len(own) - round(HELD_BACK * len(own))]
            if voice == "kathleen":
                kept = kept[: round(KATHLEEN_SHARE * len(kept))]
            for number, path in enumerate(kept):
                part = {"nathalie": 1 if number % 2 else 4, "kathleen": 3 if number % 3 else 4}.get(voice, 4)
                name = speaker if voice != "ravdess" else f"ravdess_{speaker}"
                yield part, path, _row("speech", voice, name, solid_hz)
    for meta in _table(data / "speech" / "many" / "meta.csv"):
        kind = "singing" if "sing" in meta["kind"] else "speech"
        row = _row(kind, f"many/{meta['tier']}", meta["speaker"], float(meta["solid_bw_hz"]), meta=meta)
        part = 1 if meta["tier"] == "full" else 4
        yield part, data / "speech" / "many" / meta["file"], row
    for number, clip in enumerate(esc50_clips(data / "esc50")):
        if not clip.is_validation:
            row = _row("esc50", "esc50", clip.source, VORBIS_HZ, clip.label, clip.row)
            yield 2 + number % 2, clip.path, row
    for meta in _table(data / "noise" / "meta.csv"):
        yield 1, data / "noise" / meta["file"], _row("noise", "noise", meta["noise_id"], VORBIS_HZ, meta=meta)
    for meta in _table(data / "rooms" / "meta.csv"):
        yield 1, data / "rooms" / meta["file"], _row("room", "rooms", meta["room"], 24_000.0, meta=meta)
    for meta in _table(data / "rooms" / "devices" / "meta.csv"):
        yield 1, data / "rooms" / meta["file"], _row("device", "devices", meta["device"], 24_000.0, meta=meta)
    for meta in _table(data / "music" / "more" / "meta.csv"):
        is_lossless = meta["codec"].startswith("flac")
        solid_hz = 22_000.0 if is_lossless else min(20_000.0, float(meta["bandwidth_hz"]))
        path = data / "music" / "more" / meta["file"]
        yield 2, path, _row("music", "music/more", meta["piece"], solid_hz, meta=meta)
    for path in sorted((data / "music").glob("*.ogg")):
        yield 2, path, _row("music", "music", path.stem, VORBIS_HZ)


def _table(path: Path) -> Iterator[dict[str, str]]:
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        if row.get("split", "train") == "train":
            yield row


def _row(
    kind: str, source: str, speaker: str, solid_hz: float, label: int = -1, meta: Row | None = None
) -> Row:
    return {
        "kind": kind,
        "source": source,
        "speaker": speaker,
        "solid_hz": solid_hz,
        "label": label,
        "meta": meta or {},
    }


def pack(data: Path, out: Path) -> list[int]:
    """Write all parts; returns their sizes in bytes."""
    import soundfile

    indices: dict[int, list[Row]] = {part: [] for part in range(1, PARTS + 1)}
    sizes = [0] * PARTS
    for part, path, row in rows(data):
        try:
            samples, rate = soundfile.read(path, always_2d=True)
        except soundfile.LibsndfileError:  # a few recordings that a browser never finished
            print(f"skipped, cannot be read: {path.name}")
            continue
        folder = out / f"part{part}"
        name = f"{row['kind']}/{row['source'].replace('/', '_')}_{path.name}"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if row["source"] == "music":  # the last tenth of each piece is held back
            target = target.with_suffix(".flac")
            name = str(Path(name).with_suffix(".flac"))
            soundfile.write(target, samples[: round(0.9 * len(samples))].mean(1), rate, subtype="PCM_16")
        else:
            shutil.copyfile(path, target)
        indices[part].append({"file": name, **row, "seconds": len(samples) / rate})
        sizes[part - 1] += target.stat().st_size
    for part, index in indices.items():
        folder = out / f"part{part}"
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (folder / "complete").touch()
    return sizes


def main() -> None:
    """Pack with the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data")
    parser.add_argument("--out", type=Path, default=Path(".card/data"))
    chosen = parser.parse_args()
    for part, size in enumerate(pack(chosen.data, chosen.out), 1):
        index = json.loads((chosen.out / f"part{part}" / "index.json").read_text(encoding="utf-8"))
        seconds = sum(row["seconds"] for row in index)
        print(f"part{part}: {len(index)} files, {size / 2**20:.1f} MiB, {seconds / 60:.1f} min")


if __name__ == "__main__":
    main()
