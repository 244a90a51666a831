"""How much enhancement improves recordings of kinds that it was not trained on, compared with its peers.

    python -m aural.enhancement.evaluate --data DIR [--limit 6] [--kinds ...] [--rows ...] [--peers ...]
                                         [--json FILE] [--pictures FILE]

The recordings are those of `aural.evaluation.recordings`: held-back voices, rooms and noises, seeded. They
are compared with the voice as the microphone heard it, with its filter and the first 30 ms of the room.
The figures are means over the recordings of a kind:

- PESQ-WB, STOI, SI-SDR (at most 40 dB) and LSD in the band where the reference is good, see
  `aural.audio.comparison`;
- DNSMOS P.835 speech, background and overall, which need no reference;
- how much louder the result is, the mean size and the mean of the level errors of third-octave bands from
  100 Hz to 16 kHz in active frames, and the level errors of some octave bands, see
  `aural.evaluation.signal_metrics`;
- for held tones, the change of the harmonics-to-noise ratio;
- the share of recordings that are worse than unprocessed, beyond the margins of `aural.evaluation.gate`.

Rows: the recording, the app's default, the peers of `aural.enhancement.peers` that are named, and the
reference itself, also after a good codec, which shows what differences an ear hardly notices. A package that
is not installed is named below the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from scipy.fft import next_fast_len

from aural.audio.spectral import FrontEnd, stft
from aural.enhancement.data import RATE, Wave
from aural.enhancement.evaluate_methods import ROWS, is_installed, label, ready
from aural.enhancement.peers import PEERS
from aural.evaluation import harness
from aural.evaluation.harness import UNAVAILABLE
from aural.evaluation.recordings import KINDS, Recording, recordings
from aural.evaluation.scores import (
    CODED_TRUTH,
    TRUTH,
    TRUTH_LABELS,
    Scored,
    Target,
    measure,
    remarks,
    summarize,
    table,
    truth,
)
from aural.loudness.meter import loudness_lufs

COUNT = 6
BASE, DEFAULT = "unprocessed", "both"
WORSE = ("dnsmos_speech", "pesq", "stoi", "level_error_db")
MAX_LAG = RATE // 20  # 50 ms either way
PICTURED = ("noise, 5 dB", "room", "everything", "codecs", "whisper")
PICTURE = FrontEnd(RATE, window=1024, hop=480, fft=1024)


def score(recording: Recording, row: str) -> Scored:
    """The figures of a recording with a row of ROWS, TRUTH or CODED_TRUTH; music is taken as mono."""
    target = Target(
        recording.kind,
        recording.reference.mean(0, keepdims=True),
        recording.solid_hz,
        recording.is_speech,
    )
    given = recording.samples.mean(0)
    try:
        if row in TRUTH_LABELS:
            made, seconds = truth(row, target.samples)[0], 0.0
        else:
            method = ready(row)
            start = perf_counter()
            made = method(given)
            seconds = perf_counter() - start
        figures, failures = measure(made[np.newaxis], target, loudness_lufs)
    except UNAVAILABLE as error:
        return Scored(row, recording.kind, recording.name, failures={"everything": str(error)})
    if seconds:
        figures["seconds_per_minute"] = 60 * seconds / (len(given) / RATE)
        figures["lag_samples"] = float(lag_samples(made, target.samples[0]))
    return Scored(row, recording.kind, recording.name, figures=figures, failures=failures)


def score_all(found: Sequence[Recording], rows: Iterable[str], workers: int = 1) -> list[Scored]:
    """Every recording with every row, in processes of one thread each."""
    names = list(rows)
    return harness.score_all(_score_pair, [(each, row) for each in found for row in names], workers)


def _score_pair(pair: tuple[Recording, str]) -> list[Scored]:
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


def draw_pictures(path: Path, found: Sequence[Recording]) -> None:
    """Spectrograms of recordings, enhanced by the default, and clean: a row for each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 2.4 * len(found)), layout="constrained")
    places = figure.subplots(len(found), 3, sharex="row", squeeze=False)
    for row, item in zip(places, found, strict=True):
        given = item.samples.mean(0)
        waves = (given, ready(DEFAULT)(given), item.reference.mean(0))
        for axes, wave, title in zip(row, waves, ("recording", "enhanced", "reference"), strict=True):
            spectrum = stft(torch.from_numpy(np.array(wave)), PICTURE)
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
            axes.set_title(f"{item.kind}, {item.name[:24]}, {title}" if axes is row[0] else title, fontsize=9)
        row[0].set_ylabel("kHz")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)


def main(command: list[str] | None = None) -> None:
    """Print the table."""
    chosen = _parser().parse_args(command)
    harness.check_row_options(chosen)
    rows = [*dict.fromkeys((BASE, *chosen.rows, *chosen.peers))]
    missing = [row for row in rows if not is_installed(row)]
    rows = [*(row for row in rows if row not in missing), TRUTH, CODED_TRUTH]
    found = recordings(chosen.data, chosen.limit or COUNT, chosen.kinds)
    scored = score_all(found, rows, chosen.workers)
    labels = {row: TRUTH_LABELS.get(row) or label(row) for row in rows}
    named = () if chosen.rows == [DEFAULT] else ("rows",)
    repeat = harness.make_command("enhancement", chosen, ("limit", "kinds", "peers", *named))
    summary = summarize(scored, labels, repeat)
    print(table(summary, WORSE) + "\n")
    print("\n".join([*remarks(scored, labels), *(f"{label(row)} is not installed." for row in missing)]))
    if chosen.pictures:
        draw_pictures(chosen.pictures, [each for each in found if each.kind in PICTURED])
    if chosen.json:
        items = [asdict(each) for each in scored]
        harness.write_json(chosen.json, {"summary": summary, "items": items})


def _parser() -> argparse.ArgumentParser:
    parser = harness.evaluation_parser(
        __doc__, data="a folder with speech/, noise/, rooms/, music/ and esc50/"
    )
    harness.add_row_options(
        parser, [row for row in ROWS if row not in PEERS], f"recordings of each kind (default: {COUNT})"
    )
    parser.set_defaults(rows=[DEFAULT])
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=[], help="others to compare with")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), help="default: all")
    parser.add_argument("--pictures", type=Path, help="draw spectrograms of some recordings to this PNG file")
    return parser


if __name__ == "__main__":
    main()
