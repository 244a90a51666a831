"""The verbs from a shell: `aural enhance memo.m4a podcast.wav --preset podcast`.

Exit codes: 0, done; 1, an error that the caller can fix, named in the last line; 2, wrong usage; 3, some
files of a folder failed; 130, interrupted; 141, the program that reads the output has ended, such as head.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from aural.audio.steps import Run, Steps
from aural.batch.arguments import (
    FORMATS,
    LOUDNESS_TAGS_HELP,
    SETTING,
    VIDEO_FORMATS,
    chosen_options,
    parse_arguments,
)
from aural.batch.folder import failed_row, outputs, plan_outputs, printable, result_name
from aural.batch.job import as_failure, run_steps
from aural.batch.verbs import VERBS
from aural.errors import AuralError, OptionError
from aural.options import Verb
from aural.version import __version__

DONE, FAILED, SOME_FAILED, INTERRUPTED, UNREAD = 0, 1, 3, 130, 141
SECONDS_BETWEEN_UPDATES = 0.1
BAR_WIDTH = 24  # characters
LABEL = f"{SETTING}label"  # the only positional setting
# Figures in the report: column, name, unit.
FIGURES = (
    ("integrated_lufs", "", "LUFS"),
    ("true_peak_dbtp", "true peak ", "dBTP"),
    ("range_lu", "range ", "LU"),
)

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb from a shell's arguments; returns the exit code. Wrong usage exits with 2."""
    try:
        try:
            return _main(arguments)
        finally:  # also after --help
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be written at the end of the program must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def _main(arguments: Sequence[str] | None) -> int:
    given = parse_arguments(
        sys.argv[1:] if arguments is None else arguments,
        "aural",
        "Measure, master, enhance, super-resolve and generate sound.",
        _add_files,
        version=f"AURAL {__version__}",
    )
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may contain bytes that are not text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(given)
    except AuralError as error:
        print(printable(str(error)), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


def _add_files(command: argparse.ArgumentParser, verb: Verb) -> None:
    if not verb.needs_sound:
        command.add_argument(LABEL, metavar="LABEL", help="the class, as in dog, rain, church_bells")
        command.add_argument(
            "--source", type=Path, metavar="FILE", help="a sound to vary, whose gap to fill, or to extend"
        )
    else:
        command.add_argument(
            "source", type=Path, metavar="IN", help="an audio or video file, or a folder of them"
        )
    if verb.ending is not None:
        pictures = f"; of a video, with its picture, {', '.join(VIDEO_FORMATS)}" if verb.keeps_length else ""
        command.add_argument(
            "output",
            type=Path,
            metavar="OUT",
            help=f"the result, whose suffix chooses the format ({', '.join(FORMATS)}{pictures}); or a folder",
        )
        command.add_argument(
            "--format",
            choices=FORMATS + (VIDEO_FORMATS if verb.keeps_length else []),
            default="wav",
            help="of results in a folder (default: wav)",
        )
        command.add_argument("--force", action="store_true", help="overwrite existing files")
        command.add_argument("--loudness-tags", action="store_true", help=LOUDNESS_TAGS_HELP)
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    command.add_argument("--quiet", action="store_true", help="no progress, only errors")


def _run(given: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    verb = VERBS[given.verb]
    options = chosen_options(given)
    if verb.needs_sound and _is_folder(given.source):
        return _run_folder(verb, options, given)
    source, output = given.source, _output(verb, given)
    if output is not None:
        _require_free(outputs(output, getattr(options, "count", 1)), given)
    name = getattr(given, LABEL) if source is None else source.name
    steps = run_steps(verb.name, source, output, options, getattr(given, "loudness_tags", False))
    done = _Bar(given.quiet).follow(steps, name)
    row = {
        **done.row,
        "file": "" if source is None else str(source),
        "output": "" if done.output is None else str(done.output),
    }
    if given.json:
        _print_json({**row, "figures": done.figures})
    elif not given.quiet:
        _report(row, done.figures)
    return DONE


def _output(verb: Verb, given: argparse.Namespace) -> Path | None:
    """The path of a result: as given, or in the given folder, named after the source."""
    if verb.ending is None:
        return None
    output: Path = given.output
    if output.suffix and not _is_folder(output):
        return output
    if given.source is None:
        return output / f"{getattr(given, LABEL).strip().replace(' ', '_')}.{given.format}"
    return output / result_name(given.source.stem, str(_ending(verb, given)))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long
        return False


def _ending(verb: Verb, given: argparse.Namespace) -> str | None:
    """The end of a result's name in the chosen format."""
    return None if verb.ending is None else str(Path(verb.ending).with_suffix(f".{given.format}"))


def _require_free(outputs: Sequence[Path], given: argparse.Namespace) -> None:
    try:
        taken = [path for path in outputs if path.exists()]
    except OSError as error:
        raise OptionError(
            f"Can't write {outputs[0].name!r} ({error.strerror}). Give another name."
        ) from error
    if taken and not given.force:
        exists = f"and {len(taken) - 1} more already exist" if len(taken) > 1 else "already exists"
        raise OptionError(f"{str(taken[0])!r} {exists}. Give another name, or --force to overwrite.")


def _run_folder(verb: Verb, options: Any, given: argparse.Namespace) -> int:
    """Process all files of a folder; if one fails, the others continue."""
    folder = given.source
    out_folder: Path | None = None if verb.ending is None else given.output
    if out_folder is not None and out_folder.exists() and not out_folder.is_dir():
        raise OptionError(f"{str(out_folder)!r} is a file. Give a folder for the results of a folder.")
    tasks = plan_outputs(folder, out_folder or folder, _ending(verb, given))
    _require_free([output for _, output in tasks if output is not None], given)
    rows, failures = [], 0
    bar = _Bar(given.quiet)
    for number, (source, output) in enumerate(tasks, start=1):
        name = str(source.relative_to(folder))
        try:
            steps = run_steps(verb.name, source, output, options, getattr(given, "loudness_tags", False))
            done = bar.follow(steps, f"{number}/{len(tasks)} {name}")
            row, figures = done.row, done.figures
        except Exception as error:
            row, figures = failed_row(source, as_failure(source, error)), {}
            print(printable(f"{name}: {row['error']}"), file=sys.stderr)
            failures += 1
        row = {**row, "file": name}
        if row["output"] and out_folder is not None and output is not None:
            row["output"] = str(output.relative_to(out_folder))
        rows.append({**row, "figures": figures})
        if not (given.json or given.quiet or row["error"]):
            _report(row, figures)
    if given.json:
        _print_json(rows)
    if failures:
        print(f"{failures} of {len(tasks)} files failed.", file=sys.stderr)
    return SOME_FAILED if failures else DONE


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _report(row: dict[str, Any], figures: dict[str, Any]) -> None:
    """Print a result in two lines."""
    others = "".join(f", {name}" for name in figures.get("files", [])[1:])
    print(printable(f"{row['output'] or row['file']}{others}: {row['message']}".removesuffix(": ")))
    parts = []
    for column, name, unit in FIGURES:
        if row[column] is None:
            continue
        before = row.get(f"{column}_before")
        was = "" if before is None else f" (before {before:.1f})"
        parts.append(f"{name}{row[column]:.1f} {unit}{was}")
    channels = {1: "mono", 2: "stereo"}.get(row["channels"], f"{row['channels']} channels")
    length, rate = f"{row['seconds']:.2f} s", f"{row['rate']} Hz"
    print(f"  {', '.join([*parts, length, rate, channels])}")


class _Bar:
    """A progress bar on a terminal; nothing elsewhere, or if quiet."""

    def __init__(self, quiet: bool) -> None:
        self.is_shown = sys.stderr.isatty() and not quiet

    def follow(self, steps: Steps[T], name: str) -> T:
        """Run the steps and return the result; the line is cleared at the end."""
        shown = -SECONDS_BETWEEN_UPDATES
        try:
            with Run(steps) as run:
                for share in run:
                    if self.is_shown and time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                        self._draw(share, name)
                        shown = time.monotonic()
            return run.result
        finally:
            if self.is_shown:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _draw(self, share: float, name: str) -> None:
        filled = round(share * BAR_WIDTH)
        line = f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {share:4.0%} {printable(name)}"
        columns = shutil.get_terminal_size().columns
        print(f"\r{line[: columns - 1]}\x1b[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
