"""Super-resolution of recordings of kinds that it was not trained on, compared with plain resampling.

    python -m aural.superres.evaluate_kinds --data DIR [--limit 6] [--kinds ...] [--rows ...] [--json FILE]

The recordings are those of `aural.evaluation.recordings` that are not to be denoised: held-back voices,
singers and music, seeded, with their noise floors and hum. Each is resampled to 8, 12, 16 and 24 kHz by soxr
and back to 48 kHz by `aural.super_resolve`, which detects the bandwidth itself; recordings from codecs are
given at 48 kHz. The figures are means over the recordings of a kind:

- LSD up to where the recording is good, see `aural.audio.comparison`, of all and of the generated band;
- the mean size and the mean of the level errors of the generated third-octave bands up to 16 kHz, and the
  level errors of some octave bands, in active frames;
- the step of the noise floor at the end of the input's band, relative to the recording's own (0: it goes on);
- the change of the correlation of left and right in the generated band, of stereo recordings;
- PESQ-WB, STOI and DNSMOS P.835 where the generated band begins below 8 kHz;
- the share of recordings that are worse than by sinc, beyond the margins of `aural.evaluation.gate`.

Rows: sinc, the app's default, others that are named, and the recording itself after a good codec, which shows
what differences an ear hardly notices.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import numpy as np

from aural.audio.clip import Clip, Samples
from aural.audio.resample import resample
from aural.evaluation import harness
from aural.evaluation.harness import UNAVAILABLE
from aural.evaluation.recordings import RATE, Recording, recordings
from aural.evaluation.scores import (
    CODED_TRUTH,
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
from aural.superres.evaluate import ROWS, run_row

COUNT = 6
KINDS = (
    "clean",
    "noise floor",
    "as recorded",
    "codecs",
    "DC, rumble, hum",
    "whisper",
    "held vowels",
    "singing",
    "music",
)
RATES_IN = (8_000, 12_000, 16_000, 24_000)
BASE, DEFAULT = "sinc", "default"
WORSE = ("dnsmos_speech", "pesq", "lsd", "level_error_db")


def score(recording: Recording, rows: Sequence[str]) -> list[Scored]:
    """The figures of a recording from each rate with each row of ROWS, and of CODED_TRUTH."""
    right = Clip(recording.full_band, RATE)
    if recording.kind == "codecs":
        inputs: dict[str, tuple[Clip, float | None]] = {"codec": (Clip(recording.samples, RATE), None)}
    else:
        inputs = {
            f"{rate / 1_000:g} kHz": (resample(right, rate), rate / 2)
            for rate in RATES_IN
            if rate / 2 < recording.solid_hz
        }
    coded = truth(CODED_TRUTH, right.samples)
    scored = []
    for case, (low, cutoff_hz) in inputs.items():
        target = Target(recording.kind, right.samples, recording.solid_hz, recording.is_speech, cutoff_hz)
        for row in (*rows, CODED_TRUTH):
            one = partial(Scored, row, recording.kind, recording.name, case)
            try:
                made = coded if row == CODED_TRUTH else _same_length(run_row(low, RATE, row)[0], right)
                scored.append(one(*measure(made, target, loudness_lufs)))
            except UNAVAILABLE as error:
                scored.append(one({}, {"everything": str(error)}))
    return scored


def _same_length(made: Clip, right: Clip) -> Samples:
    """The length at the low rate was rounded, so a few samples may lack. Shape: (channels, time)."""
    samples = np.zeros_like(right.samples)
    length = min(made.frames, right.frames)
    samples[:, :length] = made.samples[:, :length]
    return samples


def main(command: list[str] | None = None) -> None:
    """Print the table."""
    chosen = _parser().parse_args(command)
    harness.check_row_options(chosen)
    rows = [*dict.fromkeys((BASE, *chosen.rows))]
    found = recordings(chosen.data, chosen.limit or COUNT, chosen.kinds or KINDS)
    scored = harness.score_all(partial(score, rows=rows), found, chosen.workers)
    labels = {row: ROWS[row] for row in rows} | {CODED_TRUTH: TRUTH_LABELS[CODED_TRUTH]}
    repeat = harness.make_command("super-resolution", chosen, ("limit", "kinds"))
    summary = summarize(scored, labels, repeat)
    print(table(summary, WORSE) + "\n")
    print("\n".join(remarks(scored, labels)))
    if chosen.json:
        harness.write_json(chosen.json, {"summary": summary, "items": [asdict(each) for each in scored]})


def _parser() -> argparse.ArgumentParser:
    parser = harness.evaluation_parser(
        __doc__, data="a folder with speech/, noise/, rooms/, music/ and esc50/"
    )
    harness.add_row_options(parser, ROWS, f"recordings of each kind (default: {COUNT})")
    parser.set_defaults(rows=[BASE, DEFAULT])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="default: all")
    return parser


if __name__ == "__main__":
    main()
