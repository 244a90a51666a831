"""Super-resolution block by block, with a bounded look-ahead: a stream gives the same as a whole file.

    input ──┬── sinc to the new rate ────────────────────────────────────────┬── + ── result
            └── sinc to 48 kHz ── Extender: missing band ── sinc to that ────┘

A whole file takes the same path, in longer blocks. Importing this module does not import torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from aural import hub
from aural.audio.clip import Samples, excerpt
from aural.audio.missing_band import SHARE_OF_THE_RATE, missing_band, trained_bandwidth
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
STEP_SECONDS = 2  # maximum input of a network at a time: longer ones take more memory and are no faster
LISA_RATE = 2.2  # times the bandwidth: LISA's input rate for a clip that is limited within its own rate


class Streamer:
    """Super-resolution of a stream of samples.

    Any partition of the input into blocks gives the same result. `push` returns the outputs that are complete
    so far, `finish` the rest. Together they are round(samples · rate_out / rate_in), aligned with the input.
    Memory does not grow with the length.

    Args:
        rate_in, rate_out: Hz.
        bandwidth_hz: of the input. If nothing is missing above it, no model is loaded and every method is
            sinc.
        level: of the loudest samples; needed only if it is 60 dB or more from full scale.

    Raises:
        OptionError: an unknown method, or an invalid rate.
        CheckpointError: the model is not available.
    """

    look_ahead_seconds: float  # an output depends on no input later than this
    filled_hz: tuple[float, float] | None  # the generated band; None: nothing is generated

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
        self._received = self._produced = 0
        self.filled_hz = None if method == "sinc" else missing_band(rate_in, rate_out, bandwidth_hz)
        self._stream: _Stream
        if self.filled_hz is None:
            self._stream = SincStream(rate_in, rate_out, channels)
        elif method == "default":
            self._stream = _ExtenderStream(channels, rate_in, rate_out, bandwidth_hz, _gain(level))
        else:
            self._stream = _LisaStream(channels, rate_in, rate_out, bandwidth_hz, _gain(level))
        self.look_ahead_seconds = self._stream.look_ahead_seconds

    def push(self, samples: Samples) -> Samples:
        """Take the next samples and return the outputs that they complete.

        Shape: (channels, time) -> (channels, any number).
        """
        self._received += samples.shape[1]
        produced = self._stream.push(samples)
        self._produced += produced.shape[1]
        return produced

    def finish(self) -> Samples:
        """The remaining outputs, with silence after the end. Shape: (channels, any number).

        Nothing can be pushed afterwards.
        """
        left = resampled_length(self._received, *self._rates) - self._produced
        # Via a third rate, the length may differ by a sample.
        return excerpt(self._stream.finish(), 0, left)


class _Stream(Protocol):
    """The interface of `SincStream` and the streams below."""

    look_ahead_seconds: float

    def push(self, samples: Samples) -> Samples: ...

    def finish(self) -> Samples: ...


class _ExtenderStream:
    """Sinc plus the band that the Extender generates."""

    def __init__(
        self, channels: int, rate_in: int, rate_out: int, bandwidth_hz: float, gain: np.float32
    ) -> None:
        # At the model's own rate, its output is added to its input.
        self._plain = None if rate_out == MODEL_RATE else SincStream(rate_in, rate_out, channels)
        self._resampler = SincStream(rate_in, MODEL_RATE, channels)
        # If the band ends at half the rate, sinc or a similar filter is what ends it.
        is_limited = bandwidth_hz < SHARE_OF_THE_RATE * rate_in / 2
        band_hz = bandwidth_hz if is_limited else CUTOFF * rate_in / 2
        self._residual = _ResidualStream(channels, band_hz, gain)
        self._down = SincStream(MODEL_RATE, rate_out, channels)
        self._waiting = [np.zeros((channels, 0), np.float32)] * 2  # plain and residual, from the same time on
        residual_seconds = sum(
            stream.look_ahead_seconds for stream in (self._resampler, self._residual, self._down)
        )
        plain_seconds = 0.0 if self._plain is None else self._plain.look_ahead_seconds
        self.look_ahead_seconds = max(residual_seconds, plain_seconds)

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        resampled = self._resampler.push(samples)
        plain = resampled if self._plain is None else self._plain.push(samples)
        return self._sum(plain, self._down.push(self._residual.push(resampled)))

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        resampled = self._resampler.finish()
        plain = resampled if self._plain is None else self._plain.finish()
        residual = [self._residual.push(resampled), self._residual.finish()]
        residual = [self._down.push(samples) for samples in residual]
        produced = self._sum(plain, np.concatenate((*residual, self._down.finish()), axis=1))
        plain, residual_end = self._waiting
        return np.concatenate((produced, plain + excerpt(residual_end, 0, plain.shape[1])), axis=1)

    def _sum(self, plain: Samples, residual: Samples) -> Samples:
        """The sum, up to where both have arrived."""
        waiting = [
            np.concatenate(pair, axis=1) for pair in zip(self._waiting, (plain, residual), strict=True)
        ]
        ready = min(samples.shape[1] for samples in waiting)
        self._waiting = [samples[:, ready:].copy() for samples in waiting]
        return waiting[0][:, :ready] + waiting[1][:, :ready]


class _ResidualStream:
    """The Extender's output for samples at 48 kHz, in steps of its block, with its delay removed."""

    def __init__(self, channels: int, bandwidth_hz: float, gain: np.float32) -> None:
        import torch

        self._device = pick_device()
        self._model: Extender = hub.load("extender", device=self._device)
        assert self._model.rate == MODEL_RATE
        self._gain = gain
        band = trained_bandwidth(bandwidth_hz)
        self._bandwidth_hz = torch.full((channels,), band, device=self._device)
        with inference(self._device):
            self._state = self._model.start(channels, channels=channels > 1)
        self._buffer = np.zeros((channels, 0), np.float32)  # less than a block
        self._received = self._produced = 0
        self._delay_left = self._model.delay  # outputs before the start, to be dropped
        # The first output of a block depends on all of it.
        self.look_ahead_seconds = (self._model.delay + self._model.block - 1) / MODEL_RATE

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        self._received += samples.shape[1]
        return self._steps(samples)

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        left = self._received - self._produced
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
        produced = np.concatenate(pieces, axis=1)
        late = min(self._delay_left, produced.shape[1])
        self._delay_left -= late
        self._produced += produced.shape[1] - late
        return produced[:, late:]

    def _step(self, samples: Samples) -> Samples:
        with inference(self._device):
            resampled = _to_tensor(samples * self._gain).to(self._device)
            produced = self._model.step(resampled, self._bandwidth_hz, self._state)
            return _to_array(produced) / self._gain


class _LisaStream:
    """LISA's output at the times of the new rate."""

    def __init__(
        self, channels: int, rate_in: int, rate_out: int, bandwidth_hz: float, gain: np.float32
    ) -> None:

        self._device = pick_device(with_float64=True)  # of the times
        self._model: Lisa = hub.load("lisa", device=self._device)
        self._gain = gain
        # LISA expects the band to reach half the rate.
        is_limited = bandwidth_hz < SHARE_OF_THE_RATE * rate_in / 2
        self._rate = round(LISA_RATE * bandwidth_hz) if is_limited else rate_in
        self._rate_out = rate_out
        self._resampler = SincStream(rate_in, self._rate, channels)
        self._buffer = np.zeros((channels, 0), np.float32)
        self._start = 0  # index of the buffer's first sample
        self._produced = 0
        # Sinc's output arrives a sample at a time.
        context_seconds = (self._model.context + 1) / self._rate
        self.look_ahead_seconds = self._resampler.look_ahead_seconds + context_seconds

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        self._buffer = np.concatenate((self._buffer, self._resampler.push(samples)), axis=1)
        last = self._start + self._buffer.shape[1] - 1 - self._model.context
        return self._up_to(math.floor(last * self._rate_out / self._rate) + 1)

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        self._buffer = np.concatenate((self._buffer, self._resampler.finish()), axis=1)
        frames = self._start + self._buffer.shape[1]
        # One more, since the input may be longer at the new rate than at LISA's.
        return self._up_to(
            resampled_length(frames, self._rate, self._rate_out) + 1 + self._rate_out // self._rate
        )

    def _up_to(self, end: int) -> Samples:
        """The values up to the output `end`, from what is in the buffer and silence around it."""
        if end <= self._produced:
            return self._buffer[:, :0]
        length = round(STEP_SECONDS * self._rate_out)
        pieces = [
            self._values(np.arange(start, min(start + length, end)))
            for start in range(self._produced, end, length)
        ]
        self._produced = end
        # A copy frees the samples that are no longer needed.
        needed = math.floor(end * self._rate / self._rate_out) - self._model.context - 1
        drop = min(max(needed - self._start, 0), self._buffer.shape[1])
        self._buffer = self._buffer[:, drop:].copy()
        self._start += drop
        return np.concatenate(pieces, axis=1)

    def _values(self, outputs: NDArray[np.int64]) -> Samples:
        times = outputs * self._rate / self._rate_out
        # Only the samples that affect these values.
        first = max(math.floor(times[0]) - self._model.context - 1, self._start)
        last = math.ceil(times[-1]) + self._model.context + 2
        resampled = self._buffer[:, first - self._start : last - self._start]
        with inference(self._device):
            samples = _to_tensor(resampled * self._gain).to(self._device)
            return _to_array(self._model(samples, _to_tensor(times - first).to(self._device))) / self._gain


def _gain(level: float) -> np.float32:
    """The gain that brings this level near full scale: a power of two, which is exact."""
    # float32 overflows beyond 2^120.
    return np.float32(2.0 ** min(-round(math.log2(level)), 120) if level > 0 else 1)


def _to_tensor(values: NDArray[Any]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))


def _to_array(tensor: Tensor) -> Samples:
    values: Samples = tensor.float().cpu().numpy()
    return values
