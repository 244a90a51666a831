"""Class -> spectrogram -> waveform; also between two classes, from a sound, in its gap, around in a loop.

Importing this module does not import torch.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray

from aural import hub
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.resample import resample
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError, OptionError
from aural.generation.classes import CLASSES, find
from aural.generation.waveforms import VOCODERS as VOCODERS
from aural.generation.waveforms import (
    Vocoder,
    fade,
    fill_gap,
    limit_to_full_scale,
    loops_steps,
    waveforms_steps,
)
from aural.options import Outcome, require, require_known, require_switch, require_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aural.generation.diffusion import SpectrogramPipeline

Mel = NDArray[np.float32]
Sampler = Literal["dpm++", "unipc", "ddim"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)

MOST_CLIPS = 8
MOST_SECONDS = 10.0
LEAST_GAP_SECONDS = 0.05
LEAST_SOURCE_SECONDS = 0.1  # of a source, and of what a gap leaves of it
GUESSES = 5  # classes named for each clip
LEAD_IN_FRAMES = 4  # before the sound, in a clip cut out of a longer one


@dataclass(frozen=True)
class Options:
    """What to generate, and how.

    Raises:
        OptionError: a value out of range, or settings that exclude each other.
    """

    label: Annotated[str, Doc('one of the 50 classes of ESC-50, such as dog or "church bells"')]
    count: Annotated[int, Doc("number of variations, 1 to 8")] = 1
    seconds: Annotated[float, Doc("duration in seconds, 0.5 to 10; a source sound keeps its own")] = 5.0
    steps: Annotated[int, Doc("denoising steps, 1 to 200; more is finer and slower")] = 30
    guidance: Annotated[float, Doc("how closely to follow the class, 1 (off) to 10")] = 4.0
    sampler: Annotated[Sampler, Doc(f"solver for the denoising steps, one of {', '.join(SAMPLERS)}")] = (
        "dpm++"
    )
    seed: Annotated[
        int | None,
        Doc("random seed of the first variation, 0 to 2³² - 1; the next ones count up; None: random"),
    ] = None
    vocoder: Annotated[Vocoder, Doc(f"turns the spectrogram into sound, one of {', '.join(VOCODERS)}")] = (
        "vocoder"
    )
    morph: Annotated[str | None, Doc("a second class to blend in; None: off")] = None
    morph_share: Annotated[float, Doc("share of the second class, 0 to 1")] = 0.5
    strength: Annotated[
        float, Doc("how far to depart from the source sound, above 0 (close to it) to 1 (ignores it)")
    ] = 0.6
    gap_start_seconds: Annotated[
        float | None, Doc("start of the gap to fill in the source sound, in seconds; None: no gap")
    ] = None
    gap_end_seconds: Annotated[
        float | None, Doc("end of the gap in seconds; beyond the end of the source sound, it is extended")
    ] = None
    loop: Annotated[
        bool, Doc("make the end continue seamlessly at the start; the duration is rounded to 12 ms")
    ] = False

    def __post_init__(self) -> None:
        find(str(self.label or ""))
        if self.morph is not None:
            find(str(self.morph))
        require_whole("number of clips", self.count, 1, MOST_CLIPS)
        require("duration", self.seconds, 0.5, MOST_SECONDS, " s")
        require_whole("number of steps", self.steps, 1, 200)
        require("guidance", self.guidance, 1, 10)
        if self.seed is not None:
            require_whole("seed", self.seed, 0, 2**32 - 1)
        require("share of the second class", self.morph_share, 0, 1)
        require("strength", self.strength, 0, 1)
        if self.strength == 0:
            raise OptionError("A strength of 0 changes nothing. Choose one above 0, up to 1.")
        require_known("sampler", self.sampler, SAMPLERS)
        require_known("vocoder", self.vocoder, VOCODERS)
        require_switch("loop", self.loop)
        start, end = self.gap_start_seconds, self.gap_end_seconds
        if start is None or end is None:
            if start is not end:
                raise OptionError("A gap needs both a start and an end. Set the other one too.")
            return
        require("start of the gap", start, 0, MOST_SECONDS, " s")
        require("end of the gap", end, 0, MOST_SECONDS, " s")
        if end - start < LEAST_GAP_SECONDS:
            raise OptionError(
                f"A gap from {start:g} to {end:g} s is too short. "
                f"It must end at least {LEAST_GAP_SECONDS:g} s after its start."
            )


@dataclass(frozen=True)
class Guess:
    """What the classifier takes a clip for."""

    label: str  # one of CLASSES
    probability: float


@dataclass(frozen=True)
class Result:
    """Generated clips, and what they turned out to be."""

    clips: tuple[Clip, ...]  # 22,050 Hz and mono; with a gap filled, as the source
    mels: tuple[Mel, ...]  # (80, frames), in [0, 1], of each clip, before it was a waveform
    seed: int  # of the first clip: the same options with it give the same clips again
    guesses: tuple[tuple[Guess, ...], ...]  # the likeliest classes of each clip, likeliest first
    message: str  # what was done beyond the options, in words; empty where nothing was
    options: Options  # that they were made by

    def figures(self) -> dict[str, Any]:
        """The settings with the seed that was used, and what each clip resembles, for people and programs."""
        morph = self.options.morph
        return {
            **asdict(self.options),
            "label": CLASSES[find(self.options.label)],
            "morph": None if morph is None else CLASSES[find(morph)],
            "seed": self.seed,
            "message": self.message,
            "guesses": [[asdict(guess) for guess in guesses] for guesses in self.guesses],
        }


@stepwise
def generate(
    options: Options, source: Clip | None = None, *, watch: Callable[[Mel], None] | None = None
) -> Steps[Result]:
    """Generate clips of a class.

    Without a source they come from nothing but noise. With one they are variations of it; with a source and a
    gap they are the source, and only what is in the gap is new. The same options and seed give the same clips
    on the same machine, and a clip does not depend on how many come with it.

    Args:
        source: at most 10 s, at any rate and with any number of channels; classes are heard in its mono mix.
        watch: is handed the spectrograms (count, 80, frames), in [0, 1], as they emerge, after every step. Of
            clips below 5 s it sees the 5 s that they are cut from.

    Raises:
        InputError: a source that is empty, silent, too long or not finite.
        OptionError: a gap without a source or outside of it, or a loop from a source.
        CheckpointError: a model cannot be had.
    """
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
    from aural.generation.diffusion import SpectrogramPipeline
    from aural.generation.model import REAL_FRAMES, active_share

    _require_fitting(options, source)
    seed = secrets.randbelow(2**32) if options.seed is None else int(options.seed)
    rate, hop = DEFAULT_FRONT_END.rate, DEFAULT_FRONT_END.hop
    heard = None if source is None else _heard(source, options)
    length = round(options.seconds * rate) if heard is None else len(heard)
    frames = round(length / hop) if options.loop else DEFAULT_FRONT_END.frames(length)
    source_mel = known = None
    if heard is not None:
        source_mel = log_mel(torch.tensor(heard)).clamp_max(1)
        known = _known_frames(options, frames)
        if not active_share(source_mel):
            raise InputError("The source is silent. Choose another file, or generate without one.")

    yield 0.0  # loading takes a moment, the first time
    pipeline = SpectrogramPipeline.of(hub.load("generator"), options.sampler)
    yield 0.02
    # A clip shorter than those the network has learnt is cut out of one of them.
    is_cut = heard is None and not options.loop and frames < REAL_FRAMES
    steps = pipeline.denoise_steps(
        _condition(pipeline, options, seed, source_mel, known),
        options.steps,
        options.guidance,
        _generators(seed, options.count),
        num_frames=REAL_FRAMES if is_cut else frames,
        source=source_mel,
        known=known,
        strength=1.0 if source_mel is None or known is not None else options.strength,
        loop=options.loop,
        watch=None if watch is None else lambda _, __, tensors: watch(tensors["clean"].cpu().numpy()),
    )
    mels = (yield from part(steps, 0.02, 0.8)).cpu()
    starts = [_liveliest(mel, frames) if is_cut else 0 for mel in mels]
    mels = torch.stack([mel[:, start : start + frames] for mel, start in zip(mels, starts, strict=True)])
    if options.loop:
        waves = yield from part(loops_steps(mels, options.vocoder), 0.8, 0.95)
    else:
        waves = yield from part(waveforms_steps(mels, length, options.vocoder), 0.8, 0.95)
    waves, message = limit_to_full_scale(waves)

    clips = []
    for wave, start in zip(waves.numpy()[:, np.newaxis], starts, strict=True):
        clip = Clip(wave, rate)
        if source is not None and known is not None:
            assert options.gap_start_seconds is not None and options.gap_end_seconds is not None
            clip = fill_gap(source, clip, options.gap_start_seconds, options.gap_end_seconds)
        elif not options.loop:
            clip = fade(clip, is_cut_before=start > 0)
        clips.append(clip)
    # Heard as a listener hears them, after the vocoder.
    guesses = _guesses(torch.stack([log_mel(torch.tensor(_mono(clip, rate))) for clip in clips]))
    return Result(tuple(clips), tuple(mels.numpy()), seed, guesses, message, options)


def outcome_steps(clip: Clip | None, options: Options) -> Steps[Outcome]:
    """The verb `generate`, from a sound or from nothing."""
    result = yield from generate.steps(options, clip)
    heard = ", ".join(f"{guesses[0].label} ({guesses[0].probability:.0%})" for guesses in result.guesses)
    message = f"Seed {result.seed}; the classifier hears {heard}. {result.message}".strip()
    return Outcome(result.clips, result.figures(), message)


def _require_fitting(options: Options, source: Clip | None) -> None:
    """What the options alone cannot tell."""
    start, end = options.gap_start_seconds, options.gap_end_seconds
    if source is None:
        if start is not None:
            raise OptionError("A gap needs a source sound. Upload one, or clear the gap.")
        return
    if options.loop:
        raise OptionError("A source sound can't loop. Remove the source, or turn the loop off.")
    source.require_finite()
    if source.seconds > MOST_SECONDS:
        raise InputError(
            f"The source lasts {source.seconds:.1f} s; the limit is {MOST_SECONDS:g} s. Cut it first."
        )
    if source.seconds < LEAST_SOURCE_SECONDS:
        raise InputError(
            f"The source is too short ({source.seconds:.3f} s). "
            f"Choose one of at least {LEAST_SOURCE_SECONDS:g} s."
        )
    if start is None or end is None:
        return
    if start > source.seconds:
        raise OptionError(
            f"The gap starts at {start:g} s, after the end of the source. "
            f"It must start at {source.seconds:.2f} s or earlier."
        )
    if source.seconds - (min(end, source.seconds) - start) < LEAST_SOURCE_SECONDS:
        raise OptionError(
            f"The gap covers the whole source. Shorten it by at least {LEAST_SOURCE_SECONDS:g} s."
        )


def _generators(seed: int, count: int) -> list[torch.Generator]:
    """One for each clip, so that it comes out alike in any company."""
    import torch

    return [torch.Generator().manual_seed(seed + number) for number in range(count)]


def _mono(clip: Clip, rate: int) -> Samples:
    """The mean of the channels at another rate; (time,)."""
    mono = clip.samples.mean(axis=0, keepdims=True, dtype=np.float32)
    samples: Samples = resample(Clip(mono, clip.rate), rate).samples[0]
    return samples


def _heard(source: Clip, options: Options) -> Samples:
    """What the network is shown of a source, silent where it is yet to be extended; (time,)."""
    from aural.audio.spectral import DEFAULT_FRONT_END

    rate = DEFAULT_FRONT_END.rate
    seconds = max(source.seconds, options.gap_end_seconds or 0.0)
    heard: Samples = excerpt(_mono(source, rate)[np.newaxis], 0, round(seconds * rate))[0]
    return heard


def _known_frames(options: Options, frames: int) -> Tensor | None:
    """The frames (frames,) whose windows do not touch the gap; None without a gap."""
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END

    if options.gap_start_seconds is None or options.gap_end_seconds is None:
        return None
    middle = torch.arange(frames) * DEFAULT_FRONT_END.hop
    half = DEFAULT_FRONT_END.window // 2
    start, end = (DEFAULT_FRONT_END.rate * at for at in (options.gap_start_seconds, options.gap_end_seconds))
    return (middle + half <= start) | (middle - half >= end)


def _condition(
    pipeline: SpectrogramPipeline,
    options: Options,
    seed: int,
    source_mel: Tensor | None,
    known: Tensor | None,
) -> Tensor:
    """What steers the network, one row for each clip."""
    import torch

    from aural.generation.model import REAL_FRAMES, active_share

    active = None
    if source_mel is not None:
        shown = source_mel if known is None else source_mel[:, known]
        # A short source is shown with silence after it; around a gap nothing is added.
        share = active_share(shown) * (min(1.0, shown.shape[1] / REAL_FRAMES) if known is None else 1.0)
        # Of a source that sounds in its gap alone nothing is left to go by.
        active = share.expand(options.count) if share > 0 else None

    def condition(name: str) -> Tensor:
        labels = torch.full((options.count,), find(name))
        return pipeline.condition(labels, _generators(seed, options.count), active)

    if options.morph is None:
        return condition(options.label)
    return _between(condition(options.label), condition(options.morph), options.morph_share)


def _between(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Along the arc from one vector to another (Shoemake 1985), as a straight line would shorten them.

    Shape: first, second, result: (batch, width).
    """
    from torch.nn.functional import normalize

    one, other = normalize(first, dim=1), normalize(second, dim=1)
    angle = (one * other).sum(1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
    direction = (((1 - share) * angle).sin() * one + (share * angle).sin() * other) / angle.sin()
    lengths = first.norm(dim=1, keepdim=True).lerp(second.norm(dim=1, keepdim=True), share)
    between: Tensor = direction * lengths
    return between


def _liveliest(mel: Tensor, frames: int) -> int:
    """Where to cut so many frames out of a spectrogram: at the start, unless most of the sound comes later.

    A short cut from the very start would often miss a bark that comes a second later.
    """
    from aural.audio.spectral import unscale

    held = unscale(mel).double().square().sum(0).unfold(0, frames, 1).sum(1)
    if held[0] >= 0.9 * held.max():
        return 0
    latest = int((held >= 0.95 * held.max()).nonzero().max())
    return max(0, latest - LEAD_IN_FRAMES)


def _guesses(mels: Tensor) -> tuple[tuple[Guess, ...], ...]:
    """The likeliest classes of each of (batch, 80, frames)."""
    from aural.generation.classifier import classify

    likeliest = classify(mels).cpu().topk(GUESSES)
    return tuple(
        tuple(Guess(CLASSES[label], probability) for label, probability in zip(labels, values, strict=True))
        for labels, values in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    )
