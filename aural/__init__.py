"""AURAL: four ways to make audio sound better.

>>> import aural
>>> from aural.audio import read, write
>>> clip = read("memo.m4a")                              # doctest: +SKIP
>>> aural.measure(clip).integrated_lufs                  # doctest: +SKIP
-21.3
>>> write(aural.master(clip, target="spotify").clip, "memo.wav")   # doctest: +SKIP
>>> write(aural.enhance(clip).clip, "studio.wav")                  # doctest: +SKIP
>>> write(aural.super_resolve(clip, rate=48_000).clip, "full-band.wav")   # doctest: +SKIP
>>> write(aural.release(clip, target="spotify").clip, "release.wav")       # doctest: +SKIP
>>> write(aural.generate("dog", seed=0).clips[0], "dog.wav")       # doctest: +SKIP
>>> write(aural.loop(clip).clip, "loop.wav")                       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from aural.errors import named_extra
from aural.options import take_texts
from aural.version import __version__ as __version__

if TYPE_CHECKING:
    from aural.audio import Clip
    from aural.enhancement.pipeline import Result as Enhanced
    from aural.generation.loop import Result as Looped
    from aural.generation.pipeline import Result as Generated
    from aural.loudness.meter import Loudness
    from aural.loudness.pipeline import Result as Mastered
    from aural.resynthesis.pipeline import Result as Resynthesized
    from aural.studio.pipeline import Result as Released
    from aural.superres.pipeline import Result as SuperResolved

R = TypeVar("R", bound=Any)  # a result with a message

__all__ = [
    "degrade",
    "enhance",
    "generate",
    "loop",
    "master",
    "master_album",
    "measure",
    "release",
    "resynthesize",
    "super_resolve",
]


@named_extra()
def measure(clip: Clip, layout: str = "auto") -> Loudness:
    """Measure loudness, peaks and stereo image; see `aural.loudness.meter.measure`."""
    from aural.loudness.meter import measure as run

    return run(clip, layout)


@named_extra()
def master(clip: Clip, **options: Any) -> Mastered:
    """Bring a clip to a loudness target; the keywords are the fields of `aural.loudness.pipeline.Options`."""
    from aural.loudness.pipeline import Options
    from aural.loudness.pipeline import master as run

    return _noted(run(clip, Options(**take_texts(Options, options))), clip)


@named_extra()
def master_album(clips: Sequence[Clip], **options: Any) -> list[Mastered]:
    """Master several clips with one gain; the keywords are those of `master`."""
    from aural.loudness.pipeline import Options
    from aural.loudness.pipeline import master_album as run

    results = run(clips, Options(**take_texts(Options, options)))
    return [_noted(result, clip) for result, clip in zip(results, clips, strict=True)]


@named_extra()
def resynthesize(clip: Clip, **options: Any) -> Resynthesized:
    """Take a clip through its spectrogram; the keywords are those of `aural.resynthesis.pipeline.Options`."""
    from aural.resynthesis.pipeline import Options
    from aural.resynthesis.pipeline import resynthesize as run

    return run(clip, Options(**take_texts(Options, options)))


@named_extra()
def enhance(clip: Clip, **options: Any) -> Enhanced:
    """Make a phone recording sound like a studio's; keywords: `aural.enhancement.pipeline.Options`."""
    from aural.enhancement.pipeline import Options
    from aural.enhancement.pipeline import enhance as run

    return _noted(run(clip, Options(**take_texts(Options, options))), clip)


@named_extra()
def degrade(clip: Clip, **options: Any) -> Clip:
    """Make a clip sound like a phone's recording; keywords: `aural.enhancement.degrade.Options`."""
    from aural.enhancement.degrade import Options, degrade_clip

    return degrade_clip(clip, Options(**take_texts(Options, options)))


@named_extra()
def super_resolve(clip: Clip, **options: Any) -> SuperResolved:
    """Make the band that a clip lacks, at any rate; keywords: `aural.superres.pipeline.Options`."""
    from aural.superres.pipeline import Options
    from aural.superres.pipeline import super_resolve as run

    return _noted(run(clip, Options(**take_texts(Options, options))), clip)


@named_extra()
def release(clip: Clip, **options: Any) -> Released:
    """Enhance, super-resolve and master a clip; keywords: `aural.studio.pipeline.Options`."""
    from aural.studio.pipeline import Options
    from aural.studio.pipeline import release as run

    return _noted(run(clip, Options(**take_texts(Options, options))), clip)


@named_extra()
def generate(label: str, *, source: Clip | None = None, **options: Any) -> Generated:
    """Generate clips of a class; the keywords are the fields of `aural.generation.pipeline.Options`."""
    from aural.generation.pipeline import Options
    from aural.generation.pipeline import generate as run

    return run(Options(label, **take_texts(Options, options)), source)


@named_extra()
def loop(clip: Clip, **options: Any) -> Looped:
    """Make a clip a seamless loop; the keywords are the fields of `aural.generation.loop.Options`."""
    from aural.generation.loop import Options
    from aural.generation.loop import loop as run

    return _noted(run(clip, Options(**take_texts(Options, options))), clip)


def _noted(result: R, clip: Clip) -> R:
    """The result, whose message also says how the file of its clip was read."""
    from aural.audio.clip import with_notes

    return replace(result, message=with_notes(result.message, clip)) if clip.notes else result
