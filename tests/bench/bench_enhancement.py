"""Enhancement beside noisereduce and RNNoise, on a minute of 48 kHz mono; and its memory on ten of stereo.

Every method takes its turn in each round, and its best round counts. Memory is what a process that has the
app imported grows by when it reads, enhances and writes the file; it is read from /proc, so this needs Linux.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import soundfile
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.device import describe, pick_device
from aural.enhancement.evaluate import ROWS
from aural.enhancement.pipeline import SETTINGS, Options, enhance
from tests.bench.bench_loudness import RATE, SECONDS

SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"
MONO_SECONDS = 60
ROUNDS = 3
PEERS = ("noisereduce", "rnnoise")

Wave = NDArray[np.float32]

MEMORY_PROGRAM = """
import sys
from pathlib import Path

import app
from aural.audio import read, write
from aural.enhancement.pipeline import enhance

def kibibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

before = kibibytes("VmRSS")
write(enhance(read(sys.argv[1])).clip, sys.argv[2])
print(kibibytes("VmHWM") - before)
"""


def main() -> None:
    """Print the times of all methods and settings, and the memory that the default takes."""
    wave = noisy_speech(MONO_SECONDS)
    print(f"Enhancing {MONO_SECONDS} s of 48 kHz mono on {describe(pick_device())}, best of {ROUNDS}")
    print(f"{'':24}{'seconds':>9}{'x real time':>13}")
    for name, seconds in compare(wave).items():
        print(f"{name:24}{seconds:9.2f}{MONO_SECONDS / seconds:13.1f}")
    print(f"Memory for {SECONDS // 60} min of stereo, above the idle app: {memory_gigabytes():.2f} GB\n")


def methods() -> dict[str, Callable[[Wave], object]]:
    """The default, then its parts and the other settings, then the peers."""

    def ours(options: Options) -> Callable[[Wave], object]:
        return lambda wave: enhance(Clip(wave[None], RATE), options)

    rows = {
        "default": ours(Options()),
        "noise reduction alone": ours(Options(completion=False)),
        "completion alone": ours(Options(noise_reduction=False)),
        "podcast": ours(Options("podcast")),
        **{setting: ours(Options(setting=setting)) for setting in SETTINGS[1:]},
    }
    return rows | {peer: ROWS[peer].build() for peer in PEERS}


def compare(wave: Wave) -> dict[str, float]:
    """Method -> seconds of its best round; the first, in which models load, does not count."""
    best: dict[str, float] = {}
    for number in range(ROUNDS + 1):
        for name, method in methods().items():
            start = perf_counter()
            method(wave)
            if number:
                best[name] = min(best.get(name, np.inf), perf_counter() - start)
    return best


def noisy_speech(seconds: float) -> Wave:
    """The shipped speech over and over, with noise 15 dB below it. Shape: (time,), 48 kHz."""
    speech = resample(read(SPEECH), RATE).samples[0]
    wave = np.resize(speech, round(seconds * RATE))
    noise = np.random.default_rng(0).standard_normal(wave.size).astype(np.float32)
    return wave + noise * np.float32(np.std(wave) * 10 ** (-15 / 20))


def memory_gigabytes() -> float:
    """By how much the process grows at most, from the idle app to the written result."""
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder) / "in.wav", Path(folder) / "out.wav"
        wave = noisy_speech(SECONDS)
        soundfile.write(path, np.stack((wave, 0.5 * wave), axis=1), RATE, "PCM_16")
        run = subprocess.run(
            [sys.executable, "-c", MEMORY_PROGRAM, str(path), str(result)],
            capture_output=True,
            text=True,
            check=True,
        )
    return int(run.stdout) * 1024 / 1e9


if __name__ == "__main__":
    main()
