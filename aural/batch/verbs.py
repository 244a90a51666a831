"""The verbs: what can be done with a file, and what each makes of it.

Importing this module imports no verb: each is loaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from annotated_doc import Doc

from aural.audio import Clip
from aural.audio.steps import Steps, part

if TYPE_CHECKING:
    from aural.enhancement import degrade
    from aural.enhancement import pipeline as enhancement
    from aural.generation import pipeline as generation
    from aural.loudness import pipeline as mastering
    from aural.loudness.meter import Loudness
    from aural.resynthesis import pipeline as resynthesis
    from aural.studio import pipeline as release
    from aural.superres import pipeline as superres


@dataclass(frozen=True)
class MeasureOptions:
    """What `measure` can be told."""

    layout: Annotated[str, Doc("the channel layout by FFmpeg's name; auto: read from the file")] = "auto"

    def __post_init__(self) -> None:
        from aural.loudness.layouts import require_layout

        require_layout(self.layout)


@dataclass(frozen=True)
class Verb:
    """What can be done with a file."""

    name: str
    home: str  # where its options are: "module:class"
    ending: str | None  # of the result's name, as in "memo-enhanced.wav"; None: it makes no sound
    help: str  # one sentence

    @property
    def options(self) -> type[Any]:
        """The frozen dataclass of its settings."""
        module, name = self.home.split(":")
        chosen: type[Any] = getattr(import_module(module), name)
        return chosen


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        verb.name: verb
        for verb in (
            Verb(
                "measure",
                "aural.batch.verbs:MeasureOptions",
                None,
                "Measure loudness, peaks and stereo image.",
            ),
            Verb(
                "master",
                "aural.loudness.pipeline:Options",
                "mastered.wav",
                "Bring a file to the loudness and true peak of a device or platform.",
            ),
            Verb(
                "resynthesize",
                "aural.resynthesis.pipeline:Options",
                "resynthesized.wav",
                "Take a file through its spectrogram and back.",
            ),
            Verb(
                "enhance",
                "aural.enhancement.pipeline:Options",
                "enhanced.wav",
                "Make a phone recording sound as if it came from a studio.",
            ),
            Verb(
                "degrade",
                "aural.enhancement.degrade:Options",
                "degraded.wav",
                "Make a recording sound as a phone would have made it.",
            ),
            Verb(
                "super_resolve",
                "aural.superres.pipeline:Options",
                "super-resolved.wav",
                "Make the band that a file lacks, at any sample rate.",
            ),
            Verb(
                "generate",
                "aural.generation.pipeline:Options",
                "generated.wav",
                "Make sounds of a class, or vary, fill or extend a sound.",
            ),
            Verb(
                "release",
                "aural.studio.pipeline:Options",
                "released.wav",
                "Enhance, super-resolve and master a phone recording in one go.",
            ),
        )
    }
)


@dataclass(frozen=True)
class Made:
    """What a verb made of a file."""

    clips: tuple[Clip, ...]  # none of `measure`
    figures: dict[str, Any]
    message: str
    before: Loudness | None = None  # of the file, where the verb measures it itself
    after: Loudness | None = None  # of the result, likewise; for `measure` of the file


# Clip and options -> what was made. No verb but `generate` is run without a clip.


def _measure_steps(clip: Clip, options: MeasureOptions) -> Steps[Made]:
    from aural.loudness.meter import measure_steps

    loudness = yield from measure_steps(clip, options.layout)
    return Made((), loudness.figures(), " ".join(loudness.notes), after=loudness)


def _master_steps(clip: Clip, options: mastering.Options) -> Steps[Made]:
    from aural.loudness.pipeline import master_steps

    result = yield from master_steps(clip, options)
    return Made((result.clip,), result.figures(), result.message, result.before, result.after)


def _resynthesize_steps(clip: Clip, options: resynthesis.Options) -> Steps[Made]:
    from aural.resynthesis.pipeline import resynthesize_steps

    result = yield from resynthesize_steps(clip, options)
    convergence_db, distance_db = result.spectral_convergence_db, result.log_spectral_distance_db
    figures = {
        "spectral_convergence_db": round(convergence_db, 2),
        "log_spectral_distance_db": round(distance_db, 2),
    }
    message = f"Spectral convergence {convergence_db:.1f} dB, log-spectral distance {distance_db:.1f} dB."
    return Made((result.clip,), figures, message)


def _enhance_steps(clip: Clip, options: enhancement.Options) -> Steps[Made]:
    from aural.enhancement.pipeline import enhance_steps

    result = yield from enhance_steps(clip, options)
    return Made((result.clip,), result.figures(), result.message)


def _degrade_steps(clip: Clip, options: degrade.Options) -> Steps[Made]:
    from aural.enhancement.degrade import degrade_clip_steps
    from aural.enhancement.findings import find_steps

    degraded = yield from part(degrade_clip_steps(clip, options), 0.0, 0.7)
    found = yield from part(find_steps(degraded), 0.7, 1.0)
    signs = [] if found.snr_db is None else [f"signal to noise {found.snr_db:.0f} dB"]
    if found.bandwidth_hz is not None:
        signs.append(f"band up to {found.bandwidth_hz / 1000:.1f} kHz")
    message = f"Found in it: {', '.join(signs)}." if signs else "Silence stays silence."
    return Made((degraded,), {**asdict(options), "found": found.figures()}, message)


def _super_resolve_steps(clip: Clip, options: superres.Options) -> Steps[Made]:
    from aural.superres.pipeline import super_resolve_steps

    result = yield from super_resolve_steps(clip, options)
    return Made((result.clip,), result.figures(), result.message)


def _generate_steps(clip: Clip | None, options: generation.Options) -> Steps[Made]:
    from aural.generation.classes import CLASSES, find
    from aural.generation.pipeline import generate_steps

    result = yield from generate_steps(options, clip)
    figures = {
        **asdict(options),
        "label": CLASSES[find(options.label)],
        "morph": None if options.morph is None else CLASSES[find(options.morph)],
        "seed": result.seed,
        "message": result.message,
        "guesses": [[asdict(guess) for guess in guesses] for guesses in result.guesses],
    }
    heard = ", ".join(f"{guesses[0].label} ({guesses[0].probability:.0%})" for guesses in result.guesses)
    message = f"Seed {result.seed}; the classifier hears {heard}. {result.message}".strip()
    return Made(result.clips, figures, message)


def _release_steps(clip: Clip, options: release.Options) -> Steps[Made]:
    from aural.studio.pipeline import release_steps

    result = yield from release_steps(clip, options)
    return Made((result.clip,), result.figures(), result.message, after=result.mastered.after)


STEPS: Mapping[str, Callable[[Any, Any], Steps[Made]]] = MappingProxyType(
    {
        "measure": _measure_steps,
        "master": _master_steps,
        "resynthesize": _resynthesize_steps,
        "enhance": _enhance_steps,
        "degrade": _degrade_steps,
        "super_resolve": _super_resolve_steps,
        "generate": _generate_steps,
        "release": _release_steps,
    }
)
