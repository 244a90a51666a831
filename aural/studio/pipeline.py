"""Enhance -> super-resolve -> master: from a phone recording to a release.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any

from annotated_doc import Doc

from aural.audio import Clip
from aural.audio.resample import resample
from aural.audio.steps import Steps, part, stepwise
from aural.enhancement import pipeline as enhancement
from aural.enhancement.pipeline import PRESETS as PRESETS
from aural.enhancement.voice_chain import VOICE_CHAINS
from aural.loudness import pipeline as mastering
from aural.loudness.downmix import METHODS as METHODS
from aural.loudness.meter import Loudness, measure
from aural.loudness.targets import TARGETS as TARGETS
from aural.options import Outcome, require_known, require_switch
from aural.superres import pipeline as superres

# The stages in order, by their names in a result: the option that switches each.
STAGES = {"enhanced": "enhancement", "super_resolved": "super_resolution", "mastered": "mastering"}
SHARES = {"enhanced": 0.6, "super_resolved": 0.33, "mastered": 0.07}  # of the time, if all stages are on
NOTHING_TO_DO = "No change: every stage is off."


@dataclass(frozen=True)
class Options:
    """How to release a recording.

    Raises:
        OptionError: a value that one of the stages cannot use.
    """

    preset: Annotated[str, Doc(f"preset of the enhancement, one of {', '.join(PRESETS)}")] = "podcast"
    strength: Annotated[float, Doc("strength of the enhancement, 0 to 1; 0 = off")] = 1.0
    completion: Annotated[bool, Doc("reconstruct the highs the phone cut off")] = True
    rate: Annotated[
        int | None, Doc("sample rate of the result in Hz; None: 48,000, or the recording's own if higher")
    ] = 48_000
    target: Annotated[str, Doc(f"where the file will be played, one of {', '.join(TARGETS)}")] = (
        "apple_podcasts"
    )
    downmix: Annotated[str, Doc(f"reduces the channels before mastering, one of {', '.join(METHODS)}")] = (
        "keep"
    )
    seed: Annotated[int, Doc("random seed of the enhancement, 0 to 2³² - 1")] = 0
    enhancement: Annotated[bool, Doc("remove noise, echo and clipping, and apply the preset")] = True
    super_resolution: Annotated[
        bool, Doc("generate the missing highs; if off, there is no completion, and a new rate adds no highs")
    ] = True
    mastering: Annotated[
        bool,
        Doc("set loudness and true peak for the target; if off, there is no down-mix, EQ or compression"),
    ] = True

    def __post_init__(self) -> None:
        require_known("preset", self.preset, PRESETS)
        require_known("target", self.target, TARGETS)  # not the custom one, which needs a loudness
        resolving = _super_resolution(self)
        object.__setattr__(self, "rate", resolving.rate)  # programs send 48000.0 for 48000
        mastering.resolve_target(_mastering(self))
        for name in ("completion", *STAGES.values()):
            require_switch(name, getattr(self, name))
        _enhancement(self)


@dataclass(frozen=True)
class Result:
    """The file to release, and the result of each stage; `None` for a stage that is off."""

    clip: Clip  # of the last stage
    enhanced: enhancement.Result | None  # of the recording
    super_resolved: superres.Result | None  # of the enhanced clip, resampled first if its rate is to be lower
    mastered: mastering.Result | None  # of the super-resolved clip
    before: Loudness  # of the recording
    after: Loudness  # of the result
    message: str  # the results of the stages in words

    def figures(self) -> dict[str, Any]:
        """The message, and the figures of each stage that is on."""
        stages = {name: getattr(self, name) for name in STAGES}
        made = {name: stage.figures() for name, stage in stages.items() if stage is not None}
        return {"message": self.message, **made}

    def loudness(self) -> dict[str, Loudness]:
        """The loudness of the recording, as "before", and after each stage that is on, by its name."""
        found = {"before": self.before}
        if self.enhanced is not None:
            found["enhanced"] = self.enhanced.after.loudness
        if self.super_resolved is not None:
            found["super_resolved"] = self.after if self.mastered is None else self.mastered.before
        if self.mastered is not None:
            found["mastered"] = self.after
        return found


@stepwise
def release(clip: Clip, options: Options | None = None) -> Steps[Result]:
    """Enhance, super-resolve and master a clip; a stage that is off is left out and takes no time.

    The preset's voice chain keeps its high-pass, compressor and de-esser, but uses the loudness of the target
    instead of its own, so that no peak is limited for a loudness that is reduced again later. Mastering sets
    loudness and true peak at the end, because super-resolution changes both.

    Args:
        clip: any rate from 4 kHz, 10 ms at least.

    Raises:
        InputError: audio that one of the stages cannot use.
        OptionError: settings that do not fit the clip.
        CheckpointError: a model is not available.
    """
    options = options or Options()
    _require_fitting(clip, options)
    share_at = ends(options)
    enhanced: enhancement.Result | None = None
    resolved: superres.Result | None = None
    mastered: mastering.Result | None = None
    made = clip
    loudness: Loudness | None  # of what the stages have made so far
    if options.enhancement:
        enhancing = enhancement.enhance.steps(clip, _enhancement(options, clip))
        enhanced = yield from part(enhancing, 0.0, share_at["enhanced"])
        made, before, loudness = enhanced.clip, enhanced.before.loudness, enhanced.after.loudness
    else:
        before = loudness = yield from part(measure.steps(clip), 0.0, share_at["enhanced"])
    # Highs that a lower rate cannot hold are removed here, because the next stage refuses to do so.
    source = resample(made, min(clip.rate, options.rate or clip.rate))
    if options.super_resolution:
        resolving = superres.super_resolve.steps(source, _super_resolution(options))
        resolved = yield from part(resolving, share_at["enhanced"], share_at["super_resolved"])
        source = resolved.clip
    else:
        source = resample(source, options.rate or max(superres.FULL_RATE, clip.rate))
    if source is not made:
        made, loudness = source, None
    if options.mastering:
        steps = mastering.master.steps(made, _mastering(options), loudness)
        mastered = yield from part(steps, share_at["super_resolved"], share_at["mastered"])
        made, loudness = mastered.clip, mastered.after
    messages = [] if enhanced is None else [_enhancement_message(enhanced)]
    messages += [stage.message for stage in (resolved, mastered) if stage is not None]
    return Result(
        clip=made,
        enhanced=enhanced,
        super_resolved=resolved,
        mastered=mastered,
        before=before,
        after=measure(made) if loudness is None else loudness,
        message=" ".join(messages) or NOTHING_TO_DO,
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `release`."""
    result = yield from release.steps(clip, options)
    return Outcome((result.clip,), result.figures(), result.message, result.before, result.after)


def ends(options: Options) -> dict[str, float]:
    """Progress at the end of each stage; one that is off takes none of it."""
    usual = {name: SHARES[name] if getattr(options, option) else 0.0 for name, option in STAGES.items()}
    total = sum(usual.values()) or 1.0
    ends = accumulate(usual.values())
    return {name: min(1.0, end / total) for name, end in zip(usual, ends, strict=True)}


def _enhancement(options: Options, clip: Clip | None = None) -> enhancement.Options:
    """Options of the first stage; without a clip, for one channel."""
    channels = 1 if clip is None or options.downmix.startswith("mono") else clip.channels
    has_voice_chain = VOICE_CHAINS.get(options.preset) is not None
    return enhancement.Options(
        preset=options.preset,
        strength=options.strength,
        completion=options.super_resolution and options.completion,
        mastering=options.mastering,
        loudness_lufs=TARGETS[options.target].loudness_for(channels) if has_voice_chain else None,
        seed=options.seed,
    )


def _super_resolution(options: Options) -> superres.Options:
    return superres.Options(rate=options.rate)


def _mastering(options: Options) -> mastering.Options:
    return mastering.Options(target=options.target, downmix=options.downmix)


def _require_fitting(clip: Clip, options: Options) -> None:
    """Refuse a clip that a later stage would refuse, before the first stage runs."""
    is_lower = options.rate is not None and options.rate < clip.rate
    # A stage checks its input before its first step.
    stages: list[Generator[float, None, Any]] = []
    if options.super_resolution:
        resolving = superres.Options() if is_lower else _super_resolution(options)
        stages.append(superres.super_resolve.steps(clip, resolving))
    if options.mastering:
        stages.append(mastering.master.steps(clip, _mastering(options)))
    for steps in stages:
        next(steps, None)
        steps.close()


def _enhancement_message(enhanced: enhancement.Result) -> str:
    """The message of the first stage without that of its voice chain, whose loudness is not final."""
    chain = enhanced.voice_chain
    return enhanced.message if chain is None else enhanced.message.removesuffix(chain.message).strip()
