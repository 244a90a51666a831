"""`Clip`: samples that never lose their rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aural.errors import InputError

Samples = NDArray[np.float32]

MAX_SAMPLE = 1e20  # full scale is 1; sums and squares of anything below stay finite


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of audio.

    The samples are a read-only view, so no stage can change another's input.

    Shape:
        samples: (channels, time), float32, full scale is ±1; values beyond it are kept, not clipped.

    >>> Clip(np.zeros((2, 48_000), np.float32), 48_000).seconds
    1.0
    """

    samples: Samples  # (channels, time)
    rate: int  # Hz
    layout: str | None = None  # FFmpeg's name ("5.1", "5.1(side)", "quad"); None: the usual one for the count
    notes: tuple[str, ...] = ()  # what reading the file had to choose or convert, in sentences for the result

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.ndim != 2:
            raise InputError(
                f"Samples must have the shape (channels, time), not {samples.shape}. "
                "Pass a mono signal as samples[np.newaxis, :]."
            )
        if samples.shape[0] == 0:
            raise InputError("The clip has no channels. Pass at least one.")
        if int(self.rate) != self.rate or self.rate <= 0:
            raise InputError(f"The sample rate must be a whole number of Hz above 0, not {self.rate}.")
        view = samples.astype(np.float32, copy=False).view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)
        object.__setattr__(self, "rate", int(self.rate))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        """Length in samples per channel."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    def with_samples(self, samples: Samples, layout: str | None = None) -> Clip:
        """Other samples at the same rate; the layout is kept if the number of channels is."""
        if layout is None and samples.shape[0] == self.channels:
            layout = self.layout
        return Clip(samples, self.rate, layout)

    def require_finite(self) -> Clip:
        """The clip itself; raises `InputError` if it is empty or its samples are not sound."""
        if self.frames == 0:
            raise InputError("The audio is empty. Choose another file.")
        # A minimum or maximum is NaN or infinite as soon as one sample is, and needs no temporary array.
        if not (self.samples.min() > -MAX_SAMPLE and self.samples.max() < MAX_SAMPLE):
            count = sum(int(np.count_nonzero(~(np.abs(row) < MAX_SAMPLE))) for row in self.samples)
            samples = "1 sample is" if count == 1 else f"{count} samples are"
            raise InputError(
                f"{samples} NaN, infinite or far beyond full scale. "
                "Export the file again from the program that made it."
            )
        return self


def with_notes(message: str, clip: Clip) -> str:
    """A result's message, followed by the notes on how its file was read."""
    return " ".join(filter(None, (message, *clip.notes)))


def excerpt(samples: Samples, start: int, stop: int) -> Samples:
    """Samples from `start` to `stop`; outside the clip they are silence.

    Shape: (channels, time) -> (channels, stop - start).

    >>> excerpt(np.ones((1, 2), np.float32), -1, 4).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    first, last = min(max(start, 0), samples.shape[1]), min(max(stop, 0), samples.shape[1])
    if (first, last) == (start, stop):
        return samples[:, start:stop]
    filled = np.zeros((samples.shape[0], stop - start), np.float32)
    filled[:, first - start : last - start] = samples[:, first:last]
    return filled
