"""The Down-mix & Loudness tab: measure, master and album, and the round trip handed in by `app.py`."""

from __future__ import annotations

import html
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

from aural.audio import LIMITS, Clip, read_tags, write
from aural.errors import InputError
from aural.loudness import meter, pipeline
from aural.loudness.downmix import METHODS, NAMES, downmix
from aural.loudness.layouts import AUTO, LAYOUTS
from aural.loudness.targets import TARGETS
from aural.loudness.verb import MASTER, MEASURE, PLACE
from aural.loudness.verdicts import verdicts
from aural.options import Place
from aural.ui import plots
from aural.ui.endpoints import Updates, add_notes, endpoint, follow, load, of_sound, with_options
from aural.ui.examples import EXAMPLES
from aural.ui.fields import examples_with_credits, picture
from aural.ui.page import Page, Tab, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Version, audio_input, playable
from aural.ui.send_to import SendTo
from aural.ui.spectrograms import Drawn, spectrogram_section
from aural.ui.storage import result_path
from aural.ui.tables import Name, number, table
from aural.ui.takes import Made, add_takes
from aural.ui.uploads import media_files
from aural.ui.verdicts import chip_list

# Rows of the tables: field, name, unit, decimals.
FIGURES = (
    ("integrated_lufs", "Integrated loudness", "LUFS", 1),
    ("range_lu", "Loudness range", "LU", 1),
    ("momentary_max_lufs", "Maximum momentary loudness", "LUFS", 1),
    ("short_term_max_lufs", "Maximum short-term loudness", "LUFS", 1),
    ("true_peak_dbtp", "True peak", "dBTP", 1),
    ("sample_peak_dbfs", "Sample peak", "dBFS", 1),
    ("peak_to_loudness_lu", "Peak-to-loudness ratio (PLR)", "LU", 1),
    ("correlation", "Stereo correlation", "", 2),
    ("mono_loss_db", "Level change in mono, (L + R) / 2", "dB", 1),
    ("full_scale_samples", "Samples at full scale", "", 0),
    ("seconds", "Duration", "s", 2),
    ("rate", "Sample rate", "Hz", 0),
)

TARGET_CHOICES = [
    (f"{target.name} ({target.loudness_lufs:g} LUFS, {target.ceiling_dbtp:g} dBTP)", key)
    for key, target in TARGETS.items()
]
DOWNMIX_CHOICES = [(f"{key}: {text}", key) for key, text in METHODS.items()]

DEFAULTS = pipeline.Options()


@dataclass(frozen=True)
class _Source:
    """The input of all sections."""

    audio: gr.Audio
    layout: gr.Dropdown


def build(
    places: Sequence[Place], round_trip: Callable[[Sequence[Place], gr.Audio], tuple[Page, SendTo]]
) -> Tab:
    """Add the tab to the Blocks being built.

    Args:
        places: the tabs that results can be sent to.
        round_trip: builds the section Round trip for the upload field.
    """
    with gr.Tab("Down-mix & Loudness", id="loudness"), gr.Row():
        with gr.Column(scale=2, min_width=320):
            audio = audio_input("Audio: upload or record it")
            layout = gr.Dropdown(
                [("From file", AUTO), *((name, name) for name in LAYOUTS)],
                value=AUTO,
                label="Channel layout",
                info="Set this only if a surround file's layout is missing or wrong.",
            )
            examples_with_credits(EXAMPLES, audio)
            source = _Source(audio, layout)
        with gr.Column(scale=5, min_width=320), gr.Tabs():
            with gr.Tab("Measure", id="measure"):
                measuring = _measure_section(source)
            with gr.Tab("Master", id="master"):
                mastering, mastered = _master_section(places, source)
            with gr.Tab("Album", id="master_album"):
                album = _album_section(mastering.controls)
            with gr.Tab("Round trip", id="resynthesize"):
                resynthesizing, resynthesized = round_trip(places, audio)
    return Tab(PLACE.id, audio, [measuring, mastering, album, resynthesizing], [mastered, resynthesized])


def _measure_section(source: _Source) -> Page:
    compare = gr.Checkbox(True, label="Compare down-mixes", info="Try every down-mix and measure the result.")
    at = page(MEASURE.name, "Measure", {"layout": source.layout, "compare_downmixes": compare})
    show_estimate(at, MEASURE, {"audio": source.audio})
    figures_table = gr.HTML()
    history = picture("Loudness over time")
    with gr.Row():
        with gr.Column(min_width=320):
            spectrogram, drawn = spectrogram_section("Spectrogram")
        with gr.Column(min_width=320):
            goniometer = picture("Goniometer")
    folds_picture = picture("Loudness of each down-mix")
    folds_table = gr.HTML()
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Measurements")
    wire(
        at,
        measure,
        [source.audio, source.layout, compare],
        [figures, history, spectrogram, goniometer, drawn],
        View(_show_measurement, [figures], [figures_table, folds_table, folds_picture]),
    )
    return at


@endpoint(MEASURE)
def measure(
    audio: str,
    layout: str = AUTO,
    compare_downmixes: bool = True,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Measure loudness, peaks and stereo image of an audio file, ITU-R BS.1770-5 and EBU R 128.

    Args:
        audio: an audio or video file
        layout: the channel layout by FFmpeg's name, such as 5.1(side); "auto" reads it from the file
        compare_downmixes: also measure the file after each down-mix

    Returns:
        the measurements, with a list of down-mixes if they were compared
        a picture of loudness over time
        a picture of the spectrogram
        a picture of the stereo image
    """
    clip = load(audio)
    loudness = yield from follow(meter.measure.steps(clip, layout), progress, "Measuring")
    figures = loudness.figures()
    figures["notes"] = [*figures["notes"], *clip.notes]
    if compare_downmixes and clip.channels > 1:
        folds = yield from follow(pipeline.compare_downmixes_steps(clip, loudness), progress, "Down-mixing")
        figures["downmixes"] = [asdict(fold) for fold in folds]
    progress(0.95, desc="Drawing")
    stereo = downmix(clip, "stereo", loudness.layout) if clip.channels > 2 else clip
    yield (
        figures,
        plots.save(plots.loudness_history(*loudness.history(), loudness.integrated_lufs)),
        plots.save(plots.spectrogram(clip.samples, clip.rate)),
        plots.save(plots.goniometer(stereo.samples, loudness.correlation)),
        Drawn((audio,), ("",), ((None, None),), (0.0,)),
    )


def _show_measurement(figures: dict[str, Any]) -> tuple[str, str, str | None]:
    readings = {one.name: figures[one.name] for one in fields(meter.Loudness) if one.name in figures}
    judged = chip_list("Verdicts", verdicts(meter.Loudness(**readings)))
    rows = list(zip(*_figure_columns(figures), strict=True))
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in figures["notes"])
    loudness_table = judged + table(("Metric", "Value"), rows, "Loudness") + notes
    if not figures.get("downmixes"):
        return loudness_table, "", None
    groups = pipeline.group_alike([pipeline.Fold(**fold) for fold in figures["downmixes"]])
    folds = [group[0] for group in groups]
    fold_rows = [
        (
            f"{fold.method}: {METHODS[fold.method]}",
            fold.channels,
            number(fold.integrated_lufs),
            number(fold.change_lu),
            number(fold.true_peak_dbtp),
        )
        for fold in folds
    ]
    headings = ("Down-mix", "Channels", "Integrated, LUFS", "Change, LU", "True peak, dBTP")
    bars = plots.comparison_bars(
        [NAMES[fold.method] for fold in folds], [fold.integrated_lufs for fold in folds], "LUFS"
    )
    return (
        loudness_table,
        table(headings, fold_rows, "Results by down-mix") + _left_out(groups),
        plots.save(bars),
    )


def _left_out(groups: Sequence[Sequence[pipeline.Fold]]) -> str:
    """Which down-mixes are shown once for several that measure the same, as HTML."""
    alike = [
        " = ".join(f"<code>{fold.method}</code>" for fold in group) for group in groups if len(group) > 1
    ]
    return f"<p>Shown once, because they measure the same: {'; '.join(alike)}</p>" if alike else ""


def _figure_columns(figures: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Names and values of a measurement, for the tables."""
    names = [label for _, label, _, _ in FIGURES]
    values = [f"{number(figures[name], decimals)} {unit}" for name, _, unit, decimals in FIGURES]
    return [*names, "Channel layout"], [*values, Name(figures["layout"])]


def _master_section(places: Sequence[Place], source: _Source) -> tuple[Page, SendTo]:
    settings = {"layout": source.layout, **_target_section(), **_processing_section(), **_advanced_section()}
    # In the order of the parameters of `master` and `master_album`.
    controls = {name: settings[name] for name in pipeline.Options.__dataclass_fields__}
    at = page(MASTER.name, "Master", controls)
    show_estimate(at, MASTER, {"audio": source.audio})
    message = gr.Markdown()
    player = ABPlayer(label="Before and after, at matched loudness")
    versions = add_takes(at, player, meter.loudness_lufs)
    figures_table = gr.HTML()
    history = picture("Loudness over time")
    result = result_file("Mastered file", places, PLACE)
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Measurements")
    original = gr.State()  # the source of the result, even if another file is uploaded meanwhile
    wire(
        at,
        master,
        [source.audio, *controls.values()],
        [result.file, figures, history, original],
        View(_show_master, [original, result.file, figures], [message, versions, figures_table]),
        result=result,
        source=original,
    )
    return at, result.send_to


def _target_section() -> dict[str, gr.components.Component]:
    """Target and down-mix, with a description of the target."""
    with gr.Row():
        target = gr.Dropdown(
            [*TARGET_CHOICES, ("Custom (set under Advanced)", pipeline.FREE)],
            value=DEFAULTS.target,
            label="Target",
            min_width=260,
            info="Where the file will be played.",
        )
        fold = gr.Dropdown(
            DOWNMIX_CHOICES,
            value=DEFAULTS.downmix,
            label="Down-mix",
            min_width=260,
            info="Reduces the channels before the loudness is set.",
        )
    about = gr.Markdown(_about_target(DEFAULTS.target))
    with gr.Accordion("All targets and their sources", open=False):
        gr.HTML(_targets_table())
    target.change(_about_target, target, about, api_visibility="private", queue=False)
    return {"target": target, "downmix": fold}


def _processing_section() -> dict[str, gr.components.Component]:
    with gr.Row():
        limiter = gr.Checkbox(
            DEFAULTS.limiter,
            label="True-peak limiter",
            info="When off, only the gain changes, so the target may not be reached.",
        )
        control_range = gr.Checkbox(
            DEFAULTS.control_range,
            label="Loudness range control",
            info="Reduce the difference between quiet and loud passages.",
        )
    return {"limiter": limiter, "control_range": control_range}


def _advanced_section() -> dict[str, gr.components.Component]:
    """The settings that few files need, by the names of their options."""
    with gr.Accordion("Advanced", open=False):
        with gr.Row():
            loudness_lufs = gr.Number(None, label="Loudness, LUFS", info="−60 to 0. Empty: from the target.")
            ceiling_dbtp = gr.Number(
                None, label="True-peak ceiling, dBTP", info="−40 to 0. Empty: from the target."
            )
            range_lu = gr.Number(
                None, label="Maximum loudness range, LU", info="1 to 40. Empty: from the target."
            )
        with gr.Row():
            playback_phon = gr.Number(
                None,
                label="Listening level, phon",
                info="Makes up for the bass the ear loses at lower levels (ISO 226). Empty: off.",
            )
            reference_phon = gr.Number(
                DEFAULTS.reference_phon,
                label="Mixing level, phon",
                info="Level at which the mix was made.",
            )
            normalise = gr.Checkbox(
                DEFAULTS.normalise_downmix,
                label="Down-mix normalisation",
                info="Scales the down-mix so that it cannot clip.",
            )
        with gr.Row():
            max_gain_db = gr.Number(
                DEFAULTS.max_gain_db,
                label="Maximum gain, dB",
                info="Keeps a nearly silent file from turning into noise.",
            )
            max_limiting_db = gr.Number(
                DEFAULTS.max_limiting_db,
                label="Maximum limiting, dB",
                info="Maximum gain reduction.",
            )
    return {
        "loudness_lufs": loudness_lufs,
        "ceiling_dbtp": ceiling_dbtp,
        "range_lu": range_lu,
        "playback_phon": playback_phon,
        "reference_phon": reference_phon,
        "normalise_downmix": normalise,
        "max_gain_db": max_gain_db,
        "max_limiting_db": max_limiting_db,
    }


@endpoint(MASTER)
@with_options(pipeline.Options)
def master(
    audio: str,
    options: pipeline.Options,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Down-mix an audio file and set its loudness, true peak and range for a device or platform.

    Args:
        audio: an audio or video file
        options: as below

    Returns:
        the mastered file, 24-bit WAV
        the measurements before and after, the gain, and the reason if the target was not reached
        a picture of its loudness over time
    """
    clip = load(audio)
    result = yield from follow(pipeline.master.steps(clip, options), progress, "Mastering")
    path = result_path(audio, "mastered.wav")
    write(result.clip, path, tags=read_tags(audio))
    after = result.after
    picture = plots.loudness_history(*after.history(), after.integrated_lufs, result.target_lufs)
    yield path, add_notes(result.figures(), clip), plots.save(picture), audio


def _album_section(settings: Mapping[str, gr.components.Component]) -> Page:
    gr.Markdown(
        "All tracks get the same gain, so quieter tracks stay quieter. "
        "Target and settings come from the section **Master**."
    )
    files = media_files("Tracks, in album order")
    at = page("master_album", "Master the album", settings)
    message = gr.Markdown()
    figures_table = gr.HTML()
    archive = gr.File(label="Mastered tracks, 24-bit WAV")
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Measurements")
    show_estimate(at, MASTER, {"files": files}, _of_album)
    wire(
        at,
        master_album,
        [files, *settings.values()],
        [archive, figures],
        View(_show_album, [figures], [message, figures_table]),
    )
    return at


def _of_album(files: list[str] | None, **_: Any) -> float:
    return sum(of_sound(file) for file in files or [])


@endpoint(MASTER, _of_album, together=True)
@with_options(pipeline.Options)
def master_album(
    files: list[str],
    options: pipeline.Options,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Master several audio files as an album, all with the same gain.

    Args:
        files: the tracks, in album order
        options: as below

    Returns:
        a zip of the mastered files, 24-bit WAV
        the measurements of each file, in the same order
    """
    clips = yield from _load_album(files, progress)
    results = yield from follow(pipeline.master_album.steps(clips, options), progress, "Mastering")
    path = result_path("album", "mastered.zip")
    figures = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, (file, clip, result) in enumerate(zip(files, clips, results, strict=True), start=1):
            track = Path(result_path(file, "mastered.wav"))
            write(result.clip, track, tags=read_tags(file))
            name = f"{number:02d} {track.name}"
            archive.write(track, name)
            track.unlink()
            figures.append({"file": name, **add_notes(result.figures(), clip)})
            progress(number / len(files), desc="Writing")
            yield gr.skip()
    yield path, figures


def _load_album(files: list[str] | None, progress: gr.Progress) -> Generator[Any, None, list[Clip]]:
    """All tracks in memory; together they must stay within the limits of one file."""
    clips: list[Clip] = []
    for done, path in enumerate(files or []):
        progress((done, len(files or [])), desc="Reading")
        yield gr.skip()
        clips.append(load(path))
        if (
            sum(clip.seconds for clip in clips) > 60 * LIMITS.minutes
            or sum(clip.samples.nbytes for clip in clips) > LIMITS.decoded_bytes
        ):
            raise InputError(
                f"The album exceeds {LIMITS.minutes:g} minutes of stereo at 48 kHz, the limit for one "
                "file. Master it in parts."
            )
    return clips


def _about_target(key: str) -> str:
    if key == pipeline.FREE:
        return "Set the loudness, and anything else, under **Advanced**."
    target = TARGETS[key]
    wanted = [f"{target.loudness_lufs:g} LUFS"]
    if target.mono_loudness_lufs is not None:
        wanted.append(f"mono {target.mono_loudness_lufs:g} LUFS")
    wanted.append(f"true peak at most {target.ceiling_dbtp:g} dBTP")
    if target.range_max_lu is not None:
        wanted.append(f"loudness range at most {target.range_max_lu:g} LU with range control")
    if target.short_term_max_lufs is not None:
        wanted.append(f"short-term at most {target.short_term_max_lufs:g} LUFS")
    return f"**{target.name}**: {', '.join(wanted)}. Source: {target.source}."


def _targets_table() -> str:
    rows = [
        (
            target.name,
            number(target.loudness_lufs, 0),
            number(target.ceiling_dbtp, 0),
            number(target.range_max_lu, 0),
            target.source,
        )
        for target in TARGETS.values()
    ]
    return table(("Target", "LUFS", "dBTP", "Maximum range, LU", "Source"), rows, "Targets")


def _show_master(audio: str, result: str, figures: dict[str, Any]) -> tuple[str, Made, str]:
    before, after = figures["before"], figures["after"]
    labels, values_before = _figure_columns(before)
    rows = list(zip(labels, values_before, _figure_columns(after)[1], strict=True))
    rows += [
        ("Gain", "", f"{number(figures['gain_db'])} dB"),
        ("Maximum gain reduction", "", f"{number(figures['limiting_db'])} dB"),
    ]
    return (
        f"**{figures['message']}**",
        Made(
            (
                Version("Before", playable(audio), before["integrated_lufs"]),
                Version("After", result, after["integrated_lufs"]),
            )
        ),
        table(("Metric", "Before", "After"), rows, "Before and after"),
    )


def _show_album(figures: list[dict[str, Any]]) -> tuple[str, str]:
    rows = [
        (
            track["file"],
            number(track["before"]["integrated_lufs"]),
            number(track["after"]["integrated_lufs"]),
            number(track["after"]["true_peak_dbtp"]),
            number(track["limiting_db"]),
        )
        for track in figures
    ]
    headings = ("Track", "Before, LUFS", "After, LUFS", "True peak, dBTP", "Gain reduction, dB")
    gain_db = figures[0]["gain_db"]
    return f"**{figures[0]['message']}** Gain on every track: {gain_db:+.1f} dB.", table(
        headings, rows, "Album"
    )
