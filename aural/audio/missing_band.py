"""Which band a recording lacks, and whether it is worth generating."""

from __future__ import annotations

GENERATED_UP_TO_HZ = 20_000.0  # about the bandwidth of the training recordings, and so of the output
FULL_BAND_HZ = 17_000.0  # a band that reaches this far has no audible gap
SHARE_OF_THE_RATE = 0.87  # a band that reaches this share of half the rate is not limited
MIN_EXTENSION = 1.05  # the new band must reach at least this ratio above the old one
MODEL_BANDS_HZ = 1_700.0, FULL_BAND_HZ  # bandwidths that the Extender was trained on


def missing_band(rate_in: int, rate_out: int, bandwidth_hz: float) -> tuple[float, float] | None:
    """The missing band of a clip at its new rate, in Hz; None if nothing is missing.

    >>> missing_band(8_000, 48_000, 3_900.0), missing_band(8_000, 8_000, 3_900.0)
    ((3900.0, 20000.0), None)
    """
    ends_with_its_rate = bandwidth_hz >= SHARE_OF_THE_RATE * rate_in / 2
    end = rate_in / 2 if ends_with_its_rate else bandwidth_hz
    if bandwidth_hz >= FULL_BAND_HZ or rate_out / 2 <= MIN_EXTENSION * end:
        return None
    return bandwidth_hz, min(rate_out / 2, GENERATED_UP_TO_HZ)


def trained_bandwidth(bandwidth_hz: float) -> float:
    """The nearest bandwidth that the Extender was trained on, in Hz.

    >>> trained_bandwidth(3_400.0), trained_bandwidth(900.0)
    (3400.0, 1700.0)
    """
    lowest_hz, highest_hz = MODEL_BANDS_HZ
    return min(max(bandwidth_hz, lowest_hz), highest_hz)
