"""Compare a recording with a studio recording of the same performance.

The metrics compare sample by sample (see `aural.audio.comparison`). So the reference is resampled to the rate
of the recording, shifted by the delay with the highest correlation, and cut to the common time. Level does
not matter; one gain compensates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.comparison import (
    log_spectral_distance,
    matching_gain,
    pesq_wideband,
    si_sdr_db,
    snr_db,
    stoi,
)
from aural.audio.resample import resample
from aural.audio.steps import Steps
from aural.errors import InputError

SEARCH_RATE = 16_000  # Hz, for the search of the delay
SEARCH_SECONDS = 120.0  # the start of both, for the search
MAX_DELAY_SECONDS = 2.0
WHITENING = 0.85  # exponent; at 1 noise counts as much as the voice, at 0 the lowest partials dominate
# Peak over root mean square of the correlation. Phone recordings reach 17 or more with their reference, or 11
# in loud noise far away; different sentences mostly stay below 10, and all below 14.
MIN_PEAK = 13.0
# In a large room, a reflection can be stronger than the direct sound before it.
DIRECT_SHARE, DIRECT_SECONDS = 0.45, 0.06
# A phone's filters smear by this much; it is no delay.
SMEAR_SECONDS = 0.0005
MIN_SHARE = 0.5  # share of the recording that the reference must cover


@dataclass(frozen=True)
class ReferenceMetrics:
    """The metrics of a recording, compared with its reference; `None` where one is not available."""

    snr_db: float | None  # at the best gain
    si_sdr_db: float | None
    pesq: float | None  # wide band, 1 to 4.6
    stoi: float | None  # 0 to 1
    lsd: float | None  # log-spectral distance; lower is better

    def figures(self) -> dict[str, float | None]:
        """The metrics, rounded for display."""
        digits = {"pesq": 2, "stoi": 3, "lsd": 3}
        return {n: None if v is None else round(v, digits.get(n, 1)) for n, v in asdict(self).items()}


@dataclass(frozen=True)
class Reference:
    """A reference aligned to a recording."""

    clip: Clip  # unchanged
    delay_seconds: float  # how much later the recording is than the reference

    def beside(self, clip: Clip) -> Clip:
        """The reference as long as a recording, with its sounds at the recording's times."""
        delay = round(self.delay_seconds * self.clip.rate)
        frames = round(clip.seconds * self.clip.rate)
        samples = np.zeros((self.clip.channels, frames), np.float32)
        start, stop = max(0, delay), min(frames, delay + self.clip.frames)
        if stop > start:
            samples[:, start:stop] = self.clip.samples[:, start - delay : stop - delay]
        return self.clip.with_samples(samples)

    def aligned(self, clip: Clip) -> tuple[Samples, Samples]:
        """A clip and the reference, cut to the common time.

        Shape: (channels, time), both; mixed to one channel if their numbers of channels differ.
        """
        reference = resample(self.clip, clip.rate).samples
        delay = round(self.delay_seconds * clip.rate)
        start = max(0, delay)
        stop = max(start, min(clip.frames, delay + reference.shape[1]))
        samples, reference = clip.samples[:, start:stop], excerpt(reference, start - delay, stop - delay)
        if len(samples) != len(reference):
            return samples.mean(axis=0, keepdims=True), reference.mean(axis=0, keepdims=True)
        return samples, reference


def align(recording: Clip, reference: Clip) -> Reference:
    """Find the delay of a recording relative to its reference, up to 2 s either way, to the sample.

    Raises:
        InputError: the two do not sound alike, or the reference covers less than half of the recording.
    """
    recording.require_finite()
    reference.require_finite()
    delay_seconds = _delay_seconds(recording, reference)
    if delay_seconds is None:
        raise InputError(
            "It is not the same performance as the recording, or it starts more than "
            f"{MAX_DELAY_SECONDS:g} s earlier or later. Choose another one, or none."
        )
    found = Reference(reference, delay_seconds)
    covered = found.aligned(recording)[0].shape[1]
    if covered < MIN_SHARE * recording.frames:
        raise InputError(
            f"It covers only {covered / recording.rate:.1f} s of the recording's {recording.seconds:.1f} s. "
            "Choose one that is as long."
        )
    if abs(delay_seconds) <= SMEAR_SECONDS:
        return replace(found, delay_seconds=0.0)
    return replace(found, delay_seconds=delay_seconds + _residual_seconds(recording, found))


def compare_steps(clip: Clip, reference: Reference) -> Steps[tuple[ReferenceMetrics, list[str]]]:
    """Compare a clip with an aligned reference: yields the share done; also returns why any are missing."""
    samples, clean = reference.aligned(clip)
    yield 0.0
    notes: list[str] = []
    measures: dict[str, Callable[[], float]] = {
        "snr_db": lambda: snr_db(samples * np.float32(matching_gain(samples, clean)), clean),
        "si_sdr_db": lambda: si_sdr_db(samples, clean),
        "pesq": lambda: pesq_wideband(samples, clean, clip.rate),
        "stoi": lambda: stoi(samples, clean, clip.rate),
        "lsd": lambda: log_spectral_distance(
            samples * np.float32(matching_gain(samples, clean)), clean, rate=clip.rate
        ),
    }
    values: dict[str, float | None] = {}
    for done, (name, measure) in enumerate(measures.items(), start=1):
        try:
            value = measure()
            values[name] = value if np.isfinite(value) else None
        except InputError as error:
            values[name] = None
            notes.append(str(error))
        yield done / len(measures)
    return ReferenceMetrics(**values), list(dict.fromkeys(notes))


def _delay_seconds(recording: Clip, reference: Clip) -> float | None:
    """The delay of the recording, to half a millisecond; None if the two are different.

    A generalized cross-correlation (Knapp and Carter 1976) with a nearly white spectrum, so that neither
    pitch nor room hides the peak.
    """
    x, y = (_mono(resample(_start(clip), SEARCH_RATE).samples) for clip in (recording, reference))
    if not (x.any() and y.any()):
        return None
    longest = round(MAX_DELAY_SECONDS * SEARCH_RATE)
    # Padded by the longest delay, so that longer ones do not wrap around.
    length = next_fast_len(len(x) + len(y) + longest, real=True)
    product = rfft(x, length) * rfft(y, length).conj()
    magnitude = np.abs(product)
    product /= (magnitude + 1e-3 * magnitude.mean()) ** WHITENING
    correlation = np.abs(irfft(product, length))
    near = np.concatenate((correlation[-longest:], correlation[: longest + 1]))
    strongest = int(np.argmax(near))
    if near[strongest] < MIN_PEAK * np.sqrt(np.mean(near**2)):
        return None
    first = max(0, strongest - round(DIRECT_SECONDS * SEARCH_RATE))
    direct = first + int(np.argmax(near[first : strongest + 1] >= DIRECT_SHARE * near[strongest]))
    return (direct - longest) / SEARCH_RATE


def _residual_seconds(recording: Clip, reference: Reference) -> float:
    """The rest of the delay, after the search."""
    x, y = (_mono(samples) for samples in reference.aligned(recording))
    most = round(SMEAR_SECONDS * recording.rate)
    shifts = range(-most, most + 1)
    products = [abs(float(np.dot(x[most + s : len(x) - most + s], y[most : len(y) - most]))) for s in shifts]
    return shifts[int(np.argmax(products))] / recording.rate


def _start(clip: Clip) -> Clip:
    return clip.with_samples(clip.samples[:, : round(SEARCH_SECONDS * clip.rate)])


def _mono(samples: Samples) -> NDArray[np.float32]:
    mono: NDArray[np.float32] = samples.mean(axis=0)
    return mono
