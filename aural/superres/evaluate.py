"""How near super-resolution comes to recordings of a full band, beside plain band-limited resampling.

    python -m aural.superres.evaluate --data DIR [--limit N] [--filters] [--rows ...] [--json FILE]
                                      [--pictures DIR] [--workers N]

Every recording is brought to a low rate by soxr's "very high quality" recipe, which is not a filter of the
models' own. The pipeline is handed that and the recording's rate, and finds out the rest by itself. Figures
are means over recordings:

- SNR in dB (at most 100) against the recording;
- LSD, the log-spectral distance of `aural.audio.comparison`, as the papers on 48 kHz speech define it;
- LSD above and below the cut-off, which is half the low rate, as the papers have it;
- LSD below 0.9 of the cut-off, where soxr's filter is still flat: there nothing should be changed;
- the median of where the pipeline found the band to end.

The choice is small and fixed: of validation only, see `aural.training.corpus`, as floats from the files and
at their own rate, since a rounded or an upsampled recording would be part of the truth that it is not.

- Unseen speakers: 8 sentences each, evenly spread, of RAVDESS actors 21 to 24 (48 kHz), and two pieces of
  6 s of each of `freesound_unseen` (44.1 kHz).
- Seen speakers: 24 sentences, evenly spread, of the other voices (48 kHz).
- Music: up to two pieces of 5 s from the last tenth of each piece (44.1 kHz), where that has a second.

What was recorded at 48 kHz also goes to 44.1 kHz, from two of the rates.

With --filters, recordings of unseen speakers stay at 48 kHz and lose what is above a cut-off through filters
and codecs of many kinds. A codec also damages what is beneath its cut-off, which is not mended here: kinds
are compared by LSD above the cut-off, with "resampled", down by soxr and up again, for a measure.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from aural.audio import Clip, read
from aural.audio.clip import Samples
from aural.audio.codecs import Codec, coded
from aural.audio.comparison import log_spectral_distances, snr_db
from aural.audio.low_pass import LOW_PASSES, LowPass, low_pass
from aural.audio.resample import resample
from aural.errors import AuralError, InputError, OptionError
from aural.training.corpus import Recording, load

T = TypeVar("T")

RATE = 48_000  # Hz, at which the corpus lists its recordings, and of those that filters are tried on
ROWS = {"sinc": "sinc", "lisa": "LISA", "default": "**default**"}
GROUPS = {"unseen": "Unseen speakers", "seen": "Seen speakers", "music": "Music"}

RATES_IN = (4_000, 8_000, 11_025, 12_000, 16_000, 17_300, 22_050, 24_000)
OTHER_RATE, OTHER_RATES_IN = 44_100, (8_000, 16_000)  # where those at 48 kHz go as well, and from where
FLAT_SHARE = 0.9  # of the cut-off; soxr's filter passes 0.913 of it as it was

UNSEEN = ("ravdess", "freesound_unseen")
SENTENCES_OF_AN_ACTOR = 8
SEEN_SENTENCES = 24
PIECES = 2  # of a recording that is longer
UNSEEN_PIECE_SECONDS, MUSIC_PIECE_SECONDS = 6.0, 5.0
SHORTEST_SECONDS = 1.0

MOST_SNR_DB = 100.0  # what nothing is missing of would make the mean infinite
# What the default is to reach on unseen speakers: rate of the input, greatest LSD.
LSD_TARGETS = {8_000: 1.10, 12_000: 1.00, 16_000: 0.95, 24_000: 0.75}
SHARE_OF_SINC = 0.3  # of sinc's LSD on the same recordings, which is enough as well
SNR_LOSS_DB = 1.0  # below sinc's, at most
FLAT_LSD_TARGET = 0.1
FILTER_LOSS_TARGET, FILTERS_TARGET = 0.15, 6  # LSD worse than with OWN_FILTER, and for how many others

CUT_OFFS_HZ = (4_000, 6_000, 8_000, 12_000)
FILTER_ITEMS = 8
FILTER_ROWS = ("sinc", "default")
OWN_FILTER = "resampled"
CODEC_KILOBITS = 96.0
# LAME's low-pass goes by its 32 sub-bands: with these its bands end just below or at the cut-offs.
MP3_CUT_OFFS_HZ = {4_000: 3_500.0, 6_000: 5_600.0, 8_000: 7_500.0, 12_000: 12_000.0}
OPUS_KILOBITS = {4_000: 8.0, 8_000: 12.0}  # Opus has no bit rate that ends at the others

# What is drawn: a recording from the first and one from the middle of each group, and the rate it comes from.
PICTURED = {"unseen": 8_000, "seen": 12_000, "music": 16_000}

# What keeps a figure from being measured: a sound, a checkpoint or a package, each with its reason.
UNAVAILABLE = (AuralError, ImportError, OSError)

# Figure: heading of its column, digits after the point.
COLUMNS = {
    "snr_db": ("SNR (dB) ↑", 2),
    "lsd": ("LSD ↓", 3),
    "lsd_above": ("above ↓", 3),
    "lsd_below": ("below ↓", 3),
    "lsd_flat": (f"below {FLAT_SHARE:g} ↓", 3),
}


@dataclass(frozen=True)
class Item:
    """A recording that nothing was trained on, or a piece of one."""

    name: str  # voice or piece, file, and which piece of it
    group: str  # of GROUPS
    path: Path
    start_seconds: float = 0.0
    seconds: float | None = None  # None: to the end

    def truth(self) -> Clip:
        """What super-resolution is to come near to.

        Raises:
            InputError: see `aural.audio.read`.
        """
        clip = read(self.path)
        first = math.ceil(self.start_seconds * clip.rate)
        stop = None if self.seconds is None else first + math.floor(self.seconds * clip.rate)
        return clip.with_samples(clip.samples[:, first:stop])


@dataclass(frozen=True)
class Case:
    """What is taken from a recording, and what it is to become."""

    rate_in: int  # Hz, of what the pipeline is handed
    rate_out: int  # Hz, of what it is to make of it
    cutoff_hz: float  # from where on something is missing
    low_pass: str | None = None  # of FILTERS; None: that of the resampling to `rate_in`


@dataclass(frozen=True)
class Scored:
    """What is measured of one recording after one method."""

    row: str  # of ROWS
    item: str
    group: str  # of GROUPS
    recorded_rate: int  # Hz
    case: Case
    bandwidth_hz: float | None  # where the pipeline found the band to end; None: nothing came out
    figures: dict[str, float]  # those of COLUMNS; none where nothing came out
    failure: str | None = None  # why nothing did


@dataclass(frozen=True)
class Verdict:
    """One target, and whether it is met."""

    rate_in: int  # Hz
    figure: str  # of COLUMNS
    measured: float
    bound: float  # the greatest LSD, or the least SNR, that meets it
    share_of_sinc: float | None  # SHARE_OF_SINC of sinc's LSD, which meets it too; None: does not count
    met: bool


def items(folder: Path, limit: int | None = None) -> list[Item]:
    """The fixed choice from a folder as `aural.training.corpus` describes it, group by group.

    Args:
        limit: recordings of a group, evenly spread, at most.

    Raises:
        InputError: the folder holds nothing to validate by.
    """
    recordings = load(folder, RATE).recordings
    held_back = [each for each in recordings if each.is_validation and each.length >= SHORTEST_SECONDS * RATE]
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
            for each in _spread(own, count):
                found[group].append(Item(_name(each), group, folder / each.source))
    trained = [each for each in recordings if not each.is_validation]
    trained_seconds = {each.source: each.length / RATE for each in trained if each.kind == "music"}
    for each in held_back:
        if each.kind == "music":
            start_seconds = trained_seconds.get(each.source, 0.0)
            found["music"] += _pieces(folder, each, "music", start_seconds, MUSIC_PIECE_SECONDS)
    chosen = [item for group in found.values() for item in _spread(group, limit or len(group))]
    if not chosen:
        raise InputError(
            f"{folder} holds nothing to validate by: put recordings into its speech/ or music/, as "
            "aural.training.corpus describes it."
        )
    return chosen


def filter_items(chosen: Sequence[Item], limit: int | None = None) -> list[Item]:
    """Those of unseen speakers that filters are tried on, evenly spread: FILTER_ITEMS at most."""
    at_rate = [item for item in chosen if item.group == "unseen" and item.truth().rate == RATE]
    return _spread(at_rate, min(FILTER_ITEMS, limit or FILTER_ITEMS))


def cases(rate: int) -> list[Case]:
    """What is tried on a recording of this rate (Hz)."""
    own = [Case(low, rate, low / 2) for low in RATES_IN if low < rate]
    others = [Case(low, OTHER_RATE, low / 2) for low in OTHER_RATES_IN] if rate == RATE else []
    return own + others


def filter_cases(rate: int) -> list[Case]:
    """The filters that are tried on a recording of this rate (Hz); none but at 48 kHz."""
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
    """What is measured of a recording in every case after every row of ROWS."""
    whole = item.truth()
    scored = []
    for case in to_try(whole.rate):
        truth = resample(whole, case.rate_out)
        low = handed(whole, case)
        for row in rows:
            bandwidth_hz: float | None = None
            figures: dict[str, float] = {}
            failure = None
            try:
                clip, bandwidth_hz = super_resolved(low, case.rate_out, row)
                figures = compared(clip, truth, case.cutoff_hz)
            except UNAVAILABLE as error:
                failure = str(error)
            scored.append(
                Scored(row, item.name, item.group, whole.rate, case, bandwidth_hz, figures, failure)
            )
    return scored


def handed(truth: Clip, case: Case) -> Clip:
    """What the case leaves of a recording: at the low rate, or low-passed at its own."""
    if case.low_pass is None:
        return resample(truth, case.rate_in)
    make = FILTERS[case.low_pass](round(case.cutoff_hz))
    assert make is not None and truth.rate == case.rate_in == RATE
    return truth.with_samples(make(truth.samples))


def super_resolved(low: Clip, rate: int, row: str) -> tuple[Clip, float]:
    """What the pipeline makes of a clip by a row of ROWS, and where it found the band to end (Hz)."""
    from aural.superres.pipeline import Options, super_resolve

    method: Any = row
    result = super_resolve(low, Options(rate=rate, method=method))
    return result.clip, result.bandwidth_hz


def compared(made: Clip, truth: Clip, cutoff_hz: float) -> dict[str, float]:
    """The figures of COLUMNS.

    The two may differ by the samples that rounding the length at the low rate costs.

    Raises:
        InputError: a silent truth, or less than 1025 samples.
    """
    frames = min(made.frames, truth.frames)
    assert made.rate == truth.rate and max(made.frames, truth.frames) - frames <= truth.rate // 1000
    x, y = made.samples[:, :frames], truth.samples[:, :frames]
    bands_hz = {
        "lsd": (0.0, math.inf),
        "lsd_above": (cutoff_hz, math.inf),
        "lsd_below": (0.0, cutoff_hz),
        "lsd_flat": (0.0, FLAT_SHARE * cutoff_hz),
    }
    distances = log_spectral_distances(x, y, list(bands_hz.values()), rate=truth.rate)
    return {"snr_db": min(snr_db(x, y), MOST_SNR_DB), **dict(zip(bands_hz, distances, strict=True))}


def score_all(
    chosen: Sequence[Item],
    rows: Sequence[str] = tuple(ROWS),
    to_try: Callable[[int], list[Case]] = cases,
    workers: int = 1,
) -> list[Scored]:
    """Every recording in every case after every row, in processes of one thread each."""
    one = partial(score, rows=rows, to_try=to_try)
    if workers == 1:
        return [each for item in tqdm(chosen, mininterval=5) for each in one(item)]
    # A forked process would inherit locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        scored = tqdm(pool.map(one, chosen), total=len(chosen), mininterval=5)
        return [each for part in scored for each in part]


def means(scored: Iterable[Scored], row: str) -> dict[str, float]:
    """Each figure's mean over what came out of a row, and the bandwidth's median; empty if nothing did."""
    own = [each for each in scored if each.row == row and each.figures]
    if not own:
        return {}
    found = {name: float(np.mean([each.figures[name] for each in own])) for name in COLUMNS}
    bandwidths = [each.bandwidth_hz for each in own if each.bandwidth_hz is not None]
    return found | {"bandwidth_hz": float(np.median(bandwidths))}


def blocks(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """By group and rate of the result, with those unseen speakers together that keep their own rate."""
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
    headings = [heading for heading, _ in COLUMNS.values()]
    lines = [
        "| from | | " + " | ".join(headings) + " | band found (kHz) |",
        "| --- | --- |" + " ---: |" * (len(headings) + 1),
    ]
    for rate_in in sorted({each.case.rate_in for each in scored}):
        part = [each for each in scored if each.case.rate_in == rate_in]
        for row in rows:
            found = means(part, row)
            cells = [_cell(found, name, digits) for name, (_, digits) in COLUMNS.items()]
            cells.append(f"{found['bandwidth_hz'] / 1000:.2f}" if found else "–")
            start = _kilohertz(rate_in) if row == rows[0] else ""
            lines.append(f"| {start} | {ROWS[row]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(scored: Sequence[Scored]) -> list[Verdict]:
    """The targets of the default, as far as it and sinc were measured."""
    found = []
    for rate_in, greatest in LSD_TARGETS.items():
        part = [each for each in scored if each.case.rate_in == rate_in and each.case.low_pass is None]
        ours, plain = means(part, "default"), means(part, "sinc")
        if not (ours and plain):
            continue
        share = SHARE_OF_SINC * plain["lsd"]
        lsd, snr, flat = ours["lsd"], ours["snr_db"], ours["lsd_flat"]
        least_db = plain["snr_db"] - SNR_LOSS_DB
        found += [
            Verdict(rate_in, "lsd", lsd, greatest, share, lsd <= max(greatest, share)),
            Verdict(rate_in, "snr_db", snr, least_db, None, snr >= least_db),
            Verdict(rate_in, "lsd_flat", flat, FLAT_LSD_TARGET, None, flat < FLAT_LSD_TARGET),
        ]
    return found


def verdict_table(found: Iterable[Verdict]) -> str:
    """The targets in Markdown, a line for each."""
    share = f"or {SHARE_OF_SINC:.0%} of sinc's"
    lines = [f"| from | target | measured | wanted | {share} | |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for each in found:
        wanted = {"snr_db": "at least", "lsd": "at most", "lsd_flat": "below"}[each.figure]
        heading, digits = COLUMNS[each.figure]
        name = f"LSD {heading[:-2]}" if each.figure == "lsd_flat" else heading[:-2]
        other = "" if each.share_of_sinc is None else f"{each.share_of_sinc:.{digits}f}"
        lines.append(
            f"| {_kilohertz(each.rate_in)} | {name} | {each.measured:.{digits}f} "
            f"| {wanted} {each.bound:.{digits}f} | {other} | {_met(each.met)} |"
        )
    return "\n".join(lines)


def filter_losses(scored: Iterable[Scored], figure: str = "lsd_above") -> dict[str, dict[float, float]]:
    """How much greater the default's LSD is than after OWN_FILTER: filter -> cut-off (Hz) -> difference."""
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
    headings = ["LSD ↓", "above ↓", COLUMNS["lsd_flat"][0]]
    columns = [f"{ROWS[row]}: {heading}" for row in rows for heading in headings]
    lines = [
        "| low-pass | band found (kHz) | " + " | ".join(columns) + " | above, against its own |",
        "| --- |" + " ---: |" * (len(columns) + 2),
    ]
    losses = filter_losses(scored)
    for name in FILTERS:
        part = [each for each in scored if (each.case.low_pass, each.case.cutoff_hz) == (name, cutoff_hz)]
        if not part:
            continue
        found = {row: means(part, row) for row in rows}
        bandwidths = [values["bandwidth_hz"] / 1000 for values in found.values() if values]
        cells = [f"{np.median(bandwidths):.2f}" if bandwidths else "–"]
        cells += [_cell(found[row], figure, COLUMNS[figure][1]) for row in rows for figure in shown]
        loss = losses[name].get(cutoff_hz)
        cells.append("–" if loss is None else f"{loss:+.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def filter_verdicts(scored: Sequence[Scored]) -> dict[str, tuple[float, bool]]:
    """The mean over cut-offs of each filter's loss above the cut-off, and whether it is small enough."""
    found = {}
    for name, losses in filter_losses(scored).items():
        if losses and name != OWN_FILTER:
            loss = float(np.mean(list(losses.values())))
            found[name] = (loss, loss <= FILTER_LOSS_TARGET)
    return found


def filter_target_met(found: Mapping[str, tuple[float, bool]]) -> bool:
    """Whether enough filters, MP3 among them, are hardly worse than OWN_FILTER."""
    return found.get("mp3", (0.0, False))[1] and sum(met for _, met in found.values()) >= FILTERS_TARGET


def remarks(scored: Sequence[Scored]) -> list[str]:
    """What could not be measured, of how many, and why."""
    totals = Counter(each.row for each in scored)
    missing = Counter((each.row, each.failure) for each in scored if each.failure)
    return [
        f"{ROWS[row]}: {count} of {totals[row]} not measured. {why}" for (row, why), count in missing.items()
    ]


def draw_pictures(folder: Path, chosen: Sequence[Item], rows: Sequence[str]) -> list[Path]:
    """Spectrograms of a few recordings beside what each row makes of them, the cut-off dashed, as PNG."""
    from aural.ui.plots import PIXELS_PER_INCH, Heard, spectrogram_versions

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for group, rate_in in PICTURED.items():
        own = [item for item in chosen if item.group == group]
        for item in dict.fromkeys((*own[:1], *own[len(own) // 2 :][:1])):
            truth = item.truth()
            case = Case(rate_in, truth.rate, rate_in / 2)
            low = handed(truth, case)
            versions = [Heard("truth", truth.samples, truth.rate, case.cutoff_hz)]
            for row in rows:
                try:
                    clip, _ = super_resolved(low, truth.rate, row)
                except UNAVAILABLE:
                    continue  # the tables say why
                versions.append(Heard(ROWS[row].strip("*"), clip.samples, clip.rate, case.cutoff_hz))
            words = "".join(letter if letter.isalnum() else "-" for letter in item.name)
            paths.append(folder / f"{words}-from-{rate_in}.png")
            spectrogram_versions(versions).savefig(paths[-1], dpi=PIXELS_PER_INCH)
    return paths


# Filters


Filter = Callable[[Samples], Samples]  # (channels, time) at RATE, both


def _low_passed(kind: LowPass, cutoff_hz: int) -> Filter:
    return lambda samples: low_pass(samples, RATE, cutoff_hz, kind)


def _scipy(cutoff_hz: int) -> Filter:
    """Down and up by `scipy.signal.resample_poly` as it comes."""

    def make(samples: Samples) -> Samples:
        from scipy.signal import resample_poly

        shared = math.gcd(RATE, 2 * cutoff_hz)
        up, down = 2 * cutoff_hz // shared, RATE // shared
        there = resample_poly(samples, up, down, axis=-1)
        back = resample_poly(there, down, up, axis=-1)
        made: Samples = np.asarray(back, np.float32)[:, : samples.shape[1]]
        return made

    return make


def _torchaudio(cutoff_hz: int) -> Filter:
    """Down and up by `torchaudio.functional.resample` as it comes."""

    def make(samples: Samples) -> Samples:
        from torchaudio.functional import resample as resample_tensor

        there = resample_tensor(torch.tensor(samples), RATE, 2 * cutoff_hz)
        back: Samples = resample_tensor(there, 2 * cutoff_hz, RATE).numpy()
        return back[:, : samples.shape[1]]

    return make


def _codec(codec: Codec) -> Filter:
    return lambda samples: np.stack([coded(channel, codec) for channel in samples])


def _opus(cutoff_hz: int) -> Filter | None:
    kilobits = OPUS_KILOBITS.get(cutoff_hz)
    return None if kilobits is None else _codec(Codec("opus", kilobits))


# What makes a filter for a cut-off (Hz); None where the kind cannot have that one.
FILTERS: dict[str, Callable[[int], Filter | None]] = {
    OWN_FILTER: partial(_low_passed, "resampled"),
    **{kind: partial(_low_passed, kind) for kind in LOW_PASSES if kind != OWN_FILTER},
    "scipy": _scipy,
    "torchaudio": _torchaudio,
    "mp3": lambda cutoff_hz: _codec(Codec("mp3", CODEC_KILOBITS, MP3_CUT_OFFS_HZ[cutoff_hz])),
    "aac": lambda cutoff_hz: _codec(Codec("aac", CODEC_KILOBITS, cutoff_hz)),
    "opus": _opus,
}


# Recordings


def _speaker(recording: Recording) -> tuple[str, str]:
    """Voice, and actor where the voice is RAVDESS, whose names begin with the actor's two digits."""
    path = Path(recording.source)
    voice = path.parent.name
    return voice, path.name[:2] if voice == "ravdess" else ""


def _name(recording: Recording) -> str:
    path = Path(recording.source)
    return f"{path.parent.name} {path.stem}"


def _pieces(
    folder: Path, recording: Recording, group: str, start_seconds: float, longest_seconds: float
) -> list[Item]:
    """Up to PIECES of a held-back part that begins at `start_seconds`, each amid an equal share of it."""
    whole = recording.length / RATE
    count = min(PIECES, max(1, int(whole // longest_seconds)))
    seconds = min(whole / count, longest_seconds)
    found = []
    for number in range(count):
        start = start_seconds + (number + 0.5) * whole / count - seconds / 2
        found.append(
            Item(f"{_name(recording)} {number + 1}", group, folder / recording.source, start, seconds)
        )
    return found


def _spread(values: Sequence[T], count: int) -> list[T]:
    """So many of them at most, the first, the last and what lies evenly between."""
    if len(values) <= count:
        return list(values)
    places = np.linspace(0, len(values) - 1, count).round().astype(int)
    return [values[place] for place in places]


# The report


def _kilohertz(rate: float) -> str:
    return f"{rate / 1000:g} kHz"


def _cell(found: Mapping[str, float], name: str, digits: int) -> str:
    return f"{found[name]:.{digits}f}" if name in found else "–"


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _report(scored: Sequence[Scored], rows: Sequence[str]) -> None:
    for title, part in blocks(scored).items():
        count = len({each.item for each in part})
        print(f"### {title}, {count} recordings\n\n{table(part, rows)}\n")
    for title, found in _all_verdicts(scored).items():
        print(f"### Targets of the default: {title}\n\n{verdict_table(found)}\n")


def _all_verdicts(scored: Sequence[Scored]) -> dict[str, list[Verdict]]:
    """Of all unseen speakers at their own rate, and of those at 48 kHz alone, as the targets were set."""
    name = GROUPS["unseen"]
    titles = (f"{name}, all to their own rate", f"{name} → {_kilohertz(RATE)}")
    parts = blocks(scored)
    found = {title: verdicts(parts[title]) for title in titles if title in parts}
    return {title: own for title, own in found.items() if own}


def _filter_report(scored: Sequence[Scored], rows: Sequence[str]) -> None:
    count = len({each.item for each in scored})
    for cutoff in CUT_OFFS_HZ:
        text = filter_table(scored, cutoff, rows)
        print(f"### Low-passed at {_kilohertz(cutoff)}, {count} recordings\n\n{text}\n")
    found = filter_verdicts(scored)
    if not found:
        return
    above, whole = filter_losses(scored), filter_losses(scored, "lsd")
    lines = [
        f'| against "{OWN_FILTER}" | LSD above | at the worst cut-off | LSD | |',
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, (loss, met) in found.items():
        worst, mean = max(above[name].values()), np.mean(list(whole[name].values()))
        lines.append(f"| {name} | {loss:+.3f} | {worst:+.3f} | {mean:+.3f} | {_met(met)} |")
    print("### All cut-offs\n\n" + "\n".join(lines))
    print(
        f"\nLSD above at most {FILTER_LOSS_TARGET:g} worse with {FILTERS_TARGET} kinds, MP3 among them: "
        f"{_met(filter_target_met(found))}\n"
    )


def _figures(scored: Sequence[Scored], rows: Sequence[str]) -> list[dict[str, Any]]:
    """The means of every case of every block."""
    found = []
    for title, part in blocks(scored).items():
        for rate_in in sorted({each.case.rate_in for each in part}):
            own = [each for each in part if each.case.rate_in == rate_in]
            found += [{"block": title, "rate_in": rate_in, "row": row, **means(own, row)} for row in rows]
    return found


def main(command: list[str] | None = None) -> None:
    """Print the tables."""
    chosen = _parser().parse_args(command)
    if chosen.workers < 1 or (chosen.limit is not None and chosen.limit < 1):
        raise OptionError("Give --workers and --limit as numbers above 0.")
    rows = [row for row in ROWS if row in chosen.rows]
    rows_of_filters = [row for row in rows if row in FILTER_ROWS]
    if chosen.filters and not rows_of_filters:
        raise OptionError(f"--filters measures {' and '.join(FILTER_ROWS)}: name one of them in --rows.")
    found = items(chosen.data, chosen.limit)
    scored = score_all(found, rows, cases, chosen.workers)
    _report(scored, rows)
    figures: dict[str, Any] = {
        "means": _figures(scored, rows),
        "targets": {title: [asdict(each) for each in own] for title, own in _all_verdicts(scored).items()},
    }
    if chosen.filters:
        few = filter_items(items(chosen.data), chosen.limit)
        filtered = score_all(few, rows_of_filters, filter_cases, chosen.workers)
        _filter_report(filtered, rows_of_filters)
        figures["filters"] = filter_losses(filtered)
        scored += filtered
    print("\n".join(remarks(scored)), flush=True)
    if chosen.pictures:
        draw_pictures(chosen.pictures, found, rows)
    if chosen.json:
        figures["items"] = [asdict(each) for each in scored]
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with speech/ and music/")
    parser.add_argument("--limit", type=int, help="recordings of each group, at most")
    parser.add_argument("--filters", action="store_true", help="low-passes and codecs at 48 kHz too")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="all by default")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--pictures", type=Path, help="draw spectrograms of some recordings there, PNG")
    parser.add_argument("--json", type=Path, help="write the figures of each recording there")
    return parser


if __name__ == "__main__":
    main()
