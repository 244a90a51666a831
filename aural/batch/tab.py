"""The section Batch of the Studio tab: one verb for many files, and a zip of the results."""

from __future__ import annotations

import json
import shutil
import time
import unicodedata
import zipfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr

from aural.audio import LIMITS
from aural.audio.steps import Run, Steps, part
from aural.batch.folder import as_csv, failed_row
from aural.batch.job import Done, as_failure, run_steps
from aural.batch.verbs import VERBS
from aural.enhancement.tab import PHONE_NAMES
from aural.errors import InputError, OptionError, shorten
from aural.files import GIBIBYTE
from aural.generation.tab import crossfade_choice
from aural.options import Field, Verb, describe, parse, require_known
from aural.studio.tab import preset_choice, rate_choice, strength_choice, target_choice
from aural.studio.verb import RELEASE
from aural.ui import estimates, run_state, status
from aural.ui.endpoints import CALL_SECONDS, NO_FILES, Updates, endpoint, follow, of_sound, report_errors
from aural.ui.fields import new_file
from aural.ui.jobs import outlive
from aural.ui.page import Page, after, cancel_on_click, empty, page
from aural.ui.storage import result_path
from aural.ui.tables import number, table

Row = dict[str, Any]  # of `aural.batch.folder.COLUMNS`

# The verbs offered: first the whole release, which is the default, then its stages, then the others.
CHOICES: Mapping[str, Verb] = MappingProxyType(
    {verb.name: verb for verb in (RELEASE, *RELEASE.stages, *VERBS.values()) if verb.batch_name}
)

# Columns of the table: name, heading.
ROW_FIGURES = (
    ("integrated_lufs_before", "Before, LUFS"),
    ("integrated_lufs", "LUFS"),
    ("true_peak_dbtp", "True peak, dBTP"),
    ("range_lu", "Range, LU"),
    ("seconds", "Duration, s"),
)
# The second column holds sentences; next to the file's name they are visible on a phone too.
TABLE_STYLE = """
th[scope="row"] { min-width: 11em; }
td:nth-child(2) { min-width: 19em; }
:is(th, td):nth-child(2) { text-align: start !important; }
@media (max-width: 640px) {
  th[scope="row"] { min-width: 7em; }
  td:nth-child(2) { min-width: 15em; }
}
"""
MAX_FILES = 50
WORK_SECONDS = CALL_SECONDS - 60  # then a batch returns what it has, before its call is ended
ARCHIVE_BYTES = 4 * GIBIBYTE  # with this much in results, a batch starts no other file
MAX_NAME_BYTES = 150  # of a name in the archive, without its ending
MEASUREMENTS = "measurements.csv"
# Of a program's settings, beside those of the verb.
LOUDNESS_TAGS = Field("loudness_tags", bool, False, False, None, "store the loudness as ReplayGain")
MESSAGE_HEIGHT = 90  # of an empty message, which shows the progress

NO_TIME = (
    f"The batch reached its limit of {WORK_SECONDS / 60:g} minutes before this file was done. Upload it "
    "again with fewer files."
)
NO_ROOM = (
    f"The results reached the limit of {ARCHIVE_BYTES / GIBIBYTE:g} GiB before this file. Upload it again "
    "with fewer files."
)


@dataclass(frozen=True)
class _Inputs:
    """The inputs of a batch."""

    files: gr.File
    verb: gr.Radio
    controls: Mapping[str, gr.components.Component]  # by the names in `Verb.batch_settings`


@dataclass(frozen=True)
class _Outputs:
    """The outputs of a batch."""

    message: gr.Markdown
    download: gr.DownloadButton
    measurements: gr.DownloadButton
    rows: gr.JSON


def section() -> Page:
    """Add the section to the tab being built."""
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            inputs = _input_section()
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("Process **several files** and get a zip of all results and a table of measurements.")
            at = page("batch", "Run the batch", {"verb": inputs.verb, **inputs.controls})
            outputs = _output_section()
    at.expected.value = _estimate(None, RELEASE.name)
    gr.on(
        [new_file(inputs.files), inputs.verb.change],
        _estimate,
        [inputs.files, inputs.verb],
        at.expected,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    _wire(at, inputs, outputs)
    return at


def _input_section() -> _Inputs:
    """The files, the verb, and the controls of its settings."""
    files = gr.File(label="Files", file_count="multiple", height=220, elem_id="batch-files")
    gr.Markdown(
        f"Up to {MAX_FILES} files of up to {LIMITS.minutes:g} minutes and "
        f"{LIMITS.file_bytes / GIBIBYTE:g} GiB each. Limit per batch: {WORK_SECONDS / 60:g} minutes "
        f"and {ARCHIVE_BYTES / GIBIBYTE:g} GiB of results. If a file fails, the others continue."
    )
    verb = gr.Radio(
        [(one.batch_name, name) for name, one in CHOICES.items()], value=RELEASE.name, label="Action"
    )
    about = gr.Markdown(RELEASE.help)
    controls: dict[str, gr.components.Component] = {
        "target": target_choice(),
        "preset": preset_choice(),
        "strength": strength_choice(),
        "rate": rate_choice(None),
        "phone": gr.Radio(
            [(name, key) for key, name in PHONE_NAMES.items()], value="voice_memo", label="Phone"
        ),
        "crossfade": crossfade_choice(),
    }
    for name, control in controls.items():
        control.visible = name in RELEASE.batch_settings.values()
    verb.change(
        lambda verb: [CHOICES[verb].help, *_show_controls(verb, controls)],
        verb,
        [about, *controls.values()],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    return _Inputs(files, verb, controls)


def _output_section() -> _Outputs:
    """Message, downloads, and a table that is updated after each file."""
    message = gr.Markdown(min_height=1)
    with gr.Row():
        download = gr.DownloadButton("All results, zip", interactive=False)
        measurements = gr.DownloadButton("Measurements, CSV", interactive=False)
    rows_table = gr.HTML(css_template=TABLE_STYLE)
    with gr.Accordion("Raw data (JSON)", open=False):
        rows = gr.JSON(label="Rows")
    rows.change(
        _rows_table,
        rows,
        rows_table,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
    )
    return _Outputs(message, download, measurements, rows)


def _wire(at: Page, inputs: _Inputs, outputs: _Outputs) -> None:
    """Connect the buttons: clear, run and show the results; or cancel."""
    archive = gr.File(label="Results", visible=False)
    csv_file = gr.File(label="Measurements", visible=False)
    settings = gr.JSON(label="Settings of the verb", visible=False)
    emptied = (archive, csv_file, outputs.rows, outputs.download, outputs.measurements)
    shown = [inputs.files, inputs.verb, *inputs.controls.values()]
    run_state.require_file(at, inputs.files)
    run_state.start(at, shown, clears=True)
    event = at.run.click(
        lambda verb, *values: [
            _select_settings(verb, dict(zip(inputs.controls, values, strict=True))),
            gr.Markdown("", min_height=MESSAGE_HEIGHT),
            *map(empty, emptied),
        ],
        [inputs.verb, *inputs.controls.values()],
        [settings, outputs.message, *emptied],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    ).success(
        outlive(
            at.name,
            batch,
            lambda files, verb, settings, *_: [files, verb, *_controls_of(inputs, verb, settings or {})],
        ),
        [inputs.files, inputs.verb, settings],
        [archive, csv_file, outputs.rows],
        api_name="batch",
        concurrency_id="audio",
        show_progress_on=outputs.message,
    )
    showing = after(
        at,
        event,
        lambda archive, measurements, rows: [
            gr.DownloadButton(value=archive, interactive=True),
            gr.DownloadButton(value=measurements, interactive=True),
            gr.Markdown(f"**{_summary(rows)}**", min_height=1),
        ],
        [archive, csv_file, outputs.rows],
        [outputs.download, outputs.measurements, outputs.message],
    )
    cancel_on_click(at, [event, showing])
    run_state.follow(at, shown, [event, showing])


def _show_controls(verb: str, controls: Iterable[str]) -> list[dict[str, Any]]:
    """The updates that show only the controls of the verb."""
    return [gr.update(visible=name in CHOICES[verb].batch_settings.values()) for name in controls]


def _select_settings(verb: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The verb's settings from the values of the controls."""
    return {name: values[control] for name, control in CHOICES[verb].batch_settings.items()}


def _controls_of(inputs: _Inputs, verb: str, settings: Mapping[str, Any]) -> list[Any]:
    """The values of the controls from the verb's settings, the reverse; others at their defaults."""
    values = {name: control.value for name, control in inputs.controls.items()}
    values |= {control: settings[name] for name, control in CHOICES[verb].batch_settings.items()}
    return [values[name] for name in inputs.controls]


def _estimate(files: list[str] | None, verb: str) -> str:
    """How long the batch will take, and whether that is too long."""
    if not files:
        return f"<p>{NO_FILES}</p>"
    amount = _of_files(files)
    if not amount:
        return ""
    sentences = status.estimate(CHOICES[verb], amount)
    if estimates.expected_seconds(CHOICES[verb], amount) > WORK_SECONDS:
        sentences += f" A batch ends after {WORK_SECONDS / 60:g} minutes. Upload fewer files at a time."
    return f"<p>{sentences}</p>"


def _of_files(files: list[str] | None, **_: Any) -> float:
    """The workload of all readable files."""
    amount = 0.0
    for file in files or []:
        try:
            amount += of_sound(file)
        except Exception:  # reported in its row
            continue
    return amount


@report_errors
def batch(
    files: list[str],
    verb: str = "release",
    settings: dict[str, Any] | str | None = None,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Process several audio files with the same settings; if one fails, the others continue.

    Args:
        files: audio or video files, 50 at most
        verb: one of release, enhance, super_resolve, master, measure, degrade, loop
        settings: that endpoint's parameters by name, such as {"preset": "podcast"}, as an object or JSON text; anything left out keeps its default; "loudness_tags": true also stores ReplayGain

    Returns:
        a zip of the results, 24-bit WAV, or float if one exceeds full scale, and the measurements
        the measurements as CSV, one row per file; if a file failed, the column "error" says why
        the same rows
    """  # noqa: E501 - an argument is described in one line
    if not files:
        raise InputError(NO_FILES)
    if len(files) > MAX_FILES:
        raise InputError(
            f"{len(files)} files exceed the limit of {MAX_FILES}. Split them into several batches."
        )
    require_known("verb for a batch", verb, CHOICES)
    given = _as_object(settings)
    loudness_tags = parse(LOUDNESS_TAGS, _as_text(given.pop(LOUDNESS_TAGS.name, False)))
    yield from _RUNS[verb](files, _options(verb, given), loudness_tags, progress)


def _as_object(settings: Any) -> dict[str, Any]:
    """A program's settings by name. Raises `OptionError` if they are no object."""
    if isinstance(settings, str) and settings:
        try:
            settings = json.loads(settings)
        except (ValueError, RecursionError):
            settings = [settings]
    settings = settings or {}
    if not isinstance(settings, dict):
        raise OptionError('The settings must be a JSON object, such as {"strength": 0.7}.')
    return dict(settings)


def _options(verb: str, settings: Any) -> Any:
    """The verb's options from a program's settings. Raises `OptionError` if they are invalid."""
    fields = {field.name: field for field in describe(CHOICES[verb].options)}
    values = {}
    for name, value in _as_object(settings).items():
        if name not in fields:
            raise OptionError(f"{verb} has no setting {shorten(name)}. Choose one of {', '.join(fields)}.")
        if not isinstance(value, str | int | float | None):
            raise OptionError(f"{name} must be a number, a text, true, false or null, not {shorten(value)}.")
        values[name] = parse(fields[name], _as_text(value))
    return CHOICES[verb].options(**values)


def _as_text(value: str | float | None) -> str:
    """A value as written in a shell.

    >>> _as_text(True), _as_text(None), _as_text(0.7), _as_text(48_000)
    ('true', 'none', '0.7', '48000')
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _run_of(verb: Verb) -> Callable[..., Updates]:
    """The endpoint of a verb's batch, with the verb's estimates."""

    @endpoint(verb, _of_files)
    def run(files: list[str], options: Any, loudness_tags: bool, progress: gr.Progress) -> Updates:
        path = Path(result_path("batch", f"{verb.name}.zip"))
        try:
            rows = yield from _archive(path, verb, files, (options, loudness_tags), progress)
        except BaseException:  # also a cancel: no incomplete archive remains
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        yield str(path), str(path.with_name(MEASUREMENTS)), rows

    return run


_RUNS = {name: _run_of(verb) for name, verb in CHOICES.items()}


def _archive(
    path: Path,
    verb: Verb,
    files: Sequence[str],
    settings: tuple[Any, bool],
    progress: gr.Progress,
) -> Generator[Any, None, list[Row]]:
    """Process each file and add its result to the archive; shows the rows after each file and returns them.

    A result is deleted as soon as it is in the archive.

    settings: the verb's options, and whether to store the loudness.
    """
    deadline = time.monotonic() + WORK_SECONDS
    rows: list[Row] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for done, (file, name) in enumerate(zip(files, _names(files, verb.ending), strict=True)):
            source = Path(file)
            output = None if name is None else path.with_name(name)
            try:
                if path.stat().st_size > ARCHIVE_BYTES:
                    raise InputError(NO_ROOM)
                steps = _stop_at(deadline, run_steps(verb.name, source, output, *settings))
                steps = part(steps, done / len(files), (done + 1) / len(files))
                text = f"{done + 1} of {len(files)}: {source.name}"
                one = yield from follow(steps, progress, text)
                if one.output is not None:
                    archive.write(one.output, one.output.name)
                rows.append(one.row)
            except Exception as error:
                rows.append(failed_row(source, as_failure(source, error, private=True)))
            finally:
                if output is not None:
                    output.unlink(missing_ok=True)
            yield gr.skip(), gr.skip(), list(rows)
        measurements = path.with_name(MEASUREMENTS)
        measurements.write_text(as_csv(rows), encoding="utf-8", newline="")
        archive.write(measurements, MEASUREMENTS)
    return rows


def _stop_at(deadline: float, steps: Steps[Done]) -> Steps[Done]:
    """The same steps, but with an `InputError` at the deadline."""
    with Run(steps) as run:
        for share in run:
            yield share
            if time.monotonic() >= deadline:
                raise InputError(NO_TIME)
    return run.result


def _names(files: Sequence[str], ending: str | None) -> list[str | None]:
    """Names of results for an archive: unique, readable, and valid on every system.

    >>> _names(["a/memo.m4a", "b/Memo.wav", "...mp3"], "enhanced.wav")
    ['memo-enhanced.wav', 'Memo-2-enhanced.wav', 'file-enhanced.wav']
    """
    if ending is None:
        return [None] * len(files)
    taken: set[str] = set()
    names: list[str | None] = []
    for file in files:
        stem = _sanitize(Path(file).stem)
        name, copy = f"{stem}-{ending}", 1
        while name.casefold() in taken:
            copy += 1
            name = f"{stem}-{copy}-{ending}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _sanitize(stem: str) -> str:
    """A stem without separators, control characters, and characters that Windows does not allow."""
    text = "".join(
        "_" if character in '/\\:*?"<>|' or unicodedata.category(character).startswith("C") else character
        for character in unicodedata.normalize("NFC", stem)
    )
    return text.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip(". ") or "file"


def _rows_table(rows: list[Row] | None) -> str:
    if not rows:
        return ""
    cells = [
        (
            row["file"],
            f"Failed. {row['error']}" if row["error"] else row["message"] or "Measured.",
            *(number(None if row[name] == "" else row[name]) for name, _ in ROW_FIGURES),
        )
        for row in rows
    ]
    headings = ("File", "Result", *(heading for _, heading in ROW_FIGURES))
    return table(headings, cells, "Results by file")


def _summary(rows: Sequence[Row]) -> str:
    """How many files were done.

    >>> _summary([{"error": ""}]), _summary([{"error": ""}, {"error": "No."}])
    ('File done.', '1 of 2 files done; see the table for the 1 that failed.')
    """
    missed = sum(bool(row["error"]) for row in rows)
    if not missed:
        return "File done." if len(rows) == 1 else f"All {len(rows)} files done."
    done = f"{len(rows) - missed} of {len(rows)} file{'' if len(rows) == 1 else 's'} done"
    return f"{done}; see the table for the {missed} that failed."
