"""Equal-loudness contours, and a filter that keeps a mix balanced at another listening level.

Source: ISO 226:2023, formula (1) and table 1.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import oaconvolve

from aural.audio.clip import Samples
from aural.audio.steps import Steps, stepwise
from aural.errors import OptionError

Values = NDArray[np.float64]

LOWEST_PHON, HIGHEST_PHON = 20.0, 90.0

BLOCK_SECONDS = 4  # audio filtered at a time

# Frequency in Hz, exponent of loudness perception, transfer of the outer ear in dB, hearing threshold in dB.
_TABLE = np.array(
    [
        (20, 0.635, -31.5, 78.1),
        (25, 0.602, -27.2, 68.7),
        (31.5, 0.569, -23.1, 59.5),
        (40, 0.537, -19.3, 51.1),
        (50, 0.509, -16.1, 44.0),
        (63, 0.482, -13.1, 37.5),
        (80, 0.456, -10.4, 31.5),
        (100, 0.433, -8.2, 26.5),
        (125, 0.412, -6.3, 22.1),
        (160, 0.391, -4.6, 17.9),
        (200, 0.373, -3.2, 14.4),
        (250, 0.357, -2.1, 11.4),
        (315, 0.343, -1.2, 8.6),
        (400, 0.330, -0.5, 6.2),
        (500, 0.320, 0.0, 4.4),
        (630, 0.311, 0.4, 3.0),
        (800, 0.303, 0.5, 2.2),
        (1000, 0.300, 0.0, 2.4),
        (1250, 0.295, -2.7, 3.5),
        (1600, 0.292, -4.2, 1.7),
        (2000, 0.290, -1.2, -1.3),
        (2500, 0.290, 1.4, -4.2),
        (3150, 0.289, 2.3, -6.0),
        (4000, 0.289, 1.0, -5.4),
        (5000, 0.289, -2.3, -1.5),
        (6300, 0.293, -7.2, 6.0),
        (8000, 0.303, -11.2, 12.6),
        (10000, 0.323, -10.9, 13.9),
        (12500, 0.354, -3.5, 12.3),
    ]
)
FREQUENCIES_HZ, _EXPONENT, _TRANSFER_DB, _THRESHOLD_DB = _TABLE.T
LOWEST_HZ, HIGHEST_HZ = float(FREQUENCIES_HZ[0]), float(FREQUENCIES_HZ[-1])


def sound_pressure_level_db(frequency_hz: ArrayLike, loudness_phon: float) -> Values:
    """Level at which a pure tone is as loud as one of 1 kHz at `loudness_phon` dB.

    Between the frequencies of the table the contour is a monotone cubic over the logarithm of frequency.
    Above 4 kHz the standard ends at 80 phon; from there to 90 this continues its formula.

    Shape:
        frequency_hz: any; result: the same, in dB re 20 µPa.

    Raises:
        OptionError: a loudness outside 20 to 90 phon, a frequency outside 20 Hz to 12.5 kHz.

    >>> round(float(sound_pressure_level_db(100, 60)), 1)
    78.5
    """
    if not LOWEST_PHON <= loudness_phon <= HIGHEST_PHON:
        raise OptionError(
            f"Equal-loudness contours cover {LOWEST_PHON:g} to {HIGHEST_PHON:g} phon. "
            f"Choose a listening level in that range, not {loudness_phon:g}."
        )
    frequencies = np.asarray(frequency_hz, dtype=np.float64)
    # Written so that a NaN fails too.
    if not np.all((frequencies >= LOWEST_HZ) & (frequencies <= HIGHEST_HZ)):
        raise OptionError(
            f"Equal-loudness contours cover {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz. "
            "Choose frequencies in that range."
        )
    contour = PchipInterpolator(np.log(FREQUENCIES_HZ), _table_levels_db(loudness_phon))
    return np.asarray(contour(np.log(frequencies)), dtype=np.float64)


def compensation_db(
    frequency_hz: ArrayLike,
    reference_phon: float,
    playback_phon: float,
    maximum_boost_db: float = 12.0,
) -> Values:
    """Gain that gives a mix made at one listening level the same balance at another; 0 dB at 1 kHz.

    It is the difference between the two contours, each taken relative to its level at 1 kHz, held flat below
    20 Hz and above 12.5 kHz and never more than `maximum_boost_db`.

    Shape:
        frequency_hz: any, 0 and up; result: the same, in dB.

    Raises:
        OptionError: a level outside 20 to 90 phon, a negative maximum.

    >>> compensation_db([50, 1000, 8000], reference_phon=83, playback_phon=60).round(1) + 0.0
    array([9.3, 0. , 0.2])
    """
    if not maximum_boost_db >= 0:
        raise OptionError(f"The maximum boost must be 0 dB or more, not {maximum_boost_db:g}.")
    held = np.clip(np.asarray(frequency_hz, dtype=np.float64), LOWEST_HZ, HIGHEST_HZ)
    at_playback = sound_pressure_level_db(held, playback_phon) - playback_phon
    at_reference = sound_pressure_level_db(held, reference_phon) - reference_phon
    return np.minimum(at_playback - at_reference, maximum_boost_db)


def compensation_filter(
    rate: int,
    reference_phon: float,
    playback_phon: float,
    maximum_boost_db: float = 12.0,
) -> Values:
    """Taps of the finite, minimum-phase filter with the gain of `compensation_db`.

    Minimum phase means no delay and nothing sounding before its cause. Of all filters with a given gain, the
    minimum-phase one is the one whose cepstrum has no negative times: take the cepstrum of the log gain, move
    its negative half onto the positive one, and go back.

    Shape:
        result: (taps,), a sixth of a second.
    """
    # The lowest feature, near 20 Hz, rings for some 50 ms. The circle on which the cepstrum is taken is eight
    # times as long as the filter, so that what wraps around it is negligible.
    taps = scipy.fft.next_fast_len(rate // 6)
    circle = 8 * taps
    gain_db = compensation_db(
        np.fft.rfftfreq(circle, 1 / rate), reference_phon, playback_phon, maximum_boost_db
    )
    cepstrum = np.fft.irfft(gain_db * (np.log(10) / 20), circle)
    cepstrum[1 : circle // 2] *= 2
    cepstrum[circle // 2 + 1 :] = 0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), circle)[:taps]


@stepwise
def compensate(
    samples: Samples,
    rate: int,
    reference_phon: float,
    playback_phon: float,
    maximum_boost_db: float = 12.0,
) -> Steps[Samples]:
    """The same samples, balanced for another listening level.

    Equal levels give back the very samples. The peak and the loudness change otherwise: measure them again.

    Shape:
        samples: (channels, time), float32; result: the same.

    Raises:
        OptionError: as `compensation_db`.
    """
    taps = compensation_filter(rate, reference_phon, playback_phon, maximum_boost_db).astype(np.float32)
    if reference_phon == playback_phon:
        return samples
    compensated = np.empty_like(samples)
    length, block = samples.shape[1], BLOCK_SECONDS * rate
    ringing = np.zeros((len(samples), taps.size - 1), np.float32)  # what the blocks before still add
    for start in range(0, length, block):
        stop = min(start + block, length)
        filtered = oaconvolve(samples[:, start:stop], taps[np.newaxis], axes=1)
        filtered[:, : ringing.shape[1]] += ringing
        compensated[:, start:stop] = filtered[:, : stop - start]
        ringing = filtered[:, stop - start :]
        yield stop / length
    return compensated


def _table_levels_db(loudness_phon: float) -> Values:
    """Formula (1) at the frequencies of the table."""
    loudness = 4e-10 ** (0.3 - _EXPONENT) * (10 ** (0.03 * loudness_phon) - 10**0.072)
    threshold = 10 ** (_EXPONENT * (_THRESHOLD_DB + _TRANSFER_DB) / 10)
    return np.asarray(10 / _EXPONENT * np.log10(loudness + threshold) - _TRANSFER_DB)
