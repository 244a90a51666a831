"""How long whole calls of the app's endpoints take: the estimates of the verbs, measured here.

Processor time of a single thread is measured, which hardly depends on what else the machine does. Each of two
calls at once takes as much on two cores; a call that has both to itself takes less.

Each kind of run has a process of its own, in which a short sound is taken once, so that all loads, then a few
times again, and so is a long one; of these the best counts. Two lengths give a line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from aural.audio import Clip, read, write
from aural.audio.resample import resample
from aural.generation.verb import workload
from aural.options import Estimate

SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"
SHORT, LONG = (1, 5), (2, 60)  # channels and seconds
NEW_SHORT, NEW_LONG = (1, 30), (4, 30)  # clips of 5 s, and steps
ROUNDS = 2

# Kind of run -> the module of its tab, and the settings of its endpoint.
CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "measure": ("loudness", {}),
    "master": ("loudness", {}),
    "resynthesize": ("resynthesis", {}),
    "resynthesize:original": ("resynthesis", {"phase": "original"}),
    "resynthesize:vocoder": ("resynthesis", {"phase": "vocoder"}),
    "enhance": ("enhancement", {"preset": "podcast"}),
    "enhance:griffin_lim": ("enhancement", {"setting": "griffin_lim"}),
    "enhance:vocoder": ("enhancement", {"setting": "vocoder"}),
    "degrade": ("enhancement", {}),
    "loop": ("generation", {}),
    "super_resolve": ("superres", {}),
    "super_resolve:lisa": ("superres", {"method": "lisa"}),
    "super_resolve:sinc": ("superres", {"method": "sinc"}),
    "generate": ("generation", {"label": "dog", "seed": 0}),
    "generate:griffin_lim": ("generation", {"label": "dog", "seed": 0, "vocoder": "griffin_lim"}),
}


def main() -> None:
    """Print the estimates as the verbs hold them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    print("Seconds of a run: the first time more, whatever the length, and per second of one channel")
    for kind in CALLS:
        command = [sys.executable, "-m", "tests.bench.bench_estimates", kind]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        print(run.stdout, end="", flush=True)
    print()


def measure(kind: str) -> Estimate:
    """The figures of one kind of run; nothing of it may have run in this process."""
    slice_name, settings = CALLS[kind]
    function = getattr(import_module(f"aural.{slice_name}.tab"), kind.split(":")[0])
    with tempfile.TemporaryDirectory() as folder:
        if kind.startswith("generate"):
            calls = [new(function, settings, *shape) for shape in (NEW_SHORT, NEW_LONG)]
            amounts = [
                workload(count=count, seconds=5, steps=steps) for count, steps in (NEW_SHORT, NEW_LONG)
            ]
        else:
            # Of a rate that leaves super-resolution something to do.
            rate = 16_000 if kind.startswith("super_resolve") else 48_000
            paths = [speech(Path(folder), *shape, rate) for shape in (SHORT, LONG)]
            calls = [of_file(function, settings, path) for path in paths]
            amounts = [float(channels * seconds) for channels, seconds in (SHORT, LONG)]
        first = timed(calls[0])
        short, long = (min(timed(call) for _ in range(ROUNDS)) for call in calls)
    slope = (long - short) / (amounts[1] - amounts[0])
    return Estimate(max(0.0, first - short), max(0.0, short - slope * amounts[0]), slope)


def speech(folder: Path, channels: int, seconds: int, rate: int) -> Path:
    """The path of a file of the shipped speech over and over, in a little noise."""
    wave = np.resize(resample(read(SPEECH), rate).samples[0], seconds * rate)
    noise = 0.003 * np.random.default_rng(0).standard_normal((channels, wave.size)).astype(np.float32)
    return write(Clip(wave + noise, rate), folder / f"{channels}x{seconds}.wav")


def of_file(
    function: Callable[..., Generator[Any, None, None]], settings: Mapping[str, Any], path: Path
) -> Any:
    """A call on a file."""
    return lambda: list(function(audio=str(path), **settings))


def new(
    function: Callable[..., Generator[Any, None, None]], settings: Mapping[str, Any], count: int, steps: int
) -> Callable[[], object]:
    """A call that makes clips of 5 s."""
    return lambda: list(function(count=count, seconds=5, steps=steps, **settings))


def timed(call: Callable[[], object]) -> float:
    """How many seconds of the processor a call takes."""
    start = process_time()
    call()
    return process_time() - start


if __name__ == "__main__":
    if len(sys.argv) > 1:
        found = measure(sys.argv[1])
        digits = f"{found.start_seconds:.1f}, {found.run_seconds:.2f}, {found.seconds_per_workload:.4f}"
        print(f'        "{sys.argv[1]}": Estimate({digits}),')
    else:
        main()
