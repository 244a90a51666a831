"""How near a recording comes to a studio recording of the same performance, before and after enhancement.

The measures compare sample with sample (see `aural.audio.comparison`). So the reference is brought to the
rate of what it is compared with, moved by the delay at which both correlate best, and cut to the time that
both cover; level is no matter, one gain takes it out.
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

SEARCH_RATE = 16_000  # Hz, at which the delay is looked for
SEARCH_SECONDS = 120.0  # the start of both, in which it is looked for
MAX_DELAY_SECONDS = 2.0
WHITENING = 0.85  # exponent; at 1 noise counts as much as the voice, at 0 the lowest partials decide
# Of the peak over the correlation's root mean square. Phone recordings aligned their reference reach 17 and
# more, from afar in loud noise 11; sentences aligned other sentences mostly stay below 10, all below 14.
MIN_PEAK = 13.0
# In a large room a reflection may be stronger than the direct sound, which comes first.
DIRECT_SHARE, DIRECT_SECONDS = 0.45, 0.06
# What a phone's filters smear, and not a delay.
SMEAR_SECONDS = 0.0005
MIN_SHARE = 0.5  # of the recording that the reference must cover


@dataclass(frozen=True)
class ReferenceMetrics:
    """The measures of one sound against the reference; `None` where one cannot be taken."""

    snr_db: float | None  # at the gain that suits it best
    si_sdr_db: float | None
    pesq: float | None  # wide band, 1 to 4.6
    stoi: float | None  # 0 to 1
    lsd: float | None  # log-spectral distance; the lower the nearer

    def figures(self) -> dict[str, float | None]:
        """The measures, rounded for people."""
        digits = {"pesq": 2, "stoi": 3, "lsd": 3}
        return {n: None if v is None else round(v, digits.get(n, 1)) for n, v in asdict(self).items()}


@dataclass(frozen=True)
class Reference:
    """A reference that is laid aligned a recording."""

    clip: Clip  # as it came
    delay_seconds: float  # how much later the recording is

    def aligned(self, clip: Clip) -> tuple[Samples, Samples]:
        """A clip and the reference over the time that both cover.

        Shape: (channels, time), both; one channel, the mean, where the two have not equally many.
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
    """Find the delay of a recording behind its reference, up to 2 s either way, to the sample.

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
    """Measure a clip against an aligned reference: yields the share done, returns also what kept it."""
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
    """How much later the recording is, to half a millisecond; None where the two have nothing in common.

    A generalised cross-correlation (Knapp and Carter 1976), whose spectrum is nearly white, so that neither
    the pitch's periods nor the room hide the peak.
    """
    x, y = (_mono(resample(_start(clip), SEARCH_RATE).samples) for clip in (recording, reference))
    if not (x.any() and y.any()):
        return None
    longest = round(MAX_DELAY_SECONDS * SEARCH_RATE)
    # Room for the longest delay: else one beyond it would come around and look like one on the other side.
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
    """What the search has left of the delay."""
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
