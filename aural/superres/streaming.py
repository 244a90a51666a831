"""Super-resolution block by block, with a bounded look-ahead: what a stream gets is what a whole file gets.

    input ──┬── sinc to the new rate ────────────────────────────────────────┬── + ── result
            └── sinc to 48 kHz ── Extender: what is missing ── sinc to it ───┘

A whole file goes the same way, in longer blocks. Importing this module does not import torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from aural import hub
from aural.audio.clip import Samples, excerpt
from aural.hub.device import inference, pick_device
from aural.options import require_known
from aural.superres.sinc import CUTOFF, SincStream, resampled_length

if TYPE_CHECKING:
    from torch import Tensor

    from aural.superres.lisa import Lisa
    from aural.superres.model import Extender

Method = Literal["default", "lisa", "sinc"]
METHODS: tuple[Method, ...] = get_args(Method)

MODEL_RATE = 48_000  # Hz, of the Extender
MADE_UP_TO_HZ = 20_000.0  # about where the recordings end that it learned from, and so what it makes
FULL_BAND_HZ = 17_000.0  # a band that reaches this far lacks nothing that is heard
SHARE_OF_THE_RATE = 0.87  # of half the rate: a band that reaches this far ends with its rate
WORTH_FILLING = 1.05  # how far above the band's end the new band must reach
MODEL_BANDS_HZ = 1_700.0, FULL_BAND_HZ  # the ends of bands that the Extender knows
STEP_SECONDS = 2  # given to a network at a time, at most: longer ones take more memory and are no faster
LISA_RATE = 2.2  # times the band's end: the rate at which LISA hears a clip that is limited within its own


def missing_band(rate_in: int, rate_out: int, bandwidth_hz: float) -> tuple[float, float] | None:
    """From where to where, in Hz, a clip lacks what its new rate has room for; None where it lacks nothing.

    >>> missing_band(8_000, 48_000, 3_900.0), missing_band(8_000, 8_000, 3_900.0)
    ((3900.0, 20000.0), None)
    """
    ends_with_its_rate = bandwidth_hz >= SHARE_OF_THE_RATE * rate_in / 2
    end = rate_in / 2 if ends_with_its_rate else bandwidth_hz
    if bandwidth_hz >= FULL_BAND_HZ or rate_out / 2 <= WORTH_FILLING * end:
        return None
    return bandwidth_hz, min(rate_out / 2, MADE_UP_TO_HZ)


class Streamer:
    """Super-resolution of a stream of samples.

    Any partition of the input into blocks gives the same result: `push` returns the outputs that the samples
    so far complete, `finish` the rest, and all together are round(samples · rate_out / rate_in), at the times
    of the input. What is held does not grow with what went through.

    Args:
        rate_in, rate_out: Hz.
        bandwidth_hz: where the input's band ends. Where nothing is missing above it no model is loaded, and
            every method is sinc.
        level: of the loudest samples; needed only where it is far from full scale, 60 dB and more.

    Raises:
        OptionError: an unknown method, or a rate that is none.
        CheckpointError: the model cannot be had.
    """

    look_ahead_seconds: float  # an output is made of no input that is later than it by more than this
    filled_hz: tuple[float, float] | None  # the band that is made; None: nothing is

    def __init__(
        self,
        channels: int,
        rate_in: int,
        rate_out: int,
        bandwidth_hz: float,
        method: Method = "default",
        *,
        level: float = 1.0,
    ) -> None:
        require_known("method", method, METHODS)
        self._rates = rate_in, rate_out
        self._received = self._made = 0
        self.filled_hz = None if method == "sinc" else missing_band(rate_in, rate_out, bandwidth_hz)
        self._stream: _Stream
        if self.filled_hz is None:
            self._stream = SincStream(rate_in, rate_out, channels)
        elif method == "default":
            self._stream = _Extended(channels, rate_in, rate_out, bandwidth_hz, _gain(level))
        else:
            self._stream = _Decoded(channels, rate_in, rate_out, bandwidth_hz, _gain(level))
        self.look_ahead_seconds = self._stream.look_ahead_seconds

    def push(self, samples: Samples) -> Samples:
        """Hand in the next samples, and get the outputs that they complete.

        Shape: (channels, time) -> (channels, any number).
        """
        self._received += samples.shape[1]
        made = self._stream.push(samples)
        self._made += made.shape[1]
        return made

    def finish(self) -> Samples:
        """The outputs that are left, with silence after the end. Shape: (channels, any number).

        Nothing can be pushed after it.
        """
        left = resampled_length(self._received, *self._rates) - self._made
        # By way of a third rate the length may be a sample more or less.
        return excerpt(self._stream.finish(), 0, left)


class _Stream(Protocol):
    """What `SincStream` and those below have in common."""

    look_ahead_seconds: float

    def push(self, samples: Samples) -> Samples: ...

    def finish(self) -> Samples: ...


class _Extended:
    """Sinc, and what the Extender adds to it."""

    def __init__(
        self, channels: int, rate_in: int, rate_out: int, bandwidth_hz: float, gain: np.float32
    ) -> None:
        # At the model's own rate what it hears is what its answer is added to.
        self._plain = None if rate_out == MODEL_RATE else SincStream(rate_in, rate_out, channels)
        self._heard = SincStream(rate_in, MODEL_RATE, channels)
        # Where the band ends with its rate, it is sinc that ends it, or a filter like it has before.
        is_limited = bandwidth_hz < SHARE_OF_THE_RATE * rate_in / 2
        band_hz = bandwidth_hz if is_limited else CUTOFF * rate_in / 2
        self._residual = _Residual(channels, band_hz, gain)
        self._down = SincStream(MODEL_RATE, rate_out, channels)
        self._waiting = [np.zeros((channels, 0), np.float32)] * 2  # plain and residual, from one time on
        residual_seconds = sum(
            stream.look_ahead_seconds for stream in (self._heard, self._residual, self._down)
        )
        plain_seconds = 0.0 if self._plain is None else self._plain.look_ahead_seconds
        self.look_ahead_seconds = max(residual_seconds, plain_seconds)

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        heard = self._heard.push(samples)
        plain = heard if self._plain is None else self._plain.push(samples)
        return self._sum(plain, self._down.push(self._residual.push(heard)))

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        heard = self._heard.finish()
        plain = heard if self._plain is None else self._plain.finish()
        residual = [self._residual.push(heard), self._residual.finish()]
        residual = [self._down.push(samples) for samples in residual]
        made = self._sum(plain, np.concatenate((*residual, self._down.finish()), axis=1))
        plain, residual_end = self._waiting
        return np.concatenate((made, plain + excerpt(residual_end, 0, plain.shape[1])), axis=1)

    def _sum(self, plain: Samples, residual: Samples) -> Samples:
        """What both have come up to."""
        waiting = [
            np.concatenate(pair, axis=1) for pair in zip(self._waiting, (plain, residual), strict=True)
        ]
        ready = min(samples.shape[1] for samples in waiting)
        self._waiting = [samples[:, ready:].copy() for samples in waiting]
        return waiting[0][:, :ready] + waiting[1][:, :ready]


class _Residual:
    """What the Extender makes of samples at 48 kHz, in steps of its block and without its delay."""

    def __init__(self, channels: int, bandwidth_hz: float, gain: np.float32) -> None:
        import torch

        self._device = pick_device()
        self._model: Extender = hub.load("extender", device=self._device)
        assert self._model.rate == MODEL_RATE
        self._gain = gain
        lowest, highest = MODEL_BANDS_HZ
        band = min(max(bandwidth_hz, lowest), highest)
        self._bandwidth_hz = torch.full((channels,), band, device=self._device)
        with inference(self._device):
            self._state = self._model.start(channels, channels=channels > 1)
        self._buffer = np.zeros((channels, 0), np.float32)  # less than a block
        self._received = self._made = 0
        self._late = self._model.delay  # outputs still to come that lie before the beginning
        # The last of a block may tell of all that is in it.
        self.look_ahead_seconds = (self._model.delay + self._model.block - 1) / MODEL_RATE

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        self._received += samples.shape[1]
        return self._steps(samples)

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        left = self._received - self._made
        silence = np.zeros((self._buffer.shape[0], self._model.delay + self._model.block), np.float32)
        return self._steps(silence)[:, :left]

    def _steps(self, samples: Samples) -> Samples:
        buffer = np.concatenate((self._buffer, samples), axis=1)
        block = self._model.block
        ready = buffer.shape[1] // block * block
        self._buffer = buffer[:, ready:].copy()
        length = round(STEP_SECONDS * MODEL_RATE / block) * block
        pieces = [
            self._step(buffer[:, start : min(start + length, ready)]) for start in range(0, ready, length)
        ]
        if not pieces:
            return buffer[:, :0]
        made = np.concatenate(pieces, axis=1)
        late = min(self._late, made.shape[1])
        self._late -= late
        self._made += made.shape[1] - late
        return made[:, late:]

    def _step(self, samples: Samples) -> Samples:
        with inference(self._device):
            heard = _tensor(samples * self._gain).to(self._device)
            made = self._model.step(heard, self._bandwidth_hz, self._state)
            return _array(made) / self._gain


class _Decoded:
    """LISA's values at the new rate's times."""

    def __init__(
        self, channels: int, rate_in: int, rate_out: int, bandwidth_hz: float, gain: np.float32
    ) -> None:

        self._device = pick_device()
        self._model: Lisa = hub.load("lisa", device=self._device)
        self._gain = gain
        # LISA takes the end of the band for that of the rate.
        is_limited = bandwidth_hz < SHARE_OF_THE_RATE * rate_in / 2
        self._rate = round(LISA_RATE * bandwidth_hz) if is_limited else rate_in
        self._rate_out = rate_out
        self._heard = SincStream(rate_in, self._rate, channels)
        self._buffer = np.zeros((channels, 0), np.float32)
        self._start = 0  # which sample the buffer begins with
        self._made = 0
        # What sinc makes comes a sample at a time.
        context_seconds = (self._model.context + 1) / self._rate
        self.look_ahead_seconds = self._heard.look_ahead_seconds + context_seconds

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        self._buffer = np.concatenate((self._buffer, self._heard.push(samples)), axis=1)
        last = self._start + self._buffer.shape[1] - 1 - self._model.context
        return self._up_to(math.floor(last * self._rate_out / self._rate) + 1)

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        self._buffer = np.concatenate((self._buffer, self._heard.finish()), axis=1)
        frames = self._start + self._buffer.shape[1]
        # One more: the input may have more room at the new rate than at LISA's.
        return self._up_to(
            resampled_length(frames, self._rate, self._rate_out) + 1 + self._rate_out // self._rate
        )

    def _up_to(self, end: int) -> Samples:
        """The values up to the output `end`, from what is in the buffer and silence around it."""
        if end <= self._made:
            return self._buffer[:, :0]
        length = round(STEP_SECONDS * self._rate_out)
        pieces = [
            self._values(np.arange(start, min(start + length, end)))
            for start in range(self._made, end, length)
        ]
        self._made = end
        # A copy lets go of what is no longer needed.
        needed = math.floor(end * self._rate / self._rate_out) - self._model.context - 1
        drop = min(max(needed - self._start, 0), self._buffer.shape[1])
        self._buffer = self._buffer[:, drop:].copy()
        self._start += drop
        return np.concatenate(pieces, axis=1)

    def _values(self, outputs: NDArray[np.int64]) -> Samples:
        times = outputs * self._rate / self._rate_out
        # Only what these values depend on is handed over.
        first = max(math.floor(times[0]) - self._model.context - 1, self._start)
        last = math.ceil(times[-1]) + self._model.context + 2
        heard = self._buffer[:, first - self._start : last - self._start]
        with inference(self._device):
            samples = _tensor(heard * self._gain).to(self._device)
            return _array(self._model(samples, _tensor(times - first).to(self._device))) / self._gain


def _gain(level: float) -> np.float32:
    """What brings this level near full scale: a power of two, which changes no digit."""
    # Beyond 2^120 a float32 ends.
    return np.float32(2.0 ** min(-round(math.log2(level)), 120) if level > 0 else 1)


def _tensor(values: NDArray[Any]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))


def _array(tensor: Tensor) -> Samples:
    values: Samples = tensor.float().cpu().numpy()
    return values
