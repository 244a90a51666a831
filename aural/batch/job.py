"""One verb for one file, as used by the shell, batches and clusters."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aural.audio import Clip, read, wav_encoding, write
from aural.audio.encode import ENCODINGS
from aural.audio.steps import Steps, part
from aural.batch.folder import COLUMNS, outputs
from aural.batch.verbs import VERBS
from aural.errors import AuralError, InputError, OptionError, named_extra

_log = logging.getLogger(__name__)

BEFORE = ("integrated_lufs", "true_peak_dbtp")  # figures that are also given for the source


@dataclass(frozen=True)
class Done:
    """A file that was processed."""

    output: Path | None  # the file written, the first of several
    figures: dict[str, Any]  # of the verb, nested, ready for JSON
    row: dict[str, Any]  # flat, for a CSV: COLUMNS


def run_steps(verb: str, source: Path | None, output: Path | None, options: Any) -> Steps[Done]:
    """Read a file, run a verb, measure loudness before and after, and write the result.

    Yields the share done, 0 to 1. WAV has 24 bits, or float if the sound exceeds full scale; the suffix of
    `output` may choose another format. A file appears under its name once it is complete.

    Args:
        verb: a key of `aural.batch.verbs.VERBS`.
        source: the file; None only for `generate`, which then starts from noise.
        output: the file to write; its folder is created if needed; None: nothing. If `generate` creates
            several sounds, their names are numbered: "dog.wav" becomes "dog-1.wav", "dog-2.wav" ...
        options: of the verb's class.

    Raises:
        InputError: a file that cannot be used, or is too long for the memory.
        OptionError: an output that cannot be written, or is the source; unsuitable settings.
        CheckpointError: a model is not available.
        ExtraError: the verb needs a package that is not installed.
    """
    assert isinstance(options, VERBS[verb].options)
    if output is not None:
        _require_writable(output, source)
    try:
        with named_extra():
            return (yield from _run_steps(verb, source, output, options))
    except MemoryError:
        raise InputError("Not enough memory for audio of this length. Cut it into shorter parts.") from None


def as_failure(source: Path, error: Exception, *, private: bool = False) -> AuralError:
    """What to tell of a file that failed for any reason, so that the others can continue; bugs are logged.

    private: leave out what may name a folder of this machine.
    """
    if isinstance(error, AuralError):
        return error
    _log.error("%s failed", source, exc_info=error)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__ if private else error
        return InputError(f"The machine failed on this file ({reason}). Fix the cause and run it again.")
    reason = type(error).__name__ if private else f"{type(error).__name__}: {error}"
    return AuralError(f"AURAL failed on this file ({reason}). Please report it with the file.")


def _require_writable(output: Path, source: Path | None) -> None:
    """Refuse an output before any work."""
    suffixes = sorted({encoding.suffix for encoding in ENCODINGS.values()})
    if output.suffix.lower() not in suffixes:
        raise OptionError(f"{output.name!r} doesn't end in a known format. Use one of {', '.join(suffixes)}.")
    if source is not None and output.resolve() == source.resolve():
        raise OptionError(f"{output.name!r} is the source itself. Give the result another name.")


def _run_steps(verb: str, source: Path | None, output: Path | None, options: Any) -> Steps[Done]:
    from aural.loudness.meter import measure

    yield 0.0
    clip = None if source is None else read(source)
    before = None
    if clip is not None and not VERBS[verb].measures:
        before = yield from part(measure.steps(clip), 0.05, 0.1)
    made = yield from part(VERBS[verb].outcome_steps(clip, options), 0.1, 0.9)
    del clip  # frees memory
    before, after = before or made.before, made.after
    if after is None:
        after = yield from part(measure.steps(made.clips[0]), 0.9, 0.95)
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
    """Write a result; returns a remark, if there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"Can't create the folder {path.parent.name!r} ({error.strerror}). Choose another one."
        ) from error
    suffix, encoding = path.suffix.lower(), wav_encoding(clip)
    write(clip, path, encoding if suffix == ".wav" else None)
    clipped = encoding == "wav32f" and suffix == ".flac"
    return " FLAC can't store peaks above full scale, so they were clipped. Write WAV to keep them." * clipped
