"""Enhance -> super-resolve -> master: from a phone recording to a release.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
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
from aural.loudness.targets import TARGETS as TARGETS
from aural.options import Outcome, require_known
from aural.superres import pipeline as superres

# Progress at the end of each stage, by their usual durations.
ENHANCED, SUPER_RESOLVED = 0.6, 0.93


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

    def __post_init__(self) -> None:
        require_known("preset", self.preset, PRESETS)
        require_known("target", self.target, TARGETS)  # not the custom one, which needs a loudness
        resolving = _super_resolution(self)
        object.__setattr__(self, "rate", resolving.rate)  # programs send 48000.0 for 48000
        mastering.resolve_target(_mastering(self))
        _enhancement(self)


@dataclass(frozen=True)
class Result:
    """The file to release, and the result of each stage."""

    clip: Clip  # of `mastered`
    enhanced: enhancement.Result  # of the recording
    super_resolved: superres.Result  # of the enhanced clip, resampled first if the result's rate is lower
    mastered: mastering.Result  # of the super-resolved clip
    message: str  # the results of the stages in words

    def figures(self) -> dict[str, Any]:
        """The message, and the figures of each stage."""
        return {
            "message": self.message,
            "enhanced": self.enhanced.figures(),
            "super_resolved": self.super_resolved.figures(),
            "mastered": self.mastered.figures(),
        }


@stepwise
def release(clip: Clip, options: Options | None = None) -> Steps[Result]:
    """Enhance, super-resolve and master a clip.

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
    enhancing = enhancement.enhance.steps(clip, _enhancement(options, clip))
    enhanced = yield from part(enhancing, 0.0, ENHANCED)
    # Highs that a lower rate cannot hold are removed here, because the next stage refuses to do so.
    source = resample(enhanced.clip, min(clip.rate, options.rate or clip.rate))
    resolving = superres.super_resolve.steps(source, _super_resolution(options))
    resolved = yield from part(resolving, ENHANCED, SUPER_RESOLVED)
    loudness = enhanced.after.loudness if resolved.clip is enhanced.clip else None
    steps = mastering.master.steps(resolved.clip, _mastering(options), loudness)
    mastered = yield from part(steps, SUPER_RESOLVED, 1)
    return Result(
        clip=mastered.clip,
        enhanced=enhanced,
        super_resolved=resolved,
        mastered=mastered,
        message=f"{_enhancement_message(enhanced)} {resolved.message} {mastered.message}",
    )


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `release`."""
    result = yield from release.steps(clip, options)
    before, after = result.enhanced.before.loudness, result.mastered.after
    return Outcome((result.clip,), result.figures(), result.message, before, after)


def _enhancement(options: Options, clip: Clip | None = None) -> enhancement.Options:
    """Options of the first stage; without a clip, for one channel."""
    channels = 1 if clip is None or options.downmix.startswith("mono") else clip.channels
    has_voice_chain = VOICE_CHAINS.get(options.preset) is not None
    return enhancement.Options(
        preset=options.preset,
        strength=options.strength,
        completion=options.completion,
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
    stages: tuple[Generator[float, None, Any], ...] = (
        superres.super_resolve.steps(clip, superres.Options() if is_lower else _super_resolution(options)),
        mastering.master.steps(clip, _mastering(options)),
    )
    for steps in stages:
        next(steps, None)
        steps.close()


def _enhancement_message(enhanced: enhancement.Result) -> str:
    """The message of the first stage without that of its voice chain, whose loudness is not final."""
    chain = enhanced.voice_chain
    return enhanced.message if chain is None else enhanced.message.removesuffix(chain.message).strip()
