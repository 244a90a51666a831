"""What the evaluations of restored sound share: figures of a result, their means by kind, and the table.

A summary is what ships as `results.json` beside a checkpoint: for each kind of recording its count, and for
each row (method) the means of the figures and the share of recordings that it made worse than the first row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aural.audio.clip import Clip, Samples
from aural.audio.codecs import Codec, transcode
from aural.audio.comparison import log_spectral_distances, matching_gain, pesq_wideband, si_sdr_db, stoi
from aural.evaluation import gate
from aural.evaluation.harness import UNAVAILABLE, mean_figures
from aural.evaluation.metrics import dnsmos
from aural.evaluation.recordings import RATE
from aural.evaluation.signal_metrics import (
    band_correlation,
    band_level_errors_db,
    floor_step_db,
    harmonics_to_noise_db,
    loudness_change_lu,
)
from aural.evaluation.table import MISSING, figure_cell, markdown_table

Meter = Callable[[Clip], float | None]  # a clip's integrated loudness, LUFS

TRUTH, CODED_TRUTH = "truth", "coded_truth"  # rows that every evaluation has: what a perfect result measures
TRUTH_CODEC = Codec("opus", 128)
TRUTH_LABELS = {TRUTH: "reference", CODED_TRUTH: f"reference as Opus, {TRUTH_CODEC.kilobits:g} kbit/s"}

MAX_SI_SDR_DB = 40.0  # an undistorted result would make the mean infinite
DNSMOS_SECONDS = 9.02  # one window; of a shorter clip, more windows would hear the same again
ABOVE = 1.1  # times a cut-off: from there on all that is heard was generated
SPEECH_METRICS_HZ = 8_000.0  # they end there
HELD_TONES = frozenset({"held vowels", "singing"})
DIGITS = 4  # of the figures in a summary, after the decimal point

# Figure: heading of its column, digits after the point.
COLUMNS = {
    "pesq": ("PESQ-WB ↑", 2),
    "stoi": ("STOI ↑", 3),
    "si_sdr_db": ("SI-SDR, dB ↑", 1),
    "lsd": ("LSD ↓", 2),
    "lsd_above": ("LSD above ↓", 2),
    "dnsmos_speech": ("DNSMOS speech ↑", 2),
    "dnsmos_background": ("background ↑", 2),
    "dnsmos_overall": ("overall ↑", 2),
    "loudness_change_lu": ("louder by, LU", 1),
    "level_error_db": ("level error, dB ↓", 1),
    "bias_db": ("bias, dB", 1),
    "500": ("500 Hz", 1),
    "2000": ("2 kHz", 1),
    "4000": ("4 kHz", 1),
    "8000": ("8 kHz", 1),
    "floor_step_db": ("floor step, dB", 1),
    "correlation_change": ("correlation", 2),
    "harmonics_change_db": ("HNR, dB", 1),
}


@dataclass(frozen=True)
class Target:
    """What a result is compared with."""

    kind: str
    samples: Samples  # (channels, time) at 48 kHz
    solid_hz: float  # the highest frequency that counts
    is_speech: bool
    cutoff_hz: float | None = None  # above it the result was generated; None: nowhere in particular


@dataclass(frozen=True)
class Scored:
    """The figures of one recording with one row."""

    row: str
    kind: str
    item: str
    case: str = ""  # how its input was made, where an evaluation has several ways
    figures: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)  # figures not measured, and why


def measure(made: Samples, target: Target, integrated_lufs: Meter) -> tuple[dict[str, float], dict[str, str]]:
    """The figures of a result that could be measured, and for the others, why not.

    LSD and DNSMOS are measured after a gain that matches the target's level; loudness and levels of bands are
    measured as they are. Where a band was generated, only its levels count, and PESQ, STOI and DNSMOS are
    measured only if it begins below 8 kHz: they hear nothing above.

    Shape:
        made: (channels, time) at 48 kHz, as the target's samples
    """
    figures: dict[str, float] = {}
    failures: dict[str, str] = {}
    right = target.samples

    @contextmanager
    def measuring(*names: str) -> Iterator[None]:
        try:
            yield
        except UNAVAILABLE as error:
            failures.update(dict.fromkeys(names, str(error)))

    matched = np.float32(matching_gain(made, right)) * made
    with measuring("loudness_change_lu"):
        change = loudness_change_lu(Clip(made, RATE), Clip(right, RATE), integrated_lufs)
        figures["loudness_change_lu"] = change
    with measuring("level_error_db"):
        thirds = band_level_errors_db(made, right, RATE, 3, target.solid_hz)
        lowest_hz = 0.0 if target.cutoff_hz is None else ABOVE * target.cutoff_hz * 2 ** (1 / 6)
        errors = [error for centre, error in thirds.items() if centre >= lowest_hz]
        if errors:
            figures["level_error_db"] = float(np.mean(np.abs(errors)))
            figures["bias_db"] = float(np.mean(errors))
        octaves = band_level_errors_db(made, right, RATE, 1, target.solid_hz)
        figures |= {f"{centre:.0f}": error for centre, error in octaves.items()}
    with measuring("lsd"):
        bands = [(0.0, target.solid_hz)]
        if target.cutoff_hz is not None and target.cutoff_hz < target.solid_hz:
            bands.append((target.cutoff_hz, target.solid_hz))
        distances = log_spectral_distances(matched, right, bands, rate=RATE)
        figures |= dict(zip(("lsd", "lsd_above"), distances, strict=False))
    with measuring("si_sdr_db"):
        figures["si_sdr_db"] = min(si_sdr_db(made, right), MAX_SI_SDR_DB)
    if target.cutoff_hz is not None:
        with measuring("floor_step_db"):
            steps = [floor_step_db(samples, RATE, target.cutoff_hz) for samples in (made, right)]
            figures["floor_step_db"] = steps[0] - steps[1]
        if len(right) == 2:
            with measuring("correlation_change"):
                band = (ABOVE * target.cutoff_hz, target.solid_hz)
                widths = [band_correlation(samples, RATE, *band) for samples in (made, right)]
                figures["correlation_change"] = widths[0] - widths[1]
    if target.kind in HELD_TONES:
        with measuring("harmonics_change_db"):
            ratios = [harmonics_to_noise_db(samples, RATE) for samples in (made, right)]
            figures["harmonics_change_db"] = ratios[0] - ratios[1]
    if target.is_speech and (target.cutoff_hz is None or target.cutoff_hz < SPEECH_METRICS_HZ):
        with measuring("pesq"):
            figures["pesq"] = pesq_wideband(made, right, RATE)
        with measuring("stoi"):
            figures["stoi"] = stoi(made, right, RATE)
        with measuring("dnsmos_speech", "dnsmos_background", "dnsmos_overall"):
            window = np.resize(matched.mean(0), round(DNSMOS_SECONDS * RATE))
            figures |= {f"dnsmos_{name}": value for name, value in asdict(dnsmos(window, RATE)).items()}
    return figures, failures


def truth(row: str, samples: Samples) -> Samples:
    """The result of the rows TRUTH and CODED_TRUTH: the target itself, or after a good codec."""
    if row == TRUTH:
        return samples
    return np.stack([transcode(channel, TRUTH_CODEC) for channel in samples])


def summarize(scored: Sequence[Scored], labels: Mapping[str, str], command: str) -> dict[str, Any]:
    """The means and the shares made worse, for each kind and case.

    Args:
        labels: row -> what the table calls it. The first row is what the others are compared with.
        command: prints these figures.
    """
    base, *_ = labels
    groups: dict[tuple[str, str], list[Scored]] = {}
    for each in scored:
        groups.setdefault((each.kind, each.case), []).append(each)
    return {
        "command": command,
        "labels": dict(labels),
        "groups": [
            {
                "kind": kind,
                "case": case,
                "count": len({each.item for each in group}),
                "means": {row: _rounded(_means(group, row)) for row in labels},
                "worse": {
                    row: _worse(group, base, row) for row in labels if row not in (base, *TRUTH_LABELS)
                },
            }
            for (kind, case), group in groups.items()
        ],
    }


def table(summary: Mapping[str, Any], worse: Sequence[str]) -> str:
    """A summary in Markdown: a line for each kind, case and row.

    Args:
        worse: the figures whose shares made worse the last column has, in percent.
    """
    groups = summary["groups"]
    measured = {name for group in groups for means in group["means"].values() for name in means}
    columns = {name: column for name, column in COLUMNS.items() if name in measured}
    has_cases = any(group["case"] for group in groups)
    names = " / ".join(COLUMNS[name][0].split(",")[0].rstrip(" ↑↓") for name in worse)
    headings = ["recordings", *(["from"] if has_cases else []), ""]
    lines = []
    kind = ""
    for group in groups:
        opening = [f"{group['kind']} ({group['count']})" if group["kind"] != kind else ""]
        opening += [group["case"]] if has_cases else []
        kind = group["kind"]
        for row, label in summary["labels"].items():
            means = group["means"][row]
            cells = [figure_cell(means.get(name), digits) for name, (_, digits) in columns.items()]
            shares = group["worse"].get(row, {})
            share = " / ".join(f"{100 * shares[name]:.0f}" if name in shares else MISSING for name in worse)
            lines.append([*opening, label, *cells, share if shares else ""])
            opening = [""] * len(opening)
    headings += [*(heading for heading, _ in columns.values()), f"made worse, %: {names}"]
    return markdown_table(headings, lines, text_columns=range(len(opening) + 1))


def remarks(scored: Iterable[Scored], labels: Mapping[str, str]) -> list[str]:
    """For each row and reason, which figures of how many recordings could not be measured."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for each in scored:
        for name, why in each.failures.items():
            places = found.setdefault((each.row, why), {})
            places.setdefault(name, set()).add(f"{each.kind} {each.item} {each.case}")
    return [
        f"{labels[row]}: {', '.join(places)} of {len(set.union(*places.values()))} not measured. {why}"
        for (row, why), places in found.items()
    ]


def _means(group: Sequence[Scored], row: str) -> dict[str, float]:
    return mean_figures((each.figures for each in group if each.row == row), COLUMNS)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in figures.items() if math.isfinite(value)}


def _worse(group: Sequence[Scored], base: str, row: str) -> dict[str, float]:
    """Figure of COLUMNS -> share of the recordings that got worse beyond the gate's margin."""
    records = {
        name: [{"item": each.item, **each.figures} for each in group if each.row == name and each.figures]
        for name in (base, row)
    }
    if not all(records.values()):
        return {}
    changes = gate.compare(records[base], records[row])
    shares = {change.metric: round(change.worse_share, DIGITS) for change in changes}
    return {name: shares[name] for name in COLUMNS if name in shares}
