"""How close super-resolution comes to full-band recordings, compared with plain band-limited resampling.

    python -m aural.superres.evaluate --data DIR [--limit N] [--filters] [--rows ...] [--json FILE]
                                      [--pictures DIR] [--workers N]

Every recording is resampled to a low rate by soxr's "very high quality" recipe, which the models don't use
themselves. The pipeline gets the result and the recording's rate, and detects the bandwidth. Figures are
means over recordings:

- SNR in dB (at most 100) compared with the recording;
- LSD, the log-spectral distance of `aural.audio.comparison`, as the papers on 48 kHz speech define it;
- LSD above and below the cut-off, which is half the low rate, as in the papers;
- LSD below 0.9 of the cut-off, where soxr's filter is still flat: nothing should change there;
- the median of the bandwidth that the pipeline detected.

The set is small and fixed. It takes validation recordings only, see `aural.training.corpus`, as floats from
the files and at their own rate: rounding or upsampling would add errors to the reference.

- Unseen speakers: 8 sentences each, evenly spaced, by RAVDESS actors 21 to 24 (48 kHz), and two pieces of
  6 s from each recording of `freesound_unseen` (44.1 kHz).
- Seen speakers: 24 sentences, evenly spaced, by the other voices (48 kHz).
- Music: up to two pieces of 5 s from the last tenth of each track (44.1 kHz), if it lasts a second.

Recordings at 48 kHz are also reconstructed at 44.1 kHz, from two of the low rates.

With --filters, recordings of unseen speakers stay at 48 kHz and lose everything above a cut-off to filters
and codecs of many kinds. A codec also damages the sound below its cut-off, which super-resolution does not
repair. The kinds are therefore compared by LSD above the cut-off, relative to "resampled" (down by soxr and
up again).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aural.audio import Clip
from aural.audio.comparison import log_spectral_distances, snr_db
from aural.audio.resample import resample
from aural.errors import OptionError
from aural.evaluation import harness
from aural.evaluation.harness import UNAVAILABLE, describe_failures, mean_figures
from aural.evaluation.table import MISSING, figure_cell, markdown_table, target_cell
from aural.superres.evaluate_filters import FILTERS, OWN_FILTER, RATE
from aural.superres.evaluate_items import GROUPS, Item, filter_items, items

ROWS = {"sinc": "sinc", "lisa": "LISA", "default": "**default**"}

RATES_IN = (4_000, 8_000, 11_025, 12_000, 16_000, 17_300, 22_050, 24_000)
OTHER_RATE, OTHER_RATES_IN = 44_100, (8_000, 16_000)  # second output rate for 48 kHz, and its input rates
FLAT_SHARE = 0.9  # relative to the cut-off; soxr's filter is flat up to 0.913

MAX_SNR_DB = 100.0  # a perfect result would make the mean infinite
# Targets of the default on unseen speakers: rate of the input, maximum LSD.
LSD_TARGETS = {8_000: 1.10, 12_000: 1.00, 16_000: 0.95, 24_000: 0.75}
SHARE_OF_SINC = 0.3  # share of sinc's LSD on the same recordings; meeting this is enough
MAX_SNR_LOSS_DB = 1.0  # relative to sinc
FLAT_LSD_TARGET = 0.1
FILTER_LOSS_TARGET, FILTERS_TARGET = 0.15, 6  # LSD above that with OWN_FILTER, for at least so many

CUT_OFFS_HZ = (4_000, 6_000, 8_000, 12_000)
FILTER_ROWS = ("sinc", "default")

# Pictures: the first and the middle recording of each group, from this input rate.
PICTURED = {"unseen": 8_000, "seen": 12_000, "music": 16_000}

# Figure: heading of its column, digits after the decimal point.
COLUMNS = {
    "snr_db": ("SNR (dB) ↑", 2),
    "lsd": ("LSD ↓", 3),
    "lsd_above": ("above ↓", 3),
    "lsd_below": ("below ↓", 3),
    "lsd_flat": (f"below {FLAT_SHARE:g} ↓", 3),
}


@dataclass(frozen=True)
class Case:
    """How the input is made from a recording, and the rate at which it is reconstructed."""

    rate_in: int  # Hz, of the pipeline's input
    rate_out: int  # Hz, of its output
    cutoff_hz: float  # the input is empty above it
    low_pass: str | None = None  # a key of FILTERS; None: resampling to `rate_in`


@dataclass(frozen=True)
class Scored:
    """The figures of one recording with one method."""

    row: str  # key of ROWS
    item: str
    group: str  # key of GROUPS
    recorded_rate: int  # Hz
    case: Case
    bandwidth_hz: float | None  # as detected by the pipeline; None: no result
    figures: dict[str, float]  # those of COLUMNS; empty without a result
    failure: str | None = None  # why there is no result


@dataclass(frozen=True)
class TargetCheck:
    """One target, and whether it is met."""

    rate_in: int  # Hz
    figure: str  # key of COLUMNS
    measured: float
    bound: float  # the maximum LSD, or the minimum SNR, that meets it
    share_of_sinc: float | None  # SHARE_OF_SINC of sinc's LSD, the alternative target; None: no alternative
    met: bool


def cases(rate: int) -> list[Case]:
    """The cases for a recording at this rate (Hz)."""
    own = [Case(low, rate, low / 2) for low in RATES_IN if low < rate]
    others = [Case(low, OTHER_RATE, low / 2) for low in OTHER_RATES_IN] if rate == RATE else []
    return own + others


def filter_cases(rate: int) -> list[Case]:
    """The cases with filters for a recording at this rate (Hz); none unless it is 48 kHz."""
    if rate != RATE:
        return []
    return [
        Case(rate, rate, cutoff, name)
        for cutoff in CUT_OFFS_HZ
        for name, kind in FILTERS.items()
        if kind(cutoff) is not None
    ]


def score(
    item: Item, rows: Sequence[str] = tuple(ROWS), to_try: Callable[[int], list[Case]] = cases
) -> list[Scored]:
    """The figures of a recording in every case with every row of ROWS."""
    whole = item.reference()
    scored = []
    for case in to_try(whole.rate):
        reference = resample(whole, case.rate_out)
        low = make_input(whole, case)
        for row in rows:
            bandwidth_hz: float | None = None
            figures: dict[str, float] = {}
            failure = None
            try:
                clip, bandwidth_hz = run_row(low, case.rate_out, row)
                figures = compare(clip, reference, case.cutoff_hz)
            except UNAVAILABLE as error:
                failure = str(error)
            scored.append(
                Scored(row, item.name, item.group, whole.rate, case, bandwidth_hz, figures, failure)
            )
    return scored


def make_input(reference: Clip, case: Case) -> Clip:
    """The pipeline's input: the recording at the low rate, or low-passed at its own."""
    if case.low_pass is None:
        return resample(reference, case.rate_in)
    make = FILTERS[case.low_pass](round(case.cutoff_hz))
    assert make is not None and reference.rate == case.rate_in == RATE
    return reference.with_samples(make(reference.samples))


def run_row(low: Clip, rate: int, row: str) -> tuple[Clip, float]:
    """The pipeline's result by a row of ROWS, and the bandwidth that it detected (Hz)."""
    from aural.superres.pipeline import Options, super_resolve

    method: Any = row
    result = super_resolve(low, Options(rate=rate, method=method))
    return result.clip, result.bandwidth_hz


def compare(result: Clip, reference: Clip, cutoff_hz: float) -> dict[str, float]:
    """The figures of COLUMNS.

    The lengths may differ slightly, since the length at the low rate is rounded.

    Raises:
        InputError: a silent reference, or fewer than 1025 samples.
    """
    frames = min(result.frames, reference.frames)
    assert (
        result.rate == reference.rate
        and max(result.frames, reference.frames) - frames <= reference.rate // 1000
    )
    x, y = result.samples[:, :frames], reference.samples[:, :frames]
    bands_hz = {
        "lsd": (0.0, math.inf),
        "lsd_above": (cutoff_hz, math.inf),
        "lsd_below": (0.0, cutoff_hz),
        "lsd_flat": (0.0, FLAT_SHARE * cutoff_hz),
    }
    distances = log_spectral_distances(x, y, list(bands_hz.values()), rate=reference.rate)
    return {"snr_db": min(snr_db(x, y), MAX_SNR_DB), **dict(zip(bands_hz, distances, strict=True))}


def score_all(
    chosen: Sequence[Item],
    rows: Sequence[str] = tuple(ROWS),
    to_try: Callable[[int], list[Case]] = cases,
    workers: int = 1,
) -> list[Scored]:
    """Every recording in every case with every row, in processes of one thread each."""
    return harness.score_all(partial(score, rows=rows, to_try=to_try), chosen, workers)


def failures(scored: Iterable[Scored]) -> list[str]:
    """The failures: row, number and reason."""
    return describe_failures((ROWS[each.row], each.failure) for each in scored)


def means(scored: Iterable[Scored], row: str) -> dict[str, float]:
    """Each figure's mean over a row's results, and the bandwidth's median; empty without results."""
    own = [each for each in scored if each.row == row and each.figures]
    if not own:
        return {}
    found = mean_figures((each.figures for each in own), COLUMNS)
    bandwidths = [each.bandwidth_hz for each in own if each.bandwidth_hz is not None]
    return found | {"bandwidth_hz": float(np.median(bandwidths))}


def blocks(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """The scores by group and output rate; for a group with several rates, also all of them together."""
    found: dict[str, list[Scored]] = {}
    for group, name in GROUPS.items():
        own_rates = sorted({each.recorded_rate for each in scored if each.group == group}, reverse=True)
        kept = [each for each in scored if each.group == group and each.case.rate_out == each.recorded_rate]
        for rate in own_rates:
            found[f"{name} → {_kilohertz(rate)}"] = [each for each in kept if each.recorded_rate == rate]
        if len(own_rates) > 1:
            found[f"{name}, all to their own rate"] = kept
        others = [each for each in scored if each.group == group and each.case.rate_out != each.recorded_rate]
        if others:
            rates = f"{_kilohertz(RATE)} → {_kilohertz(OTHER_RATE)}"
            found[f"{name}, recorded at {rates}"] = others
    return found


def table(scored: Sequence[Scored], rows: Sequence[str]) -> str:
    """The means in Markdown, a line for each rate of the input and each row."""
    headings = ["from", "", *(heading for heading, _ in COLUMNS.values()), "bandwidth (kHz)"]
    lines = []
    for rate_in in sorted({each.case.rate_in for each in scored}):
        part = [each for each in scored if each.case.rate_in == rate_in]
        for row in rows:
            found = means(part, row)
            cells = [figure_cell(found.get(name), digits) for name, (_, digits) in COLUMNS.items()]
            cells.append(figure_cell(found["bandwidth_hz"] / 1000 if found else None, 2))
            lines.append([_kilohertz(rate_in) if row == rows[0] else "", ROWS[row], *cells])
    return markdown_table(headings, lines, text_columns=(0, 1))


def check_targets(scored: Sequence[Scored]) -> list[TargetCheck]:
    """The targets of the default, for rates where it and sinc were measured."""
    found = []
    for rate_in, maximum in LSD_TARGETS.items():
        part = [each for each in scored if each.case.rate_in == rate_in and each.case.low_pass is None]
        ours, plain = means(part, "default"), means(part, "sinc")
        if not (ours and plain):
            continue
        share = SHARE_OF_SINC * plain["lsd"]
        lsd, snr, flat = ours["lsd"], ours["snr_db"], ours["lsd_flat"]
        minimum_db = plain["snr_db"] - MAX_SNR_LOSS_DB
        found += [
            TargetCheck(rate_in, "lsd", lsd, maximum, share, lsd <= max(maximum, share)),
            TargetCheck(rate_in, "snr_db", snr, minimum_db, None, snr >= minimum_db),
            TargetCheck(rate_in, "lsd_flat", flat, FLAT_LSD_TARGET, None, flat < FLAT_LSD_TARGET),
        ]
    return found


def target_table(found: Iterable[TargetCheck]) -> str:
    """The targets in Markdown, a line for each."""
    headings = ["from", "target", "measured", "required", f"or {SHARE_OF_SINC:.0%} of sinc's", ""]
    lines = []
    for each in found:
        relation = {"snr_db": "at least", "lsd": "at most", "lsd_flat": "below"}[each.figure]
        heading, digits = COLUMNS[each.figure]
        name = f"LSD {heading[:-2]}" if each.figure == "lsd_flat" else heading[:-2]
        other = "" if each.share_of_sinc is None else f"{each.share_of_sinc:.{digits}f}"
        lines.append(
            [
                _kilohertz(each.rate_in),
                name,
                figure_cell(each.measured, digits),
                f"{relation} {each.bound:.{digits}f}",
                other,
                target_cell(each.met),
            ]
        )
    return markdown_table(headings, lines, text_columns=(0, 1, 5))


def filter_losses(scored: Iterable[Scored], figure: str = "lsd_above") -> dict[str, dict[float, float]]:
    """The default's LSD minus that with OWN_FILTER: filter -> cut-off (Hz) -> difference."""
    ours = [each for each in scored if each.row == "default" and each.figures]
    values: dict[tuple[str | None, float], list[float]] = {}
    for each in ours:
        values.setdefault((each.case.low_pass, each.case.cutoff_hz), []).append(each.figures[figure])
    averages = {key: float(np.mean(own)) for key, own in values.items()}
    return {
        name: {
            cutoff: averages[name, cutoff] - averages[OWN_FILTER, cutoff]
            for cutoff in CUT_OFFS_HZ
            if (name, cutoff) in averages and (OWN_FILTER, cutoff) in averages
        }
        for name in FILTERS
    }


def filter_table(scored: Sequence[Scored], cutoff_hz: float, rows: Sequence[str]) -> str:
    """The means of one cut-off in Markdown, a line for each filter."""
    shown = ("lsd", "lsd_above", "lsd_flat")
    columns = [
        f"{ROWS[row]}: {heading}" for row in rows for heading in ("LSD ↓", "above ↓", COLUMNS["lsd_flat"][0])
    ]
    headings = ["low-pass", "bandwidth (kHz)", *columns, f'above, relative to "{OWN_FILTER}"']
    lines = []
    losses = filter_losses(scored)
    for low_pass in FILTERS:
        part = [each for each in scored if (each.case.low_pass, each.case.cutoff_hz) == (low_pass, cutoff_hz)]
        if not part:
            continue
        found = {row: means(part, row) for row in rows}
        bandwidths = [values["bandwidth_hz"] / 1000 for values in found.values() if values]
        cells = [figure_cell(float(np.median(bandwidths)) if bandwidths else None, 2)]
        cells += [figure_cell(found[row].get(name), COLUMNS[name][1]) for row in rows for name in shown]
        loss = losses[low_pass].get(cutoff_hz)
        lines.append([low_pass, *cells, MISSING if loss is None else f"{loss:+.3f}"])
    return markdown_table(headings, lines)


def check_filters(scored: Sequence[Scored]) -> dict[str, tuple[float, bool]]:
    """Each filter's loss above the cut-off, averaged over the cut-offs, and whether it meets the target."""
    found = {}
    for name, losses in filter_losses(scored).items():
        if losses and name != OWN_FILTER:
            loss = float(np.mean(list(losses.values())))
            found[name] = (loss, loss <= FILTER_LOSS_TARGET)
    return found


def filter_target_met(found: Mapping[str, tuple[float, bool]]) -> bool:
    """Whether enough filters, MP3 among them, are close to OWN_FILTER."""
    return found.get("mp3", (0.0, False))[1] and sum(met for _, met in found.values()) >= FILTERS_TARGET


def draw_pictures(folder: Path, chosen: Sequence[Item], rows: Sequence[str]) -> list[Path]:
    """Spectrograms of a few recordings and of each row's results, the cut-off dashed, as PNG files."""
    from aural.ui.plots import PIXELS_PER_INCH, Sound, spectrogram_versions

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for group, rate_in in PICTURED.items():
        own = [item for item in chosen if item.group == group]
        for item in dict.fromkeys((*own[:1], *own[len(own) // 2 :][:1])):
            reference = item.reference()
            case = Case(rate_in, reference.rate, rate_in / 2)
            low = make_input(reference, case)
            versions = [Sound("reference", reference.samples, reference.rate, case.cutoff_hz)]
            for row in rows:
                try:
                    clip, _ = run_row(low, reference.rate, row)
                except UNAVAILABLE:
                    continue  # the table shows the reason
                versions.append(Sound(ROWS[row].strip("*"), clip.samples, clip.rate, case.cutoff_hz))
            words = "".join(letter if letter.isalnum() else "-" for letter in item.name)
            paths.append(folder / f"{words}-from-{rate_in}.png")
            spectrogram_versions(versions).savefig(paths[-1], dpi=PIXELS_PER_INCH)
    return paths


# The report


def _kilohertz(rate: float) -> str:
    return f"{rate / 1000:g} kHz"


def _report(scored: Sequence[Scored], rows: Sequence[str]) -> None:
    for title, part in blocks(scored).items():
        count = len({each.item for each in part})
        print(f"### {title}, {count} recordings\n\n{table(part, rows)}\n")
    for title, found in _all_targets(scored).items():
        print(f"### Targets of the default: {title}\n\n{target_table(found)}\n")


def _all_targets(scored: Sequence[Scored]) -> dict[str, list[TargetCheck]]:
    """The targets for all unseen speakers at their own rate, and for those at 48 kHz."""
    name = GROUPS["unseen"]
    titles = (f"{name}, all to their own rate", f"{name} → {_kilohertz(RATE)}")
    parts = blocks(scored)
    found = {title: check_targets(parts[title]) for title in titles if title in parts}
    return {title: own for title, own in found.items() if own}


def _filter_report(scored: Sequence[Scored], rows: Sequence[str]) -> None:
    count = len({each.item for each in scored})
    for cutoff in CUT_OFFS_HZ:
        text = filter_table(scored, cutoff, rows)
        print(f"### Low-passed at {_kilohertz(cutoff)}, {count} recordings\n\n{text}\n")
    found = check_filters(scored)
    if not found:
        return
    above, whole = filter_losses(scored), filter_losses(scored, "lsd")
    headings = [f'relative to "{OWN_FILTER}"', "LSD above", "at the worst cut-off", "LSD", ""]
    lines = []
    for name, (loss, met) in found.items():
        worst, mean = max(above[name].values()), np.mean(list(whole[name].values()))
        lines.append([name, f"{loss:+.3f}", f"{worst:+.3f}", f"{mean:+.3f}", target_cell(met)])
    print("### All cut-offs\n\n" + markdown_table(headings, lines, text_columns=(0, 4)))
    print(
        f"\nLSD above at most {FILTER_LOSS_TARGET:g} worse with {FILTERS_TARGET} kinds, MP3 among them: "
        f"{target_cell(filter_target_met(found))}\n"
    )


def _figures(scored: Sequence[Scored], rows: Sequence[str]) -> list[dict[str, Any]]:
    """The means for each block, input rate and row."""
    found = []
    for title, part in blocks(scored).items():
        for rate_in in sorted({each.case.rate_in for each in part}):
            own = [each for each in part if each.case.rate_in == rate_in]
            found += [{"block": title, "rate_in": rate_in, "row": row, **means(own, row)} for row in rows]
    return found


def main(command: list[str] | None = None) -> None:
    """Print the tables."""
    chosen = _parser().parse_args(command)
    harness.check_row_options(chosen)
    rows = [row for row in ROWS if row in chosen.rows]
    rows_of_filters = [row for row in rows if row in FILTER_ROWS]
    if chosen.filters and not rows_of_filters:
        raise OptionError(f"--filters only measures {' and '.join(FILTER_ROWS)}. Add one of them to --rows.")
    found = items(chosen.data, chosen.limit)
    scored = score_all(found, rows, cases, chosen.workers)
    _report(scored, rows)
    figures: dict[str, Any] = {
        "means": _figures(scored, rows),
        "targets": {title: [asdict(each) for each in own] for title, own in _all_targets(scored).items()},
    }
    if chosen.filters:
        few = filter_items(items(chosen.data), chosen.limit)
        filtered = score_all(few, rows_of_filters, filter_cases, chosen.workers)
        _filter_report(filtered, rows_of_filters)
        figures["filters"] = filter_losses(filtered)
        scored += filtered
    print("\n".join(failures(scored)), flush=True)
    if chosen.pictures:
        draw_pictures(chosen.pictures, found, rows)
    if chosen.json:
        figures["items"] = [asdict(each) for each in scored]
        harness.write_json(chosen.json, figures)


def _parser() -> argparse.ArgumentParser:
    parser = harness.evaluation_parser(__doc__, data="a folder with speech/ and music/")
    harness.add_row_options(parser, ROWS, "maximum number of recordings in each group")
    parser.add_argument("--filters", action="store_true", help="also try low-passes and codecs at 48 kHz")
    parser.add_argument("--pictures", type=Path, help="write some spectrograms to this folder, PNG")
    return parser


if __name__ == "__main__":
    main()
