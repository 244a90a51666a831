"""What a process that has the app imported grows by when it reads, works on and writes a file of stereo.

It is read from /proc, so this needs Linux.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

PROGRAM = """
import sys
from pathlib import Path

import app
import aural
from aural.audio import read, write

def kibibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

verb, source, result = sys.argv[1:]
before = kibibytes("VmRSS")
write(getattr(aural, verb)(read(source)).clip, result)
print(kibibytes("VmHWM") - before)
"""


def gigabytes(verb: str, wave: NDArray[np.float32], rate: int) -> float:
    """By how much the process grows at most, from the idle app to the written result.

    Args:
        verb: of `aural`, with its default settings.
        wave: (time,), one channel; the other is half as loud.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder) / "in.wav", Path(folder) / "out.wav"
        soundfile.write(path, np.stack((wave, 0.5 * wave), axis=1), rate, "PCM_16")
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, verb, str(path), str(result)],
            capture_output=True,
            text=True,
            check=True,
        )
    return int(run.stdout) * 1024 / 1e9
