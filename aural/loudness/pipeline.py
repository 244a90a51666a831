"""Repair -> down-mix -> measure -> shape -> gain -> limit -> measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import numpy as np
from annotated_doc import Doc

from aural.audio import Clip
from aural.audio.repair import repair
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError, OptionError
from aural.loudness.downmix import METHODS, downmix
from aural.loudness.dynamics import apply_gains_steps, limit_steps, ride_gains
from aural.loudness.equal_loudness import HIGHEST_PHON, LOWEST_PHON, compensate
from aural.loudness.layouts import AUTO, layout_of, lfe_channels, require_layout
from aural.loudness.meter import (
    ABSOLUTE_GATE_LUFS,
    Loudness,
    decibels,
    gated_lufs,
    gating_blocks,
    measure,
)
from aural.loudness.targets import TARGETS, Target
from aural.loudness.true_peak import true_peak
from aural.options import Outcome, require, require_known, require_switch

TOLERANCE_LU = 0.02  # of the search for the gain; 0.1 LU is promised
MAX_ROUNDS = 12
PEAK_MARGIN_DB = 0.12  # below the ceiling, half of it kept, because meters interpolate differently
SAME_DB = 0.015  # figures rounded to a hundredth differ by less if they are the same
FREE = "free"  # a target whose figures come from the options
CUSTOM = "Custom"  # its name


@dataclass(frozen=True)
class Options:
    """How to master. The target replaces `None`.

    Raises:
        OptionError: a value out of range, or one that the target lacks.
    """

    target: Annotated[
        str,
        Doc(f"where the file will be played: one of {', '.join(TARGETS)}, or {FREE} with loudness_lufs set"),
    ] = "spotify"
    loudness_lufs: Annotated[
        float | None, Doc("integrated loudness in LUFS, -60 to 0; None: from the target")
    ] = None
    ceiling_dbtp: Annotated[
        float | None, Doc("maximum true peak in dBTP, -40 to 0; None: from the target")
    ] = None
    range_lu: Annotated[
        float | None, Doc("maximum loudness range in LU with control_range, 1 to 40; None: from the target")
    ] = None
    downmix: Annotated[str, Doc(f"reduces the channels first, one of {', '.join(METHODS)}")] = "keep"
    layout: Annotated[str, Doc(f"the channel layout by FFmpeg's name; {AUTO}: read from the file")] = AUTO
    normalise_downmix: Annotated[bool, Doc("scale the down-mix so that it cannot clip")] = False
    limiter: Annotated[
        bool, Doc("limit true peaks; if off, only the gain changes, so the target may not be reached")
    ] = True
    control_range: Annotated[
        bool, Doc("reduce the difference between quiet and loud passages to the maximum loudness range")
    ] = False
    playback_phon: Annotated[
        float | None,
        Doc("make up for the bass the ear loses at this listening level (ISO 226), 20 to 90; None: off"),
    ] = None
    reference_phon: Annotated[float, Doc("level at which the mix was made, in phon, 20 to 90")] = 83.0
    max_gain_db: Annotated[
        float, Doc("maximum gain in dB, 0 to 80; keeps a nearly silent file from turning into noise")
    ] = 40.0
    max_limiting_db: Annotated[float, Doc("maximum gain reduction by the limiter in dB, 0 to 40")] = 12.0

    def __post_init__(self) -> None:
        resolve_target(self)
        require_layout(self.layout)


@dataclass(frozen=True)
class Result:
    """A mastered clip, its loudness before and after, and what was done."""

    clip: Clip  # rate and length of the input, and its channels unless down-mixed
    before: Loudness  # of the input
    after: Loudness  # of the result
    target_lufs: float  # target for the integrated loudness
    ceiling_dbtp: float  # largest true peak allowed
    gain_db: float  # before the limiter
    limiting_db: float  # largest gain reduction by the limiter
    limited_by: str | None  # why the target was missed, a key of REMEDIES; None: it was met
    message: str  # the result in words

    def figures(self) -> dict[str, Any]:
        """All figures, rounded to a hundredth."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "clip"}
        return {
            name: value.figures()
            if isinstance(value, Loudness)
            else round(value, 2)
            if isinstance(value, float)
            else value
            for name, value in values.items()
        }


# What can limit the gain, and the remedy.
REMEDIES = {
    "ceiling": "the true peak allows no more gain. Turn the limiter on, or lower the target",
    "limiting": "it needs more limiting than allowed. Allow more, raise the ceiling, or lower the target",
    "saturated": "more gain only adds limiting. Raise the ceiling, or lower the target",
    "quiet": "the file needs more gain than allowed. Allow more, or record it louder",
    "short_term": "the target limits short-term loudness. Turn loudness range control on",
    "down_only": "this platform only turns loud files down; quiet files stay as they are",
    "silence": "the clip is silent (below −70 LUFS)",
}


@dataclass(frozen=True)
class _Track:
    """A clip before its gain is set."""

    before: Loudness  # of the input
    shaped: Clip
    measured: Loudness  # of the shaped clip
    peak_dbtp: float | None  # of the shaped clip, the maximum of all meters
    repairs: str  # what was repaired first, in words; or empty


@stepwise
def master(clip: Clip, options: Options | None = None, loudness: Loudness | None = None) -> Steps[Result]:
    """Bring a clip to the loudness, true peak and range of a device or platform.

    The result is within 0.1 LU of the target and not above the ceiling, or `limited_by` and `message` say why
    not and by how much. Silence is returned unchanged. Damaged samples, a DC offset and rumble below hearing
    are removed first, see `aural.audio.repair`: they would use up the headroom.

    Args:
        clip: any rate from 4 kHz, up to eight channels.
        options: how to master; None: the defaults.
        loudness: of the clip, if it was measured before.

    Raises `InputError` for unusable audio and `OptionError` for unusable settings.
    """
    return (yield from _master_steps([clip], options or Options(), [loudness]))[0]


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `master`."""
    result = yield from master.steps(clip, options)
    return Outcome((result.clip,), result.figures(), result.message, result.before, result.after)


@stepwise
def master_album(clips: Sequence[Clip], options: Options | None = None) -> Steps[list[Result]]:
    """Master several clips with the same gain, so that quieter tracks stay quieter.

    The gain brings the loudness of the album, gated over all its blocks together, to the target. The results
    are in the order of the clips.
    """
    if not clips:
        raise InputError("An album needs at least one track. Upload the tracks in album order.")
    return (yield from _master_steps(clips, options or Options(), [None] * len(clips)))


def _master_steps(
    clips: Sequence[Clip], options: Options, measured: Sequence[Loudness | None]
) -> Steps[list[Result]]:
    target = resolve_target(options)
    for clip in clips:  # refuse an album before any work
        clip.require_finite()
        layout_of(clip, options.layout)
    tracks = []
    for number, (clip, loudness) in enumerate(zip(clips, measured, strict=True)):
        shaping = _shape_steps(clip, options, target, loudness)
        tracks.append((yield from part(shaping, 0.5 * number / len(clips), 0.5 * (number + 1) / len(clips))))
    return (yield from part(_to_target_steps(tracks, options, target), 0.5, 1.0))


def resolve_target(options: Options) -> Target:
    """The target, with its figures replaced by those of the options. Raises `OptionError`."""
    if options.target == FREE:
        if options.loudness_lufs is None:
            raise OptionError(
                "The custom target needs a loudness (loudness_lufs). Set one, such as -16 LUFS."
            )
        target = Target(CUSTOM, "standard", options.loudness_lufs, -1.0, "the caller")
    else:
        require_known("target", options.target, [*TARGETS, FREE])
        target = TARGETS[options.target]
    require_known("down-mix", options.downmix, METHODS)
    for name in ("normalise_downmix", "limiter", "control_range"):
        require_switch(name, getattr(options, name))
    if options.loudness_lufs is not None:
        target = replace(target, loudness_lufs=options.loudness_lufs, mono_loudness_lufs=None)
    if options.ceiling_dbtp is not None:
        target = replace(target, ceiling_dbtp=options.ceiling_dbtp)
    if options.range_lu is not None:
        target = replace(target, range_max_lu=options.range_lu)
    require("loudness", target.loudness_lufs, -60, 0, " LUFS")
    require("true-peak ceiling", target.ceiling_dbtp, -40, 0, " dBTP")
    require("largest gain", options.max_gain_db, 0, 80, " dB")
    require("largest limiting", options.max_limiting_db, 0, 40, " dB")
    if options.playback_phon is not None:
        require("listening level", options.playback_phon, LOWEST_PHON, HIGHEST_PHON, " phon")
        require("level of the mix", options.reference_phon, LOWEST_PHON, HIGHEST_PHON, " phon")
    if options.control_range:
        if target.range_max_lu is None:
            raise OptionError(f"{target.name} sets no loudness range (range_lu). Set one, such as 8 LU.")
        require("loudness range", target.range_max_lu, 1, 40, " LU")
    return target


def _shape_steps(
    clip: Clip, options: Options, target: Target, loudness: Loudness | None = None
) -> Steps[_Track]:
    """Everything before the gain: repair, down-mix, compensate for the listening level, control the range."""
    if loudness is None:
        loudness = yield from part(measure.steps(clip, options.layout), 0.0, 0.3)
    measured = loudness
    repaired = yield from part(repair.steps(clip, lfe_channels(layout_of(clip, options.layout))), 0.3, 0.35)
    shaped = yield from part(
        downmix.steps(repaired.clip, options.downmix, options.layout, options.normalise_downmix), 0.35, 0.4
    )
    if options.playback_phon is not None:
        steps = compensate.steps(shaped.samples, shaped.rate, options.reference_phon, options.playback_phon)
        shaped = shaped.with_samples((yield from part(steps, 0.4, 0.5)))
    if not np.may_share_memory(shaped.samples, clip.samples):  # not only its layout has changed
        measured = yield from part(measure.steps(shaped), 0.5, 0.7)
    if options.control_range and target.range_max_lu is not None:
        gains_db = ride_gains(measured.powers, measured.seconds, target.range_max_lu)
        if gains_db.any():
            ridden = yield from part(apply_gains_steps(shaped.samples, shaped.rate, gains_db), 0.7, 0.8)
            shaped = shaped.with_samples(ridden)
            measured = yield from part(measure.steps(shaped), 0.8, 1.0)
    return _Track(loudness, shaped, measured, _highest_peak(shaped, measured), repaired.message)


@dataclass(frozen=True)
class _Attempt:
    """The tracks after one gain."""

    gain_db: float
    clips: list[Clip]
    limiting_db: list[float]
    after: list[Loudness]
    peak_dbtp: float  # the maximum of all tracks and meters
    loudness_lufs: float  # of all tracks together; minus infinity if all blocks are below the gate

    @property
    def short_term_max_lufs(self) -> float:
        return max(m.short_term_max_lufs for m in self.after if m.short_term_max_lufs is not None)


def _to_target_steps(tracks: list[_Track], options: Options, target: Target) -> Steps[list[Result]]:
    """Find the gain before the limiter that brings all tracks together to the target."""
    wanted = target.loudness_for(max(track.shaped.channels for track in tracks))
    loudness = _pooled_lufs([track.measured for track in tracks])
    if loudness is None:
        silent = _Attempt(
            0.0, [t.shaped for t in tracks], [0.0] * len(tracks), [t.measured for t in tracks], 0.0, -math.inf
        )
        return _results(tracks, silent, wanted, target, "silence", None)
    largest_gain_db, stop = _largest_gain(tracks, options, target)
    gain_db, ceiling_dbtp = min(wanted - loudness, largest_gain_db), target.ceiling_dbtp - PEAK_MARGIN_DB
    slope, before, done = 1.0, (0.0, loudness), 0.0
    attempt: _Attempt | None = None
    for _ in range(MAX_ROUNDS):
        attempt = None  # frees memory for the next
        halfway = (1 + done) / 2  # the number of rounds is unknown
        steps = _attempt_steps(tracks, gain_db, ceiling_dbtp, options.limiter)
        attempt = yield from part(steps, done, halfway)
        done = halfway
        missing, stopped_by = wanted - attempt.loudness_lufs, stop
        if missing == math.inf:  # the limiter has reduced it below the gate
            stopped_by = "limiting"
            break
        if target.short_term_max_lufs is not None:
            room = target.short_term_max_lufs - attempt.short_term_max_lufs
            if room < missing:
                missing, stopped_by = room, "short_term"
        overshoot = attempt.peak_dbtp - (target.ceiling_dbtp - PEAK_MARGIN_DB / 2)
        at_limit = gain_db >= largest_gain_db and missing > 0
        if not at_limit and stopped_by == stop:
            stopped_by = "saturated"
        if overshoot <= 0 and (at_limit or abs(missing) <= TOLERANCE_LU):
            break
        ceiling_dbtp -= max(0.0, overshoot)
        if abs(gain_db - before[0]) > 0.01:  # with a limiter, loudness rises less than the gain
            slope = min(1.0, max(0.2, (attempt.loudness_lufs - before[1]) / (gain_db - before[0])))
        before = (gain_db, attempt.loudness_lufs)
        gain_db = min(gain_db + missing / slope, largest_gain_db)
    assert attempt is not None
    met = abs(wanted - attempt.loudness_lufs) <= 0.1
    range_wanted_lu = target.range_max_lu if options.control_range else None
    return _results(tracks, attempt, wanted, target, None if met else stopped_by, range_wanted_lu)


def _largest_gain(tracks: list[_Track], options: Options, target: Target) -> tuple[float, str]:
    """The largest gain that options and target allow, and what limits it, a key of REMEDIES."""
    peak = max(track.peak_dbtp for track in tracks if track.peak_dbtp is not None)
    headroom = target.ceiling_dbtp - PEAK_MARGIN_DB - peak
    limits = [(options.max_gain_db, "quiet")]
    limits.append(
        (headroom + options.max_limiting_db, "limiting") if options.limiter else (headroom, "ceiling")
    )
    if target.down_only:
        limits.append((0.0, "down_only"))
    return min(limits)


def _attempt_steps(
    tracks: list[_Track], gain_db: float, ceiling_dbtp: float, limiter: bool
) -> Steps[_Attempt]:
    clips, reductions, after, peaks = [], [], [], []
    for number, track in enumerate(tracks):
        steps = _gain_steps(track, gain_db, ceiling_dbtp, limiter)
        clip, reduction, measured = yield from part(steps, number / len(tracks), (number + 1) / len(tracks))
        clips.append(clip)
        reductions.append(reduction)
        after.append(measured)
        peaks.append(_highest_peak(clip, measured))
    peak_dbtp = max(peak for peak in peaks if peak is not None)
    loudness = _pooled_lufs(after)
    return _Attempt(gain_db, clips, reductions, after, peak_dbtp, -math.inf if loudness is None else loudness)


def _gain_steps(
    track: _Track, gain_db: float, ceiling_dbtp: float, limiter: bool
) -> Steps[tuple[Clip, float, Loudness]]:
    """One track with the gain, limited if it would exceed the ceiling, and measured."""
    shaped, peak, reduction = track.shaped, track.peak_dbtp, 0.0
    if peak is None or (gain_db == 0 and (peak <= ceiling_dbtp or not limiter)):
        return shaped, reduction, track.measured
    if limiter and peak + gain_db > ceiling_dbtp:
        limiting = limit_steps(shaped.samples, shaped.rate, gain_db, ceiling_dbtp)
        samples, reduction = yield from part(limiting, 0.0, 0.5)
    else:
        samples = shaped.samples * np.float32(10 ** (gain_db / 20))
    clip = shaped.with_samples(samples)
    return clip, reduction, (yield from part(measure.steps(clip), 0.5, 1.0))


def _highest_peak(clip: Clip, measured: Loudness) -> float | None:
    """The true peak by the meter or by a short filter, whichever is higher, dBTP; `None` for silence."""
    if measured.true_peak_dbtp is None:
        return None
    short_dbtp = decibels(true_peak(clip.samples, clip.rate, short=True))
    return measured.true_peak_dbtp if short_dbtp is None else max(measured.true_peak_dbtp, short_dbtp)


def _pooled_lufs(measured: list[Loudness]) -> float | None:
    """Integrated loudness over the blocks of all files."""
    if len(measured) == 1:
        return measured[0].integrated_lufs
    return gated_lufs([gating_blocks(m.powers, m.seconds) for m in measured])


def _results(
    tracks: list[_Track],
    attempt: _Attempt,
    wanted: float,
    target: Target,
    limited_by: str | None,
    range_wanted_lu: float | None,
) -> list[Result]:
    if limited_by is None:
        message = _success_message(wanted, attempt, target, is_album=len(tracks) > 1)
    elif limited_by == "silence":
        message = f"No change: {REMEDIES[limited_by]}."
    else:
        short = min(wanted - attempt.loudness_lufs, wanted - ABSOLUTE_GATE_LUFS)
        message = f"{short:.1f} LU below {_format_level(wanted)} LUFS: {REMEDIES[limited_by]}."
    return [
        Result(
            clip=clip,
            before=track.before,
            after=after,
            target_lufs=wanted,
            ceiling_dbtp=target.ceiling_dbtp,
            gain_db=attempt.gain_db,
            limiting_db=limiting_db,
            limited_by=limited_by,
            message=" ".join(filter(None, (track.repairs, message + _range_message(after, range_wanted_lu)))),
        )
        for track, clip, limiting_db, after in zip(
            tracks, attempt.clips, attempt.limiting_db, attempt.after, strict=True
        )
    ]


def _success_message(wanted: float, attempt: _Attempt, target: Target, *, is_album: bool) -> str:
    """The message for a target that was met."""
    place = "" if target.name == CUSTOM else f" for {target.name}"
    album = " across the album" if is_album else ""
    peak = max((one.true_peak_dbtp for one in attempt.after if one.true_peak_dbtp is not None), default=None)
    reached = "" if peak is None else f"true peak {_format_level(peak)} dBTP "
    limit = f"{target.ceiling_dbtp:g}".replace("-", "−")
    return f"Done: {_format_level(wanted)} LUFS{place}{album}, {reached}(limit {limit})."


def _format_level(value: float) -> str:
    """A level with one decimal and a real minus sign.

    >>> _format_level(-14)
    '−14.0'
    """
    return f"{value:.1f}".replace("-", "−")


def _range_message(after: Loudness, wanted_lu: float | None) -> str:
    if wanted_lu is None:
        return ""
    if after.range_lu is None:
        return " Loudness range unchanged: it needs at least 3 s."
    if after.range_lu > wanted_lu + 0.5:
        return f" Loudness range {after.range_lu:.1f} LU (limit {wanted_lu:.1f}, out of reach)."
    return f" Loudness range {after.range_lu:.1f} LU (limit {wanted_lu:.1f})."


@dataclass(frozen=True)
class Fold:
    """A clip after one down-mix."""

    method: str  # a key of METHODS
    channels: int
    integrated_lufs: float | None
    change_lu: float | None  # relative to the input
    true_peak_dbtp: float | None


def compare_downmixes_steps(clip: Clip, before: Loudness) -> Steps[list[Fold]]:
    """Down-mix a measured clip by every method and measure each: yields the share done, returns the rows."""
    folds = []
    for number, method in enumerate(METHODS):
        start = number / len(METHODS)
        folded = yield from part(
            downmix.steps(clip, method, before.layout), start, start + 0.5 / len(METHODS)
        )
        measured = before
        if folded is not clip:
            measured = yield from part(
                measure.steps(folded), start + 0.5 / len(METHODS), start + 1 / len(METHODS)
            )
        loudness, reference = measured.integrated_lufs, before.integrated_lufs
        change = None if loudness is None or reference is None else round(loudness - reference, 2)
        folds.append(Fold(method, folded.channels, _round(loudness), change, _round(measured.true_peak_dbtp)))
    return folds


def group_alike(folds: Sequence[Fold]) -> list[list[Fold]]:
    """The down-mixes in groups that measure the same, each in the order given and led by its first."""
    groups: list[list[Fold]] = []
    for fold in folds:
        group = next((group for group in groups if _measure_the_same(group[0], fold)), None)
        if group is None:
            groups.append([fold])
        else:
            group.append(fold)
    return groups


def _measure_the_same(one: Fold, other: Fold) -> bool:
    pairs = (one.integrated_lufs, other.integrated_lufs), (one.true_peak_dbtp, other.true_peak_dbtp)
    return one.channels == other.channels and all(
        first is second if first is None or second is None else abs(first - second) < SAME_DB
        for first, second in pairs
    )


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
