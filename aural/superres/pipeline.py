"""Downsample (if asked) -> detect the bandwidth -> generate the missing band -> compare.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_doc import Doc

from aural.audio import LIMITS, Clip
from aural.audio.bandwidth import Bandwidth, bandwidth
from aural.audio.clip import excerpt
from aural.audio.comparison import LSD_WINDOW, log_spectral_distances, snr_db
from aural.audio.missing_band import FULL_BAND_HZ, SHARE_OF_THE_RATE, missing_band
from aural.audio.narrow_passages import Passage, narrow_passages
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError, OptionError
from aural.files import GIBIBYTE
from aural.options import Outcome, require, require_known, require_whole
from aural.superres.sinc import resampled_length
from aural.superres.streaming import METHODS as METHODS
from aural.superres.streaming import Method as Method
from aural.superres.streaming import Streamer

RATES = 4_000, 192_000  # Hz, of the result
FACTORS = 0.0, 48.0
FULL_RATE = 48_000  # Hz, default rate of the result
MIN_BAND_HZ = 1_700.0  # lowest bandwidth that can be set
MIN_SECONDS = 0.01
EDGE_TOLERANCE = 0.05  # share of the band that a new rate may cut off
FLAT_SHARE = 0.9  # relative to half the simulated rate; below it the downsampling changes nothing
OWN_SHARE = 0.85  # relative to the bandwidth; below it the default changes nothing
BLOCK_SECONDS = 2.0  # pushed at a time
FADE_SECONDS = 0.05  # at the ends of a passage with a band of its own
MAX_NAMED = 3  # passages named in the message
# Rough relative cost of each method, for the progress.
COSTS: dict[Method, float] = {"sinc": 0.05, "default": 1.0, "lisa": 9.0}
FIGURES = ("snr_db", "lsd", "lsd_above", "lsd_below")


@dataclass(frozen=True)
class Options:
    """Settings of super-resolution.

    Raises:
        OptionError: a value out of range, or both a rate and a factor.
    """

    rate: Annotated[
        int | None,
        Doc("sample rate of the result in Hz, 4,000 to 192,000; None: 48,000, or the clip's own if higher"),
    ] = None
    factor: Annotated[
        float | None, Doc("ratio of the new sample rate to the clip's, above 0 to 48, instead of rate")
    ] = None
    method: Annotated[
        Method, Doc(f"one of {', '.join(METHODS)}; default generates the missing highs, sinc only resamples")
    ] = "default"
    bandwidth_hz: Annotated[float | None, Doc("upper limit of the input's band in Hz; None: detected")] = None
    what_if_rate: Annotated[
        int | None,
        Doc("downsample the clip to this rate in Hz first, and compare the result with the original"),
    ] = None

    def __post_init__(self) -> None:
        # Programs send 48000.0 for 48000.
        for name in ("rate", "what_if_rate"):
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():
                object.__setattr__(self, name, int(value))
        require_known("method", self.method, METHODS)
        if self.rate is not None and self.factor is not None:
            raise OptionError("Set either the rate or the factor, not both.")
        if self.rate is not None:
            require_whole("rate", self.rate, *RATES)
        if self.factor is not None:
            require("factor", self.factor, *FACTORS)
            if self.factor == 0:
                raise OptionError("The factor must be above 0.")
        if self.bandwidth_hz is not None:
            require("bandwidth", self.bandwidth_hz, MIN_BAND_HZ, LIMITS.max_rate / 2, " Hz")
        if self.what_if_rate is not None:
            require_whole("rate that the clip is cut to", self.what_if_rate, *RATES)

    def result_rate(self, clip: Clip) -> int:
        """The rate of the result in Hz.

        The factor applies to the source that is super-resolved; the result is rounded to whole Hz. Without
        rate and factor it is 48 kHz, or the clip's own rate if that is higher. With a simulated rate it is
        always the clip's own.

        Raises:
            OptionError: the factor leads to a rate out of range.
        """
        if self.rate is not None:
            return self.rate
        if self.factor is None:
            return clip.rate if self.what_if_rate else max(FULL_RATE, clip.rate)
        source_rate = self.what_if_rate or clip.rate
        rate = round(source_rate * self.factor)
        lowest, highest = RATES
        if rate != source_rate and not lowest <= rate <= highest:
            raise OptionError(
                f"A factor of {self.factor:g} gives {rate} Hz. Choose one that gives {lowest} to "
                f"{highest} Hz."
            )
        return rate


@dataclass(frozen=True)
class Result:
    """A super-resolved clip, its detected bandwidth, and what was done."""

    clip: Clip  # result of the chosen method, with round(frames · ratio of the rates) frames
    source: Clip  # the input, or its downsampled version with a simulated rate
    bandwidth_hz: float  # upper end of the source's band
    is_limited: bool  # whether it is well below half the source's rate
    filled_hz: tuple[float, float] | None  # the generated band; None: nothing was generated
    message: str  # the detected bandwidth and what was done
    passages: tuple[Passage, ...] = ()  # of the source, whose own band is far narrower; it is filled there
    alternatives: dict[str, Clip] = field(default_factory=dict)  # results of the other methods, if requested
    reference: Clip | None = None  # with a simulated rate: the input at the new rate
    comparison: dict[str, dict[str, float]] | None = None  # method -> FIGURES, compared with the reference

    def figures(self) -> dict[str, Any]:
        """The figures for people and programs."""
        rows = self.comparison
        return {
            "rate": self.clip.rate,
            "source_rate": self.source.rate,
            "bandwidth_hz": round(self.bandwidth_hz),
            "is_limited": self.is_limited,
            "filled_hz": None if self.filled_hz is None else [round(hz) for hz in self.filled_hz],
            "passages": [
                {
                    "start_seconds": round(passage.start / self.source.rate, 2),
                    "end_seconds": round(passage.stop / self.source.rate, 2),
                    "bandwidth_hz": round(passage.bandwidth_hz),
                }
                for passage in self.passages
            ],
            "comparison": None
            if rows is None
            else {
                method: {
                    name: round(value, 3) if math.isfinite(value) else None for name, value in row.items()
                }
                for method, row in rows.items()
            },
            "message": self.message,
        }


@stepwise
def super_resolve(clip: Clip, options: Options | None = None, *, compare: bool = False) -> Steps[Result]:
    """Resample a clip and generate its missing high frequencies.

    The bandwidth decides, not the rate: an MP3 or a phone call in a 48 kHz file is extended, too. Nothing is
    generated if the band reaches 17 kHz, nor much above 20 kHz; there, and with the method "sinc", the clip
    is only resampled. Passages of a far narrower band, such as a guest on the phone, are extended from their
    own band. Stereo image, level, pitch and length stay the same: n samples become round(n · new rate /
    rate). A full-band clip that keeps its rate is returned unchanged.

    The default leaves the input unchanged below 0.85 of its bandwidth, where the crossover begins. LISA
    regenerates everything.

    Args:
        clip: any rate from 4 kHz, at least 10 ms.
        compare: also apply the other methods.

    Raises:
        InputError: no sound, too short or too long, a rate below 4 kHz, a result that is too large.
        OptionError: a rate that is too low for the clip's band or out of range.
        CheckpointError: a model is not available.
    """
    options = options or Options()
    _require_usable(clip)
    rate = options.result_rate(clip)
    methods = _methods(options, compare)
    _require_room(clip, rate, methods, options)
    source, reference = clip, None
    if options.what_if_rate is not None:
        source = yield from part(_downsample_steps(clip, options.what_if_rate), 0.0, 0.05)
        reference = yield from part(_apply_method_steps(clip, rate, clip.rate / 2, "sinc"), 0.05, 0.1)
    band = yield from part(_band_steps(source, options), 0.1, 0.13)
    _require_above_band(source, rate, band)
    passages = yield from part(_passages_steps(source, rate, band, options), 0.13, 0.15)
    end = 0.95 if reference is None else 0.75
    results = yield from part(_apply_methods_steps(source, rate, band.hz, passages, methods), 0.15, end)
    comparison = None
    if reference is not None and options.what_if_rate is not None:
        cutoff_hz = FLAT_SHARE * options.what_if_rate / 2
        comparison = yield from part(_comparison_steps(results, reference, cutoff_hz), end, 1.0)
    chosen = results.pop(options.method)
    filled_hz = None if options.method == "sinc" else missing_band(source.rate, rate, band.hz)
    return Result(
        clip=chosen,
        source=source,
        bandwidth_hz=band.hz,
        is_limited=band.is_limited,
        filled_hz=filled_hz,
        message=_message(source, rate, band, filled_hz, passages, options),
        passages=passages,
        alternatives=results if compare else {},
        reference=reference,
        comparison=comparison,
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `super_resolve`."""
    result = yield from super_resolve.steps(clip, options)
    return Outcome((result.clip,), result.figures(), result.message)


def _methods(options: Options, compare: bool) -> list[Method]:
    """The methods to run, the chosen one first; a comparison always includes sinc."""
    others = METHODS if compare else ("sinc",) if options.what_if_rate is not None else ()
    return [options.method, *(method for method in others if method != options.method)]


def _require_usable(clip: Clip) -> None:
    clip.require_finite()
    LIMITS.check(clip.channels, clip.rate, clip.frames)
    if clip.seconds < MIN_SECONDS:
        raise InputError(
            f"The clip is too short ({1000 * clip.seconds:.2g} ms) to detect its bandwidth. "
            f"Choose one of at least {1000 * MIN_SECONDS:g} ms."
        )


def _require_room(clip: Clip, rate: int, methods: list[Method], options: Options) -> None:
    versions = len(methods) + (options.what_if_rate is not None)
    needed = 4 * clip.channels * resampled_length(clip.frames, clip.rate, rate) * versions
    if needed > LIMITS.decoded_bytes:
        what = "the result" if versions == 1 else f"the {versions} versions of the result"
        raise InputError(
            f"At {rate} Hz {what} would take {needed / GIBIBYTE:.1f} GiB; the limit is "
            f"{LIMITS.decoded_bytes / GIBIBYTE:.1f} GiB. Choose a lower rate, or cut the clip into parts."
        )


def _require_above_band(source: Clip, rate: int, band: Bandwidth) -> None:
    lowest = math.ceil(2 * band.hz * (1 - EDGE_TOLERANCE))
    if rate < min(lowest, source.rate):
        raise OptionError(
            f"The sound extends to {_kilohertz(band.hz)}, so {rate} Hz is too low. "
            f"Choose {lowest} Hz or more."
        )


def _downsample_steps(clip: Clip, rate: int) -> Steps[Clip]:
    """The clip at the simulated rate."""
    if rate >= clip.rate:
        raise OptionError(
            f"Can't downsample a clip of {clip.rate} Hz to {rate} Hz. Choose a lower rate, or none."
        )
    source = yield from _apply_method_steps(clip, rate, clip.rate / 2, "sinc")
    if source.seconds < MIN_SECONDS:
        raise InputError(f"Only {source.frames} samples of the clip are left. Choose a longer one.")
    return source


def _band_steps(source: Clip, options: Options) -> Steps[Bandwidth]:
    """The bandwidth, as set or detected."""
    if options.bandwidth_hz is None:
        return (yield from bandwidth.steps(source))
    if options.bandwidth_hz > source.rate / 2:
        raise OptionError(
            f"A clip of {source.rate} Hz can't have a bandwidth of {options.bandwidth_hz:g} Hz. "
            f"Set at most {source.rate / 2:g} Hz, or none to detect it."
        )
    is_limited = options.bandwidth_hz < SHARE_OF_THE_RATE * source.rate / 2
    return Bandwidth(float(options.bandwidth_hz), is_limited)


def _passages_steps(source: Clip, rate: int, band: Bandwidth, options: Options) -> Steps[tuple[Passage, ...]]:
    """The passages whose own band is far narrower and can be extended; none with a band that is set."""
    if options.bandwidth_hz is not None:
        return ()
    passages = yield from narrow_passages.steps(source, band.hz)
    return tuple(
        passage for passage in passages if missing_band(source.rate, rate, passage.bandwidth_hz) is not None
    )


def _apply_methods_steps(
    source: Clip, rate: int, bandwidth_hz: float, passages: tuple[Passage, ...], methods: list[Method]
) -> Steps[dict[str, Clip]]:
    """The source at the new rate, by each method; without a missing band all give the same result."""
    if not passages and missing_band(source.rate, rate, bandwidth_hz) is None:
        result = yield from _apply_method_steps(source, rate, bandwidth_hz, methods[0])
        return dict.fromkeys(methods, result)
    results: dict[str, Clip] = {}
    total, done = sum(COSTS[method] for method in methods), 0.0
    for method in methods:
        until = done + COSTS[method] / total
        middle = (done + until) / 2 if passages else until
        steps = _apply_method_steps(source, rate, bandwidth_hz, method)
        results[method] = yield from part(steps, done, middle)
        if passages and method != "sinc":
            filling = _fill_passages_steps(source, results[method], passages, method)
            results[method] = yield from part(filling, middle, until)
        done = until
    return results


def _fill_passages_steps(
    source: Clip, result: Clip, passages: tuple[Passage, ...], method: Method
) -> Steps[Clip]:
    """The result, with each passage extended from its own band and a cross-fade at its ends."""
    filled = result.samples.copy()
    fade, ratio = FADE_SECONDS * result.rate, result.rate / source.rate
    for number, passage in enumerate(passages):
        # With context around it, from a whole second on, where samples of both rates coincide.
        second = max(0, passage.start // source.rate - 1)
        piece = source.samples[:, second * source.rate : passage.stop + source.rate]
        steps = _apply_method_steps(source.with_samples(piece), result.rate, passage.bandwidth_hz, method)
        extended = yield from part(steps, number / len(passages), (number + 1) / len(passages))
        start, stop = passage.start * ratio, passage.stop * ratio
        ends = float(passage.start == 0), float(passage.stop == source.frames)  # 1: without a fade
        span = slice(math.ceil(start), min(math.floor(stop) + 1, filled.shape[1]))
        times = np.arange(span.start, span.stop)
        share = np.interp(times, (start, start + fade, stop - fade, stop), (ends[0], 1, 1, ends[1]))
        first = span.start - second * result.rate
        own = excerpt(extended.samples, first, first + len(times))
        filled[:, span] += share.astype(np.float32) * (own - filled[:, span])
    return Clip(filled, result.rate, result.layout)


def _apply_method_steps(source: Clip, rate: int, bandwidth_hz: float, method: Method) -> Steps[Clip]:
    """The source at the new rate, by one method."""
    if rate == source.rate and (method == "sinc" or missing_band(rate, rate, bandwidth_hz) is None):
        return source
    yield 0.0  # loading takes a moment the first time
    peak = max(source.samples.max(), -source.samples.min())
    # The networks square and cube their input. Ordinary levels are not scaled, as in a stream.
    level = float(peak) if peak > 0 and not 1e-3 < peak < 1e3 else 1.0
    streamer = Streamer(source.channels, source.rate, rate, bandwidth_hz, method, level=level)
    result = np.empty((source.channels, resampled_length(source.frames, source.rate, rate)), np.float32)
    block = round(BLOCK_SECONDS * source.rate)
    end = 0
    for start in range(0, source.frames, block):
        piece = streamer.push(source.samples[:, start : start + block])
        result[:, end : end + piece.shape[1]] = piece
        end += piece.shape[1]
        yield min(start + block, source.frames) / source.frames
    result[:, end:] = streamer.finish()
    return Clip(result, rate, source.layout)


def _comparison_steps(
    results: dict[str, Clip], reference: Clip, cutoff_hz: float
) -> Steps[dict[str, dict[str, float]] | None]:
    """FIGURES of each method; None if the reference is silent or too short for a spectrum."""
    frames = min(reference.frames, *(clip.frames for clip in results.values()))
    target = reference.samples[:, :frames]
    if frames <= LSD_WINDOW // 2 or not target.any():
        return None
    bands_hz = ((0.0, math.inf), (cutoff_hz, math.inf), (0.0, cutoff_hz))  # for all FIGURES except the first
    rows: dict[str, dict[str, float]] = {}
    for number, method in enumerate(method for method in METHODS if method in results):
        estimate = results[method].samples[:, :frames]
        row = dict.fromkeys(FIGURES, 0.0)
        row["snr_db"] = snr_db(estimate, target)
        # One channel at a time, to hold only a few copies of one channel.
        for channel in range(reference.channels):
            x, y = estimate[channel], target[channel]
            distances = log_spectral_distances(x, y, bands_hz, rate=reference.rate)
            for name, distance in zip(FIGURES[1:], distances, strict=True):
                row[name] += distance / reference.channels
            yield (number + (channel + 1) / reference.channels) / len(results)
        rows[method] = row
    return rows


def _message(
    source: Clip,
    rate: int,
    band: Bandwidth,
    filled_hz: tuple[float, float] | None,
    passages: tuple[Passage, ...],
    options: Options,
) -> str:
    """The detected bandwidth and what was done, in the whole and in passages of a narrower band."""
    is_filled = bool(passages) and options.method != "sinc"
    whole = _whole_message(
        source, rate, band, filled_hz, options, unchanged="no other change" if is_filled else "no change"
    )
    if not passages:
        return whole
    named = [f"from {_time(one.start / source.rate)} to {_time(one.stop / source.rate)}" for one in passages]
    if len(named) > MAX_NAMED:
        named = [*named[: MAX_NAMED - 1], f"in {len(named) - MAX_NAMED + 1} more passages"]
    places = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    ends = sorted({_kilohertz(one.bandwidth_hz) for one in passages}, key=lambda end: float(end.split()[0]))
    end = ends[0] if len(ends) == 1 else f"{ends[0].split()[0]} to {ends[-1]}"
    done = ": the highs above were generated." if is_filled else "."
    return f"{whole} {places[0].upper()}{places[1:]} the band ends at {end}{done}"


def _whole_message(
    source: Clip,
    rate: int,
    band: Bandwidth,
    filled_hz: tuple[float, float] | None,
    options: Options,
    *,
    unchanged: str,
) -> str:
    """The detected bandwidth and what was done in the whole."""
    cut = f"Downsampled to {source.rate / 1000:g} kHz first. " if options.what_if_rate is not None else ""
    is_given = options.bandwidth_hz is not None
    end = f"{_kilohertz(band.hz)}{', as set' if is_given else ''}"
    new_rate = f"{rate / 1000:g} kHz"
    if missing_band(source.rate, rate, band.hz) is None:
        full = f"{cut}Already full-band ({end})"
        return f"{full}: {unchanged}." if rate == source.rate else f"{full}: resampled to {new_rate}."
    room = f" of {source.rate / 2000:g} kHz possible" if band.is_limited and band.hz < FULL_BAND_HZ else ""
    summary = f"{cut}Bandwidth {end}{room}."
    if filled_hz is not None:
        low, high = (f"{round(hz / 1000, 1):g}" for hz in filled_hz)
        generated = f"{low}–{high} kHz was generated"
        if options.method == "lisa":
            return f"{summary} {generated} by LISA."
        return f"{summary} {generated}; below {_kilohertz(OWN_SHARE * filled_hz[0])} is untouched."
    if rate == source.rate:
        return f"{summary} Sinc adds no highs: {unchanged}."
    return f"{summary} Resampled to {new_rate} by sinc, which adds no highs."


def _kilohertz(hz: float) -> str:
    """A measured frequency for display.

    >>> _kilohertz(7_962.5), _kilohertz(11_025.0)
    ('8 kHz', '11 kHz')
    """
    return f"{round(hz / 1000, 1):g} kHz"


def _time(seconds: float) -> str:
    """A place in a clip for display.

    >>> _time(59.7), _time(3_725.0)
    ('1:00', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
