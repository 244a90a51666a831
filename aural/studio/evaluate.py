"""How often Studio names a sound rightly, by the probability from which it does.

    python -m aural.studio.evaluate --data ESC50 --others FOLDER... [--limit 100] [--clap] [--json FILE]

Sounds are the clips of ESC-50's fold 5, which the classifier has not met. Others are recordings of speech and
music, for which any name is wrong. Only what is taken for neither speech nor music is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from aural.audio import read
from aural.enhancement.analysis import analyze
from aural.errors import InputError
from aural.evaluation.harness import evaluation_parser, evenly_spaced, score_all, write_json
from aural.evaluation.table import markdown_table
from aural.generation import clap
from aural.generation.classes import CLASSES
from aural.studio.excerpt import loudest
from aural.studio.naming import BY_NAMES, CONFIDENT, Heard, likeliest
from aural.studio.verdicts import sound_of
from aural.training.esc50 import esc50_clips

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
SECONDS = 10.0  # of a longer recording, its loudest stretch stands for all


@dataclass(frozen=True)
class Item:
    """One recording, and what was heard in it."""

    name: str
    truth: str | None  # the class; None: speech or music
    kind: str  # see `sound_of`
    heard: Heard


@dataclass(frozen=True)
class Naming:
    """The names that are given from a probability on."""

    threshold: float
    named: int  # of the sounds, those that got a name
    right: int  # of these, those whose name is right
    others: int  # of the recordings of speech and music, those that got one

    @property
    def precision(self) -> float | None:
        """The share of right names among all that are given; None if none is."""
        given = self.named + self.others
        return self.right / given if given else None


def main(command: list[str] | None = None) -> None:
    """Print the table."""
    chosen = _parser().parse_args(command)
    sounds = [(clip.path, CLASSES[clip.label]) for clip in esc50_clips(chosen.data) if clip.is_validation]
    others = [(path, None) for folder in chosen.others for path in recordings(folder, chosen.limit)]
    hearing = partial(hear, model=clap.load() if chosen.clap else None)
    items = score_all(hearing, [*evenly_spaced(sounds, 4 * chosen.limit), *others])
    kinds = {
        name: [one.kind for one in items if (one.truth is None) == is_other]
        for name, is_other in (("sounds", False), ("speech and music", True))
    }
    for name, found in kinds.items():
        counts = ", ".join(f"{found.count(kind)} {kind}" for kind in ("speech", "music", "other"))
        print(f"{len(found)} {name}, taken for: {counts}")
    print(f"Named by {BY_NAMES['CLAP' if chosen.clap else 'classifier']}.")
    rows = [naming(items, threshold) for threshold in THRESHOLDS]
    columns = ["probability", "sounds named", "right", "speech and music named", "precision"]
    print("\n" + markdown_table(columns, [_cells(row) for row in rows]))
    if chosen.json:
        write_json(chosen.json, {"heard": [asdict(one) for one in items]})


def hear(item: tuple[Path, str | None], model: clap.Clap | None = None) -> list[Item]:
    """What Studio hears in a recording, see `likeliest`; nothing if it can't be read."""
    path, truth = item
    try:
        clip = loudest(read(path), SECONDS)
    except InputError as error:
        print(f"{path.name} is left out: {error}")
        return []
    return [Item(path.name, truth, sound_of(analyze(clip)), likeliest(clip, model))]


def naming(items: Sequence[Item], threshold: float) -> Naming:
    """The names that are given from a probability on, to what is neither speech nor music."""
    given = [one for one in items if one.kind == "other" and one.heard.probability >= threshold]
    sounds = [one for one in given if one.truth is not None]
    right = sum(one.heard.label == one.truth for one in sounds)
    return Naming(threshold, len(sounds), right, len(given) - len(sounds))


def recordings(folder: Path, limit: int) -> list[Path]:
    """At most so many of the recordings below a folder, evenly spaced."""
    return evenly_spaced(sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS), limit)


def _cells(row: Naming) -> list[str]:
    used = " (used)" if row.threshold == CONFIDENT else ""
    precision = "–" if row.precision is None else f"{row.precision:.2f}"
    return [f"{row.threshold:g}{used}", str(row.named), str(row.right), str(row.others), precision]


def _parser() -> argparse.ArgumentParser:
    parser = evaluation_parser(
        __doc__, data="a clone of karolpiczak/ESC-50", json_help="write what was heard to this file"
    )
    parser.add_argument("--others", type=Path, nargs="+", default=[], help="folders of speech and music")
    parser.add_argument("--clap", action="store_true", help="by CLAP, rather than AURAL's classifier")
    parser.add_argument(
        "--limit", type=int, default=100, help="recordings of each folder, and a fourth of the sounds"
    )
    return parser


if __name__ == "__main__":
    main()
