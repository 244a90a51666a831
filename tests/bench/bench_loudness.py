"""This meter, FFmpeg's ebur128 (PyAV), libebur128 and pyloudnorm, on 10 minutes of 48 kHz stereo.

Two programmes: the shipped music, and noise clipped at full scale, where the search for the true peak can
leave nothing out. Every meter takes its turn in each round, and its best round counts. Memory is read from
/proc, so this needs Linux.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pyloudnorm
import soundfile
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.loudness.meter import measure
from tests.loudness.examples import MUSIC
from tests.loudness.peers import Reading, ffmpeg, libebur128
from tests.loudness.signals import programme

RATE = 48_000
SECONDS = 600
ROUNDS = 3
COLUMNS = ("I LUFS", "LRA LU", "max M", "max S", "dBTP")

Figures = tuple[float | None, ...]  # in the order of COLUMNS, as many as the meter gives
Meter = Callable[[Clip], Figures]

# Prints by how many KiB reading and measuring a file has raised the memory that the program takes.
MEMORY_PROGRAM = """
import sys
from pathlib import Path

from aural.audio import read
from aural.loudness.meter import measure

def kibibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

before = kibibytes("VmRSS")
measure(read(sys.argv[1]))
print(kibibytes("VmHWM") - before)
"""


def main() -> None:
    """Print speed and figures of all the meters, and the memory that this one takes."""
    for name, clip in programmes().items():
        print(f"{name}, {SECONDS // 60} min of {RATE // 1000} kHz stereo, best of {ROUNDS} rounds")
        print(f"{'':20}{'seconds':>9}{'x real time':>13}" + "".join(f"{column:>9}" for column in COLUMNS))
        for meter, (seconds, figures) in compare(clip, METERS).items():
            print(
                f"{meter:20}{seconds:9.2f}{SECONDS / seconds:13.0f}"
                + "".join(f"{figure:9.2f}" for figure in figures)
            )
        print(
            f"AURAL's peak memory, file and reading included: {memory_ratio(clip):.2f} x the decoded file\n"
        )


def programmes() -> dict[str, Clip]:
    """Ten minutes of music, and ten of the worst case."""
    music = [resample(clip, RATE).samples for clip in map(read, MUSIC) if clip.channels == 2]
    noise = 3 * np.random.default_rng(0).standard_normal((2, 60 * RATE), np.float32)
    return {
        "Music": _lasting(np.concatenate(music or [programme(RATE, 60).samples], axis=1)),
        "Noise at full scale": _lasting(np.clip(noise, -0.99, 0.99)),
    }


def compare(clip: Clip, meters: dict[str, Meter]) -> dict[str, tuple[float, Figures]]:
    """The best time of each meter in seconds, and its figures."""
    best: dict[str, tuple[float, Figures]] = {}
    for _ in range(ROUNDS):
        for name, meter in meters.items():
            start = perf_counter()
            figures = meter(clip)
            seconds = perf_counter() - start
            best[name] = (min(seconds, best[name][0]) if name in best else seconds, figures)
    return best


def memory_ratio(clip: Clip) -> float:
    """Peak memory of a program that reads and measures a file, as a multiple of the decoded samples."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.wav")
        soundfile.write(path, clip.samples.T, clip.rate, subtype="FLOAT")
        program = subprocess.run(
            [sys.executable, "-c", MEMORY_PROGRAM, path],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return int(program.stdout) * 1024 / clip.samples.nbytes


def aural_figures(clip: Clip) -> Figures:
    """All five figures by this meter."""
    loudness = measure(clip)
    return (
        loudness.integrated_lufs,
        loudness.range_lu,
        loudness.momentary_max_lufs,
        loudness.short_term_max_lufs,
        loudness.true_peak_dbtp,
    )


def pyav_figures(clip: Clip) -> Figures:
    """All five figures by FFmpeg."""
    return _figures(ffmpeg(clip))


def libebur128_figures(clip: Clip) -> Figures:
    """All five figures by libebur128."""
    return _figures(libebur128(clip))


def pyloudnorm_figures(clip: Clip) -> Figures:
    """The one figure that pyloudnorm gives."""
    return (float(pyloudnorm.Meter(clip.rate).integrated_loudness(clip.samples.T)),)


METERS: dict[str, Meter] = {
    "AURAL": aural_figures,
    "PyAV's ebur128": pyav_figures,
    "pyebur128": libebur128_figures,
    "pyloudnorm (I only)": pyloudnorm_figures,
}


def _figures(reading: Reading) -> Figures:
    momentary, short_term = (
        float(levels.max()) for levels in (reading.momentary_lufs, reading.short_term_lufs)
    )
    return reading.integrated_lufs, reading.range_lu, momentary, short_term, reading.true_peak_dbtp


def _lasting(samples: NDArray[np.float32]) -> Clip:
    """The samples over and over for ten minutes."""
    frames = SECONDS * RATE
    return Clip(np.tile(samples, (1, -(-frames // samples.shape[1])))[:, :frames], RATE)


if __name__ == "__main__":
    main()
