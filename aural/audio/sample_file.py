"""Samples of a long sound that nobody may ask for, kept on disk instead of in memory.

They are written block by block into a temporary file without a name, and mapped into memory: what is read
of them can be dropped again by the system, and the file is gone with the last array that shows it.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from typing import BinaryIO

import numpy as np

from aural.audio.clip import Samples

MIN_BYTES = 2**25  # less is kept in memory: 87 s of stereo at 48 kHz
SPARE_DISK = 4  # times the size of the samples that the disk must have free


class SampleFile:
    """Samples to be written once and read later; silent where nothing was written.

    They stay in memory if they are few, or if there is no room for temporary files.

    Shape: (channels, frames).
    """

    def __init__(self, channels: int, frames: int) -> None:
        self.shape = channels, frames
        self._file: BinaryIO | None = None
        size = 4 * channels * frames
        if size >= MIN_BYTES and _has_room(size):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as this is
            self._file.truncate(size)
        else:
            self._samples = np.zeros(self.shape, np.float32)

    def write(self, samples: Samples, start: int) -> None:
        """Write from `start` on; what lies beyond the last frame is left out. Shape: (channels, time)."""
        samples = samples[:, : max(0, self.shape[1] - start)]
        if self._file is None:
            self._samples[:, start : start + samples.shape[1]] = samples
            return
        for channel, row in enumerate(np.ascontiguousarray(samples, np.float32)):
            self._file.seek(4 * (channel * self.shape[1] + start))
            self._file.write(row.data)

    def read(self) -> Samples:
        """All samples, fetched from the disk where they are looked at; not to be written to."""
        if self._file is None:
            return self._samples
        self._file.flush()
        view = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(view, np.float32).reshape(self.shape)


def _has_room(size: int) -> bool:
    try:
        return shutil.disk_usage(tempfile.gettempdir()).free >= SPARE_DISK * size
    except OSError:  # no folder can be written to
        return False
