"""Analysis without a reference: noise, bandwidth, clipping, reverberation, loudness and pitch.

The figures are estimates, validated on recordings with known noise, bandwidth, clipping and reverberation.

Sources: Martin 2001 (noise as the minimum over time), Wen, Habets and Naylor 2008 (reverberation time from
the distribution of decay rates), ITU-R BS.1770-5 (loudness), Boersma 1993 (pitch).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal import get_window
from scipy.special import gammaincinv

from aural.audio import Clip
from aural.audio.bandwidth import bandwidth
from aural.audio.clip import Samples
from aural.audio.resample import resample_samples
from aural.audio.steps import Steps, part, stepwise
from aural.loudness.meter import Loudness, measure

Powers = NDArray[np.float64]

WINDOW_SECONDS = 0.032
BLOCK_SECONDS = 10  # audio handled at a time
PITCH_BLOCK_SECONDS = 30
SILENT_POWER = 1e-10  # -100 dB re a full-scale sine; quieter frames are silence

# Noise
MIN_HZ = 60.0  # rumble below is ignored
BANDS_PER_OCTAVE = 3
NOISE_QUANTILE = 0.05  # even fluent speech pauses this often in each band
NOISE_FRAMES = 3  # averaged, so that minima follow the noise and not its fluctuation
MIN_FRAMES = 8  # fewer give no distribution
SNR_RANGE_DB = (-20.0, 60.0)

# Clipping
HISTOGRAM_BINS = 2_000  # from half the extreme to the extreme
FLAT_WIDTHS = (0.0025, 0.01, 0.03)  # relative to the extreme: hard clipping, resampled, after a codec
FLAT_RATIO = 8.0  # a sine's top is at most 6 times as dense as the range below, a flat top far more
FLAT_RUN = 3  # samples in a row
MIN_EXTREME = 2**-8  # below it, 16-bit steps look like flat tops
PIECE = 2**18  # samples handled at a time

# Room
DECAY_FRAMES = 15  # a quarter of a second
DECAY_MARGIN_DB = 12.0  # a decay must start this far above the noise
DECAY_QUANTILE = 0.05
DECAY_COUNT = 30  # fewer decays would miss the steepest ones
MAX_DECAY_SECONDS = 4.0  # slower decays are musical, not reverberation
# Reverberation time = 1.52 T^2.23, where T is the time that the steepest decays need for 60 dB. Fitted to 120
# excerpts of CC0 speech by one voice in rooms of 0.15 to 1.2 s, with direct-to-reverberant ratios from -3 to
# 8 dB, three in four with noise. Dry speech reads 0.1 to 0.2 s.
DECAY_FACTOR, DECAY_EXPONENT = 1.52, 2.23
REVERBERATION_RANGE_SECONDS = (0.05, 2.5)


@dataclass(frozen=True)
class Analysis:
    """Estimates for a recording; `None` where there is no estimate, such as the SNR of silence."""

    snr_db: float | None  # signal to steady noise; sound without pauses, as in music, counts as noise
    bandwidth_hz: float | None  # upper end of the band, at most half the rate; None for silence
    clipping_share: float  # samples in flat tops, 0 to 1
    reverberation_seconds: float | None  # time to decay by 60 dB; None with too few free decays
    integrated_lufs: float | None  # loudness
    true_peak_dbtp: float | None  # peak between samples
    # Both None where torch is not installed, as in the package's core.
    pitch_hz: float | None  # median of the voiced frames; None where there are none
    voiced_share: float | None  # frames with a pitch, 0 to 1
    loudness: Loudness = field(repr=False)  # the whole measurement, for those who need more of it

    def figures(self) -> dict[str, Any]:
        """Rounded for display: tenths of dB, whole Hz, hundredths of seconds."""
        digits = {"bandwidth_hz": 0, "reverberation_seconds": 2, "clipping_share": 5, "voiced_share": 2}
        values = ((item.name, getattr(self, item.name)) for item in fields(self) if item.name != "loudness")
        return {n: None if v is None else round(float(v), digits.get(n, 1)) for n, v in values}


@stepwise
def analyze(clip: Clip, loudness: Loudness | None = None) -> Steps[Analysis]:
    """Estimate noise, bandwidth, clipping and reverberation, and measure loudness and pitch.

    Args:
        clip: (channels, time), any rate from 4 kHz, up to eight channels.
        loudness: of the clip, if it was measured before.

    Raises `InputError` for an empty clip, samples that are not finite, or a rate below 4 kHz.
    """
    if loudness is None:
        loudness = yield from part(measure.steps(clip), 0.0, 0.5)
    bands, octaves = yield from part(_band_powers_steps(clip), 0.5, 0.6)
    band = yield from part(bandwidth.steps(clip), 0.6, 0.7)
    f0_hz, voiced_share = yield from part(_pitch_steps(clip), 0.7, 0.9)
    clipped = clipping_share(clip.samples)
    yield 1.0
    return Analysis(
        snr_db=_snr_db(bands, clip.rate),
        bandwidth_hz=band.hz if bands.sum(1).max() > SILENT_POWER else None,
        clipping_share=clipped,
        reverberation_seconds=_reverberation_seconds(octaves),
        integrated_lufs=loudness.integrated_lufs,
        true_peak_dbtp=loudness.true_peak_dbtp,
        pitch_hz=f0_hz,
        voiced_share=voiced_share,
        loudness=loudness,
    )


def clipping_share(samples: Samples) -> float:
    """Share of the samples that lie in flat tops. Shape: (channels, time).

    Clipping collects many samples at one level near the extreme of a channel and leaves few just below.
    Other sounds have ever fewer samples towards the extreme. A sine has more there, by 1 / sqrt(1 - x²), but
    then any range holds at most 6 times as many samples as an equally wide one below it.
    """
    count = sum(_flat_samples(channel, sign) for channel in samples for sign in (1, -1))
    return count / samples.size


def _flat_samples(channel: NDArray[np.float32], sign: int) -> int:
    extreme = float(channel.max() if sign > 0 else -channel.min())
    if extreme < MIN_EXTREME:
        return 0
    histogram = np.zeros(HISTOGRAM_BINS, np.int64)
    for piece in _pieces(channel):
        shares = piece * np.float32(sign / extreme)
        index = ((shares[shares > 0.5] - 0.5) * (2 * HISTOGRAM_BINS)).astype(np.intp)
        histogram += np.bincount(np.minimum(index, HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS)
    flat = _flat_range(histogram)
    if flat is None:
        return 0
    low, high = (extreme * (0.5 + border / (2 * HISTOGRAM_BINS)) for border in flat)
    count = 0
    for piece in _pieces(channel):
        inside = (sign * piece >= low) & (sign * piece <= high * (1 + 1e-6))
        if inside.any():
            runs = np.flatnonzero(np.diff(np.concatenate(([False], inside, [False]))))
            lengths = runs[1::2] - runs[::2]
            count += int(lengths[lengths >= FLAT_RUN].sum())
    return count


def _flat_range(histogram: NDArray[np.int64]) -> tuple[int, int] | None:
    """The histogram bins of a flat top, if any: the narrowest width that shows it.

    few below       flat top   overshoot
    [......3 w......]-w-[==w==]...|        the range below is one width away
    """
    sums = np.concatenate(([0], np.cumsum(histogram)))
    for width in (round(2 * HISTOGRAM_BINS * share) for share in FLAT_WIDTHS):
        starts = np.arange(4 * width, HISTOGRAM_BINS - width + 1)
        top = sums[starts + width] - sums[starts]
        below = (sums[starts - width] - sums[starts - 4 * width]) / 3
        beyond = sums[-1] - sums[starts + width]
        flat = (top >= FLAT_RATIO * np.maximum(below, 0.5)) & (beyond <= top)
        if flat.any():
            start = int(starts[np.argmax(np.where(flat, top, 0))])
            return start, start + width
    return None


def _pieces(channel: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (channel[start : start + PIECE] for start in range(0, channel.size, PIECE))


def _band_powers_steps(clip: Clip) -> Steps[tuple[Powers, Powers]]:
    """The powers of bands and octaves, (frames, bands) each.

    A sine of amplitude 1 has power 1. Powers of channels are averaged, so that none cancels another.
    """
    half = max(1, round(WINDOW_SECONDS / 2 * clip.rate))
    window = get_window("hann", 2 * half)
    window = (window * (2 / window.sum())).astype(np.float32)
    count = max(1, 1 + (clip.frames - 2 * half) // half)
    per_block = max(1, BLOCK_SECONDS * clip.rate // half)
    band_bins, octave_bins = _band_bins(clip.rate, half), _octave_bins(clip.rate, half)
    bands: list[Powers] = []
    octaves: list[Powers] = []
    for first in range(0, count, per_block):
        frames = min(per_block, count - first)
        samples = clip.samples[:, first * half : (first + frames + 1) * half]
        samples = np.pad(samples, ((0, 0), (0, (frames + 1) * half - samples.shape[1])))
        power = np.zeros((frames, half + 1), np.float32)
        for channel in samples:
            cut = np.lib.stride_tricks.sliding_window_view(channel, 2 * half)[::half]
            spectrum = rfft(cut * window, axis=-1)
            power += spectrum.real**2 + spectrum.imag**2
        power /= clip.channels
        bands.append(np.add.reduceat(power, band_bins, axis=1))
        octaves.append(np.add.reduceat(power, octave_bins, axis=1)[:, :-1])
        yield min(1.0, (first + frames) / count)
    return _concatenate(bands), _concatenate(octaves)


def _concatenate(parts: list[Powers]) -> Powers:
    return np.concatenate(parts).astype(np.float64)


def _band_bins(rate: int, half: int) -> NDArray[np.intp]:
    """First bin of each band, from `MIN_HZ` up to half the rate."""
    edges = MIN_HZ * 2 ** (np.arange(0, 12 * BANDS_PER_OCTAVE) / BANDS_PER_OCTAVE)
    bins = np.ceil(edges * 2 * half / rate).astype(np.intp)
    return np.unique(bins[bins < half])


def _octave_bins(rate: int, half: int) -> NDArray[np.intp]:
    """First bin of each octave from 250 Hz to 4 kHz, where rooms ring and speech is strong."""
    edges = np.array([250, 500, 1_000, 2_000, 4_000])
    return np.unique(np.minimum(np.ceil(edges * 2 * half / rate).astype(np.intp), half))


def _snr_db(bands: Powers, rate: int) -> float | None:
    """Mean power above the noise, estimated from the quietest frames of each band.

    Digital silence does not count: muted pauses have no noise. The low quantile of a noise lies below its
    mean. Noise powers are gamma-distributed, with a shape that grows with the number of bins and frames
    averaged, so the ratio of quantile to mean is known.
    """
    audible = bands[bands.sum(1) > SILENT_POWER]
    if len(audible) < MIN_FRAMES:
        return None
    half = round(WINDOW_SECONDS / 2 * rate)
    bins = np.diff(np.append(_band_bins(rate, half), half + 1))
    sums = np.cumsum(np.vstack((np.zeros(audible.shape[1]), audible)), axis=0)
    average = (sums[NOISE_FRAMES:] - sums[:-NOISE_FRAMES]) / NOISE_FRAMES
    # Under overlapping Hann windows 1.5 bins count as one, and 3 frames as 2.6.
    shape = np.maximum(1.0, bins / 1.5) * (1 + 0.8 * (NOISE_FRAMES - 1))
    share_of_mean = gammaincinv(shape, NOISE_QUANTILE) / shape
    noise = float((np.quantile(average, NOISE_QUANTILE, axis=0) / share_of_mean).sum())
    signal = float(audible.sum(1).mean()) - noise
    low, high = (10 ** (level / 10) for level in SNR_RANGE_DB)
    return float(10 * np.log10(np.clip(signal / max(noise, SILENT_POWER / high), low, high)))


def _reverberation_seconds(octaves: Powers) -> float | None:
    """The reverberation time, from the steepest decays of level in four octaves.

    At the end of a word the level falls as fast as the voice and the room allow. Over a quarter of a second
    the room is the limit, and one decay in twenty reaches it. Frames near the noise do not count, because
    there the noise ends the decay.
    """
    level = 10 * np.log10(np.maximum(octaves, 1e-14))
    if len(level) <= DECAY_FRAMES:
        return None
    seconds = np.arange(DECAY_FRAMES) * (WINDOW_SECONDS / 2)
    seconds -= seconds.mean()
    fit = seconds / np.square(seconds).sum()
    slopes = np.lib.stride_tricks.sliding_window_view(level, DECAY_FRAMES, axis=0) @ fit  # dB per second
    clear = level[: len(slopes)] > np.quantile(level, NOISE_QUANTILE, axis=0) + DECAY_MARGIN_DB
    steepest = [
        float(np.quantile(slope[usable], DECAY_QUANTILE))
        for slope, usable in zip(slopes.T, clear.T, strict=True)
        if np.count_nonzero(usable) >= DECAY_COUNT
    ]
    if not steepest or np.mean(steepest) >= -60 / MAX_DECAY_SECONDS:
        return None
    decay_seconds = -60 / float(np.mean(steepest))
    return float(np.clip(DECAY_FACTOR * decay_seconds**DECAY_EXPONENT, *REVERBERATION_RANGE_SECONDS))


def _pitch_steps(clip: Clip) -> Steps[tuple[float | None, float | None]]:
    """Median f0 of the voiced frames of the loudest channel, and their share of all frames."""
    # Imported here because torch takes a second to import, and the app imports this module when it starts.
    try:
        import torch
    except ModuleNotFoundError:
        return None, None

    from aural.enhancement.features import RATE, VOICED, pitch

    powers = [sum(float(np.dot(piece, piece)) for piece in _pieces(channel)) for channel in clip.samples]
    channel = clip.samples[int(np.argmax(powers))]
    block = PITCH_BLOCK_SECONDS * clip.rate
    voiced: list[NDArray[np.float32]] = []
    frames = 0
    for start in range(0, channel.size, block):
        piece = resample_samples(channel[np.newaxis, start : start + block], clip.rate, RATE)
        with torch.no_grad():
            f0_hz, voicing = pitch(torch.from_numpy(np.ascontiguousarray(piece)))
        voiced.append(f0_hz[voicing > VOICED].numpy())
        frames += f0_hz.numel()
        yield min(1.0, (start + block) / channel.size)
    pitches = np.concatenate(voiced)
    return (float(np.median(pitches)) if pitches.size else None), pitches.size / frames
