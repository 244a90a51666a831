"""How much enhancement improves phone recordings, compared with noisereduce and RNNoise.

    python -m aural.enhancement.evaluate --data DIR [--limit 120] [--degradations] [--rows ...] [--json FILE]
                                         [--pictures FILE]

The recordings are the fixed, seeded validation set of `aural.enhancement.data`: held-out recordings and
noise, by speakers seen and not seen in training, through the phone chain. With --degradations, also through
each degradation alone. (The unseen RAVDESS speakers say the same two sentences as the others.) Means of:

- PESQ-WB, STOI, SI-SDR (at most 40 dB) and LSD against the clean recording, see `aural.audio.comparison`;
- DNSMOS P.835 overall, speech and background, which hears the result only;
- seconds of processing for a minute of sound, in a process with one thread, after a first run.

Every row, the unprocessed one too, is brought to the level of the clean recording by one gain before it is
measured; only LSD and DNSMOS would tell the difference. Peers run at 48 kHz with their default settings, and
a known delay is taken back. The lags printed beneath a table show that nothing is judged at the wrong time.

Packages: `noisereduce` (its default, non-stationary gating), `pyrnnoise` (RNNoise, its own model),
`speechmos`; the row or the column of one that is not installed says so.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.fft import next_fast_len
from tqdm import tqdm

from aural.audio import Clip, read
from aural.audio.comparison import log_spectral_distance, matching_gain, pesq_wideband, si_sdr_db, stoi
from aural.audio.spectral import FrontEnd, stft
from aural.enhancement.data import RATE, Item, Wave, validation_items
from aural.enhancement.degrade.phone import DEGRADATIONS
from aural.errors import AuralError, OptionError
from aural.evaluation.metrics import dnsmos
from aural.training.corpus import load

Method = Callable[[Wave], Wave]  # (time,) at RATE, both

ITEMS, ITEMS_PER_DEGRADATION = 120, 40
MAX_SI_SDR_DB = 40.0  # what is not degraded at all would make the mean infinite
MAX_LAG = RATE // 20  # 50 ms either way
# Frames of 10 ms that RNNoise is late by, as its correlation with clean speech shows; a test looks again.
RNNOISE_LATE_FRAMES = 2
RNNOISE_FULL_SCALE = 32_768
EXAMPLES = Path(__file__).parents[1] / "ui" / "examples"
PICTURES = 5  # recordings that are drawn
PICTURE = FrontEnd(RATE, window=1024, hop=480, fft=1024)
MUSIC = ("celesta.ogg", "orchestra.ogg", "song.ogg")

# What keeps a figure from being measured: a sound, a checkpoint or a package, each with its reason.
UNAVAILABLE = (AuralError, ImportError, OSError)

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
class Row:
    """One way to enhance."""

    label: str
    build: Callable[[], Method]  # imports and loads what it needs
    package: str | None = None  # what must be installed for it


@dataclass(frozen=True)
class Scored:
    """What is measured of one recording after one way to enhance it."""

    row: str  # of ROWS
    item: str
    unseen: bool  # whether the speaker was not trained on
    figures: dict[str, float]  # those of COLUMNS that could be measured
    failures: dict[str, str]  # the others, and why not
    lag_samples: int | None  # how much later than the clean recording it is; None: nothing came out


def unprocessed() -> Method:
    """What the phone recorded."""
    return lambda recording: recording


def noisereduce() -> Method:
    """Spectral gating as the package does it by default: a threshold that follows the noise."""
    from noisereduce import reduce_noise

    return lambda recording: np.asarray(reduce_noise(y=recording, sr=RATE), np.float32)


def rnnoise() -> Method:
    """RNNoise through its own C interface, which spares it the rounding to 16 bits, and its delay."""
    from pyrnnoise.rnnoise import FRAME_SIZE, create, destroy, lib

    sample = ctypes.POINTER(ctypes.c_float)

    def method(recording: Wave) -> Wave:
        late = RNNOISE_LATE_FRAMES * FRAME_SIZE
        frames = np.zeros((-(-(len(recording) + late) // FRAME_SIZE), FRAME_SIZE), np.float32)
        frames.reshape(-1)[: len(recording)] = RNNOISE_FULL_SCALE * recording
        state = create()
        for frame in frames:
            lib.rnnoise_process_frame(state, frame.ctypes.data_as(sample), frame.ctypes.data_as(sample))
        destroy(state)
        frames /= RNNOISE_FULL_SCALE
        return frames.reshape(-1)[late : late + len(recording)]

    return method


def ours(**options: Any) -> Callable[[], Method]:
    """The app's enhancement, all that is not given at its default."""

    def build() -> Method:
        from aural.enhancement.pipeline import Options, enhance

        chosen = Options(**options)
        return lambda recording: enhance(Clip(recording[None], RATE), chosen).clip.samples[0]

    return build


ROWS = {
    "unprocessed": Row("unprocessed", unprocessed),
    "noisereduce": Row("noisereduce", noisereduce, "noisereduce"),
    "rnnoise": Row("RNNoise, by pyrnnoise", rnnoise, "pyrnnoise"),
    "stage_1": Row("stage 1 alone: noise reduction", ours(completion=False)),
    "stage_2": Row("stage 2 alone: completion", ours(noise_reduction=False)),
    "both": Row("**both stages, the default**", ours()),
    "griffin_lim": Row("both, Griffin-Lim", ours(setting="griffin_lim")),
    "vocoder": Row("both, vocoder", ours(setting="vocoder")),
    "waveform": Row("both, waveform", ours(setting="waveform")),
}


def score(item: Item, row: str) -> Scored:
    """What is measured of a recording after a row of ROWS."""
    figures: dict[str, float] = {}
    failures: dict[str, str] = {}
    try:
        method = _ready(row)
        start = perf_counter()
        made = method(item.recording)
        figures["seconds_per_minute"] = 60 * (perf_counter() - start) / (len(item.recording) / RATE)
        made = np.float32(matching_gain(made, item.clean)) * made
    except UNAVAILABLE as error:
        return Scored(row, item.name, item.unseen, {}, dict.fromkeys(COLUMNS, str(error)), None)

    @contextmanager
    def measuring(*names: str) -> Iterator[None]:
        try:
            yield
        except UNAVAILABLE as error:
            failures.update(dict.fromkeys(names, str(error)))

    with measuring("pesq"):
        figures["pesq"] = pesq_wideband(made, item.clean, RATE)
    with measuring("stoi"):
        figures["stoi"] = stoi(made, item.clean, RATE)
    with measuring("si_sdr_db"):
        figures["si_sdr_db"] = min(si_sdr_db(made, item.clean), MAX_SI_SDR_DB)
    with measuring("lsd"):
        figures["lsd"] = log_spectral_distance(made, item.clean)
    with measuring("dnsmos_overall", "dnsmos_speech", "dnsmos_background"):
        rated = dnsmos(made, RATE)
        for name, value in asdict(rated).items():
            figures[f"dnsmos_{name}"] = value
    return Scored(row, item.name, item.unseen, figures, failures, lag_samples(made, item.clean))


def score_all(items: Sequence[Item], rows: Iterable[str], workers: int = 1) -> list[Scored]:
    """Every recording after every row that is installed, in processes of one thread each."""
    found = [row for row in rows if installed(row)]
    work = [(item, row) for item in items for row in found]
    if workers == 1:
        return [score(item, row) for item, row in tqdm(work, mininterval=5)]
    # A forked process would inherit locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        scored = pool.map(score, *zip(*work, strict=True))
        return list(tqdm(scored, total=len(work), mininterval=5))


def installed(row: str) -> bool:
    """Whether what the row needs can be imported."""
    package = ROWS[row].package
    return package is None or find_spec(package) is not None


def lag_samples(made: Wave, clean: Wave) -> int:
    """How many samples later than the clean recording the other is: where their correlation is greatest.

    Shape:
        made, clean: (time,), alike.
    """
    length = next_fast_len(2 * len(clean), real=True)
    product = np.fft.rfft(made, length) * np.fft.rfft(clean, length).conj()
    correlation = np.fft.irfft(product, length)
    around = np.concatenate((correlation[-MAX_LAG:], correlation[: MAX_LAG + 1]))
    return int(np.argmax(around)) - MAX_LAG


def means(scored: Sequence[Scored], row: str) -> dict[str, float]:
    """Each figure's mean over the recordings of which it could be measured."""
    own = [each.figures for each in scored if each.row == row]
    found = {}
    for name in COLUMNS:
        values = [figures[name] for figures in own if name in figures]
        if values:
            found[name] = float(np.mean(values))
    return found


def groups(scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """By speakers; groups without recordings are left out."""
    split = {
        "Unseen speakers": [each for each in scored if each.unseen],
        "Seen speakers": [each for each in scored if not each.unseen],
    }
    split = {name: part for name, part in split.items() if part}
    return split | {"All speakers": list(scored)} if len(split) > 1 else split


def table(scored: Sequence[Scored], rows: Iterable[str]) -> str:
    """The means in Markdown, a line for each row."""
    headings = [heading for heading, _ in COLUMNS.values()]
    lines = ["| | " + " | ".join(headings) + " |", "| --- |" + " ---: |" * len(headings)]
    for row in rows:
        found = means(scored, row)
        cells = [
            f"{found[name]:.{digits}f}" if name in found else "–" for name, (_, digits) in COLUMNS.items()
        ]
        if not installed(row):
            cells[0] = "not installed"
        lines.append(f"| {_label(row)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def remarks(scored: Sequence[Scored]) -> list[str]:
    """What could not be measured of how many recordings, and how late each row is."""
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
        lines.append(f"{_label(row)}: {listed} of {count} of {totals[row]} not measured. {why}")
    lags = []
    for row in totals:
        found = [each.lag_samples for each in scored if each.row == row and each.lag_samples is not None]
        if found:
            lags.append(f"{_label(row)} {np.median(found):g}")
    return [*lines, "Median lag behind the clean recording, samples: " + ", ".join(lags) + "."]


def music_si_sdr_db(folder: Path = EXAMPLES) -> dict[str, float]:
    """How near to the music that ships with the app the default leaves it."""
    from aural.enhancement.pipeline import Options, enhance

    found = {}
    for name in MUSIC:
        clip = read(folder / name)
        near_db = si_sdr_db(enhance(clip, Options()).clip.samples, clip.samples)
        found[name] = min(near_db, MAX_SI_SDR_DB)
    return found


def draw_pictures(path: Path, items: Sequence[Item]) -> None:
    """Spectrograms of recordings before, after the default, and as the studio had them: a row for each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 2.4 * len(items)), layout="constrained")
    places = figure.subplots(len(items), 3, sharex="row", squeeze=False)
    for row, item in zip(places, items, strict=True):
        waves = (item.recording, _ready("both")(item.recording), item.clean)
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


@cache
def _ready(row: str) -> Method:
    """The row's method after a first run, in which models are loaded and buffers made."""
    method = ROWS[row].build()
    method(np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32))
    return method


def _label(row: str) -> str:
    label, package = ROWS[row].label, ROWS[row].package
    try:
        return f"{label} {version(package)}" if package else label
    except PackageNotFoundError:
        return label


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
    if chosen.workers < 1 or (chosen.limit is not None and chosen.limit < 1):
        raise OptionError("Give --workers and --limit as numbers above 0.")
    rows = [row for row in ROWS if row in chosen.rows]
    corpus = load(chosen.data, RATE)
    found: dict[str, Any] = {}
    parts: dict[str, list[str] | None] = {"": None}
    if chosen.degradations:
        parts |= {f"{degradation.capitalize()} alone: ": [degradation] for degradation in DEGRADATIONS}
    for title, degradations in parts.items():
        items = validation_items(
            corpus, degradations, chosen.limit or (ITEMS_PER_DEGRADATION if degradations else ITEMS)
        )
        scored = score_all(items, rows, chosen.workers)
        _report(title, scored, rows)
        found["_".join(degradations) if degradations else "all_faults"] = _figures(scored, rows)
    if chosen.pictures:
        draw_pictures(chosen.pictures, validation_items(corpus, count=2 * PICTURES)[::2])
    if "both" in rows:
        try:
            found["music_si_sdr_db"] = music_si_sdr_db()
            said = ", ".join(f"{name} {value:.1f}" for name, value in found["music_si_sdr_db"].items())
        except UNAVAILABLE as error:
            said = f"not measured. {error}"
        print(f"Music, SI-SDR of the default's output to its input, dB: {said}")
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with esc50/, speech/, music/")
    parser.add_argument(
        "--limit",
        type=int,
        help=f"recordings; {ITEMS}, and {ITEMS_PER_DEGRADATION} of each degradation, if left out",
    )
    parser.add_argument(
        "--degradations", "--faults", action="store_true", help="a table for each degradation alone too"
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="all by default")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--pictures", type=Path, help="draw some unseen speakers before, after and clean there, PNG"
    )
    parser.add_argument("--json", type=Path, help="write the figures of each recording there")
    return parser


if __name__ == "__main__":
    main()
