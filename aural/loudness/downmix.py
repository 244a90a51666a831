"""Down-mix by ITU-R BS.775-4 and by matrix surround, and a phase-safe mono without cancellation.

All methods work in float and do not normalise by default: later stages set loudness and true peak.
"""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft
from scipy.signal import lfilter

from aural.audio import Clip
from aural.audio.clip import Samples, excerpt
from aural.audio.steps import Steps, stepwise
from aural.loudness.layouts import (
    AUTO,
    HALF_POWER,
    LO_RO,
    LT_RT,
    PRO_LOGIC_II,
    Matrix,
    layout_of,
    to_five_one,
)
from aural.options import require_known

METHODS = MappingProxyType(
    {
        "keep": "all channels, unchanged",
        "stereo": "Lo/Ro, ITU-R BS.775: centre and surrounds at -3 dB",
        "stereo_lt_rt": "Lt/Rt, matrixed for a surround decoder",
        "stereo_pro_logic_ii": "Lt/Rt with the surrounds' sides kept (0.866 / 0.5)",
        "mono": "ITU-R BS.775: 0.7071 (L + R) + C + 0.5 (Ls + Rs)",
        "mono_lt_rt": "0.7071 (Lt + Rt): what mono listeners hear of a matrixed mix",
        "mono_mid": "(L + R) / 2",
        "mono_left": "the left channel alone",
        "mono_right": "the right channel alone",
        "mono_phase_safe": "(L + R) / 2, with cancelled bands restored",
    }
)
# Of the methods, as short as the labels of a chart.
NAMES = MappingProxyType(
    {
        "keep": "Original channels",
        "stereo": "Stereo (Lo/Ro)",
        "stereo_lt_rt": "Stereo (Lt/Rt)",
        "stereo_pro_logic_ii": "Stereo (Pro Logic II)",
        "mono": "Mono (ITU)",
        "mono_lt_rt": "Mono from Lt/Rt",
        "mono_mid": "Mono, (L + R) / 2",
        "mono_left": "Left channel",
        "mono_right": "Right channel",
        "mono_phase_safe": "Mono, phase-safe",
    }
)

_STEREO_ROWS = {
    "stereo": LO_RO,
    "stereo_lt_rt": LT_RT,
    "stereo_pro_logic_ii": PRO_LOGIC_II,
}
_MONO_ROWS = {
    "mono": HALF_POWER * (LO_RO[0] + LO_RO[1]),
    "mono_lt_rt": HALF_POWER * (LT_RT[0] + LT_RT[1]),
    "mono_mid": 0.5 * (LO_RO[0] + LO_RO[1]),
    "mono_left": LO_RO[0],
    "mono_right": LO_RO[1],
}

WINDOW_SECONDS = 0.043  # resolves 23 Hz and still follows a syllable
BANDS = 32  # between 50 Hz and the top, evenly spaced in octaves: a third of an octave each at 48 kHz
SMOOTHING_SECONDS = 0.03
MAX_BOOST = 2.0  # +6 dB: a deeper notch is filled from the side signal, not boosted
FRAMES_AT_A_TIME = 512
TINY = 1e-20


@stepwise
def downmix(clip: Clip, method: str, layout: str = AUTO, normalise: bool = False) -> Steps[Clip]:
    """Fold a clip down by one of `METHODS`.

    Args:
        clip: (channels, time), any layout up to 7.1. Mono methods do not change a mono clip.
        layout: FFmpeg's name, if the file's layout is missing or wrong.
        normalise: divide by the sum of the largest row's coefficients, so that nothing can exceed full scale.

    Raises `OptionError` for an unknown method or layout. Sources: ITU-R BS.775-4; Dolby Surround and Pro
    Logic II coefficients, without their 90-degree phase shift.
    """
    require_known("down-mix", method, METHODS)
    name = layout_of(clip, layout)
    if method == "keep" or (clip.channels == 1 and method.startswith("mono")):
        return clip if layout == AUTO else Clip(clip.samples, clip.rate, name)
    if method == "mono_phase_safe":
        stereo = (yield from downmix.steps(clip, "stereo", name, normalise)).samples
        return Clip((yield from phase_safe_mono_steps(stereo, clip.rate)), clip.rate, "mono")
    matrix = fold_matrix(name, method)
    if np.array_equal(matrix, np.eye(clip.channels)):
        return clip
    if normalise:
        matrix = matrix / np.abs(matrix).sum(axis=1).max()
    return Clip(matrix.astype(np.float32) @ clip.samples, clip.rate, "stereo" if len(matrix) == 2 else "mono")


def fold_matrix(layout: str, method: str) -> Matrix:
    """The coefficients of a linear down-mix. Shape: (1 or 2, channels).

    >>> fold_matrix("5.1", "mono").round(4).tolist()
    [[0.7071, 0.7071, 1.0, 0.0, 0.5, 0.5]]
    """
    rows = _STEREO_ROWS[method] if method in _STEREO_ROWS else _MONO_ROWS[method][np.newaxis]
    return rows @ to_five_one(layout)


def phase_safe_mono_steps(stereo: Samples, rate: int) -> Steps[Samples]:
    """Fold left and right to mono at their mean power, whatever their phase. Shape: (2, time) -> (1, time).

    With the mid M = (L + R) / 2 and the side S = (L - R) / 2 the mean power of the channels is |M|² + |S|².
    In each band M is raised towards that power, by at most 6 dB. The rest, out-of-phase content that M has
    lost, is filled in from S. S is added with a phase shift of 90 degrees (as in matrix encoders), because M
    and S of a panned source are otherwise in or out of phase and would cancel on one side. Where both
    channels are equal, S is zero and M passes unchanged.
    """
    length = stereo.shape[1]
    window_length = 2 ** round(math.log2(WINDOW_SECONDS * rate))
    hop = window_length // 4
    # Squared, it sums to 2 at this hop.
    window = np.sqrt(np.hanning(window_length + 1)[:-1]).astype(np.float32)
    bands = _bands(window_length, rate)
    keep = math.exp(-hop / (SMOOTHING_SECONDS * rate))
    state = None

    mono: Samples = 0.5 * (stereo[0] + stereo[1])
    # The first frame ends `hop` samples in, the last begins inside.
    frames = math.ceil((length + window_length) / hop) - 1
    for first in range(0, frames, FRAMES_AT_A_TIME):
        count = min(FRAMES_AT_A_TIME, frames - first)
        start = (first + 1) * hop - window_length
        piece = excerpt(stereo, start, start + (count - 1) * hop + window_length)
        middle, side = (
            fft.rfft(sliding_window_view(half, window_length)[::hop] * window, workers=2)
            for half in (0.5 * (piece[0] + piece[1]), 0.5 * (piece[0] - piece[1]))
        )
        side[:, 1:-1] *= 1j  # 90 degrees; DC and the Nyquist bin are real
        powers = np.stack([_power(middle, middle), _power(side, side), _power(middle, side)]) @ bands.T
        if state is None:
            state = keep * powers[:, :1]  # as if the first frame had lasted forever
        powers, state = lfilter([1 - keep], [1, -keep], powers, axis=1, zi=state)
        middle_change, side_gain = (gain @ bands for gain in _gains(*powers))
        correction = fft.irfft(middle_change * middle + side_gain * side, workers=2)
        correction *= 0.5 * window
        for frame, values in enumerate(correction, start=first):
            begin = (frame + 1) * hop - window_length
            inside = slice(max(begin, 0), min(begin + window_length, length))
            mono[inside] += values[inside.start - begin : inside.stop - begin]
        yield (first + count) / frames
    return mono[np.newaxis]


def _gains(middle: np.ndarray, side: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much to add of M and of the shifted S to reach the power |M|² + |S|². Shape: (frames, bands)."""
    wanted = middle + side
    middle_gain = np.minimum(np.sqrt((wanted + TINY) / (middle + TINY)), MAX_BOOST)
    missing = np.maximum(wanted - middle_gain**2 * middle, 0)
    side_gain = np.sqrt(missing / (side + TINY))
    reached = middle_gain**2 * middle + side_gain**2 * side + 2 * middle_gain * side_gain * cross
    correction = np.where(
        side_gain > 0, np.sqrt((wanted + TINY) / (np.maximum(reached, wanted / 4) + TINY)), 1.0
    )
    return middle_gain * correction - 1, side_gain * correction


def _power(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Real part of the cross power of two spectra."""
    return np.asarray(one.real * other.real + one.imag * other.imag)


def _bands(window_length: int, rate: int) -> np.ndarray:
    """Overlapping triangular bands in octaves that add up to one at every bin. Shape: (BANDS, bins)."""
    frequencies = np.maximum(fft.rfftfreq(window_length, 1 / rate), 1.0)
    position = np.log(frequencies / 50) / np.log(rate / 2 / 50) * (BANDS - 1)
    position = np.clip(position, 0, BANDS - 1)
    bands: Samples = np.maximum(0, 1 - np.abs(position - np.arange(BANDS)[:, np.newaxis])).astype(np.float32)
    return bands
