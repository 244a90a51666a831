"""K-weighting at any sample rate, ITU-R BS.1770-5 annex 1.

The standard prints two biquads for 48 kHz only. Both are bilinear transforms of analogue prototypes. The
prototypes' parameters below were found by inverting the transform; at 48 kHz they reproduce the printed
coefficients to 1e-12.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SHELF_HZ = 1681.974450955533  # the head as a rigid sphere: a boost of high frequencies
SHELF_GAIN_DB = 3.999843853973347
SHELF_Q = 0.7071752369554196
SHELF_MID_EXPONENT = 0.4996667741545416  # gain half-way up the shelf, as a power of the whole gain
HIGH_PASS_HZ = 38.13547087602444  # the revised low-frequency B curve
HIGH_PASS_Q = 0.5003270373238773

Coefficients = NDArray[np.float64]


def k_weighting(rate: int) -> tuple[Coefficients, Coefficients]:
    """Numerator and denominator of the whole K-weighting, shelf and high-pass in one fourth-order filter.

    Shape: (5,), (5,). Source: ITU-R BS.1770-5, annex 1, figures 2 and 4.
    """
    shelf, high_pass = shelf_filter(rate), high_pass_filter(rate)
    return np.convolve(shelf[0], high_pass[0]), np.convolve(shelf[1], high_pass[1])


def shelf_filter(rate: int) -> tuple[Coefficients, Coefficients]:
    """Stage 1, the high shelf of +4 dB: (b, a).

    >>> shelf_filter(48_000)[0].round(8).tolist()
    [1.53512486, -2.69169619, 1.19839281]
    """
    k = math.tan(math.pi * SHELF_HZ / rate)
    high = 10 ** (SHELF_GAIN_DB / 20)
    middle = high**SHELF_MID_EXPONENT
    numerator = [
        high + middle * k / SHELF_Q + k * k,
        2 * (k * k - high),
        high - middle * k / SHELF_Q + k * k,
    ]
    denominator = _denominator(k, SHELF_Q)
    return np.array(numerator) / denominator[0], denominator / denominator[0]


def high_pass_filter(rate: int) -> tuple[Coefficients, Coefficients]:
    """Stage 2, the high-pass at 38 Hz: (b, a). Its numerator is not normalised, as in the standard.

    >>> high_pass_filter(48_000)[1].round(8).tolist()
    [1.0, -1.99004745, 0.99007225]
    """
    denominator = _denominator(math.tan(math.pi * HIGH_PASS_HZ / rate), HIGH_PASS_Q)
    return np.array([1.0, -2.0, 1.0]), denominator / denominator[0]


def _denominator(k: float, q: float) -> Coefficients:
    return np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
