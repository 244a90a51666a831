"""How much enhancement improves phone recordings, compared with noisereduce and RNNoise.

    python -m aural.enhancement.evaluate --data DIR [--limit 120] [--degradations] [--rows ...] [--json FILE]
                                         [--pictures FILE]

The recordings are the fixed, seeded validation set of `aural.enhancement.data`: held-out recordings and
noise, by speakers seen and not seen in training, through the phone chain. With --degradations, each
degradation is also tested alone. (The unseen RAVDESS speakers say the same two sentences as the others.) The
figures are means:

- PESQ-WB, STOI, SI-SDR (at most 40 dB) and LSD compared with the clean recording, see
  `aural.audio.comparison`;
- DNSMOS P.835 overall, speech and background, which needs no reference;
- seconds of processing for a minute of sound, in a process with one thread, after a warm-up run.

Every result, the unprocessed one too, gets one gain that matches the level of the clean recording before
it is measured. Only LSD and DNSMOS depend on it. The lags below a table show that the results are aligned.

The peers are described in `aural.enhancement.evaluate_methods`. DNSMOS needs the package `speechmos`. The row
or the column of a package that is not installed says so.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.fft import next_fast_len

from aural.audio import read
from aural.audio.comparison import log_spectral_distance, matching_gain, pesq_wideband, si_sdr_db, stoi
from aural.audio.spectral import FrontEnd, stft
from aural.enhancement.data import RATE, Item, Wave, validation_items
from aural.enhancement.degrade.phone import DEGRADATIONS
from aural.enhancement.evaluate_methods import ROWS, is_installed, label, ready
from aural.evaluation import harness
from aural.evaluation.harness import UNAVAILABLE
from aural.evaluation.metrics import dnsmos
from aural.evaluation.table import figure_cell, markdown_table
from aural.training.corpus import load

ITEMS, ITEMS_PER_DEGRADATION = 120, 40
MAX_SI_SDR_DB = 40.0  # an undistorted result would make the mean infinite
MAX_LAG = RATE // 20  # 50 ms either way
EXAMPLES = Path(__file__).parents[1] / "ui" / "examples"
PICTURES = 5  # recordings in the pictures
PICTURE = FrontEnd(RATE, window=1024, hop=480, fft=1024)
MUSIC = ("celesta.ogg", "orchestra.ogg", "song.ogg")

# Figure: heading of its column, digits after the point.
COLUMNS = {
    "pesq": ("PESQ-WB ↑", 2),
    "stoi": ("STOI ↑", 3),
    "si_sdr_db": ("SI-SDR (dB) ↑", 1),
    "lsd": ("LSD ↓", 3),
    "dnsmos_overall": ("DNSMOS overall ↑", 2),
    "dnsmos_speech": ("speech ↑", 2),
    "dnsmos_background": ("background ↑", 2),
    "seconds_per_minute": ("s per min ↓", 2),
}


@dataclass(frozen=True)
class Scored:
    """The figures of one recording with one method."""

    row: str  # key of ROWS
    item: str
    unseen: bool  # whether the speaker was not trained on
    figures: dict[str, float]  # those of COLUMNS that were measured
    failures: dict[str, str]  # the others, and why they were not measured
    lag_samples: int | None  # delay relative to the clean recording; None: no result


def score(item: Item, row: str) -> Scored:
    """The figures of a recording with a row of ROWS."""
    figures: dict[str, float] = {}
    failures: dict[str, str] = {}
    try:
        method = ready(row)
        start = perf_counter()
        result = method(item.recording)
        figures["seconds_per_minute"] = 60 * (perf_counter() - start) / (len(item.recording) / RATE)
        result = np.float32(matching_gain(result, item.clean)) * result
    except UNAVAILABLE as error:
        return Scored(row, item.name, item.unseen, {}, dict.fromkeys(COLUMNS, str(error)), None)

    @contextmanager
    def measuring(*names: str) -> Iterator[None]:
        try:
            yield
        except UNAVAILABLE as error:
            failures.update(dict.fromkeys(names, str(error)))

    with measuring("pesq"):
        figures["pesq"] = pesq_wideband(result, item.clean, RATE)
    with measuring("stoi"):
        figures["stoi"] = stoi(result, item.clean, RATE)
    with measuring("si_sdr_db"):
        figures["si_sdr_db"] = min(si_sdr_db(result, item.clean), MAX_SI_SDR_DB)
    with measuring("lsd"):
        figures["lsd"] = log_spectral_distance(result, item.clean)
    with measuring("dnsmos_overall", "dnsmos_speech", "dnsmos_background"):
        rated = dnsmos(result, RATE)
        for name, value in asdict(rated).items():
            figures[f"dnsmos_{name}"] = value
    return Scored(row, item.name, item.unseen, figures, failures, lag_samples(result, item.clean))


def score_all(items: Sequence[Item], rows: Iterable[str], workers: int = 1) -> list[Scored]:
    """Every recording after every row that is installed, in processes of one thread each."""
    found = [row for row in rows if is_installed(row)]
    return harness.score_all(_score_pair, [(item, row) for item in items for row in found], workers)


def _score_pair(pair: tuple[Item, str]) -> list[Scored]:
    return [score(*pair)]


def lag_samples(result: Wave, clean: Wave) -> int:
    """The delay of a result relative to the clean recording: the maximum of their correlation.

    Shape:
        result, clean: (time,), of the same length.
    """
    length = next_fast_len(2 * len(clean), real=True)
    product = np.fft.rfft(result, length) * np.fft.rfft(clean, length).conj()
    correlation = np.fft.irfft(product, length)
    around = np.concatenate((correlation[-MAX_LAG:], correlation[: MAX_LAG + 1]))
    return int(np.argmax(around)) - MAX_LAG


def means(scored: Sequence[Scored], row: str) -> dict[str, float]:
    """Each figure's mean over the recordings for which it was measured."""
    return harness.mean_figures((each.figures for each in scored if each.row == row), COLUMNS)


def groups(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """The scores by group of speakers; groups without recordings are left out."""
    split = {
        "Unseen speakers": [each for each in scored if each.unseen],
        "Seen speakers": [each for each in scored if not each.unseen],
    }
    split = {name: part for name, part in split.items() if part}
    return split | {"All speakers": list(scored)} if len(split) > 1 else split


def table(scored: Sequence[Scored], rows: Iterable[str]) -> str:
    """The means in Markdown, a line for each row."""
    lines = []
    for row in rows:
        found = means(scored, row)
        cells = [figure_cell(found.get(name), digits) for name, (_, digits) in COLUMNS.items()]
        if not is_installed(row):
            cells[0] = "not installed"
        lines.append([label(row), *cells])
    return markdown_table(["", *(heading for heading, _ in COLUMNS.values())], lines)


def remarks(scored: Sequence[Scored]) -> list[str]:
    """The figures that could not be measured and why, and the delay of each row."""
    totals = Counter(each.row for each in scored)
    missing = Counter((each.row, why) for each in scored for why in set(each.failures.values()))
    lines = []
    for (row, why), count in missing.items():
        columns = {
            COLUMNS[name][0][:-2]
            for each in scored
            if each.row == row
            for name, reason in each.failures.items()
            if reason == why
        }
        listed = "all" if len(columns) == len(COLUMNS) else ", ".join(sorted(columns))
        lines.append(f"{label(row)}: {listed} of {count} of {totals[row]} not measured. {why}")
    lags = []
    for row in totals:
        found = [each.lag_samples for each in scored if each.row == row and each.lag_samples is not None]
        if found:
            lags.append(f"{label(row)} {np.median(found):g}")
    return [*lines, "Median lag behind the clean recording, samples: " + ", ".join(lags) + "."]


def music_si_sdr_db(folder: Path = EXAMPLES) -> dict[str, float]:
    """The SI-SDR of the default's output for the music that ships with the app, compared with its input."""
    from aural.enhancement.pipeline import Options, enhance

    found = {}
    for name in MUSIC:
        clip = read(folder / name)
        near_db = si_sdr_db(enhance(clip, Options()).clip.samples, clip.samples)
        found[name] = min(near_db, MAX_SI_SDR_DB)
    return found


def draw_pictures(path: Path, items: Sequence[Item]) -> None:
    """Spectrograms of recordings, enhanced by the default, and clean: a row for each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 2.4 * len(items)), layout="constrained")
    places = figure.subplots(len(items), 3, sharex="row", squeeze=False)
    for row, item in zip(places, items, strict=True):
        waves = (item.recording, ready("both")(item.recording), item.clean)
        for axes, wave, title in zip(row, waves, ("recording", "enhanced", "studio"), strict=True):
            spectrum = stft(torch.from_numpy(wave), PICTURE)
            decibels = 20 * (spectrum.abs() + 1e-6).log10().numpy()
            axes.imshow(
                decibels,
                origin="lower",
                aspect="auto",
                extent=(0, len(wave) / RATE, 0, RATE / 2000),
                vmin=-100,
                vmax=-20,
                cmap="magma",
            )
            axes.set_title(f"{item.name[:24]}, {title}" if axes is row[0] else title, fontsize=9)
        row[0].set_ylabel("kHz")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)


def _report(title: str, scored: Sequence[Scored], rows: Sequence[str]) -> None:
    for name, part in groups(scored).items():
        items = len({each.item for each in part})
        print(f"{title}{name}, {items} recordings\n\n{table(part, rows)}\n")
    print("\n".join(remarks(scored)) + "\n", flush=True)


def _figures(scored: Sequence[Scored], rows: Sequence[str]) -> Mapping[str, Any]:
    return {
        "means": {name: {row: means(part, row) for row in rows} for name, part in groups(scored).items()},
        "items": [asdict(each) for each in scored],
    }


def main(command: list[str] | None = None) -> None:
    """Print the tables."""
    chosen = _parser().parse_args(command)
    harness.check_row_options(chosen)
    rows = [row for row in ROWS if row in chosen.rows]
    corpus = load(chosen.data, RATE)
    figures: dict[str, Any] = {}
    parts: dict[str, list[str] | None] = {"": None}
    if chosen.degradations:
        parts |= {f"{degradation.capitalize()} alone: ": [degradation] for degradation in DEGRADATIONS}
    for title, degradations in parts.items():
        items = validation_items(
            corpus, degradations, chosen.limit or (ITEMS_PER_DEGRADATION if degradations else ITEMS)
        )
        scored = score_all(items, rows, chosen.workers)
        _report(title, scored, rows)
        figures["_".join(degradations) if degradations else "all_faults"] = _figures(scored, rows)
    if chosen.pictures:
        draw_pictures(chosen.pictures, validation_items(corpus, count=2 * PICTURES)[::2])
    if "both" in rows:
        figures |= _report_music()
    if chosen.json:
        harness.write_json(chosen.json, figures)


def _report_music() -> dict[str, dict[str, float]]:
    """Print how much music changes, and return the figures; none if they could not be measured."""
    try:
        figures = music_si_sdr_db()
    except UNAVAILABLE as error:
        print(f"Music: not measured. {error}")
        return {}
    listed = ", ".join(f"{name} {value:.1f}" for name, value in figures.items())
    print(f"Music, SI-SDR of the default's output compared with its input, dB: {listed}")
    return {"music_si_sdr_db": figures}


def _parser() -> argparse.ArgumentParser:
    parser = harness.evaluation_parser(__doc__, data="a folder with esc50/, speech/, music/")
    limit = f"number of recordings (default: {ITEMS}, and {ITEMS_PER_DEGRADATION} for each degradation)"
    harness.add_row_options(parser, ROWS, limit)
    parser.add_argument(
        "--degradations", "--faults", action="store_true", help="also print a table for each degradation"
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        help="draw spectrograms of some unseen speakers, recorded, enhanced and clean, to this PNG file",
    )
    return parser


if __name__ == "__main__":
    main()
