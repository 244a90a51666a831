"""Low-pass filters of many kinds, such as those in phones, editors and resamplers.

A model that has seen only one kind learns its slope as a law, so training and evaluation use all of these.
The gain at the cut-off is -3 dB unless stated otherwise:

    butterworth_2, _4, _8   smooth, falling by 12, 24, 48 dB an octave
    bessel                  fourth order, softer at the edge than Butterworth's
    chebyshev               sixth order, 1 dB of ripple, -1 dB at the cut-off
    elliptic                sixth order, 0.5 dB of ripple, -0.5 dB at the cut-off, stops at -60 dB
    linear                  windowed sinc, -6 dB at the cut-off, stops at -80 dB and more
    resampled               to twice the cut-off and back: a brick wall below the cut-off
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aural.audio.clip import Samples, excerpt
from aural.audio.resample import resample_samples
from aural.errors import InputError, OptionError, shorten

LowPass = Literal[
    "butterworth_2",
    "butterworth_4",
    "butterworth_8",
    "chebyshev",
    "elliptic",
    "bessel",
    "linear",
    "resampled",
]
LOW_PASSES: tuple[LowPass, ...] = get_args(LowPass)

LINEAR_TAPS_SECONDS = 510 / 48_000  # from the first tap to the last: the transition is 1 kHz wide at any rate
# Ringing that a recursive filter's zero-phase version keeps on each side: 64 periods of the cut-off, in which
# the elliptic filter, which rings longest, falls below -100 dB.
RINGING_PERIODS = 64
MIN_TAPS = 1_024


def low_pass(
    samples: Samples, rate: float, cutoff_hz: float, kind: LowPass, *, zero_phase: bool = True
) -> Samples:
    """The samples after a low-pass of this kind.

    Args:
        rate: of the samples, Hz.
        cutoff_hz: from 1 to just below half the rate.
        zero_phase: apply only the gain of the recursive filters (Butterworth, Bessel, Chebyshev, elliptic),
            without delay; else their phase as well, as in a device.

    Shape:
        samples: (channels, time)
        returns: (channels, time), the same, aligned to the sample

    Raises:
        InputError: samples of another shape.
        OptionError: an unknown kind, or a cut-off out of range.
    """
    if samples.ndim != 2:
        raise InputError(f"Samples must have the shape (channels, time), not {samples.shape}.")
    sections = low_pass_sections(rate, cutoff_hz, kind)
    if not samples.size:
        return samples
    # scipy.signal takes long to import, and not every user of this module needs it.
    from scipy.signal import firwin, sosfilt

    if sections is not None and not zero_phase:
        filtered: Samples = sosfilt(sections, samples).astype(np.float32)
        return filtered
    if sections is not None:
        return _convolve(samples, _zero_phase_taps(sections, rate, cutoff_hz))
    if kind == "linear":
        taps = 2 * round(LINEAR_TAPS_SECONDS * rate / 2) + 1
        return _convolve(samples, firwin(taps, cutoff_hz, window=("kaiser", 8.0), fs=rate))
    low = resample_samples(samples, rate, 2 * cutoff_hz)
    return excerpt(resample_samples(low, 2 * cutoff_hz, rate), 0, samples.shape[1])


def low_pass_sections(rate: float, cutoff_hz: float, kind: LowPass) -> NDArray[np.float64] | None:
    """Second-order sections of a recursive kind, to be run with others; None for "linear" and "resampled".

    Shape: (sections, 6)

    Raises:
        OptionError: an unknown kind, or a cut-off out of range.
    """
    if kind not in LOW_PASSES:
        raise OptionError(f'There is no low-pass "{shorten(kind)}". Choose one of {", ".join(LOW_PASSES)}.')
    highest_hz = 0.999 * rate / 2
    if not 1 <= cutoff_hz <= highest_hz:
        raise OptionError(
            f"The cut-off of the low-pass must be from 1 to {highest_hz:g} Hz, not {shorten(cutoff_hz)}."
        )
    from scipy.signal import bessel, butter, cheby1, ellip

    sections: NDArray[np.float64] | None = None
    if kind.startswith("butterworth"):
        sections = butter(int(kind[-1]), cutoff_hz, fs=rate, output="sos")
    elif kind == "chebyshev":
        sections = cheby1(6, 1, cutoff_hz, fs=rate, output="sos")
    elif kind == "elliptic":
        sections = ellip(6, 0.5, 60, cutoff_hz, fs=rate, output="sos")
    elif kind == "bessel":
        sections = bessel(4, cutoff_hz, fs=rate, output="sos", norm="mag")
    return sections


def _zero_phase_taps(sections: NDArray[np.float64], rate: float, cutoff_hz: float) -> NDArray[np.float64]:
    """The symmetric impulse response of the sections' gain alone. Shape: (an odd number,)."""
    from scipy.signal import sosfreqz

    half = max(MIN_TAPS // 2, round(RINGING_PERIODS * rate / cutoff_hz))
    _, response = sosfreqz(sections, np.linspace(0, np.pi, 2 * half + 1))
    # Twice as long as the part that is kept, so that the ringing has died away where it wraps around.
    symmetric = np.fft.irfft(np.abs(response))
    taps: NDArray[np.float64] = np.concatenate((symmetric[-half:], symmetric[: half + 1]))
    taps *= np.blackman(2 * half + 1)
    taps *= np.abs(response[0]) / taps.sum()
    return taps


def _convolve(samples: Samples, taps: NDArray[np.float64]) -> Samples:
    from scipy.signal import oaconvolve

    convolved: Samples = oaconvolve(samples, taps.astype(np.float32)[np.newaxis], mode="same", axes=-1)
    return convolved
