"""Band-limited resampling between any two rates, by libsoxr (the SoX resampler library).

Its "very high quality" recipe passes 91 % of the lower rate's band and stops everything above all of it:
the alias of an out-of-band tone stays below -140 dB, the limit of single precision.
"""

from __future__ import annotations

import math

import numpy as np
import soxr

from aural.audio.clip import Clip, Samples
from aural.errors import OptionError

BLOCK = 2**18  # samples resampled at a time


def resample(clip: Clip, rate: int) -> Clip:
    """The clip at another rate (Hz); the clip itself if it already has that rate.

    >>> import numpy as np
    >>> resample(Clip(np.zeros((2, 44_100), np.float32), 44_100), 47_953).samples.shape
    (2, 47953)
    """
    if rate == clip.rate:
        return clip
    return Clip(resample_samples(clip.samples, clip.rate, rate), rate, clip.layout)


def resample_samples(samples: Samples, rate_in: float, rate_out: float) -> Samples:
    """Resample from `rate_in` to `rate_out` Hz; both may be fractional.

    The first sample keeps its time. Beyond both ends the sound is silence.

    Shape:
        samples: (channels, time)
        returns: (channels, round(time * rate_out / rate_in)), at least one sample if there was one

    Raises:
        OptionError: a rate is not a finite number above 0.
    """
    stream = ResampleStream(samples.shape[0], rate_in, rate_out)
    channels, frames = samples.shape
    resampled = np.empty((channels, stream.length(frames)), np.float32)
    end = 0
    for start in range(0, max(frames, 1), BLOCK):
        made = stream.push(samples[:, start : start + BLOCK], is_last=start + BLOCK >= frames)
        resampled[:, end : end + made.shape[1]] = made
        end += made.shape[1]
    return resampled


class ResampleStream:
    """`resample_samples` for sound that comes in blocks: the blocks' results joined are those of the whole.

    Raises:
        OptionError: a rate is not a finite number above 0.
    """

    def __init__(self, channels: int, rate_in: float, rate_out: float) -> None:
        if not (0 < rate_in < math.inf and 0 < rate_out < math.inf):
            raise OptionError(
                f"Sample rates must be finite and above 0, not {rate_in:g} and {rate_out:g} Hz."
            )
        self.rate_in, self.rate_out = rate_in, rate_out
        # One for each channel needs no interleaved copy.
        self._streams = [
            soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="VHQ") for _ in range(channels)
        ]
        self._frames = self._end = 0  # samples so far, in and out

    def length(self, frames: int) -> int:
        """How many samples so many become."""
        return max(round(frames * self.rate_out / self.rate_in), min(frames, 1))

    def push(self, block: Samples, *, is_last: bool = False) -> Samples:
        """What can be resampled now; with the last block, all that is left.

        Shape: (channels, time) -> (channels, 0 or more)
        """
        self._frames += block.shape[1]
        if is_last:
            # soxr chooses the number of samples: silence after the end makes it enough.
            silence = np.zeros((len(block), math.ceil(self.rate_in / self.rate_out)), np.float32)
            block = np.concatenate((block, silence), axis=1)
        made = np.stack(
            [
                stream.resample_chunk(np.ascontiguousarray(channel, np.float32), last=is_last)
                for stream, channel in zip(self._streams, block, strict=True)
            ]
        )
        if is_last:
            made = made[:, : self.length(self._frames) - self._end]
        self._end += made.shape[1]
        return made
