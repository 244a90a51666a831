"""Band-limited interpolation with a Kaiser-windowed sinc: any rate to any rate, whole or block by block.

Sources: Smith, "Digital Audio Resampling Home Page" (windowed-sinc interpolation at any ratio); Kaiser 1974
(the window, and its length for an attenuation and a width of transition).

Samples at `rate_in` represent the function

    y(t) = Σ x[n] h(t - n),    h(t) = c sinc(c t) w(t / reach),    |t| < reach,    t in input samples,

where c is 0.96 of the lower rate's band. The filter is flat up to 0.92 of half the lower rate, and 100 dB
down from half that rate on: the extra band of a higher rate stays empty, and nothing aliases at a lower rate.

    If rate_out = rate_in · P / Q with few phases P, each phase has its own kernel. A matrix product over
    windows of the input, each Q samples later, gives P output samples per row.

    Otherwise the same is done at 16 points per period of the lower rate, and a polynomial through the six
    nearest points gives the values between them, with an error of -125 dB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aural.audio.clip import Samples, excerpt
from aural.errors import OptionError

Floats = NDArray[np.float64]

FLAT = 0.92  # start of the transition band, relative to half the lower rate, where it ends
ATTENUATION_DB = 110.0
BETA = 0.1102 * (ATTENUATION_DB - 8.7)  # shape of the window, Kaiser 1974
# Samples of the lower rate on each side; the transition width is in cycles per sample.
REACH = math.ceil((ATTENUATION_DB - 7.95) / (14.36 * (1 - FLAT) / 2) / 2)
CUTOFF = (1 + FLAT) / 2  # middle of the transition band, relative to half the lower rate

MAX_TABLE_ENTRIES = 2**20  # entries; 4 MB
MIN_COLUMNS = 128  # columns of the table; with fewer, the input is copied too often
POINTS = 16  # per period of the lower rate, if there would be too many kernels
NODES = range(-2, 4)  # the six nearest points
MAX_COPIED_SAMPLES = 2**18  # samples per channel
BLOCK = 2**14  # outputs computed at a time


def resample(samples: Samples, rate_in: float, rate_out: float) -> Samples:
    """Resample from `rate_in` to `rate_out` Hz; both may be fractional.

    The first sample keeps its time, and there is silence beyond both ends. With equal rates, the samples are
    returned unchanged.

    Shape:
        samples: (channels, time)
        returns: (channels, resampled_length(time, rate_in, rate_out))

    Raises:
        OptionError: a rate is not a finite number above 0.

    >>> resample(np.zeros((2, 44_100), np.float32), 44_100, 47_953).shape
    (2, 47953)
    """
    ratio = _ratio(rate_in, rate_out)
    if ratio == 1:
        return samples
    length = resampled_length(samples.shape[1], rate_in, rate_out)
    return _outputs(_kernels(ratio), samples, 0, 0, length)


def resampled_length(frames: int, rate_in: float, rate_out: float) -> int:
    """The length after resampling: round(frames · rate_out / rate_in), at least 1 unless frames is 0."""
    return max(round(frames * rate_out / rate_in), min(frames, 1))


class SincStream:
    """`resample` block by block; any partition into blocks gives the same result.

    Memory does not grow with the length.

    >>> stream = SincStream(8_000, 48_000, channels=1)
    >>> [stream.push(np.ones((1, 100), np.float32)).shape[1] for _ in range(3)], stream.finish().shape[1]
    ([61, 600, 600], 539)
    """

    look_ahead_seconds: float  # an output depends on no input later than this

    def __init__(self, rate_in: float, rate_out: float, channels: int) -> None:
        ratio = _ratio(rate_in, rate_out)
        self._rates = rate_in, rate_out
        self._kernels = None if ratio == 1 else _kernels(ratio)
        self._buffer = np.zeros((channels, 0), np.float32)  # samples that later outputs still need
        self._start = 0  # index of the buffer's first sample
        self._received = self._produced = 0  # samples in, samples out
        self.look_ahead_seconds = 0.0 if self._kernels is None else self._kernels.look_ahead / rate_in

    def push(self, samples: Samples) -> Samples:
        """Take the next samples and return the outputs that they complete.

        Shape: (channels, time) -> (channels, any number).
        """
        self._received += samples.shape[1]
        if self._kernels is None:
            self._produced = self._received
            return samples
        self._buffer = np.concatenate((self._buffer, samples), axis=1)
        return self._up_to(math.floor(self._kernels.complete_until(self._received)))

    def finish(self) -> Samples:
        """The remaining outputs, with silence after the end. Shape: (channels, any number)."""
        return self._up_to(resampled_length(self._received, *self._rates))

    def _up_to(self, end: int) -> Samples:
        end = max(end, self._produced)
        if self._kernels is None:
            return self._buffer
        outputs = _outputs(self._kernels, self._buffer, self._start, self._produced, end)
        self._produced = end
        needed = min(max(self._kernels.first_needed(end), self._start), self._received)
        # A copy frees what is no longer needed.
        self._buffer = self._buffer[:, needed - self._start :].copy()
        self._start = needed
        return outputs


def at(samples: Samples, rate: float, seconds: Floats) -> Samples:
    """The continuous function of the samples at any times; upsampling evaluates it at even spacing.

    Each value is computed separately, which takes some microseconds.

    Shape:
        samples: (channels, time)
        seconds: (times,), in any order; may lie before the start or after the end
        returns: (channels, times)
    """
    positions = np.asarray(seconds, np.float64) * rate
    values = np.empty((samples.shape[0], positions.size), np.float32)
    offsets = np.arange(-REACH, REACH + 1)
    for first in range(0, positions.size, 4096):
        places = positions[first : first + 4096]
        indices = np.floor(places).astype(np.int64)[:, np.newaxis] + offsets
        weights = _kernel(indices - places[:, np.newaxis], stretch=1.0)
        inside = (indices >= 0) & (indices < samples.shape[1])
        inputs = np.where(inside, samples[:, np.where(inside, indices, 0)], 0)
        values[:, first : first + 4096] = np.einsum("cnk,nk->cn", inputs, weights)
    return values


@dataclass(frozen=True, eq=False)
class _Kernels:
    """The kernels of a ratio, as a table that maps each window of the input to `columns` points."""

    ratio: Fraction  # outputs per input sample
    grid: Fraction  # points per input sample; equal to the outputs if there are few phases
    reach: float  # half the length of a kernel, in input samples
    first: int  # start of the window relative to its first point, in input samples
    hop: int  # input samples between windows
    table: Samples  # (window, columns)

    @property
    def columns(self) -> int:
        """Points of each window."""
        return int(self.table.shape[1])

    @property
    def look_ahead(self) -> float:
        """Look-ahead of an output, in input samples."""
        return self.reach + (0 if self.grid == self.ratio else float(NODES[-1] / self.grid))

    def complete_until(self, received: int) -> float:
        """The number of outputs that need no more than the samples received."""
        return (received - 1 - self.look_ahead) * float(self.ratio) + 1

    def first_needed(self, output: int) -> int:
        """The first sample that this output needs; negative at the start."""
        return math.floor(output / self.ratio - Fraction(self.look_ahead))


def _ratio(rate_in: float, rate_out: float) -> Fraction:
    if not (0 < rate_in < math.inf and 0 < rate_out < math.inf):
        raise OptionError(f"Sample rates must be finite and above 0, not {rate_in:g} and {rate_out:g} Hz.")
    return Fraction(rate_out) / Fraction(rate_in)


@lru_cache(maxsize=16)
def _kernels(ratio: Fraction) -> _Kernels:
    stretch = max(1.0, float(1 / ratio))
    reach = REACH * stretch
    grid = ratio
    if grid.numerator * (2 * reach + grid.denominator) > MAX_TABLE_ENTRIES:
        grid = Fraction(math.ceil(POINTS / stretch))
    phases, period = grid.numerator, grid.denominator
    # Several periods per row, as long as the table stays small.
    periods = min(-(-MIN_COLUMNS // phases), int(MAX_TABLE_ENTRIES / (phases * (2 * reach + period))))
    columns = max(periods, 1) * phases
    first = -math.floor(reach)
    window = math.floor((columns - 1) / float(grid) + reach) - first + 1
    # All times between inputs and points are multiples of 1 / phases, and most occur often.
    end = math.ceil(reach * phases)
    values = _kernel(np.arange(-end, end + 1) / phases, stretch).astype(np.float32)
    times = phases * (first + np.arange(window))[:, np.newaxis] - period * np.arange(columns)
    table = values[np.clip(times, -end, end) + end]  # 0 at both ends
    return _Kernels(ratio, grid, reach, first, max(periods, 1) * period, table)


def _kernel(times: Floats, stretch: float) -> Floats:
    """The kernel h of the module's docstring. Shape: any; `times` and `stretch` in input samples."""
    cutoff = CUTOFF / stretch
    inside = np.sqrt(np.maximum(1 - (times / (REACH * stretch)) ** 2, 0))
    values: Floats = cutoff * np.sinc(cutoff * times) * np.i0(BETA * inside) / np.i0(BETA)
    values[inside == 0] = 0
    return values


def _outputs(kernels: _Kernels, buffer: Samples, start: int, first: int, last: int) -> Samples:
    """The outputs from `first` to `last`. The buffer begins at sample `start`; silence follows it.

    Shape: (channels, time) -> (channels, last - first).
    """
    outputs = np.empty((buffer.shape[0], last - first), np.float32)
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        compute = _grid_points if kernels.grid == kernels.ratio else _interpolate
        outputs[:, begin - first : end - first] = compute(kernels, buffer, start, begin, end)
    return outputs


def _grid_points(kernels: _Kernels, buffer: Samples, start: int, first: int, last: int) -> Samples:
    """The points of the grid from `first` to `last`, which may lie before the start."""
    # With torch, because NumPy's matrix products leave threads spinning, which slows the networks to a third.
    # Its import takes a second, but the networks need it anyway.
    import torch

    columns, hop, window = kernels.columns, kernels.hop, kernels.table.shape[0]
    rows = range(first // columns, -(-last // columns))
    begin = rows.start * hop + kernels.first - start
    inputs = excerpt(buffer, begin, begin + (len(rows) - 1) * hop + window)
    windows = np.lib.stride_tricks.sliding_window_view(inputs, window, axis=1)[:, ::hop]
    points = np.empty((len(buffer), len(rows), columns), np.float32)
    table, product = torch.from_numpy(kernels.table), torch.from_numpy(points)
    rows_at_once = max(1, MAX_COPIED_SAMPLES // window)
    for row in range(0, len(rows), rows_at_once):
        # Windows overlap in memory; multiplying a copy is faster.
        copied = torch.from_numpy(np.array(windows[:, row : row + rows_at_once]))
        product[:, row : row + rows_at_once] = copied @ table
    offset = first - rows.start * columns
    return points.reshape(len(buffer), -1)[:, offset : offset + last - first]


def _interpolate(kernels: _Kernels, buffer: Samples, start: int, first: int, last: int) -> Samples:
    """Outputs between the points of the grid, by a Lagrange polynomial through the six nearest."""
    places = np.arange(first, last) * float(kernels.grid / kernels.ratio)
    nearest = np.floor(places).astype(np.int64)
    lowest = int(nearest[0]) + NODES[0]
    points = _grid_points(kernels, buffer, start, lowest, int(nearest[-1]) + NODES[-1] + 1)
    fraction = places - nearest
    values = np.zeros((len(buffer), last - first), np.float32)
    for node in NODES:
        others = [other for other in NODES if other != node]
        weight = np.prod([(fraction - other) / (node - other) for other in others], axis=0)
        values += weight.astype(np.float32) * points[:, nearest + node - lowest]
    return values
