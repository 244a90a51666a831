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
    if not (0 < rate_in < math.inf and 0 < rate_out < math.inf):
        raise OptionError(f"Sample rates must be finite and above 0, not {rate_in:g} and {rate_out:g} Hz.")
    channels, frames = samples.shape
    length = max(round(frames * rate_out / rate_in), min(frames, 1))
    resampled = np.empty((channels, length), np.float32)
    # soxr chooses the number of samples: silence after the end makes it enough.
    silence = np.zeros(math.ceil(rate_in / rate_out), np.float32)
    # One channel at a time needs no interleaved copy of a long clip.
    for source, target in zip(samples, resampled, strict=True):
        padded = np.concatenate((source, silence))
        target[:] = soxr.resample(padded, rate_in, rate_out, quality="VHQ")[:length]
    return resampled
