"""Recordings for training and validation: ESC-50, read speech and music, at one rate.

The folder holds `esc50/` (laid out as the public repository `karolpiczak/ESC-50`), `speech/<voice>/` and
`music/`; missing parts are skipped. For validation only: fold 5 of ESC-50; the speech in
`freesound_unseen`, of RAVDESS actors 21 to 24, and the last tenth of every other voice's files in sorted
order; the last tenth of every piece of music.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aural.audio.spectral import DEFAULT_FRONT_END
from aural.errors import InputError
from aural.files import write_then_rename
from aural.training.esc50 import esc50_clips, table_path
from aural.training.recordings import Wave, cache_folder, decode

# Of models trained on these recordings: the most restrictive of the recordings' licences, that of RAVDESS.
LICENCE = "CC-BY-NC-SA-4.0"
KINDS = ("esc50", "speech", "music")
SUFFIXES = {".ogg", ".wav", ".flac", ".mp3"}
VALIDATION_ACTORS = range(21, 25)
# Recorded without anything above 8 kHz, so not an example of full-band sound.
EXCLUDED = {"kerstin"}
HELD_BACK = 0.1


@dataclass(frozen=True)
class Recording:
    """The position of a recording in the corpus, and its kind."""

    kind: str  # one of KINDS
    start: int  # first sample
    length: int  # samples
    label: int  # class of ESC-50; -1 for other kinds
    is_validation: bool
    source: str = ""  # path of the file in the folder, which names the voice


@dataclass(frozen=True)
class Corpus:
    """All recordings, concatenated."""

    samples: Wave  # (time,), full scale 32767, or 1 as floats; memory-mapped from the cache
    recordings: tuple[Recording, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process maps the file itself instead of receiving a gigabyte.
        if isinstance(self.samples, np.memmap) and self.samples.filename is not None:
            return _open, (Path(self.samples.filename), self.recordings)
        return Corpus, (self.samples, self.recordings)

    def wave(self, recording: Recording, start: int = 0, length: int | None = None) -> Tensor:
        """(time,) float32: the recording, or `length` samples of it."""
        first = recording.start + start
        stop = recording.start + recording.length if length is None else first + length
        wave = torch.from_numpy(self.samples[first:stop].astype(np.float32))
        return wave if self.samples.dtype == np.float32 else wave / 32767

    def of(self, kind: str, *, validation: bool) -> list[Recording]:
        """The recordings of a kind, for training or for validation."""
        return [item for item in self.recordings if item.kind == kind and item.is_validation == validation]


def load(folder: Path, rate: int = DEFAULT_FRONT_END.rate, *, exact: bool = False) -> Corpus:
    """All recordings, from a cache if this folder was loaded before.

    The cache, a gigabyte or more, lies under XDG_CACHE_HOME (or ~/.cache)/aural.

    Args:
        exact: keep floats, at twice the size; 16 bits add noise at -98 dB, more than some recordings have.

    Raises:
        InputError: the folder has none of the parts.
    """
    files = list(_files(folder))
    if not files:
        raise InputError(
            f"{folder} has no recordings. Choose a folder with esc50/ (a clone of karolpiczak/ESC-50), "
            "speech/ or music/ in it."
        )
    names = [(str(path.relative_to(folder)), path.stat().st_size, *rest) for path, *rest in files]
    digest = hashlib.sha256(
        repr((rate, HELD_BACK, sorted(Recording.__annotations__), names, *["exact"] * exact)).encode()
    ).hexdigest()[:16]
    cache = cache_folder() / f"recordings-{digest}.npy"
    index = cache.with_suffix(".json")
    if not index.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        _fill(cache, index, folder, files, rate, exact)
    recordings = tuple(Recording(**fields) for fields in json.loads(index.read_text(encoding="utf-8")))
    return _open(cache, recordings)


def _open(cache: Path, recordings: tuple[Recording, ...]) -> Corpus:
    return Corpus(np.load(cache, mmap_mode="r"), recordings)


def _files(folder: Path) -> Iterator[tuple[Path, str, int, bool | None]]:
    """Path, kind, label, and whether it is for validation; None: only its last tenth."""
    if table_path(folder / "esc50").is_file():
        for clip in esc50_clips(folder / "esc50"):
            yield clip.path, "esc50", clip.label, clip.is_validation
    for voice in sorted((folder / "speech").glob("*")):
        if voice.name in EXCLUDED:
            continue
        paths = _audio_in(voice)
        kept = len(paths) - round(HELD_BACK * len(paths))
        for number, path in enumerate(paths):
            if voice.name == "ravdess":
                is_validation = int(path.name[:2]) in VALIDATION_ACTORS
            else:
                is_validation = voice.name == "freesound_unseen" or number >= kept
            yield path, "speech", -1, is_validation
    for path in _audio_in(folder / "music"):
        yield path, "music", -1, None


def _audio_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES)


def _fill(
    cache: Path,
    index: Path,
    folder: Path,
    files: list[tuple[Path, str, int, bool | None]],
    rate: int,
    exact: bool,
) -> None:
    recordings: list[Recording] = []
    waves: list[Wave] = []
    place = 0
    with ProcessPoolExecutor() as workers:
        waves_decoded = workers.map(
            decode, [path for path, *_ in files], [rate] * len(files), [exact] * len(files), chunksize=20
        )
        for (path, kind, label, is_validation), wave in zip(files, waves_decoded, strict=True):
            source = path.relative_to(folder).as_posix()
            kept = len(wave) - round(HELD_BACK * len(wave))
            pieces = (
                [(wave[:kept], False), (wave[kept:], True)]
                if is_validation is None
                else [(wave, is_validation)]
            )
            for piece, for_validation in pieces:
                recordings.append(Recording(kind, place, len(piece), label, for_validation, source))
                waves.append(piece)
                place += len(piece)
    with write_then_rename(cache) as temporary, temporary.open("wb") as handle:
        np.save(handle, np.concatenate(waves))
    with write_then_rename(index) as temporary:
        temporary.write_text(json.dumps([asdict(item) for item in recordings]), encoding="utf-8")
