"""How much audio one file may hold, and what a file tells of its sound."""

from __future__ import annotations

from dataclasses import dataclass

from aural.errors import InputError
from aural.files import GIBIBYTE

SAMPLE_BYTES = 4  # of a float32


@dataclass(frozen=True)
class Limits:
    """How much audio one file may hold."""

    file_bytes: int = 2 * GIBIBYTE  # on disk
    minutes: float = 120.0
    decoded_bytes: int = 11 * GIBIBYTE // 4  # in memory, as float32: two hours of stereo at 48 kHz
    channels: int = 8
    min_rate: int = 4_000  # Hz
    max_rate: int = 384_000  # Hz

    def check(self, channels: int, rate: int, frames: int) -> None:
        """Raise `InputError` if audio of this size exceeds a limit."""
        if channels > self.channels:
            raise InputError(
                f"The file has {channels} channels; the limit is {self.channels}. Export fewer channels."
            )
        if not self.min_rate <= rate <= self.max_rate:
            raise InputError(
                f"The sample rate is {rate} Hz; it must be from {self.min_rate} to {self.max_rate} Hz. "
                "Export the file at another rate."
            )
        minutes = frames / rate / 60
        if minutes > self.minutes:
            raise InputError(
                f"The file lasts {minutes:.1f} minutes; the limit is {self.minutes:g}. "
                "Cut it into shorter parts."
            )
        decoded_bytes = SAMPLE_BYTES * channels * frames
        if decoded_bytes > self.decoded_bytes:
            raise InputError(
                f"Decoded, the file takes {decoded_bytes / GIBIBYTE:.1f} GiB; the limit is "
                f"{self.decoded_bytes / GIBIBYTE:.1f} GiB. Cut it, or export it at a lower sample rate."
            )

    def max_frames(self, channels: int, rate: int) -> int:
        """The longest clip that `check` allows."""
        return min(int(60 * self.minutes * rate), self.decoded_bytes // (SAMPLE_BYTES * channels))


LIMITS = Limits()


@dataclass(frozen=True)
class Facts:
    """A file's rate, channels and length, known before it is decoded."""

    rate: int  # Hz
    channels: int
    seconds: float  # estimated if the file does not state it
