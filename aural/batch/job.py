"""One verb for one file, as used by the shell, batches and clusters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aural.audio import Clip, Tags, read, read_tags, wav_encoding, write
from aural.audio.clip import with_notes
from aural.audio.encode import ENCODINGS
from aural.audio.steps import Steps, part
from aural.audio.video import VIDEO_ENCODINGS, check_video, is_video, replace_sound
from aural.batch.folder import COLUMNS, outputs
from aural.batch.verbs import VERBS
from aural.errors import AuralError, InputError, OptionError, named_extra
from aural.options import Outcome

_log = logging.getLogger(__name__)

BEFORE = ("integrated_lufs", "true_peak_dbtp")  # figures that are also given for the source
MIN_TOLD_DB = 0.1  # of a rise of the true peak by lossy encoding


@dataclass(frozen=True)
class Done:
    """A file that was processed."""

    output: Path | None  # the file written, the first of several
    figures: dict[str, Any]  # of the verb, nested, ready for JSON
    row: dict[str, Any]  # flat, for a CSV: COLUMNS


def run_steps(
    verb: str, source: Path | None, output: Path | None, options: Any, loudness_tags: bool = False
) -> Steps[Done]:
    """Read a file, run a verb, measure loudness before and after, and write the result.

    Yields the share done, 0 to 1. WAV has 24 bits, or float if the sound exceeds full scale; the suffix of
    `output` may choose another format. That of a video takes the picture of the source along. A file appears
    under its name once it is complete, with the tags and the cover of the source. Rate and loudness are told
    as they are in the file, after encoding.

    Args:
        verb: a key of `aural.batch.verbs.VERBS`.
        source: the file; None only for `generate`, which then starts from noise.
        output: the file to write; its folder is created if needed; None: nothing. If `generate` creates
            several sounds, their names are numbered: "dog.wav" becomes "dog-1.wav", "dog-2.wav" ...
        options: of the verb's class.
        loudness_tags: store the loudness as ReplayGain, or in Opus as R128 gain.

    Raises:
        InputError: a file that cannot be used, or is too long for the memory.
        OptionError: an output that cannot be written, or is the source; unsuitable settings.
        CheckpointError: a model is not available.
        ExtraError: the verb needs a package that is not installed.
    """
    assert isinstance(options, VERBS[verb].options)
    try:
        if output is not None:
            _require_writable(output, source)
            if is_video(output):
                _require_replaceable(verb, source, loudness_tags)
        with named_extra():
            return (yield from _run_steps(verb, source, output, options, loudness_tags))
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
    suffixes = sorted({encoding.suffix for encoding in ENCODINGS.values()} | VIDEO_ENCODINGS.keys())
    if output.suffix.lower() not in suffixes:
        raise OptionError(f"{output.name!r} doesn't end in a known format. Use one of {', '.join(suffixes)}.")
    if source is not None and output.resolve() == source.resolve():
        raise OptionError(f"{output.name!r} is the source itself. Give the result another name.")


def _require_replaceable(verb: str, source: Path | None, loudness_tags: bool) -> None:
    """Refuse what cannot be the sound of a video."""
    if source is None or not VERBS[verb].keeps_length:
        made = "loop" if VERBS[verb].needs_sound else "made sound"
        raise OptionError(f"A {made} is not as long as a video. Write it as .wav.")
    if loudness_tags:
        raise OptionError("Video files have no loudness tags. Leave out --loudness-tags.")


def _run_steps(
    verb: str, source: Path | None, output: Path | None, options: Any, loudness_tags: bool
) -> Steps[Done]:
    from aural.loudness.meter import measure

    yield 0.0
    left_out = check_video(source, output) if source and output and is_video(output) else []
    clip = None if source is None else read(source)
    before = None
    if clip is not None and not VERBS[verb].measures:
        before = yield from part(measure.steps(clip), 0.05, 0.1)
    made = yield from part(VERBS[verb].outcome_steps(clip, options), 0.1, 0.85)
    message = " ".join([made.message if clip is None else with_notes(made.message, clip), *left_out])
    del clip  # frees memory
    before, after = before or made.before, made.after
    if after is None:
        after = yield from part(measure.steps(made.clips[0]), 0.85, 0.9)
    done = _Written([], made.figures, message, after)
    if output is not None and made.clips:
        paths = outputs(output, len(made.clips))
        writing = _write_steps(made, after, paths, source, message, loudness_tags)
        done = yield from part(writing, 0.9, 1.0)
    measured = done.loudness.figures()
    row = {
        **dict.fromkeys(COLUMNS, ""),
        **{name: measured[name] for name in COLUMNS if name in measured},
        "file": "" if source is None else source.name,
        "output": done.paths[0].name if done.paths else "",
        "message": done.message,
        **{f"{name}_before": None if before is None else before.figures()[name] for name in BEFORE},
    }
    return Done(done.paths[0] if done.paths else None, done.figures, row)


@dataclass(frozen=True)
class _Written:
    """The results as written."""

    paths: list[Path]
    figures: dict[str, Any]
    message: str
    loudness: Any  # `aural.loudness.meter.Loudness` of the first one


def _write_steps(
    made: Outcome,
    after: Any,
    paths: Sequence[Path],
    source: Path | None,
    message: str,
    loudness_tags: bool,
) -> Steps[_Written]:
    """Write the results of a verb; what a format has changed in the first one is measured again and told."""
    from aural.loudness.meter import measure

    figures, loudness = made.figures, after
    tags = Tags() if source is None else read_tags(source)
    for number, (one, path) in enumerate(zip(made.clips, paths, strict=True)):
        own = tags
        if loudness_tags:
            own_loudness = after if number == 0 else (yield from part(measure.steps(one), 0.0, 0.0))
            own = tags.with_loudness(own_loudness.integrated_lufs, own_loudness.true_peak_dbtp)
        is_exact = _write(one, path, own, source)
        if number == 0 and not is_exact:
            written = read(path)
            loudness = yield from part(measure.steps(written), 0.5, 0.9)
            message += _remark(one, written, after, loudness, path.suffix[1:].upper())
            figures = _as_written(figures, loudness)
        yield 1.0 if number + 1 == len(paths) else 0.9
    return _Written(list(paths), {**figures, "files": [path.name for path in paths]}, message, loudness)


def _write(clip: Clip, path: Path, tags: Tags, source: Path | None) -> bool:
    """Write a result; returns whether the file holds the same sound."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"Can't create the folder {path.parent.name!r} ({error.strerror}). Choose another one."
        ) from error
    suffix, encoding = path.suffix.lower(), wav_encoding(clip)
    if is_video(path):
        assert source is not None
        replace_sound(source, clip, path)
    else:
        write(clip, path, encoding if suffix == ".wav" else None, tags)
    return suffix == ".wav" or (suffix in {".flac", ".mkv"} and encoding == "wav24")


def _remark(clip: Clip, written: Clip, before: Any, after: Any, name: str) -> str:
    """What a format has changed, in words."""
    remark = ""
    if written.rate != clip.rate:
        remark += f" {name} can't store {clip.rate} Hz, so the file has {written.rate} Hz."
    if name in {"FLAC", "MKV"}:
        remark += f" {name} can't store peaks above full scale, so they were clipped. Write WAV to keep them."
    elif after.true_peak_dbtp > before.true_peak_dbtp + MIN_TOLD_DB:
        remark += f" Encoding to {name} raised the true peak to {after.true_peak_dbtp:.1f} dBTP."
    return remark


def _as_written(figures: Mapping[str, Any], loudness: Any) -> dict[str, Any]:
    """The figures with those of the result replaced by those of its file."""
    measured = loudness.figures()
    after = figures.get("after")
    if isinstance(after, dict):
        after = {name: measured.get(name, value) for name, value in after.items()}
    rate = {"rate": measured["rate"]} if "rate" in figures else {}
    return {**figures, **rate, **({} if after is None else {"after": after})}
