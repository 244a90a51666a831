"""One file through one verb: what the shell, a batch of files and a cluster have in common.

Importing this module imports no verb: each is loaded when it is asked for.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aural.audio import Clip, read, wav_encoding, write
from aural.audio.files import ENCODINGS
from aural.audio.steps import Steps, part
from aural.errors import AuralError, InputError, OptionError

if TYPE_CHECKING:
    from aural.enhancement import degrade
    from aural.enhancement import pipeline as enhancement
    from aural.generation import pipeline as generation
    from aural.loudness import pipeline as mastering
    from aural.resynthesis import pipeline as resynthesis
    from aural.loudness.meter import Loudness
    from aural.releasing import pipeline as release
    from aural.superres import pipeline as superres

# What a file's name ends with where there is sound in it; what it holds is known by its content only.
SUFFIXES = {
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".asf", ".avi", ".caf", ".flac", ".flv", ".m4a", ".m4b",
    ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".oga", ".ogg", ".opus",
    ".ts", ".w64", ".wav", ".wave", ".webm", ".wma", ".wmv",
}  # fmt: skip

# Of every row, in order. Figures are of the result, before a lossy format changes it, for `measure` of the
# file; None where there are none.
COLUMNS = (
    "file",  # its name, without its folder
    "output",  # likewise; of several, the first; empty where none was written
    "error",  # why the file could not be done; empty where it was
    "seconds",
    "rate",  # Hz
    "channels",
    "integrated_lufs_before",  # of the file as it came; empty for `measure`, and without a file
    "true_peak_dbtp_before",
    "integrated_lufs",
    "true_peak_dbtp",
    "range_lu",
    "message",  # what was found and done, in words
)
BEFORE = ("integrated_lufs", "true_peak_dbtp")  # what is told of the file as it came, too


@dataclass(frozen=True)
class MeasureOptions:
    """What `measure` can be told."""

    layout: str = "auto"  # FFmpeg's name of the channel layout ("5.1"); auto: what the file says

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
            Verb("measure", "aural.jobs:MeasureOptions", None, "Measure loudness, peaks and stereo image."),
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
                "aural.releasing.pipeline:Options",
                "released.wav",
                "Enhance, super-resolve and master a phone recording in one go.",
            ),
        )
    }
)


@dataclass(frozen=True)
class Done:
    """A file that was done."""

    output: Path | None  # what was written; of several, the first
    figures: dict[str, Any]  # nested, what the verb found and did; ready for JSON
    row: dict[str, Any]  # flat, for a CSV: COLUMNS


def run_steps(verb: str, source: Path | None, output: Path | None, options: Any) -> Steps[Done]:
    """Read a file, do something with it, measure it before and after, and write what came of it.

    Yields the share done, 0 to 1. WAV is written with 24 bits, or as float where the sound exceeds full
    scale; the suffix of `output` may name another format. A file appears under its name once it is complete.

    Args:
        verb: a key of VERBS.
        source: the file; None only for `generate`, which then starts from noise.
        output: what to write, in a folder that is made where there is none; None: nothing. Where `generate`
            makes several sounds their names are numbered: "dog.wav" becomes "dog-1.wav", "dog-2.wav" ...
        options: of the verb's class.

    Raises:
        InputError: a file that cannot be used, or one too long for the machine's memory.
        OptionError: an output that cannot be written, or that is the source; settings that do not fit.
        CheckpointError: a model cannot be had.
    """
    assert isinstance(options, VERBS[verb].options)
    if output is not None:
        _require_writable(output, source)
    try:
        return (yield from _run_steps(verb, source, output, options))
    except MemoryError:
        raise InputError(
            "The machine has no memory left for audio of this length: cut it into shorter parts."
        ) from None


def failed(source: Path, error: AuralError) -> dict[str, Any]:
    """The row of a file that could not be done."""
    return {**dict.fromkeys(COLUMNS), "file": source.name, "output": "", "error": str(error), "message": ""}


def sources(folder: Path) -> list[Path]:
    """Audio and video files in a folder and the folders below it, by their suffix, sorted.

    What is hidden, a folder or a file whose name starts with a dot, is left out.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder.name!r}: choose one that holds audio files.")
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(found)


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows below their headings, COLUMNS; no cell is one that a spreadsheet would take for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(row[name]) for name in COLUMNS] for row in rows)
    return text.getvalue()


def outputs(output: Path, count: int) -> list[Path]:
    """The names of so many results: the name itself for one, numbered ones for several.

    >>> [path.name for path in outputs(Path("dog.wav"), 2)]
    ['dog-1.wav', 'dog-2.wav']
    """
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, count + 1)]


def planned(folder: Path, out_folder: Path, ending: str | None) -> list[tuple[Path, Path | None]]:
    """Each source of a folder and its output, laid out as the sources are.

    "talks/memo.m4a" becomes "talks/memo-enhanced.wav". What lies in the output folder is no source. Of
    "memo.m4a" and "memo.wav" in one folder the results keep the suffix in their names.

    Args:
        ending: of each result's name; None: there are no outputs.

    Raises:
        InputError: there is no such folder, nothing in it, or results would go among the sources.
    """
    if out_folder.resolve() == folder.resolve() and ending is not None:
        raise InputError("Both folders are the same: choose another one for the results.")
    inside = out_folder.resolve() if ending is not None else None
    found = [path for path in sources(folder) if inside is None or inside not in path.resolve().parents]
    if not found:
        raise InputError(f"There is no audio or video file in {folder.name!r}: choose another folder.")
    if ending is None:
        return [(path, None) for path in found]
    takers = Counter(str(path.with_suffix("")).lower() for path in found)
    return [
        (path, out_folder / path.relative_to(folder).with_name(f"{stem}-{ending}"))
        for path in found
        for stem in [path.stem if takers[str(path.with_suffix("")).lower()] == 1 else path.name]
    ]


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it.

    >>> _harmless("=1+1.wav"), _harmless("memo.wav"), _harmless(-14.0)
    ("'=1+1.wav", 'memo.wav', -14.0)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@\t\r\n")) else value


def _require_writable(output: Path, source: Path | None) -> None:
    """Refuse an output before the work that would be lost on it."""
    suffixes = sorted({encoding.suffix for encoding in ENCODINGS.values()})
    if output.suffix.lower() not in suffixes:
        raise OptionError(
            f"{output.name!r} does not end like a format to write: use one of {', '.join(suffixes)}."
        )
    if source is not None and output.resolve() == source.resolve():
        raise OptionError(f"{output.name!r} is the file itself: give the result another name.")


@dataclass(frozen=True)
class _Made:
    """What a verb made of a file."""

    clips: tuple[Clip, ...]  # none of `measure`
    figures: dict[str, Any]
    message: str
    before: Loudness | None = None  # of the file, where the verb measures it itself
    after: Loudness | None = None  # of the result, likewise; for `measure` of the file


def _run_steps(verb: str, source: Path | None, output: Path | None, options: Any) -> Steps[Done]:
    from aural.loudness.meter import measure_steps

    yield 0.0
    clip = None if source is None else read(source)
    before = None
    if clip is not None and verb not in ("measure", "master"):
        before = yield from part(measure_steps(clip), 0.05, 0.1)
    made = yield from part(_STEPS[verb](clip, options), 0.1, 0.9)
    del clip  # makes room
    before, after = before or made.before, made.after
    if after is None:
        after = yield from part(measure_steps(made.clips[0]), 0.9, 0.95)
    figures, message = made.figures, made.message
    written: list[Path] = []
    if output is not None and made.clips:
        for one, path in zip(made.clips, outputs(output, len(made.clips)), strict=True):
            message += _write(one, path)
            written.append(path)
            yield 0.95 + 0.05 * len(written) / len(made.clips)
        figures = {**figures, "files": [path.name for path in written]}
    measured = after.figures()
    row = {
        **dict.fromkeys(COLUMNS, ""),
        **{name: measured[name] for name in COLUMNS if name in measured},
        "file": "" if source is None else source.name,
        "output": written[0].name if written else "",
        "message": message,
        **{f"{name}_before": None if before is None else before.figures()[name] for name in BEFORE},
    }
    return Done(written[0] if written else None, figures, row)


def _write(clip: Clip, path: Path) -> str:
    """Write a result; returns what there is to say about it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"The folder {path.parent.name!r} cannot be made ({error.strerror}): choose another one."
        ) from error
    suffix, encoding = path.suffix.lower(), wav_encoding(clip)
    write(clip, path, encoding if suffix == ".wav" else None)
    clipped = encoding == "wav32f" and suffix == ".flac"
    return " FLAC holds no peaks above full scale, so they were clipped: write WAV to keep them." * clipped


# The verbs: clip and options -> what was made. No verb but `generate` is run without a clip.


def _measure_steps(clip: Clip, options: MeasureOptions) -> Steps[_Made]:
    from aural.loudness.meter import measure_steps

    loudness = yield from measure_steps(clip, options.layout)
    return _Made((), loudness.figures(), " ".join(loudness.notes), after=loudness)


def _master_steps(clip: Clip, options: mastering.Options) -> Steps[_Made]:
    from aural.loudness.pipeline import master_steps

    result = yield from master_steps(clip, options)
    return _Made((result.clip,), result.figures(), result.message, result.before, result.after)


def _resynthesize_steps(clip: Clip, options: resynthesis.Options) -> Steps[_Made]:
    from aural.resynthesis.pipeline import resynthesize_steps

    result = yield from resynthesize_steps(clip, options)
    convergence_db, distance_db = result.spectral_convergence_db, result.log_spectral_distance_db
    figures = {
        "spectral_convergence_db": round(convergence_db, 2),
        "log_spectral_distance_db": round(distance_db, 2),
    }
    message = f"Spectral convergence {convergence_db:.1f} dB, log-spectral distance {distance_db:.1f} dB."
    return _Made((result.clip,), figures, message)


def _enhance_steps(clip: Clip, options: enhancement.Options) -> Steps[_Made]:
    from aural.enhancement.pipeline import enhance_steps

    result = yield from enhance_steps(clip, options)
    return _Made((result.clip,), result.figures(), result.message)


def _degrade_steps(clip: Clip, options: degrade.Options) -> Steps[_Made]:
    from aural.enhancement.degrade import degrade_clip_steps
    from aural.enhancement.findings import find_steps

    degraded = yield from part(degrade_clip_steps(clip, options), 0.0, 0.7)
    found = yield from part(find_steps(degraded), 0.7, 1.0)
    signs = [] if found.snr_db is None else [f"signal to noise {found.snr_db:.0f} dB"]
    if found.bandwidth_hz is not None:
        signs.append(f"band up to {found.bandwidth_hz / 1000:.1f} kHz")
    message = f"Found in it: {', '.join(signs)}." if signs else "Silence stays silence."
    return _Made((degraded,), {**asdict(options), "found": found.figures()}, message)


def _super_resolve_steps(clip: Clip, options: superres.Options) -> Steps[_Made]:
    from aural.superres.pipeline import super_resolve_steps

    result = yield from super_resolve_steps(clip, options)
    return _Made((result.clip,), result.figures(), result.message)


def _generate_steps(clip: Clip | None, options: generation.Options) -> Steps[_Made]:
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
    return _Made(result.clips, figures, message)


def _release_steps(clip: Clip, options: release.Options) -> Steps[_Made]:
    from aural.releasing.pipeline import release_steps

    result = yield from release_steps(clip, options)
    return _Made((result.clip,), result.figures(), result.message, after=result.mastered.after)


_STEPS: Mapping[str, Callable[[Any, Any], Steps[_Made]]] = MappingProxyType(
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
