"""Super-resolution to 48 kHz and resamplers: cost over the length, memory, and a stream's blocks.

Every method takes its turn in each round, and its best round counts.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import librosa
import numpy as np
import soxr
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.hub.device import describe, pick_device
from aural.superres.pipeline import METHODS, Method, Options, super_resolve
from aural.superres.streaming import Streamer
from tests.bench.bench_enhancement import SPEECH
from tests.bench.memory import gigabytes
from tests.bench.streams import time_blocks

RATE = 48_000  # Hz, of every result
RATES_IN = (8_000, 16_000)
SECONDS = {"LISA": 10}  # of mono; a minute of everything else
ROUNDS = 3
LENGTHS = (60, 240)  # seconds, over which the cost is to be linear
MEMORY_SECONDS = 600
BLOCK_SECONDS = 0.01
STREAM_SECONDS = 10

Wave = NDArray[np.float32]


def main() -> None:
    """Print the times, the memory and the latency."""
    print(f"Super-resolution to 48 kHz mono on {describe(pick_device())}, best of {ROUNDS}")
    print(f"{'x real time':24}" + "".join(f"{f'from {rate // 1000} kHz':>14}" for rate in RATES_IN))
    columns = [compare(rate) for rate in RATES_IN]
    for name in columns[0]:
        print(f"{name:24}" + "".join(f"{column[name]:14.1f}" for column in columns))
    short, long = (seconds_for(length) for length in LENGTHS)
    print(f"{LENGTHS[0] // 60} min takes {short:.2f} s, {LENGTHS[1] // 60} min {long:.2f} s", end=": ")
    print(f"{long / short:.2f} times as long for {LENGTHS[1] / LENGTHS[0]:g} times the length")
    print(f"In blocks of {1000 * BLOCK_SECONDS:g} ms: time for a block, and the look-ahead")
    for method in METHODS:
        median, worst, look_ahead = (1000 * seconds for seconds in stream(method))
        print(f"{method:24}median {median:.1f} ms, worst {worst:.1f} ms, look-ahead {look_ahead:.1f} ms")
    for rate in (8_000, 44_100):
        print(
            f"Memory for {MEMORY_SECONDS // 60} min of stereo at {rate} Hz, above the idle app: "
            f"{memory_gigabytes(rate):.2f} GB"
        )
    print()


def speech(seconds: float, rate: int) -> Wave:
    """The shipped speech over and over. Shape: (time,)."""
    return np.resize(resample(read(SPEECH), rate).samples[0], round(seconds * rate))


def methods(rate: int) -> dict[str, Callable[[Wave], object]]:
    """Ours, then resamplers, which are the floor."""

    def ours(method: Method) -> Callable[[Wave], object]:
        return lambda wave: super_resolve(Clip(wave[None], rate), Options(rate=RATE, method=method))

    return {
        "default": ours("default"),
        "LISA": ours("lisa"),
        "sinc": ours("sinc"),
        "librosa": lambda wave: librosa.resample(wave, orig_sr=rate, target_sr=RATE),
        "soxr, VHQ": lambda wave: soxr.resample(wave, rate, RATE, quality="VHQ"),
    }


def compare(rate: int) -> dict[str, float]:
    """Method -> how many times faster than real time its best round is; the first round does not count."""
    best: dict[str, float] = {}
    for number in range(ROUNDS + 1):
        for name, method in methods(rate).items():
            wave = speech(SECONDS.get(name, 60), rate)
            start = perf_counter()
            method(wave)
            if number:
                speed = wave.size / rate / (perf_counter() - start)
                best[name] = max(best.get(name, 0.0), speed)
    return best


def seconds_for(length: float) -> float:
    """How many seconds the default takes for so many seconds at 8 kHz, the best of all rounds."""
    clip = Clip(speech(length, 8_000)[None], 8_000)
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        super_resolve(clip, Options(rate=RATE))
        times.append(perf_counter() - start)
    return min(times)


def stream(method: Method) -> tuple[float, float, float]:
    """Seconds for a block, the median and the longest, and the look-ahead; from 8 kHz."""
    rate = 8_000
    samples = speech(STREAM_SECONDS, rate)[None]
    streamer = Streamer(1, rate, RATE, rate / 2, method)
    median, worst = time_blocks(streamer.push, samples, round(BLOCK_SECONDS * rate))
    return median, worst, streamer.look_ahead_seconds


def memory_gigabytes(rate: int) -> float:
    """What ten minutes take; at 44.1 kHz their band ends at 4 kHz, so that there is something to fill."""
    wave = np.resize(speech(10, 8_000), MEMORY_SECONDS * 8_000)
    if rate != 8_000:
        wave = resample(Clip(wave[None], 8_000), rate).samples[0]
    return gigabytes("super_resolve", wave, rate)


if __name__ == "__main__":
    main()
