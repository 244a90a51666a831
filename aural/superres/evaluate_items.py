"""The recordings for the evaluation of super-resolution: a small, fixed set that no model was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aural.audio import Clip, read
from aural.errors import InputError
from aural.evaluation.harness import evenly_spaced
from aural.superres.evaluate_filters import RATE
from aural.training.corpus import Recording, load

GROUPS = {"unseen": "Unseen speakers", "seen": "Seen speakers", "music": "Music"}

UNSEEN = ("ravdess", "freesound_unseen")
SENTENCES_OF_AN_ACTOR = 8
SEEN_SENTENCES = 24
PIECES = 2  # taken from a longer recording
UNSEEN_PIECE_SECONDS, MUSIC_PIECE_SECONDS = 6.0, 5.0
MIN_SECONDS = 1.0
FILTER_ITEMS = 8


@dataclass(frozen=True)
class Item:
    """A recording that no model was trained on, or a piece of one."""

    name: str  # voice or track, file, and number of the piece
    group: str  # key of GROUPS
    path: Path
    start_seconds: float = 0.0
    seconds: float | None = None  # None: to the end

    def reference(self) -> Clip:
        """The full-band recording.

        Raises:
            InputError: see `aural.audio.read`.
        """
        clip = read(self.path)
        first = math.ceil(self.start_seconds * clip.rate)
        stop = None if self.seconds is None else first + math.floor(self.seconds * clip.rate)
        return clip.with_samples(clip.samples[:, first:stop])


def items(folder: Path, limit: int | None = None) -> list[Item]:
    """The fixed set from a folder with the layout of `aural.training.corpus`, group by group.

    Args:
        limit: maximum number of recordings in a group, evenly spaced.

    Raises:
        InputError: the folder has no recordings for validation.
    """
    recordings = load(folder, RATE).recordings
    held_back = [each for each in recordings if each.is_validation and each.length >= MIN_SECONDS * RATE]
    speakers: dict[tuple[str, str], list[Recording]] = {}
    for each in held_back:
        if each.kind == "speech":
            speakers.setdefault(_speaker(each), []).append(each)
    seen = sum(voice not in UNSEEN for voice, _ in speakers)
    found: dict[str, list[Item]] = {group: [] for group in GROUPS}
    for (voice, _), own in speakers.items():
        if voice == "freesound_unseen":
            for each in own:
                found["unseen"] += _pieces(folder, each, "unseen", 0.0, UNSEEN_PIECE_SECONDS)
        else:
            group = "unseen" if voice in UNSEEN else "seen"
            count = SENTENCES_OF_AN_ACTOR if group == "unseen" else max(1, SEEN_SENTENCES // seen)
            for each in evenly_spaced(own, count):
                found[group].append(Item(_name(each), group, folder / each.source))
    trained = [each for each in recordings if not each.is_validation]
    trained_seconds = {each.source: each.length / RATE for each in trained if each.kind == "music"}
    for each in held_back:
        if each.kind == "music":
            start_seconds = trained_seconds.get(each.source, 0.0)
            found["music"] += _pieces(folder, each, "music", start_seconds, MUSIC_PIECE_SECONDS)
    chosen = [item for group in found.values() for item in evenly_spaced(group, limit or len(group))]
    if not chosen:
        raise InputError(
            f"{folder} has no recordings for validation. Add some to its speech/ or music/, as "
            "aural.training.corpus describes."
        )
    return chosen


def filter_items(chosen: Sequence[Item], limit: int | None = None) -> list[Item]:
    """The recordings of unseen speakers for the filters, evenly spaced: FILTER_ITEMS at most."""
    at_rate = [item for item in chosen if item.group == "unseen" and item.reference().rate == RATE]
    return evenly_spaced(at_rate, min(FILTER_ITEMS, limit or FILTER_ITEMS))


def _speaker(recording: Recording) -> tuple[str, str]:
    """The voice, and for RAVDESS the actor, whose two digits begin the file name."""
    path = Path(recording.source)
    voice = path.parent.name
    return voice, path.name[:2] if voice == "ravdess" else ""


def _name(recording: Recording) -> str:
    path = Path(recording.source)
    return f"{path.parent.name} {path.stem}"


def _pieces(
    folder: Path, recording: Recording, group: str, start_seconds: float, max_seconds: float
) -> list[Item]:
    """Up to PIECES pieces of the held-back part from `start_seconds` on, each centred in its share."""
    whole = recording.length / RATE
    count = min(PIECES, max(1, int(whole // max_seconds)))
    seconds = min(whole / count, max_seconds)
    found = []
    for number in range(count):
        start = start_seconds + (number + 0.5) * whole / count - seconds / 2
        found.append(
            Item(f"{_name(recording)} {number + 1}", group, folder / recording.source, start, seconds)
        )
    return found
