"""Generate sounds of a class: spectrogram, then waveform. Also variations, gap filling, blends and loops.

Importing this module does not import torch.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray

from aural import hub
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.resample import resample
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError, OptionError
from aural.generation import clap
from aural.generation.classes import CLASSES, class_index
from aural.generation.defaults import GUIDANCE, STEPS
from aural.generation.search import MAX_CHARACTERS
from aural.generation.waveforms import (
    QUIET,
    Vocoder,
    duck_clicks,
    fade,
    fill_gap,
    inner_peaks,
    limit_to_full_scale,
    loops_steps,
    raise_quiet,
    waveforms_steps,
)
from aural.generation.waveforms import VOCODERS as VOCODERS
from aural.options import Outcome, require, require_known, require_switch, require_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aural.generation.diffusion import SpectrogramPipeline

Mel = NDArray[np.float32]
Sampler = Literal["dpm++", "unipc", "ddim"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)

MAX_CLIPS = 8
MAX_CANDIDATES = 4  # for each clip
CLAP_SECONDS = 5.0  # to wait for CLAP, which loads while the candidates are made
MAX_SECONDS = 10.0
MIN_GAP_SECONDS = 0.05
MIN_SOURCE_SECONDS = 0.1  # minimum length of a source, and of the rest around a gap
GUESSES = 5  # classes listed for each clip
RETRIES = 2  # for clips that are silent
LEAD_IN_FRAMES = 4  # before the sound, in a clip cut from a longer one


@dataclass(frozen=True)
class Options:
    """What to generate, and how.

    Raises:
        OptionError: a value out of range, or settings that exclude each other.
    """

    label: Annotated[str, Doc('one of the 50 classes of ESC-50, such as dog or "church bells"')]
    count: Annotated[int, Doc("number of variations, 1 to 8")] = 1
    seconds: Annotated[float, Doc("duration in seconds, 0.5 to 10; a source sound keeps its own")] = 5.0
    steps: Annotated[int, Doc("denoising steps, 1 to 200; more is finer and slower")] = STEPS
    guidance: Annotated[float, Doc("how closely to follow the class, 1 (off) to 10")] = GUIDANCE
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
    candidates: Annotated[
        int,
        Doc(
            "sounds to make for each variation, 1 to 4, from seeds that count up; the best by the classifier "
            "are kept, best first; 1: all are kept, in the order of their seeds"
        ),
    ] = 1
    description: Annotated[
        str | None,
        Doc(
            "the sound in your own words, up to 200 characters; CLAP ranks the candidates by it, where it is "
            "loaded; None: the classifier ranks them by the class"
        ),
    ] = None

    def __post_init__(self) -> None:
        class_index(str(self.label or ""))
        if self.morph is not None:
            class_index(str(self.morph))
        require_whole("number of clips", self.count, 1, MAX_CLIPS)
        require("duration", self.seconds, 0.5, MAX_SECONDS, " s")
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
        require_whole("number of candidates", self.candidates, 1, MAX_CANDIDATES)
        if self.description is not None and len(self.description) > MAX_CHARACTERS:
            raise OptionError(
                f"The description has {len(self.description)} characters. Shorten it to {MAX_CHARACTERS}."
            )
        start, end = self.gap_start_seconds, self.gap_end_seconds
        if start is None or end is None:
            if start is not end:
                raise OptionError("A gap needs both a start and an end. Set the other one too.")
            return
        require("start of the gap", start, 0, MAX_SECONDS, " s")
        require("end of the gap", end, 0, MAX_SECONDS, " s")
        if end - start < MIN_GAP_SECONDS:
            raise OptionError(
                f"A gap from {start:g} to {end:g} s is too short. "
                f"It must end at least {MIN_GAP_SECONDS:g} s after its start."
            )


@dataclass(frozen=True)
class Guess:
    """A class that the classifier detects in a clip."""

    label: str  # one of CLASSES
    probability: float


@dataclass(frozen=True)
class Result:
    """Generated clips, and the classes detected in them."""

    clips: tuple[Clip, ...]  # 22,050 Hz and mono; like the source with a gap filled
    mels: tuple[Mel, ...]  # (80, frames), in [0, 1], the spectrogram of each clip before vocoding
    seed: int  # seed of the first candidate, which reproduces the clips
    seeds: tuple[int, ...]  # seed of each clip
    scores: tuple[
        float, ...
    ]  # of each clip: probability of the class, or by CLAP the cosine to the description
    ranked_by: (
        Literal["classifier", "CLAP"] | None
    )  # what chose among the candidates; None: nothing to choose
    guesses: tuple[tuple[Guess, ...], ...]  # the likeliest classes of each clip, likeliest first
    message: str  # what else was done, in words; or empty
    options: Options  # the options used

    def figures(self) -> dict[str, Any]:
        """The settings, the seeds and scores, and the detected classes."""
        morph = self.options.morph
        return {
            **asdict(self.options),
            "label": CLASSES[class_index(self.options.label)],
            "morph": None if morph is None else CLASSES[class_index(morph)],
            "seed": self.seed,
            "seeds": list(self.seeds),
            "scores": list(self.scores),
            "ranked_by": self.ranked_by,
            "message": self.message,
            "guesses": [[asdict(guess) for guess in guesses] for guesses in self.guesses],
        }


@stepwise
def generate(
    options: Options, source: Clip | None = None, *, watch: Callable[[Mel], None] | None = None
) -> Steps[Result]:
    """Generate clips of a class.

    Without a source, clips start from noise. With a source, they are variations of it. With a source and a
    gap, they are the source with new sound in the gap. The same options and seed give the same clips on the
    same machine, and a clip does not depend on the number of clips. A clip that turns out silent is tried
    again from other noise of the same seed, and then raised.

    With candidates, more clips are made than asked for, and ranked by the classifier's probability of the
    class (of both classes of a morph), or by CLAP's likeness to the description; the best are kept. Whether
    CLAP is loaded may change which: the result says what ranked them.

    Args:
        source: at most 10 s, at any rate and with any number of channels; it is mixed to mono.
        watch: called after every step with the spectrograms so far, (clips, 80, frames), in [0, 1], of at
            most 8 clips at once. Clips below 5 s are cut from 5 s, and it gets those.

    Raises:
        InputError: a source that is empty, silent, too long or not finite.
        OptionError: a gap without a source or outside of it, or a loop from a source.
        CheckpointError: a model is not available.
    """
    from aural.generation.diffusion import SpectrogramPipeline

    _require_compatible(options, source)
    seed = secrets.randbelow(2**32) if options.seed is None else int(options.seed)
    task = _task(options, source)
    if options.candidates > 1 and _described(options):
        clap.ready()  # loads while the candidates are made
    yield 0.0  # loading takes a moment the first time
    pipeline = SpectrogramPipeline.of(hub.load("generator"), options.sampler)
    yield 0.02
    takes = yield from part(_take_steps(_Making(pipeline, options, task), seed, source, watch), 0.02, 0.95)
    clips, message = _finish(takes, options, source)
    # The classifier gets what a listener gets: the audio after the vocoder.
    probabilities = _classify(clips)
    scores, ranked_by = _score(clips, probabilities, options)
    if ranked_by is not None:
        best = sorted(range(len(clips)), key=lambda number: -scores[number])[: options.count]
        takes, probabilities, scores = takes.take(best), probabilities[best], [scores[one] for one in best]
        clips, message = _finish(takes, options, source)  # its messages number the clips
        message = f"{_ranking(takes.seeds, options, ranked_by)} {message}".strip()
    return Result(
        clips=clips,
        mels=tuple(takes.mels.numpy()),
        seed=seed,
        seeds=takes.seeds,
        scores=tuple(scores),
        ranked_by=ranked_by,
        guesses=_guesses(probabilities),
        message=message,
        options=options,
    )


@dataclass(frozen=True)
class _Task:
    """What to generate."""

    length: int  # samples of the waveform
    frames: int  # frames of the spectrogram
    is_cut: bool  # whether it is cut from a spectrogram of the training length
    source_mel: Tensor | None  # (80, frames)
    known: Tensor | None  # (frames,), see `_known_frames`


@dataclass(frozen=True)
class _Takes:
    """What was made, as the vocoder left it."""

    seeds: tuple[int, ...]
    mels: Tensor  # (clips, 80, frames)
    starts: list[int]  # frame of a longer spectrogram at which each was cut
    waves: Tensor  # (clips, time)

    def take(self, rows: list[int]) -> _Takes:
        """Some of them, in this order."""
        return _Takes(
            tuple(self.seeds[row] for row in rows),
            self.mels[rows],
            [self.starts[row] for row in rows],
            self.waves[rows],
        )


@dataclass(frozen=True)
class _Making:
    """The network and what it is to make."""

    pipeline: SpectrogramPipeline
    options: Options
    task: _Task

    def steps(
        self, seed: int, rows: Sequence[int], watch: Callable[[Mel], None] | None = None, attempt: int = 0
    ) -> Steps[tuple[Tensor, list[int], Tensor]]:
        """Some of the clips: spectrograms (rows, 80, frames), where they were cut, waveforms (rows, time).

        Args:
            seed: of the first of all clips.
            watch: see `generate`.
            attempt: above 0 for other noise than at first.
        """
        import torch

        from aural.generation.model import REAL_FRAMES

        options, task = self.options, self.task
        generators = _generators(seed, options.count, attempt)
        steps = self.pipeline.denoise_steps(
            _condition(self.pipeline, options, seed, task, attempt)[list(rows)],
            options.steps,
            options.guidance,
            [generators[row] for row in rows],
            num_frames=REAL_FRAMES if task.is_cut else task.frames,
            source=task.source_mel,
            known=task.known,
            strength=1.0 if task.source_mel is None or task.known is not None else options.strength,
            loop=options.loop,
            watch=None if watch is None else lambda _, __, tensors: watch(tensors["clean"].cpu().numpy()),
        )
        mels = (yield from part(steps, 0.0, 0.88)).cpu()
        starts = [_loudest_start(mel, task.frames) if task.is_cut else 0 for mel in mels]
        mels = torch.stack(
            [mel[:, start : start + task.frames] for mel, start in zip(mels, starts, strict=True)]
        )
        if options.loop:
            vocoding = loops_steps(mels, options.vocoder)
        else:
            vocoding = waveforms_steps(mels, task.length, options.vocoder)
        waves = yield from part(vocoding, 0.88, 1.0)
        return mels, starts, duck_clicks(waves, mels)


def _take_steps(
    making: _Making, seed: int, source: Clip | None, watch: Callable[[Mel], None] | None
) -> Steps[_Takes]:
    """All clips and candidates, at most 8 at once; silent ones are tried again."""
    import torch

    options = making.options
    total = options.count * options.candidates
    # The sound around a gap has a level of its own.
    is_audible = options.gap_start_seconds is None and (
        source is None or np.abs(source.samples).max() >= QUIET
    )
    made: list[tuple[Tensor, list[int], Tensor]] = []
    for first in range(0, total, MAX_CLIPS):
        last = min(first + MAX_CLIPS, total)
        some = replace(making, options=replace(options, count=last - first))
        start, end = first / total, last / total
        turn = start + 0.85 * (end - start)
        mels, starts, waves = yield from part(
            some.steps(seed + first, range(last - first), watch), start, turn
        )
        if is_audible:
            yield from part(_retry_steps(some, seed + first, mels, starts, waves), turn, end)
        made.append((mels, starts, waves))
    mels, waves = (torch.cat(tensors) for tensors in ([one[0] for one in made], [one[2] for one in made]))
    return _Takes(tuple(range(seed, seed + total)), mels, [at for one in made for at in one[1]], waves)


def _retry_steps(making: _Making, seed: int, mels: Tensor, starts: list[int], waves: Tensor) -> Steps[None]:
    """Make the clips that are silent again, from other noise, and keep louder ones in place."""
    for attempt in range(1, RETRIES + 1):
        peaks = inner_peaks(waves)
        quiet = [number for number, peak in enumerate(peaks) if peak < QUIET]
        if not quiet:
            return
        steps = making.steps(seed, quiet, attempt=attempt)
        again = yield from part(steps, (attempt - 1) / RETRIES, attempt / RETRIES)
        for number, mel, start, wave, peak in zip(quiet, *again, inner_peaks(again[2]), strict=True):
            if peak > peaks[number]:
                mels[number], starts[number], waves[number] = mel, start, wave


def _task(options: Options, source: Clip | None) -> _Task:
    """The task given by the options and the source.

    Raises:
        InputError: a silent source.
    """
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
    from aural.generation.model import REAL_FRAMES, active_share

    rate, hop = DEFAULT_FRONT_END.rate, DEFAULT_FRONT_END.hop
    samples = None if source is None else _source_samples(source, options)
    length = round(options.seconds * rate) if samples is None else len(samples)
    frames = round(length / hop) if options.loop else DEFAULT_FRONT_END.frames(length)
    if samples is None:
        return _Task(length, frames, not options.loop and frames < REAL_FRAMES, None, None)
    source_mel = log_mel(torch.tensor(samples)).clamp_max(1)
    if not active_share(source_mel):
        raise InputError("The source is silent. Choose another file, or generate without one.")
    return _Task(length, frames, False, source_mel, _known_frames(options, frames))


def _finish(takes: _Takes, options: Options, source: Clip | None) -> tuple[tuple[Clip, ...], str]:
    """The clips at their final level, and a message about it."""
    waves, raised = takes.waves, ""
    if options.gap_start_seconds is None:
        waves, raised = raise_quiet(waves)
    waves, message = limit_to_full_scale(waves)
    clips = tuple(
        _assemble(wave, start, options, source)
        for wave, start in zip(waves.numpy()[:, np.newaxis], takes.starts, strict=True)
    )
    return clips, f"{message} {raised}".strip()


def _assemble(wave: Samples, start: int, options: Options, source: Clip | None) -> Clip:
    """A clip of a waveform (1, time): in the gap of its source, as a loop, or with its ends faded."""
    from aural.audio.spectral import DEFAULT_FRONT_END

    clip = Clip(wave, DEFAULT_FRONT_END.rate)
    if source is not None and options.gap_start_seconds is not None and options.gap_end_seconds is not None:
        return fill_gap(source, clip, options.gap_start_seconds, options.gap_end_seconds)
    return clip if options.loop else fade(clip, is_cut_before=start > 0)


def outcome_steps(clip: Clip | None, options: Options) -> Steps[Outcome]:
    """The verb `generate`, with or without a source."""
    result = yield from generate.steps(options, clip)
    source_samples = ", ".join(
        f"{guesses[0].label} ({guesses[0].probability:.0%})" for guesses in result.guesses
    )
    message = f"Seed {result.seed}; the classifier hears {source_samples}. {result.message}".strip()
    return Outcome(result.clips, result.figures(), message)


def _require_compatible(options: Options, source: Clip | None) -> None:
    """Check the options against the source."""
    start, end = options.gap_start_seconds, options.gap_end_seconds
    if source is None:
        if start is not None:
            raise OptionError("A gap needs a source sound. Upload one, or clear the gap.")
        return
    if options.loop:
        raise OptionError("A source sound can't loop. Remove the source, or turn the loop off.")
    source.require_finite()
    if source.seconds > MAX_SECONDS:
        raise InputError(
            f"The source lasts {source.seconds:.1f} s; the limit is {MAX_SECONDS:g} s. Cut it first."
        )
    if source.seconds < MIN_SOURCE_SECONDS:
        raise InputError(
            f"The source is too short ({source.seconds:.3f} s). "
            f"Choose one of at least {MIN_SOURCE_SECONDS:g} s."
        )
    if start is None or end is None:
        return
    if start > source.seconds:
        raise OptionError(
            f"The gap starts at {start:g} s, after the end of the source. "
            f"It must start at {source.seconds:.2f} s or earlier."
        )
    if source.seconds - (min(end, source.seconds) - start) < MIN_SOURCE_SECONDS:
        raise OptionError(
            f"The gap covers the whole source. Shorten it by at least {MIN_SOURCE_SECONDS:g} s."
        )


def _generators(seed: int, count: int, attempt: int = 0) -> list[torch.Generator]:
    """One for each clip, so that it does not depend on the others, and for each attempt."""
    import torch

    # A generator takes 32 bits, so a sum would be some other clip's seed.
    seeds = [
        int(np.random.SeedSequence((one, attempt)).generate_state(1)[0]) if attempt else one
        for one in range(seed, seed + count)
    ]
    return [torch.Generator().manual_seed(one) for one in seeds]


def _mono(clip: Clip, rate: int) -> Samples:
    """The mean of the channels at another rate; (time,)."""
    mono = clip.samples.mean(axis=0, keepdims=True, dtype=np.float32)
    samples: Samples = resample(Clip(mono, clip.rate), rate).samples[0]
    return samples


def _source_samples(source: Clip, options: Options) -> Samples:
    """The source in mono at the network's rate, padded to the end of the gap; (time,)."""
    from aural.audio.spectral import DEFAULT_FRONT_END

    rate = DEFAULT_FRONT_END.rate
    seconds = max(source.seconds, options.gap_end_seconds or 0.0)
    samples: Samples = excerpt(_mono(source, rate)[np.newaxis], 0, round(seconds * rate))[0]
    return samples


def _known_frames(options: Options, frames: int) -> Tensor | None:
    """True for frames (frames,) whose windows do not touch the gap; None without a gap."""
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END

    if options.gap_start_seconds is None or options.gap_end_seconds is None:
        return None
    middle = torch.arange(frames) * DEFAULT_FRONT_END.hop
    half = DEFAULT_FRONT_END.window // 2
    start, end = (DEFAULT_FRONT_END.rate * at for at in (options.gap_start_seconds, options.gap_end_seconds))
    return (middle + half <= start) | (middle - half >= end)


def _condition(
    pipeline: SpectrogramPipeline, options: Options, seed: int, task: _Task, attempt: int
) -> Tensor:
    """The condition of the network, one row for each clip."""
    import torch

    from aural.generation.model import REAL_FRAMES, active_share

    active = None
    if task.source_mel is not None:
        shown = task.source_mel if task.known is None else task.source_mel[:, task.known]
        # A short source is padded with silence; around a gap nothing is added.
        share = active_share(shown) * (min(1.0, shown.shape[1] / REAL_FRAMES) if task.known is None else 1.0)
        # If all of the sound lies in the gap, the active share is unknown.
        active = share.expand(options.count) if share > 0 else None

    def condition(name: str) -> Tensor:
        labels = torch.full((options.count,), class_index(name))
        return pipeline.condition(labels, _generators(seed, options.count, attempt), active)

    if options.morph is None:
        return condition(options.label)
    return _slerp(condition(options.label), condition(options.morph), options.morph_share)


def _slerp(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Spherical interpolation (Shoemake 1985); linear interpolation would shorten the vectors.

    Shape: first, second, result: (batch, width).
    """
    from torch.nn.functional import normalize

    one, other = normalize(first, dim=1), normalize(second, dim=1)
    angle = (one * other).sum(1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()
    direction = (((1 - share) * angle).sin() * one + (share * angle).sin() * other) / angle.sin()
    lengths = first.norm(dim=1, keepdim=True).lerp(second.norm(dim=1, keepdim=True), share)
    between: Tensor = direction * lengths
    return between


def _loudest_start(mel: Tensor, frames: int) -> int:
    """Where to cut this many frames: at the start, unless most of the sound comes later.

    A short cut from the start would often miss a bark one second in.
    """
    from aural.audio.spectral import unscale

    held = unscale(mel).double().square().sum(0).unfold(0, frames, 1).sum(1)
    if held[0] >= 0.9 * held.max():
        return 0
    latest = int((held >= 0.95 * held.max()).nonzero().max())
    return max(0, latest - LEAD_IN_FRAMES)


def _classify(clips: Sequence[Clip]) -> Tensor:
    """The probability of each class in each clip; (clips, 50)."""
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END, log_mel
    from aural.generation.classifier import classify

    mels = torch.stack([log_mel(torch.tensor(_mono(clip, DEFAULT_FRONT_END.rate))) for clip in clips])
    return classify(mels).cpu()


def _guesses(probabilities: Tensor) -> tuple[tuple[Guess, ...], ...]:
    """The most probable classes of each of (clips, 50)."""
    likeliest = probabilities.topk(GUESSES)
    return tuple(
        tuple(Guess(CLASSES[label], probability) for label, probability in zip(labels, values, strict=True))
        for labels, values in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    )


def _score(
    clips: Sequence[Clip], probabilities: Tensor, options: Options
) -> tuple[list[float], Literal["classifier", "CLAP"] | None]:
    """How well each clip is what was asked for, and what says so; None if there is nothing to choose."""
    names = dict.fromkeys(class_index(name) for name in (options.label, options.morph) if name is not None)
    scores: list[float] = probabilities[:, list(names)].sum(1).tolist()
    if options.candidates == 1:
        return scores, None
    description = _described(options)
    if description and (model := clap.ready(CLAP_SECONDS)) is not None:
        rate = clips[0].rate
        sounds = model.sounds(np.stack([_mono(clip, rate) for clip in clips]), rate)
        return (sounds @ model.texts([description])[0]).tolist(), "CLAP"
    return scores, "classifier"


def _described(options: Options) -> str:
    """The description in one line; empty: there is none."""
    return " ".join((options.description or "").split())


def _ranking(seeds: Sequence[int], options: Options, ranked_by: str) -> str:
    """What was chosen among the candidates, in a sentence."""
    total = options.count * options.candidates
    best = "The best" if len(seeds) == 1 else f"The best {len(seeds)}, best first,"
    names = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{best} of {total} by {'CLAP' if ranked_by == 'CLAP' else 'the classifier'}: {names}."
