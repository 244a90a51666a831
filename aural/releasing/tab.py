"""The Release tab: from a phone's recording to what can be released in one go, and many files in a batch."""

from __future__ import annotations

import json
import shutil
import time
import unicodedata
import zipfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from aural import jobs, pace
from aural.audio import LIMITS, Clip, wav_encoding, write
from aural.audio.files import GIBIBYTE
from aural.audio.steps import Steps, part
from aural.enhancement.tab import PHONE_NAMES, PRESET_NAMES
from aural.errors import AuralError, InputError, OptionError, require_known, shortened
from aural.loudness.downmix import METHODS
from aural.loudness.meter import measure_steps
from aural.loudness.targets import TARGETS
from aural.options import describe, parse
from aural.releasing import pipeline
from aural.ui import machine, plots
from aural.ui.downloads import cleared, download_buttons, encode
from aural.ui.examples import PHONE_EXAMPLES
from aural.ui.fields import NOTHING, examples_with_credits, picture, slider
from aural.ui.handover import Handover, send_buttons, switched
from aural.ui.page import Page, Tab, expect, page
from aural.ui.players import ABPlayer, Version, audio_input, playable
from aural.ui.running import CALL_SECONDS, answers, endpoint, follow, load, number, of_sound, table, takes
from aural.ui.storage import result_path

Answer = Generator[Any, None, None]

# The stages by their names in the figures: for people, and the verb that makes it.
STAGES = {
    "enhanced": ("Enhanced", "enhance"),
    "super_resolved": ("Super-resolved", "super_resolve"),
    "mastered": ("Mastered", "release"),
}
VERSIONS = {"before": "Before", **{name: title for name, (title, _) in STAGES.items()}}
# Of each version, as the table shows it: figure, name, decimals.
FIGURES = (
    ("integrated_lufs", "Integrated loudness, LUFS", 1),
    ("range_lu", "Loudness range, LU", 1),
    ("true_peak_dbtp", "True peak, dBTP", 1),
    ("bandwidth_hz", "End of the band, Hz", 0),
    ("snr_db", "Signal to noise, dB", 1),
    ("rate", "Sample rate, Hz", 0),
)
RATES = (44_100, 48_000, 88_200, 96_000)

# What a batch can do with its files. `generate` takes none, and `resynthesize` is an experiment with one.
VERB_NAMES = {
    "release": "Phone to release",
    "enhance": "Enhance",
    "super_resolve": "Super-resolve",
    "master": "Master",
    "measure": "Measure",
    "degrade": "Sound like a phone",
}
# The settings of each that the page offers, and by which of its controls.
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "release": {"preset": "preset", "strength": "strength", "target": "target"},
    "enhance": {"preset": "preset", "strength": "strength"},
    "super_resolve": {"rate": "rate"},
    "master": {"target": "target"},
    "measure": {},
    "degrade": {"preset": "phone"},
}
# Of a file, as the table shows it: column, heading.
ROW_FIGURES = (
    ("integrated_lufs_before", "Before, LUFS"),
    ("integrated_lufs", "LUFS"),
    ("true_peak_dbtp", "True peak, dBTP"),
    ("range_lu", "Range, LU"),
    ("seconds", "Length, s"),
)
# The second column holds sentences: beside the file's name they are in sight on a phone too.
TABLE_STYLE = """
th[scope="row"] { min-width: 11em; }
td:nth-child(2) { min-width: 19em; }
:is(th, td):nth-child(2) { text-align: start !important; }
@media (max-width: 640px) {
  th[scope="row"] { min-width: 7em; }
  td:nth-child(2) { min-width: 15em; }
}
"""
MOST_FILES = 50
WORK_SECONDS = CALL_SECONDS - 60  # after which a batch ends with what it has, before the call is ended
ARCHIVE_BYTES = 4 * GIBIBYTE  # when its results take that much, a batch begins no other file
LONGEST_NAME_BYTES = 150  # of a file in the archive, without its ending
MEASUREMENTS = "measurements.csv"
MESSAGE_HEIGHT = 90  # of an empty message, over which the progress is shown

NO_FILES = "There are no files yet: upload some audio or video files."
NO_TIME = (
    f"The batch took longer than the {WORK_SECONDS / 60:g} minutes that it may take: hand this file in "
    "again, with fewer others."
)
NO_ROOM = (
    f"The results before this one fill the {ARCHIVE_BYTES / GIBIBYTE:g} GiB that an archive may have: "
    "hand this file in again, with fewer others."
)

DEFAULTS = pipeline.Options()

Row = dict[str, Any]  # of `aural.jobs.COLUMNS`


def build() -> Tab:
    """Add the tab to the Blocks being built."""
    with gr.Tab("Release", id="release"), gr.Tabs():
        with gr.Tab("Phone to release", id="release"), gr.Row():
            with gr.Column(scale=2, min_width=320):
                audio = audio_input("Recording: upload or record it")
                examples_with_credits(PHONE_EXAMPLES, audio)
                settings = _settings_section()
            with gr.Column(scale=5, min_width=320):
                release_page, handover = _result_section(audio, settings)
        with gr.Tab("Batch", id="batch"):
            batch_page = _batch_section()
    return Tab("release", audio, [release_page, batch_page], [handover])


def _settings_section() -> dict[str, gr.components.Component]:
    """All settings by the names of their options."""
    target, preset, strength = _target_choice(), _preset_choice(), _strength_choice()
    with gr.Accordion("Advanced", open=False):
        rate = _rate_choice(DEFAULTS.rate)
        completion = gr.Checkbox(
            DEFAULTS.completion, label="Completion", info="Makes anew what the phone lost above its band."
        )
        fold = gr.Dropdown(
            [(f"{key}: {text}", key) for key, text in METHODS.items()],
            value=DEFAULTS.downmix,
            label="Down-mix",
            info="Fold the channels down before the loudness is set.",
        )
        seed = gr.Number(DEFAULTS.seed, label="Seed", info="Of all that is random.")
    return {
        "preset": preset,
        "strength": strength,
        "completion": completion,
        "rate": rate,
        "target": target,
        "downmix": fold,
        "seed": seed,
    }


def _target_choice() -> gr.Dropdown:
    return gr.Dropdown(
        [
            (f"{t.name} ({t.loudness_lufs:g} LUFS, {t.ceiling_dbtp:g} dBTP)", key)
            for key, t in TARGETS.items()
        ],
        value=DEFAULTS.target,
        label="Going to",
        info="Sets the loudness and the true peak.",
    )


def _preset_choice() -> gr.Radio:
    return gr.Radio(
        [(PRESET_NAMES[key], key) for key in pipeline.PRESETS],
        value=DEFAULTS.preset,
        label="Preset",
        info="Of the enhancement. Restore mends; the others add a finish.",
    )


def _strength_choice() -> gr.Slider:
    return slider(DEFAULTS.strength, 0, 1, 0.05, "Strength", "Of the enhancement; 0 leaves it out.")


def _rate_choice(rate: int | None) -> gr.Radio:
    return gr.Radio(
        [("Automatic", NOTHING), *((f"{rate / 1000:g} kHz", rate) for rate in RATES)],
        value=rate or NOTHING,
        label="Sample rate",
        info="Automatic: 48 kHz, or the recording's own where that is higher.",
    )


def _result_section(audio: gr.Audio, settings: dict[str, gr.components.Component]) -> tuple[Page, Handover]:
    gr.Markdown(
        "In one go: **enhanced** like a studio recording, **super-resolved** to its full band, and "
        "**mastered** for where it is going. Every stage can be heard, measured and taken along."
    )
    at = page("release", "Make it release-ready", settings)
    expect(at, {"audio": audio}, of_sound)
    message = gr.Markdown()
    player = ABPlayer(label="The stages, at matched loudness")
    stages_table = gr.HTML()
    spectrograms = picture("Spectrograms, dashes: end of the band")
    with gr.Row():
        downloads = download_buttons()
    sending = send_buttons("release")
    inspected = [
        part for place, (title, _) in enumerate(STAGES.values(), 1) for part in _inspector(place, title)
    ]
    result = gr.File(label="Released file", visible=False)
    stages = gr.File(label="Files of the stages", file_count="multiple", visible=False)
    figures = gr.JSON(label="Figures", visible=False)
    original = gr.State()  # the file that the result was made from, whatever is uploaded meanwhile
    event = at.run.click(
        release,
        [audio, *(settings[name] for name in pipeline.Options.__dataclass_fields__)],
        [result, stages, figures, spectrograms, original],
        api_name="release",
        concurrency_id="audio",
    )
    clear_page = cleared(3, len(downloads))
    at.run.click(
        lambda: [*clear_page(), *switched(sending, False), *_inspected()],
        None,
        [message, player, stages_table, *downloads, *sending.values(), *inspected],
        api_visibility="private",
        queue=False,
    )
    shown = event.success(
        lambda *values: [*_show(*values), *switched(sending, True), *_inspected(*values[1:])],
        [original, result, stages, figures],
        [message, player, stages_table, *sending.values(), *inspected],
        api_visibility="private",
    )
    encoded = shown.success(encode, result, downloads, api_visibility="private", concurrency_id="encoding")
    at.cancel.click(None, cancels=[event, shown, encoded], api_visibility="private")
    return at, Handover(result, sending)


def _inspector(place: int, title: str) -> tuple[gr.Markdown, gr.DownloadButton, gr.JSON]:
    """What one stage said and made."""
    with gr.Accordion(f"Stage {place}: {title}", open=False):
        message = gr.Markdown()
        download = gr.DownloadButton(f"{title}, WAV", interactive=False)
        return message, download, gr.JSON(label=f"Figures, {title.lower()}")


@endpoint("release", of_sound)
@takes(pipeline.Options)
def release(
    audio: str,
    options: pipeline.Options,
    progress: gr.Progress = gr.Progress(),
) -> Answer:
    """Enhance a phone recording, super-resolve it, and master it for where it is going, in one go.

    Args:
        audio: the recording, an audio or video file
        options: as below

    Returns:
        the file to release, WAV of 24 bit, or float where it exceeds full scale
        the files of the stages before it, likewise: enhanced, super-resolved
        what each stage found and did, and what each version measures
        a picture of the spectrograms of the recording and of each stage
    """
    clip = load(audio)
    steps = part(pipeline.release_steps(clip, options), 0.0, 0.85)
    result = yield from follow(steps, progress, "Enhancing, super-resolving, mastering")
    measuring = part(measure_steps(clip), 0.85, 0.9)
    before = yield from follow(measuring, progress, "Measuring")
    measuring = part(measure_steps(result.enhanced.clip), 0.9, 0.95)
    enhanced = yield from follow(measuring, progress, "Measuring")
    versions = {
        "before": before,
        "enhanced": enhanced,
        "super_resolved": result.mastered.before,
        "mastered": result.mastered.after,
    }
    progress(0.95, desc="Drawing and writing")
    ends_hz = _ends_of_band(result)
    figures = result.figures()
    found = {"before": result.enhanced.before, "enhanced": result.enhanced.after}
    figures["versions"] = {
        name: {
            **loudness.figures(),
            "bandwidth_hz": None if (hz := ends_hz[name]) is None else round(hz),
            "snr_db": found[name].figures()["snr_db"] if name in found else None,
        }
        for name, loudness in versions.items()
    }
    made = (result.enhanced.clip, result.super_resolved.clip, result.clip)
    *stages, released = (
        _written(one, audio, verb) for one, (_, verb) in zip(made, STAGES.values(), strict=True)
    )
    drawn = plots.save(_spectrograms((clip, *made), ends_hz, result.super_resolved.filled_hz is not None))
    yield released, stages, figures, drawn, audio


def _ends_of_band(result: pipeline.Result) -> dict[str, float | None]:
    """Where the band of each version ends, Hz; None for silence."""
    resolved = result.super_resolved
    filled_hz = resolved.bandwidth_hz if resolved.filled_hz is None else resolved.filled_hz[1]
    is_silent = result.enhanced.before.bandwidth_hz is None
    return {
        "before": result.enhanced.before.bandwidth_hz,
        "enhanced": result.enhanced.after.bandwidth_hz,
        "super_resolved": None if is_silent else filled_hz,
        "mastered": None if is_silent else filled_hz,
    }


def _written(clip: Clip, audio: str, verb: str) -> str:
    """The path of a version's file."""
    path = result_path(audio, jobs.VERBS[verb].ending or "")
    write(clip, path, wav_encoding(clip))
    return path


def _spectrograms(clips: Sequence[Clip], ends_hz: Mapping[str, float | None], is_filled: bool) -> Any:
    heard = []
    for (name, title), clip in zip(VERSIONS.items(), clips, strict=True):
        old_hz = ends_hz["enhanced"] if is_filled and name == "super_resolved" else None
        heard.append(plots.Heard(title, clip.samples, clip.rate, ends_hz[name], old_hz))
    return plots.spectrogram_versions(heard)


def _show(
    audio: str, result: str, stages: list[str], figures: dict[str, Any]
) -> tuple[str, list[Version], str]:
    versions = figures["versions"]
    files = (playable(audio), *stages, result)
    rows = [
        (label, *(number(versions[name][figure], decimals) for name in VERSIONS))
        for figure, label, decimals in FIGURES
    ]
    return (
        f"**{figures['message']}**",
        [
            Version(title, file, versions[name]["integrated_lufs"])
            for (name, title), file in zip(VERSIONS.items(), files, strict=True)
        ],
        table(("Measure", *VERSIONS.values()), rows, "What each stage made of it"),
    )


def _inspected(
    result: str = "", stages: Sequence[str] = (), figures: Mapping[str, Any] | None = None
) -> list[Any]:
    """The updates of all parts of all inspectors; without a result they are empty."""
    updates: list[Any] = []
    for name, file in zip(STAGES, [*stages, result] if figures else [None] * len(STAGES), strict=True):
        found = figures[name] if figures else {}
        download = gr.DownloadButton(value=file, interactive=file is not None)
        updates += [found.get("message"), download, found or None]
    return updates


def _batch_section() -> Page:
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            files = gr.File(label="Files: upload several", file_count="multiple", height=220)
            gr.Markdown(
                f"Up to {MOST_FILES} files, each of {LIMITS.minutes:g} minutes and "
                f"{LIMITS.file_bytes / GIBIBYTE:g} GiB at most. A batch may take {WORK_SECONDS / 60:g} "
                f"minutes and make {ARCHIVE_BYTES / GIBIBYTE:g} GiB of results. A file that cannot be "
                "done does not stop the rest."
            )
            verb = gr.Radio(
                [(name, key) for key, name in VERB_NAMES.items()], value="release", label="What to do"
            )
            about = gr.Markdown(jobs.VERBS["release"].help)
            controls: dict[str, gr.components.Component] = {
                "target": _target_choice(),
                "preset": _preset_choice(),
                "strength": _strength_choice(),
                "rate": _rate_choice(None),
                "phone": gr.Radio(
                    [(name, key) for key, name in PHONE_NAMES.items()], value="voice_memo", label="Phone"
                ),
            }
            for name, control in controls.items():
                control.visible = name in SETTINGS["release"].values()
        with gr.Column(scale=5, min_width=320):
            gr.Markdown(
                "The same for **several files**: a zip with all results, and a table of what they measure."
            )
            at = page("batch", "Run the batch", {"verb": verb, **controls})
            message = gr.Markdown(min_height=1)
            with gr.Row():
                download = gr.DownloadButton("All results, zip", interactive=False)
                measurements = gr.DownloadButton("Measurements, CSV", interactive=False)
            rows_table = gr.HTML(css_template=TABLE_STYLE)
            with gr.Accordion("All figures as JSON", open=False):
                rows = gr.JSON(label="Rows")
    archive = gr.File(label="Results", visible=False)
    csv_file = gr.File(label="Measurements", visible=False)
    settings = gr.JSON(label="Settings of the verb", visible=False)
    verb.change(
        lambda verb: [jobs.VERBS[verb].help, *_fitting(verb, controls)],
        verb,
        [about, *controls.values()],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    gr.on(
        [files.change, verb.change],
        _expected,
        [files, verb],
        at.expected,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    rows.change(
        _rows_table,
        rows,
        rows_table,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
    )
    clear_page = cleared(1, 2)
    event = at.run.click(
        lambda verb, *values: [
            _chosen(verb, dict(zip(controls, values, strict=True))),
            gr.Markdown("", min_height=MESSAGE_HEIGHT),
            *clear_page(),
        ],
        [verb, *controls.values()],
        [settings, message, rows, download, measurements],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    ).success(
        batch,
        [files, verb, settings],
        [archive, csv_file, rows],
        api_name="batch",
        concurrency_id="audio",
        show_progress_on=message,
    )
    shown = event.success(
        lambda rows, *paths: [
            gr.Markdown(f"**{_summary(rows)}**", min_height=1),
            *(gr.DownloadButton(value=path, interactive=True) for path in paths),
        ],
        [rows, archive, csv_file],
        [message, download, measurements],
        api_visibility="private",
    )
    at.cancel.click(None, cancels=[event, shown], api_visibility="private")
    return at


def _fitting(verb: str, controls: Iterable[str]) -> list[dict[str, Any]]:
    """The updates that leave only the controls that the verb has a use for."""
    return [gr.update(visible=name in SETTINGS[verb].values()) for name in controls]


def _chosen(verb: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The verb's settings from the values of the controls."""
    return {name: values[control] for name, control in SETTINGS[verb].items()}


def _expected(files: list[str] | None, verb: str) -> str:
    """What the batch will take, and whether that is too long."""
    amount = _of_files(files)
    if not amount:
        return ""
    sentences = machine.expectation(verb, amount)
    if pace.expected_seconds(verb, amount) > WORK_SECONDS:
        sentences += f" The batch ends after {WORK_SECONDS / 60:g} minutes: hand in fewer files at a time."
    return f"<p>{sentences}</p>"


def _of_files(files: list[str] | None, **_: Any) -> float:
    """The amount of work in all files that can be read."""
    amount = 0.0
    for file in files or []:
        try:
            amount += of_sound(file)
        except AuralError:  # its row will say so
            continue
    return amount


@answers
def batch(
    files: list[str],
    verb: str = "release",
    settings: dict[str, Any] | str | None = None,
    progress: gr.Progress = gr.Progress(),
) -> Answer:
    """Do the same with several audio files, one after the other; one that cannot be done does not stop the rest.

    Args:
        files: audio or video files, 50 at most
        verb: one of release, enhance, super_resolve, master, measure, degrade
        settings: of the verb, by the names of that endpoint's parameters, such as {"preset": "podcast"}, as an object or as its text in JSON; what is left out keeps its default

    Returns:
        a zip of the results, WAV of 24 bit, or float where one exceeds full scale, and of the measurements
        the measurements as CSV, a row for each file; where one could not be done, the column "error" says why
        the same rows
    """  # noqa: E501 - an argument is described in one line
    if not files:
        raise InputError(NO_FILES)
    if len(files) > MOST_FILES:
        raise InputError(
            f"There are {len(files)} files and the limit is {MOST_FILES}: hand them in in several batches."
        )
    yield from _RUNS[_known(verb)](files, _options(verb, settings), progress)


def _known(verb: Any) -> str:
    require_known("verb for a batch", verb, VERB_NAMES)
    return str(verb)


def _options(verb: str, settings: Any) -> Any:
    """The verb's options from what a program sent. Raises `OptionError` where it makes no sense."""
    if isinstance(settings, str) and settings:
        try:
            settings = json.loads(settings)
        except (ValueError, RecursionError):
            settings = [settings]
    settings = settings or {}
    if not isinstance(settings, dict):
        raise OptionError('The settings must be a JSON object by their names, such as {"strength": 0.7}.')
    fields = {field.name: field for field in describe(jobs.VERBS[verb].options)}
    values = {}
    for name, value in settings.items():
        if name not in fields:
            raise OptionError(
                f"The verb {verb} has no setting {shortened(name)}: choose among {', '.join(fields)}."
            )
        if not isinstance(value, str | int | float | None):
            raise OptionError(
                f"{name} must be a number, a text, true, false or null, not {shortened(value)}."
            )
        values[name] = parse(fields[name], _as_text(value))
    return jobs.VERBS[verb].options(**values)


def _as_text(value: str | float | None) -> str:
    """How a shell would write a value.

    >>> _as_text(True), _as_text(None), _as_text(0.7), _as_text(48_000)
    ('true', 'none', '0.7', '48000')
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _run_of(verb: str) -> Callable[..., Answer]:
    """What runs a batch of a verb: its pace is that of the verb."""

    @endpoint(verb, _of_files)
    def run(files: list[str], options: Any, progress: gr.Progress) -> Answer:
        path = Path(result_path("batch", f"{verb}.zip"))
        try:
            rows = yield from _archive(path, verb, files, options, progress)
        except BaseException:  # the visitor's cancel too: nothing is left half done
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        yield str(path), str(path.with_name(MEASUREMENTS)), rows

    return run


_RUNS = {verb: _run_of(verb) for verb in VERB_NAMES}


def _archive(
    path: Path, verb: str, files: Sequence[str], options: Any, progress: gr.Progress
) -> Generator[Any, None, list[Row]]:
    """Do each file in turn, and pack what comes of it; returns the rows, which are shown as they come.

    No result lies beside the archive for longer than it takes to be packed.
    """
    deadline = time.monotonic() + WORK_SECONDS
    rows: list[Row] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for done, (file, name) in enumerate(zip(files, _names(files, jobs.VERBS[verb].ending), strict=True)):
            source = Path(file)
            output = None if name is None else path.with_name(name)
            try:
                if path.stat().st_size > ARCHIVE_BYTES:
                    raise InputError(NO_ROOM)
                steps = _until(deadline, jobs.run_steps(verb, source, output, options))
                steps = part(steps, done / len(files), (done + 1) / len(files))
                text = f"{done + 1} of {len(files)}: {source.name}"
                one = yield from follow(steps, progress, text)
                if one.output is not None:
                    archive.write(one.output, one.output.name)
                rows.append(one.row)
            except AuralError as error:
                rows.append(jobs.failed(source, error))
            finally:
                if output is not None:
                    output.unlink(missing_ok=True)
            yield gr.skip(), gr.skip(), list(rows)
        measurements = path.with_name(MEASUREMENTS)
        measurements.write_text(jobs.as_csv(rows), encoding="utf-8", newline="")
        archive.write(measurements, MEASUREMENTS)
    return rows


def _until(deadline: float, steps: Steps[jobs.Done]) -> Steps[jobs.Done]:
    """The same steps, which end with an `InputError` when the time is up."""
    try:
        while time.monotonic() < deadline:
            yield next(steps)
        raise InputError(NO_TIME)
    except StopIteration as stop:
        done: jobs.Done = stop.value
        return done
    finally:
        steps.close()


def _names(files: Sequence[str], ending: str | None) -> list[str | None]:
    """Names of results for an archive: each unique, readable, and a file's on every system.

    >>> _names(["a/memo.m4a", "b/Memo.wav", "...mp3"], "enhanced.wav")
    ['memo-enhanced.wav', 'Memo-2-enhanced.wav', 'file-enhanced.wav']
    """
    if ending is None:
        return [None] * len(files)
    taken: set[str] = set()
    names: list[str | None] = []
    for file in files:
        stem = _readable(Path(file).stem)
        name, copy = f"{stem}-{ending}", 1
        while name.casefold() in taken:
            copy += 1
            name = f"{stem}-{copy}-{ending}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _readable(stem: str) -> str:
    """A stem without separators, control characters, and what Windows has no names for."""
    text = "".join(
        "_" if character in '/\\:*?"<>|' or unicodedata.category(character).startswith("C") else character
        for character in unicodedata.normalize("NFC", stem)
    )
    return text.encode()[:LONGEST_NAME_BYTES].decode(errors="ignore").strip(". ") or "file"


def _rows_table(rows: list[Row] | None) -> str:
    if not rows:
        return ""
    cells = [
        (
            row["file"],
            f"Not done. {row['error']}" if row["error"] else row["message"] or "Measured.",
            *(number(None if row[name] == "" else row[name]) for name, _ in ROW_FIGURES),
        )
        for row in rows
    ]
    headings = ("File", "What was found and done", *(heading for _, heading in ROW_FIGURES))
    return table(headings, cells, "File by file")


def _summary(rows: Sequence[Row]) -> str:
    """How many files were done.

    >>> _summary([{"error": ""}]), _summary([{"error": ""}, {"error": "No."}])
    ('The file is done.', '1 of 2 files are done; the table says why 1 is not.')
    """
    missed = sum(bool(row["error"]) for row in rows)
    if not missed:
        return "The file is done." if len(rows) == 1 else f"All {len(rows)} files are done."
    return (
        f"{len(rows) - missed} of {len(rows)} files {'is' if len(rows) == 1 else 'are'} done; "
        f"the table says why {missed} {'is' if missed == 1 else 'are'} not."
    )
