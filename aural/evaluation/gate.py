"""The gate of a checkpoint: which figures got worse, by how much, and on how many recordings.

    python -m aural.evaluation.gate BEFORE AFTER [--by kind]

BEFORE and AFTER are JSON of the same evaluation, each with a row if the file holds several: `old.json:both`.
Recordings are compared in pairs. A figure passes if its mean has not got worse by more than one standard
error of the differences; the command ends with 1 if one does not pass. SI-SDR is printed but not judged: it
counts phase, which an ear does not mind.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aural.errors import OptionError
from aural.evaluation.table import markdown_table

ROW_KEYS = ("row", "name")  # what the method is called, by the evaluation
RATIO = 1e-9  # two means that differ by less are equal


@dataclass(frozen=True)
class Metric:
    """How a figure is read."""

    better: int  # 1: higher; -1: lower; 0: nearer to 0, as of an error in dB
    margin: float  # a recording counts as worse beyond this
    is_judged: bool = True

    def gain(self, before: float, after: float) -> float:
        """How much better it has become; negative: worse."""
        if self.better:
            return self.better * (after - before)
        return abs(before) - abs(after)


# By the names that the evaluations use, in lower case with underscores; margins are about what a listener
# notices.
METRICS = {
    "pesq": Metric(1, 0.1),
    "stoi": Metric(1, 0.01),
    "lsd": Metric(-1, 0.05),
    "lsd_solid": Metric(-1, 0.05),
    "dnsmos_overall": Metric(1, 0.1),
    "dnsmos_speech": Metric(1, 0.1),
    "dnsmos_background": Metric(1, 0.1),
    "dns_ovr": Metric(1, 0.1),
    "dns_sig": Metric(1, 0.1),
    "dns_bak": Metric(1, 0.1),
    "lsd_above": Metric(-1, 0.05),
    "lu": Metric(0, 0.5),
    "loudness_change_lu": Metric(0, 0.5),
    "level_error_db": Metric(-1, 1.0),
    "floor_step_db": Metric(0, 3.0),
    "correlation_change": Metric(0, 0.1),
    "harmonics_change_db": Metric(0, 1.0),
    "level_db": Metric(0, 1.0),
    "bias_db": Metric(0, 1.0),
    "mel_error": Metric(-1, 0.1),
    "snr_db": Metric(1, 0.3),
    "si_sdr_db": Metric(1, 1.0, is_judged=False),
    "si_sdr": Metric(1, 1.0, is_judged=False),
    **{str(octave): Metric(0, 1.0) for octave in (125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)},
}


@dataclass(frozen=True)
class Change:
    """What became of one figure on one group of recordings."""

    group: str
    metric: str
    count: int  # recordings that have the figure before and after
    before: float  # mean
    after: float  # mean
    gain: float  # mean; negative: worse
    error: float  # standard error of the gain
    worse_share: float  # of recordings worse beyond the metric's margin, 0 to 1
    is_judged: bool

    @property
    def passes(self) -> bool:
        """Whether it has not got worse by more than one standard error."""
        return not self.is_judged or self.gain >= -self.error - RATIO


def compare(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], by: str | None = None
) -> list[Change]:
    """The changes of all figures that `METRICS` knows, for each group of recordings.

    Args:
        before, after: records, each of one recording with one method: figures are numbers with a fraction,
            everything else but the method's name identifies the recording.
        by: the key whose values are the groups; None: all in one.

    Raises:
        OptionError: the two have no recording in common, or several of one name.
    """
    old, new = _by_recording(before), _by_recording(after)
    common = [key for key in old if key in new]
    if not common:
        raise OptionError("The two have no recording in common. Give two results of the same evaluation.")
    groups: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for key in common:
        group = str(old[key].get(by, "")) if by else ""
        groups.setdefault(group, []).append((old[key], new[key]))
    return [change for group, pairs in groups.items() for change in _changes(group, pairs)]


def table(changes: Sequence[Change]) -> str:
    """The changes in Markdown."""
    rows = []
    for change in changes:
        verdict = "not judged" if not change.is_judged else "passes" if change.passes else "**worse**"
        figures = (change.before, change.after, change.gain, change.error)
        cells = [f"{value:.3f}" for value in figures]
        share = f"{100 * change.worse_share:.0f} %"
        rows.append([change.group, change.metric, str(change.count), *cells, share, verdict])
    headings = ("", "figure", "recordings", "before", "after", "gain", "standard error", "worse", "")
    return markdown_table(headings, rows, text_columns=(0, 1, 8))


def records(path: Path, row: str | None = None) -> list[dict[str, Any]]:
    """The records of an evaluation's JSON: a list, a list under "items" at any depth, or one on each line.

    Raises:
        OptionError: the file has none, or several methods and `row` names none of them.
    """
    text = path.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        document = [json.loads(line) for line in text.splitlines()]
    found = [{**each, **each.get("figures", {})} for each in _records(document)]
    names = {str(each[key]) for each in found for key in ROW_KEYS if key in each}
    if row is not None:
        found = [each for each in found if row in (each.get(key) for key in ROW_KEYS)]
    elif len(names) > 1:
        raise OptionError(f"{path.name} has several rows. Add one: {path.name}:{min(names)}.")
    if not found:
        raise OptionError(f"{path.name} has no figures of {row or 'recordings'}. Choose another file or row.")
    return found


def _records(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, list):
        yield from (each for each in document if isinstance(each, dict))
    elif isinstance(document, dict):
        for key, value in document.items():
            if key == "items" or isinstance(value, dict):
                yield from _records(value)


def _by_recording(found: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    recordings: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for each in found:
        key = tuple(
            (name, value)
            for name, value in sorted(each.items())
            if isinstance(value, str | int) and name not in ROW_KEYS and _metric(name) is None
        )
        if key in recordings:
            raise OptionError(f"Two records are of the same recording: {dict(key)}. Give one row.")
        recordings[key] = each
    return recordings


def _changes(group: str, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Change]:
    for name in dict.fromkeys(key for old, _ in pairs for key in old):
        metric = _metric(name)
        both = [(old.get(name), new.get(name)) for old, new in pairs]
        values = [
            (float(a), float(b))
            for a, b in both
            if isinstance(a, int | float) and isinstance(b, int | float) and math.isfinite(a + b)
        ]
        if metric is None or not values:
            continue
        gains = np.array([metric.gain(a, b) for a, b in values])
        means = np.mean(values, axis=0)
        yield Change(
            group,
            name,
            len(values),
            float(means[0]),
            float(means[1]),
            float(gains.mean()),
            float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else 0.0,
            float(np.mean(gains < -metric.margin)),
            metric.is_judged,
        )


def _metric(name: str) -> Metric | None:
    return METRICS.get(name.lower().replace(" ", "_").replace("-", "_"))


def main(command: list[str] | None = None) -> None:
    """Print the table; end with 1 if a figure does not pass."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", help="FILE or FILE:ROW")
    parser.add_argument("after", help="FILE or FILE:ROW")
    parser.add_argument("--by", help="a table for each value of this key, such as kind or rate")
    chosen = parser.parse_args(command)
    try:
        old, new = (_read(each) for each in (chosen.before, chosen.after))
        changes = compare(old, new, chosen.by)
    except (OptionError, OSError, ValueError) as error:
        sys.exit(str(error))
    print(table(changes))
    worse = [change for change in changes if not change.passes]
    print(f"\n{len(worse)} of {sum(change.is_judged for change in changes)} figures got worse.")
    sys.exit(1 if worse else 0)


def _read(place: str) -> list[dict[str, Any]]:
    path, _, row = place.partition(":")
    return records(Path(path), row or None)


if __name__ == "__main__":
    main()
