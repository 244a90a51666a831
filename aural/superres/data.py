"""Pairs of a full-band recording and its low-passed version, both at 48 kHz.

There are many kinds of low-passes, since a network trained on only one fails on others: the windowed sincs of
resamplers, from steep to short (the short ones alias); Butterworth, Chebyshev, elliptic and Bessel filters;
the brick walls of codecs, and codecs themselves. The network gets the bandwidth as a detector would measure
it, with an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import bessel, butter, cheby1, ellip, sosfreqz
from torch import Tensor

from aural.audio.codecs import Codec, transcode
from aural.errors import InputError
from aural.training.corpus import Corpus

RATE = 48_000
FRAMES = 2 * RATE  # samples of a training piece
MARGIN = 1152  # samples on both sides for the filters' ringing; the FFT then has 2^15 * 3 points
POINTS = FRAMES + 2 * MARGIN
GRID = 4097  # frequencies of a response
SILENT_PEAK = 1e-3
# How often a piece comes from each part of the corpus.
SHARES = {"speech": 0.72, "esc50": 0.13, "music": 0.15}
USUAL_HZ = (2_000.0, 4_000.0, 4_000.0, 5_512.5, 6_000.0, 8_000.0, 8_000.0, 11_025.0, 12_000.0)
RANGE_HZ = (1_800.0, 17_500.0)
RESPONSES = 1_500  # sampled in advance
EDGE_DB = (3.0, 25.0)  # level relative to the band where a detector places its end
ROUNDED_SHARE = 0.3  # share of pieces that are rounded to 16 bits
TRANSCODED_SHARE = 0.1  # share of pieces that go through a codec
KILOBITS = (48, 64, 80, 96, 128)
TRANSCODED = 240  # pieces transcoded in advance
OWN_PASS, OWN_ATTENUATION_DB = 0.92, 100.0  # AURAL's own interpolation, see `sinc`

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """A batch."""

    samples: Tensor  # (batch, time), low-passed
    target: Tensor  # (batch, time), the recording
    bandwidth_hz: Tensor  # (batch,), the detected bandwidth

    def to(self, device: torch.device) -> Pairs:
        """The same batch on a device."""
        return Pairs(self.samples.to(device), self.target.to(device), self.bandwidth_hz.to(device))


@dataclass(frozen=True, eq=False)
class Response:
    """The gain of a zero-phase low-pass."""

    gain: NDArray[np.float32]  # (GRID,), from 0 Hz to half the rate
    fold_hz: float | None  # half the low rate, around which higher frequencies alias; None: no change of rate
    ends_hz: tuple[float, float]  # where the gain has fallen by EDGE_DB


def responses(seed: int, count: int = RESPONSES) -> list[Response]:
    """Random low-passes of all kinds and cut-offs."""
    generator = np.random.default_rng(seed)
    return [sample_response(generator) for _ in range(count)]


def sample_response(generator: np.random.Generator) -> Response:
    """A random low-pass."""
    if generator.random() < 0.6:
        edge_hz = USUAL_HZ[generator.integers(len(USUAL_HZ))] * math.exp(generator.normal(0, 0.02))
    else:
        edge_hz = math.exp(generator.uniform(*np.log(RANGE_HZ)))
    kinds = list(_KINDS)
    kind = kinds[generator.integers(len(kinds))]
    gain = _KINDS[kind](generator, edge_hz)
    is_decimated = kind in ("steep", "short", "hann") or (kind != "wall" and generator.random() < 0.5)
    return _response(gain, edge_hz if is_decimated else None)


def resampler_response(edge_hz: float) -> Response:
    """The low-pass of a good resampler to twice `edge_hz` and back: flat to 0.91, closed at 1."""
    return _response(_kaiser(edge_hz, 0.91, 1.0, 120.0), edge_hz)


def apply(recordings: NDArray[np.float32], response: Response) -> NDArray[np.float32]:
    """Apply the low-pass. Shape: (..., POINTS) -> the same; it is circular, so cut off the margins."""
    frequency_hz = np.linspace(0, RATE / 2, POINTS // 2 + 1)
    spectrum = np.fft.rfft(recordings) * np.interp(frequency_hz, _grid(), response.gain)
    if response.fold_hz is not None:
        last = round(response.fold_hz / frequency_hz[1])
        mirrored = np.zeros_like(spectrum[..., : last + 1])
        first = max(0, 2 * last - (spectrum.shape[-1] - 1))
        mirrored[..., first:last] = np.conj(spectrum[..., 2 * last - np.arange(first, last)])
        spectrum[..., : last + 1] += mirrored
        spectrum *= np.interp(frequency_hz, _grid(), _interpolation(round(response.fold_hz)))
    left: NDArray[np.float32] = np.fft.irfft(spectrum, POINTS).astype(np.float32)
    return left


class BatchSampler:
    """Samples batches from a corpus; the generator is the only source of randomness."""

    def __init__(
        self,
        corpus: Corpus,
        batch: int,
        device: torch.device,
        *,
        seed: int = 0,
        transcoded_count: int = TRANSCODED,
    ) -> None:
        kinds = {kind: corpus.of(kind, validation=False) for kind in SHARES}
        self.recordings = {
            kind: [item for item in items if item.length >= POINTS] for kind, items in kinds.items()
        }
        self.recordings = {kind: items for kind, items in self.recordings.items() if items}
        if not self.recordings:
            raise InputError(f"No recording is {POINTS / RATE:.1f} s long. Choose a folder with longer ones.")
        self.corpus, self.batch, self.device = corpus, batch, device
        self.responses = responses(seed)
        random = np.random.default_rng(seed)
        self.transcoded = [self._transcode(random) for _ in range(transcoded_count)]

    def __call__(self, generator: torch.Generator) -> Pairs:
        seed = int(torch.randint(2**62, (), generator=generator))
        random = np.random.default_rng(seed)
        return stack([self._pair(random) for _ in range(self.batch)]).to(self.device)

    def _pair(self, generator: np.random.Generator) -> tuple[Any, Any, float]:
        if self.transcoded and generator.random() < TRANSCODED_SHARE:
            return self.transcoded[generator.integers(len(self.transcoded))]
        piece = self._piece(generator)
        response = self.responses[generator.integers(len(self.responses))]
        source = piece
        if generator.random() < ROUNDED_SHARE:
            # Soft recordings use fewer bits: down to 12 of 16.
            step = np.float32(2.0 ** -generator.uniform(11, 15))
            source = piece + step * (generator.random(POINTS, np.float32) - np.float32(0.5))
        low, high = response.ends_hz
        end_hz = low + (high - low) * generator.random()
        inside = slice(MARGIN, MARGIN + FRAMES)
        detected_hz = end_hz * math.exp(generator.normal(0, 0.015))
        return apply(source, response)[inside], piece[inside], detected_hz

    def _transcode(self, generator: np.random.Generator) -> tuple[Any, Any, float]:
        """A piece after a codec."""
        piece = self._piece(generator)
        end_hz = math.exp(generator.uniform(math.log(2_500), math.log(16_000)))
        codec = Codec("mp3" if generator.random() < 0.7 else "aac", int(generator.choice(KILOBITS)), end_hz)
        inside = slice(MARGIN, MARGIN + FRAMES)
        return transcode(piece, codec)[inside], piece[inside], end_hz * math.exp(generator.normal(0, 0.015))

    def _piece(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """(POINTS,): a piece of a recording that is not silent."""
        kinds = list(self.recordings)
        weights = np.array([SHARES[kind] for kind in kinds])
        while True:
            items = self.recordings[kinds[generator.choice(len(kinds), p=weights / weights.sum())]]
            if len(items) < 20:  # a few long pieces, weighted by their length
                lengths = np.array([item.length for item in items], float)
                item = items[generator.choice(len(items), p=lengths / lengths.sum())]
            else:
                item = items[generator.integers(len(items))]
            start = int(generator.integers(item.length - POINTS + 1))
            piece = self.corpus.wave(item, start, POINTS).numpy()
            if np.abs(piece).max() > SILENT_PEAK:
                return piece * np.float32(math.exp(generator.uniform(-0.7, 0.3)))


def validation_pairs(corpus: Corpus, edge_hz: float, count: int) -> Pairs:
    """Validation pieces, evenly spaced over the validation speech; the same for every call."""
    items = [item for item in corpus.of("speech", validation=True) if item.length >= POINTS]
    if not items:
        raise InputError("No validation speech is long enough. Add longer recordings to speech/.")
    chosen = [items[number * len(items) // count] for number in range(min(count, len(items)))]
    response = resampler_response(edge_hz)
    pairs = []
    for item in chosen:
        piece = corpus.wave(item, (item.length - POINTS) // 2, POINTS).numpy()
        inside = slice(MARGIN, MARGIN + FRAMES)
        pairs.append((apply(piece, response)[inside], piece[inside], 0.96 * edge_hz))
    return stack(pairs)


def stack(pairs: list[tuple[Any, Any, float]]) -> Pairs:
    """A batch of pairs, each with its bandwidth."""
    left, target, ends = zip(*pairs, strict=True)
    return Pairs(torch.from_numpy(np.stack(left)), torch.from_numpy(np.stack(target)), torch.tensor(ends))


# Responses


def _steep(generator: np.random.Generator, edge_hz: float) -> Array:
    """A resampler with full attenuation at the edge."""
    return _kaiser(edge_hz, generator.uniform(0.8, 0.96), 1.0, generator.uniform(60, 140))


def _short(generator: np.random.Generator, edge_hz: float) -> Array:
    """A short resampler, -6 dB at the edge."""
    width = generator.uniform(0.04, 0.25)
    return _kaiser(edge_hz, 1 - width, 1 + width, generator.uniform(45, 80))


def _hann(generator: np.random.Generator, edge_hz: float) -> Array:
    """A sinc under a Hann window of a few zero crossings."""
    crossings = int(generator.choice([6, 8, 16, 32, 64]))
    return _windowed_sinc(
        edge_hz * generator.uniform(0.88, 0.99), crossings, lambda x: 0.5 + 0.5 * np.cos(np.pi * x)
    )


def _butterworth(generator: np.random.Generator, edge_hz: float) -> Array:
    return _sections(
        butter(int(generator.integers(2, 13)), _below(generator, edge_hz), fs=RATE, output="sos")
    )


def _chebyshev(generator: np.random.Generator, edge_hz: float) -> Array:
    order, ripple_db = int(generator.integers(3, 11)), generator.uniform(0.05, 2)
    return _sections(cheby1(order, ripple_db, _below(generator, edge_hz), fs=RATE, output="sos"))


def _elliptic(generator: np.random.Generator, edge_hz: float) -> Array:
    order, ripple_db, stop_db = (
        int(generator.integers(3, 9)),
        generator.uniform(0.05, 1),
        generator.uniform(40, 90),
    )
    return _sections(ellip(order, ripple_db, stop_db, _below(generator, edge_hz), fs=RATE, output="sos"))


def _bessel(generator: np.random.Generator, edge_hz: float) -> Array:
    order = int(generator.integers(3, 11))
    return _sections(bessel(order, _below(generator, edge_hz), fs=RATE, output="sos", norm="mag"))


def _wall(generator: np.random.Generator, edge_hz: float) -> Array:
    """A codec's brick wall."""
    width_hz = generator.uniform(20, 250)
    place = ((_grid() - (edge_hz - width_hz)) / width_hz).clip(0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * place)


_KINDS: dict[str, Callable[[np.random.Generator, float], Array]] = {
    "steep": _steep,
    "short": _short,
    "hann": _hann,
    "butterworth": _butterworth,
    "chebyshev": _chebyshev,
    "elliptic": _elliptic,
    "bessel": _bessel,
    "wall": _wall,
}


def _below(generator: np.random.Generator, edge_hz: float) -> float:
    """The cut-off of a filter before a converter whose band ends at the edge."""
    return min(edge_hz * generator.uniform(0.8, 1.0), 0.45 * RATE)


def _response(gain: Array, fold_hz: float | None) -> Response:
    total = gain if fold_hz is None else gain * _interpolation(round(fold_hz))
    level_db = 20 * np.log10(np.abs(total) + 1e-9)
    near, far = (float(_grid()[np.flatnonzero(level_db > -fallen)[-1]]) for fallen in EDGE_DB)
    return Response(gain.astype(np.float32), fold_hz, (near, far))


def _sections(sos: Array) -> Array:
    response: Array = np.abs(sosfreqz(sos, _grid(), fs=RATE)[1])
    return response


@cache
def _interpolation(edge_hz: int) -> Array:
    """The gain of the interpolation back to 48 kHz."""
    return _kaiser(edge_hz, OWN_PASS, 1.0, OWN_ATTENUATION_DB)


def _kaiser(edge_hz: float, passed: float, stopped: float, attenuation_db: float) -> Array:
    """A windowed sinc by Kaiser's formulas, between two shares of the edge."""
    middle_hz = (passed + stopped) / 2 * edge_hz
    width = (stopped - passed) * edge_hz / middle_hz  # relative to the middle
    crossings = math.ceil((attenuation_db - 7.95) / (2.285 * math.pi * width) / 2)
    beta = 0.1102 * (attenuation_db - 8.7) if attenuation_db > 50 else 4.0
    return _windowed_sinc(middle_hz, crossings, lambda x: np.i0(beta * np.sqrt(1 - x**2)) / np.i0(beta))


def _windowed_sinc(cutoff_hz: float, crossings: int, window: Callable[[Array], Array]) -> Array:
    """The response of a sinc with so many zero crossings on each side."""
    half = min(int(crossings * RATE / (2 * cutoff_hz)), POINTS // 2 - 1)
    samples = np.arange(-half, half + 1)
    taps = np.sinc(2 * cutoff_hz / RATE * samples) * window(samples / (half + 1))
    taps /= taps.sum()
    points = 2 * (GRID - 1)
    size = max(points, 2 * half + 1)
    size += -size % points
    response = np.abs(np.fft.rfft(taps, size))
    picked: Array = response[:: size // points]
    return picked


@cache
def _grid() -> Array:
    """Frequencies in Hz. Shape: (GRID,)."""
    return np.linspace(0, RATE / 2, GRID)
