"""A line per verb: how long it takes where models run here, and on the processor if that is another device.

    python -m tests.bench.bench_verbs              # on the card where there is one, and on the processor
    AURAL_DEVICE=cpu python -m tests.bench.bench_verbs

Each device has a process of its own. A first run of each verb, which loads its models, does not count; of
the others the best does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.audio.steps import finish
from aural.batch.verbs import VERBS
from aural.hub.device import describe, pick_device
from aural.options import Verb

SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"
SECONDS, RATE, CHANNELS = 30, 48_000, 2
RATES = {"super_resolve": 8_000}  # Hz, of the sound that a verb is given, if another one
SETTINGS = {"generate": {"label": "dog", "seed": 0}}  # one clip of 5 s
ROUNDS = 3


def main() -> None:
    """Print the lines of each device."""
    devices = dict.fromkeys((pick_device(), "cpu"))
    for device in devices:
        environment = {**os.environ, "AURAL_DEVICE": device}
        subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_verbs", "--here"], env=environment, check=True
        )


def here() -> None:
    """Print the lines of this process's device."""
    print(f"{SECONDS} s of stereo at 48 kHz, on {describe(pick_device())}, best of {ROUNDS}", flush=True)
    for verb in VERBS.values():
        print(f"{verb.name:16}{seconds(verb):8.2f} s", flush=True)


def seconds(verb: Verb) -> float:
    """How long a run takes; its result is on the processor again, so the card has finished."""
    clip = speech(RATES.get(verb.name, RATE)) if verb.needs_sound else None
    options = verb.options(**SETTINGS.get(verb.name, {}))
    best = np.inf
    for number in range(ROUNDS + 1):
        start = perf_counter()
        finish(verb.outcome_steps(clip, options))
        if number:
            best = min(best, perf_counter() - start)
    return float(best)


def speech(rate: int) -> Clip:
    """The shipped speech over and over, in two channels."""
    wave = np.resize(resample(read(SPEECH), rate).samples[0], SECONDS * rate)
    return Clip(np.repeat(wave[np.newaxis], CHANNELS, axis=0), rate)


if __name__ == "__main__":
    here() if "--here" in sys.argv else main()
