"""Enhancement compared with noisereduce and RNNoise, on a minute of 48 kHz mono, and its memory.

Every method takes its turn in each round, and its best round counts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.enhancement.evaluate_methods import ROWS
from aural.enhancement.pipeline import SETTINGS, Options, enhance
from aural.enhancement.stream import Streamer
from aural.hub.device import describe, pick_device
from tests.bench.bench_loudness import RATE, SECONDS
from tests.bench.memory import gigabytes
from tests.bench.streams import time_blocks

SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"
MONO_SECONDS = 60
ROUNDS = 3
BLOCKS_SECONDS = (0.016, 0.1)  # the shortest, and that of the page
PEERS = ("noisereduce", "rnnoise")

Wave = NDArray[np.float32]


def main() -> None:
    """Print the times of all methods and settings, and the memory that the default takes."""
    wave = noisy_speech(MONO_SECONDS)
    print(f"Enhancing {MONO_SECONDS} s of 48 kHz mono on {describe(pick_device())}, best of {ROUNDS}")
    print(f"{'':24}{'seconds':>9}{'x real time':>13}")
    for name, seconds in compare(wave).items():
        print(f"{name:24}{seconds:9.2f}{MONO_SECONDS / seconds:13.1f}")
    print("Live, in blocks: time for a block")
    for block_seconds in BLOCKS_SECONDS:
        streamer = Streamer(1, RATE)
        median, worst = time_blocks(streamer.push, wave[None, : 10 * RATE], round(block_seconds * RATE))
        print(
            f"{1000 * block_seconds:.0f} ms{'':18}median {1000 * median:.1f} ms, worst {1000 * worst:.1f} ms"
        )
    print(f"Look-ahead {1000 * streamer.look_ahead_seconds:.1f} ms")
    taken = gigabytes("enhance", noisy_speech(SECONDS), RATE)
    print(f"Memory for {SECONDS // 60} min of stereo, above the idle app: {taken:.2f} GB\n")


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


if __name__ == "__main__":
    main()
