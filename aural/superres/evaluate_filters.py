"""The low-passes for the evaluation of super-resolution: many kinds of filters and codecs, at 48 kHz."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from aural.audio.clip import Samples
from aural.audio.codecs import Codec, transcode
from aural.audio.low_pass import LOW_PASSES, LowPass, low_pass

RATE = 48_000  # Hz
OWN_FILTER = "resampled"
CODEC_KILOBITS = 96.0
# LAME's low-pass works in 32 sub-bands: at these bit rates the band ends at or just below the cut-off.
MP3_CUT_OFFS_HZ = {4_000: 3_500.0, 6_000: 5_600.0, 8_000: 7_500.0, 12_000: 12_000.0}
OPUS_KILOBITS = {4_000: 8.0, 8_000: 12.0}  # no bit rate of Opus ends at the other cut-offs

Filter = Callable[[Samples], Samples]  # (channels, time) at RATE, both


def _low_pass_filter(kind: LowPass, cutoff_hz: int) -> Filter:
    return lambda samples: low_pass(samples, RATE, cutoff_hz, kind)


def _scipy(cutoff_hz: int) -> Filter:
    """Down and up by `scipy.signal.resample_poly` with its defaults."""

    def apply(samples: Samples) -> Samples:
        from scipy.signal import resample_poly

        shared = math.gcd(RATE, 2 * cutoff_hz)
        up, down = 2 * cutoff_hz // shared, RATE // shared
        low = resample_poly(samples, up, down, axis=-1)
        back = resample_poly(low, down, up, axis=-1)
        result: Samples = np.asarray(back, np.float32)[:, : samples.shape[1]]
        return result

    return apply


def _torchaudio(cutoff_hz: int) -> Filter:
    """Down and up by `torchaudio.functional.resample` with its defaults."""

    def apply(samples: Samples) -> Samples:
        from torchaudio.functional import resample as resample_tensor

        low = resample_tensor(torch.tensor(samples), RATE, 2 * cutoff_hz)
        back: Samples = resample_tensor(low, 2 * cutoff_hz, RATE).numpy()
        return back[:, : samples.shape[1]]

    return apply


def _codec(codec: Codec) -> Filter:
    return lambda samples: np.stack([transcode(channel, codec) for channel in samples])


def _opus(cutoff_hz: int) -> Filter | None:
    kilobits = OPUS_KILOBITS.get(cutoff_hz)
    return None if kilobits is None else _codec(Codec("opus", kilobits))


# For each kind, a function from a cut-off (Hz) to a filter, or None if the kind lacks that cut-off.
FILTERS: dict[str, Callable[[int], Filter | None]] = {
    OWN_FILTER: partial(_low_pass_filter, "resampled"),
    **{kind: partial(_low_pass_filter, kind) for kind in LOW_PASSES if kind != OWN_FILTER},
    "scipy": _scipy,
    "torchaudio": _torchaudio,
    "mp3": lambda cutoff_hz: _codec(Codec("mp3", CODEC_KILOBITS, MP3_CUT_OFFS_HZ[cutoff_hz])),
    "aac": lambda cutoff_hz: _codec(Codec("aac", CODEC_KILOBITS, cutoff_hz)),
    "opus": _opus,
}
