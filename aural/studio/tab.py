"""The Studio tab: a recording is repaired and set for its target; and the section Batch from `app.py`."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from aural.audio import Clip, read, read_tags, wav_encoding, write
from aural.audio.steps import part
from aural.enhancement.analysis import Analysis
from aural.enhancement.analysis import analyze as analysis_of
from aural.enhancement.tab import PRESET_NAMES
from aural.errors import InputError
from aural.loudness.meter import loudness_lufs
from aural.loudness.tab import DOWNMIX_CHOICES, TARGET_CHOICES
from aural.loudness.targets import TARGETS
from aural.options import Place, require_known
from aural.studio import pipeline
from aural.studio.excerpt import loudest
from aural.studio.naming import Heard, sounds_like
from aural.studio.services import on_services, played_on
from aural.studio.verb import RELEASE
from aural.studio.verdicts import plan, sound_of, verdicts
from aural.ui import plots
from aural.ui.changes import change_section, show_change
from aural.ui.downloads import MIN_WIDTH
from aural.ui.endpoints import (
    Updates,
    add_notes,
    endpoint,
    follow,
    load,
    on_workers,
    report_errors,
    with_options,
)
from aural.ui.examples import PHONE_EXAMPLES, StoredResult, stored_results
from aural.ui.fields import NOTHING, credits_of, new_file, slider
from aural.ui.memory import decoding
from aural.ui.page import Page, Tab, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Version, audio_input, playable
from aural.ui.send_to import SendTo
from aural.ui.spectrograms import draw, spectrogram_section
from aural.ui.storage import result_path
from aural.ui.tables import Choice, number, table
from aural.ui.takes import Made, add_takes
from aural.ui.verdicts import chip_list

# The stages by their names in the figures: title, and ending of the file's name.
STAGES = {
    "enhanced": ("Enhanced", "enhanced.wav"),
    "super_resolved": ("Super-resolved", "super-resolved.wav"),
    "mastered": ("Mastered", "released.wav"),
}
WORK = {"enhanced": "Cleaning up", "super_resolved": "Restoring highs", "mastered": "Setting loudness"}
MADE_SHARE = 0.95  # of a run's progress; the rest is for drawing and writing
VERSIONS = {"before": "Before", **{name: title for name, (title, _) in STAGES.items()}}
# Rows of the table: figure, name, decimals.
FIGURES = (
    ("integrated_lufs", "Integrated loudness, LUFS", 1),
    ("range_lu", "Loudness range, LU", 1),
    ("true_peak_dbtp", "True peak, dBTP", 1),
    ("bandwidth_hz", "Bandwidth, Hz", 0),
    ("snr_db", "SNR (estimated), dB", 1),
    ("rate", "Sample rate, Hz", 0),
)
SAME_DB = 0.05  # a smaller gain is none in the table
RATES = (44_100, 48_000, 88_200, 96_000)
# The switches of the plan, by the names of the options: label, and what the stage does.
SWITCHES = {
    "enhancement": ("Clean up", "Removes noise, echo and clipping."),
    "super_resolution": ("Restore highs", "Reconstructs missing high frequencies."),
    "mastering": ("Set loudness", "Brings loudness and true peak to the target."),
}

AGAIN = ("studio-target", "studio-strength")  # the fields of what one changes after listening

PREVIEW_SECONDS = 10.0
ANALYZED_SECONDS = 300.0  # of a longer recording, its loudest stretch stands for all

PREVIEW = replace(RELEASE, name="preview")  # its times are no estimate of a run's, which also draws

CSS = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
# Belongs into the page's head.
HEAD = f"<script>{Path(__file__).with_suffix('.js').read_text(encoding='utf-8')}</script>"
PRESSED = """element.addEventListener("click", ({ target }) => {
  const { key } = target.closest("tr")?.querySelector("button")?.dataset ?? {};
  if (key) trigger("click", { key });
});"""


NOTHING_ON = "Every stage is off: nothing would change."

DEFAULTS = pipeline.Options()


def build(places: Sequence[Place], batch: Callable[[], Page]) -> Tab:
    """Add the tab to the Blocks being built.

    Args:
        places: the tabs that results can be sent to.
        batch: builds the section Batch.
    """
    with gr.Tab("Studio", id=RELEASE.place.id), gr.Tabs():
        with gr.Tab("One file", id="release"):
            audio = audio_input("Drop a recording or video", elem_id="studio-drop")
            _example_cards(audio)
            credits_of(PHONE_EXAMPLES)
            chips = gr.HTML(elem_classes=["studio-verdicts", "studio-working"], container=False)
            release_page, send_to = _release_section(places, audio, chips)
        with gr.Tab("Batch", id="batch"):
            batch_page = batch()
            album = gr.Button("Master them as an album", size="sm")
    return Tab(RELEASE.place.id, audio, [release_page, batch_page], [send_to], album)


def _example_cards(audio: gr.Audio) -> None:
    """A card for each example, with what Studio has made of it already."""
    buttons = {}
    with gr.Row(elem_classes="studio-examples"):
        for stored in stored_results():
            with gr.Column(elem_classes="studio-example", min_width=240):
                gr.Markdown(f"**{stored.example.title}**\n\n{stored.faults}")
                with gr.Row():
                    heard = gr.Button("Before / After", size="sm", min_width=80)
                    used = gr.Button("Use this recording", size="sm", min_width=80)
            buttons[heard, used] = stored
    player = ABPlayer(
        label="Example: before and after, at matched loudness", elem_id="studio-example-player", autoplay=True
    )
    private: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    for (heard, used), stored in buttons.items():
        heard.click(partial(_stored_versions, stored), None, player, **private)
        used.click(partial(_example_path, stored), None, audio, **private)
    new_file(audio)(None, None, player, js="() => null", **private)


@report_errors
def _stored_versions(stored: StoredResult) -> Updates:
    """An example and its stored result, in a format that every browser plays from the same sample."""
    yield [
        Version("Before", playable(str(stored.example.path)), stored.before_lufs),
        Version("After", playable(str(stored.path)), stored.after_lufs),
    ]


def _example_path(stored: StoredResult) -> str:
    return str(stored.example.path)


def _plan_section() -> dict[str, gr.components.Component]:
    """The switches of the stages, and what is changed after listening; by the names of the options."""
    with gr.Row():
        with gr.Column(scale=3, min_width=300), gr.Row():
            switches = {
                name: gr.Checkbox(getattr(DEFAULTS, name), label=label, info=info, min_width=180)
                for name, (label, info) in SWITCHES.items()
            }
        with gr.Column(scale=2, min_width=300):
            target, strength = target_choice(), strength_choice()
            target.elem_id, strength.elem_id = AGAIN
            return {**switches, "target": target, "strength": strength}


def _advanced_section() -> dict[str, gr.components.Component]:
    """All other settings by the names of their options."""
    preset = preset_choice()
    with gr.Row():
        rate = rate_choice(DEFAULTS.rate)
        fold = gr.Dropdown(
            DOWNMIX_CHOICES,
            value=DEFAULTS.downmix,
            label="Down-mix",
            info="Reduces the channels before the loudness is set.",
        )
    with gr.Row():
        completion = gr.Checkbox(
            DEFAULTS.completion,
            label="Completion",
            info="Clean up also reconstructs the highs the phone cut off.",
        )
        seed = gr.Number(DEFAULTS.seed, label="Seed", info="Random seed.")
    return {
        "preset": preset,
        "completion": completion,
        "rate": rate,
        "downmix": fold,
        "seed": seed,
    }


def target_choice() -> gr.Dropdown:
    """The target of the result."""
    return gr.Dropdown(
        TARGET_CHOICES,
        value=DEFAULTS.target,
        label="Target",
        info="Where the file will be played. Sets loudness and true peak.",
    )


def preset_choice() -> gr.Radio:
    """The preset of the enhancement."""
    return gr.Radio(
        [(PRESET_NAMES[key], key) for key in pipeline.PRESETS],
        value=DEFAULTS.preset,
        label="Preset",
        info="Restore only repairs; the others also add EQ, compression and loudness.",
    )


def strength_choice() -> gr.Slider:
    """The strength of the enhancement."""
    return slider(DEFAULTS.strength, 0, 1, 0.05, "Strength", "Enhancement strength (0 = off).")


def rate_choice(rate: int | None) -> gr.Radio:
    """The rate of the result; `rate` is the default."""
    return gr.Radio(
        [("Automatic", NOTHING), *((f"{rate / 1000:g} kHz", rate) for rate in RATES)],
        value=rate or NOTHING,
        label="Sample rate",
        info="Automatic: 48 kHz, or the file's own rate if higher.",
    )


def _release_section(places: Sequence[Place], audio: gr.Audio, chips: gr.HTML) -> tuple[Page, SendTo]:
    """Plan, preview and result of the file."""
    shown = _plan_section()
    with gr.Accordion("Advanced", open=False):
        advanced = _advanced_section()
    settings = {name: {**shown, **advanced}[name] for name in pipeline.Options.__dataclass_fields__}
    at = page(RELEASE.name, "Do it all", settings, is_line_below=False)
    show_estimate(at, RELEASE, {"audio": audio, **{name: settings[name] for name in SWITCHES}})
    services = gr.HTML(elem_classes="studio-services", js_on_load=PRESSED, render=False)  # comes below
    preview_player, found = _preview_section(at, audio, chips, services, settings)
    at.line.render()  # type: ignore[no-untyped-call]
    message = gr.Markdown()
    player = ABPlayer(label="The stages, at matched loudness", elem_id="studio-player")
    versions = add_takes(at, player, loudness_lufs)
    result = result_file("Released file", places, RELEASE.place)
    with result.row:
        _again_buttons()
    judged = gr.HTML(elem_classes="studio-verdicts", container=False)
    with gr.Accordion("On every service", open=False):
        gr.Markdown(
            "What each service and standard would do to the file as it is. Gain up to the loudness that it "
            "plays at; peaks above its limit are turned down. Press one to hear the loudest 10 s so."
        )
        services.render()  # type: ignore[no-untyped-call]
        _service_player(services, found)
    changed = change_section()
    with gr.Accordion("Details", open=False):
        stages_table = gr.HTML()
        spectrograms, drawn = spectrogram_section("Spectrograms (dashed: upper limit)")
        inspected = [
            part for place, (title, _) in enumerate(STAGES.values(), 1) for part in _inspector(place, title)
        ]
    stages = gr.File(label="Stage files", file_count="multiple", visible=False)
    figures = gr.JSON(label="Figures", visible=False)
    original = gr.State()  # the source of the result, even if another file is uploaded meanwhile
    wire(
        at,
        release,
        [audio, *settings.values()],
        [result.file, stages, figures, spectrograms, original, drawn],
        View(
            lambda *values: [*_show(*values), *_fill_inspectors(*values[1:])],
            [original, result.file, stages, figures],
            [message, versions, stages_table, *inspected],
        ),
        result=result,
        source=original,
        more=View(_show_more, [original, result.file, figures, found], [judged, *changed.outputs]),
    )
    # The result takes the place of its preview.
    original.change(
        lambda path: None if path else gr.skip(),
        original,
        preview_player,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    return at, result.send_to


def _again_buttons() -> None:
    """What one does after listening: change the strength or the target, or share the settings."""
    for field, label in zip(AGAIN, ("Target", "Strength"), strict=True):
        button = gr.Button(label, min_width=MIN_WIDTH)
        button.click(None, js=f"() => auralStudio.goTo({json.dumps(field)})", api_visibility="private")
    share = gr.Button("Share", min_width=MIN_WIDTH, elem_id="studio-share")
    shared = share.click(None, None, share, js="() => auralStudio.share()", api_visibility="private")
    shared.then(None, None, share, js="() => auralStudio.shared()", api_visibility="private")


def _service_player(services: gr.HTML, found: gr.State) -> None:
    """Plays the loudest stretch of the file as the service would whose row is pressed."""
    player = ABPlayer(
        label="The loudest 10 s as a service plays them, at its level",
        elem_id="studio-service",
        autoplay=True,
    )
    services.click(play_on_service, found, player, api_visibility="private", show_progress_on=player)
    services.change(lambda: None, None, player, api_visibility="private", queue=False)


def _preview_section(
    at: Page,
    audio: gr.Audio,
    chips: gr.HTML,
    services: gr.HTML,
    settings: dict[str, gr.components.Component],
) -> tuple[ABPlayer, gr.State]:
    """Verdicts as soon as there is a file, then a preview of the plan; anew with every change of either.

    A state that changes starts each of them, after what runs for an older file or plan was cancelled: Gradio
    runs the listeners of one event in the order in which they were added.

    Returns:
        the player of the preview, and what is known of the file.
    """
    heard = gr.Markdown(elem_classes="studio-working")
    player = ABPlayer(
        label=f"Preview: the loudest {PREVIEW_SECONDS:g} s, at matched loudness", elem_id="studio-preview"
    )
    uploaded, planned = gr.State(), gr.State()  # what to analyze, what to preview
    found = gr.State()  # the analysis, and the file of the stretch to preview
    switches = [settings[name] for name in SWITCHES]
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    # Queued, because only then the page learns that a state has changed; each at once.
    starting = {**private, "concurrency_limit": None}
    analyzing = uploaded.change(
        analyze,
        [audio, settings["target"]],
        [found, chips, *switches, services],
        api_visibility="private",
        concurrency_id="analyzing",
        show_progress_on=chips,
    )
    previewing = planned.change(
        preview,
        [found, *settings.values()],
        [player, heard],
        api_visibility="private",
        concurrency_id="previewing",
        show_progress_on=heard,
    )
    # Not by the analysis itself: the page learns of a changed state before it sets the switches.
    analyzing.success(_token, found, planned, **starting)
    replaced = new_file(audio)
    replaced(None, cancels=[analyzing, previewing], api_visibility="private")
    replaced(
        lambda path: [_token(path), None, None, None, None, *_reset_switches(), None],
        audio,
        [uploaded, found, chips, player, heard, *switches, services],
        **starting,
    )
    _changed(settings["target"])(
        judge, [found, settings["target"]], [chips, *switches], queue=False, **private
    )
    changes = [_changed(control) for control in settings.values()]
    gr.on(changes, None, cancels=[previewing], api_visibility="private")
    gr.on(
        changes,
        lambda found: [_token(found), None],
        found,
        [planned, player],
        **starting,
    )
    at.run.click(None, cancels=[previewing], api_visibility="private")
    return player, found


def _changed(control: gr.components.Component) -> Any:
    """The event of a change by the visitor; of a slider, when it is let go."""
    return getattr(control, "release" if isinstance(control, gr.Slider) else "input")


def _token(given: object) -> float | None:
    """A value unlike any before, so that a state that gets it has changed; None if nothing is given."""
    return None if given is None else time.monotonic()


def _reset_switches() -> list[dict[str, Any]]:
    return [gr.update(value=True, info=info) for _, info in SWITCHES.values()]


@dataclass(frozen=True)
class _Found:
    """What is known of an upload."""

    audio: str  # its path
    analysis: Analysis
    sounds_like: Heard | None  # of what is neither speech nor music
    excerpt: str  # path of the stretch to preview
    seconds: float  # of the upload


@report_errors
@on_workers
def analyze(audio: str | None, target: str, progress: gr.Progress = gr.Progress()) -> Updates:
    """What is found in an upload, the verdicts on it, and the plan that follows."""
    if not audio:
        yield [None, None, *_reset_switches(), None]
        return
    try:
        found = yield from _analyze(audio, progress)
    except InputError as error:
        yield [None, f'<p role="alert">{html.escape(str(error))}</p>', *_reset_switches(), None]
        return
    yield [found, *_judge(found, target), _services_table(found)]


def _analyze(audio: str, progress: gr.Progress) -> Generator[Any, None, _Found]:
    with decoding(audio):
        clip = load(audio)
        seconds = clip.seconds
        clip = loudest(clip, ANALYZED_SECONDS)
        analysis = yield from follow(analysis_of.steps(clip), progress, "Analyzing")
        clip = loudest(clip, PREVIEW_SECONDS)
        is_other = analysis.integrated_lufs is not None and sound_of(analysis) == "other"
        like = sounds_like(clip) if is_other else None
        path = result_path(audio, "preview.wav")
        write(clip, path, wav_encoding(clip))
    return _Found(audio, analysis, like, path, seconds)


@report_errors
def judge(found: _Found | None, target: str) -> Updates:
    """The verdicts on an analyzed upload and the plan, for another target."""
    yield _judge(found, target)


def _judge(found: _Found | None, target: str) -> list[Any]:
    """The chips and the switches of an analyzed upload, for a target."""
    if found is None:
        return [gr.skip(), *(gr.skip() for _ in SWITCHES)]
    require_known("target", target, TARGETS)
    chosen = TARGETS[target]
    stages = plan(found.analysis, chosen)
    switches = [getattr(stages, name) for name in SWITCHES]
    judged = chip_list("Verdicts", verdicts(found.analysis, chosen, found.sounds_like))
    note = ""
    if found.seconds > ANALYZED_SECONDS:
        note = f"<p>Judged by its loudest {ANALYZED_SECONDS / 60:g} minutes.</p>"
    return [
        f'<div role="status">{judged}{note}</div>',
        *(gr.update(value=stage.on, info=stage.reason) for stage in switches),
    ]


def _services_table(found: _Found) -> str:
    rows = [
        (
            Choice(service.key, service.name),
            number(service.loudness_lufs),
            number(service.gain_db),
            f"limited by {number(service.limiting_db)} dB" if service.limiting_db > SAME_DB else "fit",
        )
        for service in on_services(found.analysis.loudness)
    ]
    return table(("Service", "Plays at, LUFS", "Gain, dB", "Peaks"), rows, "On every service")


@report_errors
@on_workers
def play_on_service(
    found: _Found | None, pressed: gr.EventData, progress: gr.Progress = gr.Progress()
) -> Updates:
    """The loudest stretch of an upload as it is, and as the service plays it whose row was pressed."""
    services = {} if found is None else {one.key: one for one in on_services(found.analysis.loudness)}
    service = services.get(pressed.key)
    if found is None or service is None:
        yield None
        return
    clip = read(found.excerpt)
    made = yield from follow(played_on(service, clip), progress, "Making a preview")
    path = result_path(found.audio, f"{service.key}.wav")
    write(made, path, wav_encoding(made))
    # Without their loudness, they are not matched: the difference is what one wants to hear.
    yield [Version("As it is", found.excerpt), Version(service.name, path)]


@endpoint(PREVIEW)
@with_options(pipeline.Options)
def _preview(audio: str, options: pipeline.Options, progress: gr.Progress = gr.Progress()) -> Updates:
    clip = load(audio)
    result = yield from follow(pipeline.release.steps(clip, options), progress, "Making a preview")
    path = result_path(audio, "after.wav")
    write(result.clip, path, wav_encoding(result.clip))
    versions = [
        Version("Before", audio, result.before.integrated_lufs),
        Version("After", path, result.after.integrated_lufs),
    ]
    yield versions, ""


def preview(found: _Found | None, *values: Any, progress: gr.Progress = gr.Progress()) -> Updates:
    """The loudest stretch of an upload before and after the plan."""
    if found is None:
        yield None, ""
        return
    settings = dict(zip(pipeline.Options.__dataclass_fields__, values, strict=True))
    if not any(settings[name] for name in SWITCHES):
        yield None, NOTHING_ON
        return
    yield from _preview(found.excerpt, **settings, progress=progress)


def _inspector(place: int, title: str) -> tuple[gr.Markdown, gr.DownloadButton, gr.JSON]:
    """Message, file and figures of one stage."""
    with gr.Accordion(f"Stage {place}: {title}", open=False):
        message = gr.Markdown()
        download = gr.DownloadButton(f"{title}, WAV", interactive=False)
        return message, download, gr.JSON(label=f"{title}: raw data")


@endpoint(RELEASE)
@with_options(pipeline.Options)
def release(
    audio: str,
    options: pipeline.Options,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Enhance a phone recording, super-resolve it and master it for its target.

    Args:
        audio: the recording, an audio or video file
        options: as below

    Returns:
        the file to release, 24-bit WAV, or float if it exceeds full scale
        the enhanced and the super-resolved file, in the same format, but for the last stage that is on
        the results of each stage, and the measurements of each version
        a picture of the spectrograms of the recording and of each stage
    """
    clip = load(audio)
    steps = part(pipeline.release.steps(clip, options), 0.0, MADE_SHARE)
    result = yield from follow(steps, progress, partial(_working_on, options))
    progress(MADE_SHARE, desc="Drawing and writing")
    ends_hz = _ends_of_band(result)
    figures = add_notes(result.figures(), clip)
    found = {}
    if (enhanced := result.enhanced) is not None:
        found = {"before": enhanced.before, "enhanced": enhanced.after}
    figures["target"] = options.target
    figures["versions"] = {
        name: {
            **loudness.figures(),
            "bandwidth_hz": None if (hz := ends_hz[name]) is None else round(hz),
            "snr_db": found[name].figures()["snr_db"] if name in found else None,
        }
        for name, loudness in result.loudness().items()
    }
    made = {name: stage.clip for name in STAGES if (stage := getattr(result, name)) is not None}
    stages = [_write(made[name], audio, STAGES[name][1]) for name in [*made][:-1]]
    released = _write(result.clip, audio, STAGES["mastered"][1])
    is_filled = result.super_resolved is not None and result.super_resolved.filled_hz is not None
    heard = {"before": clip, **made}
    drawn, kept = draw(
        _sounds(heard, ends_hz, is_filled),
        [audio, *stages, released][: len(heard)],
        [figures["versions"][name]["integrated_lufs"] for name in heard],
    )
    yield released, stages, figures, drawn, audio, kept


def _working_on(options: pipeline.Options, share: float) -> str:
    """The stage that runs at a share done."""
    ends = pipeline.ends(options)
    return next((WORK[name] for name, end in ends.items() if share < MADE_SHARE * end), "Measuring")


def _ends_of_band(result: pipeline.Result) -> dict[str, float | None]:
    """The upper limit of each version's band, Hz; None for silence, and where no stage has found it."""
    ends_hz: dict[str, float | None] = {}
    if (enhanced := result.enhanced) is not None:
        ends_hz = {"before": enhanced.before.bandwidth_hz, "enhanced": enhanced.after.bandwidth_hz}
        is_silent = enhanced.before.bandwidth_hz is None
    else:
        is_silent = result.before.integrated_lufs is None
    if (resolved := result.super_resolved) is not None:
        ends_hz.setdefault("before", None if is_silent else resolved.bandwidth_hz)
        filled_hz = resolved.bandwidth_hz if resolved.filled_hz is None else resolved.filled_hz[1]
        ends_hz["super_resolved"] = None if is_silent else filled_hz
    last = next(reversed(ends_hz.values()), None)
    return {name: ends_hz.get(name, last) for name in result.loudness()}


def _write(clip: Clip, audio: str, ending: str) -> str:
    """Write a version's file and return its path."""
    path = result_path(audio, ending)
    write(clip, path, wav_encoding(clip), read_tags(audio))
    return path


def _sounds(
    clips: Mapping[str, Clip], ends_hz: Mapping[str, float | None], is_filled: bool
) -> list[plots.Sound]:
    """The versions by their names, to be drawn."""
    old_hz = ends_hz.get("enhanced", ends_hz["before"]) if is_filled else None
    return [
        plots.Sound(
            VERSIONS[name],
            clip.samples,
            clip.rate,
            ends_hz[name],
            old_hz if name == "super_resolved" else None,
        )
        for name, clip in clips.items()
    ]


def _show(
    audio: str, result: str, stages: list[str], figures: dict[str, Any]
) -> tuple[str, Made | None, str]:
    versions = figures["versions"]
    files = dict(zip(versions, [playable(audio), *stages, result], strict=False))
    shown = {name: one for name, one in versions.items() if not _changed_nothing(figures.get(name), name)}
    rows = [
        (label, *(number(one[figure], decimals) for one in shown.values()))
        for figure, label, decimals in FIGURES
        if any(one[figure] is not None for one in shown.values())
    ]
    made = [Version(VERSIONS[name], files[name], one["integrated_lufs"]) for name, one in shown.items()]
    return (
        f"**{figures['message']}**",
        Made(tuple(made)) if len(made) > 1 else None,
        table(("Metric", *(VERSIONS[name] for name in shown)), rows, "Results by stage"),
    )


def _show_more(
    audio: str, result: str, figures: dict[str, Any], found: _Found | None
) -> Generator[list[Any], None, None]:
    """The verdicts before and after, and then what changed."""
    target = TARGETS[figures["target"]]
    is_same = found is not None and found.audio == audio
    before = found.analysis if found is not None and is_same else _analysis(audio)
    name = found.sounds_like if found is not None and is_same else None
    judged = [
        f"<p>{title}</p>{chip_list(title, verdicts(analysis, target, name))}"
        for title, analysis in (("Before", before), ("After", _analysis(result)))
    ]
    yield ["".join(judged), gr.skip(), gr.skip(), gr.skip()]
    first, *_, last = figures["versions"].values()
    yield [gr.skip(), *show_change(audio, result, first["integrated_lufs"], last["integrated_lufs"])]


def _analysis(path: str) -> Analysis:
    """Of the loudest stretch of a file, as for an upload."""
    with decoding(path):
        return analysis_of(loudest(read(path), ANALYZED_SECONDS))


def _changed_nothing(stage: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a stage's result sounds as its input did, by its figures: it would only repeat a version."""
    if stage is None:
        return False
    if name == "super_resolved":
        is_filled = stage["filled_hz"] is not None or stage["passages"]
        return not is_filled and stage["rate"] == stage["source_rate"]
    is_same = stage.get("gain_db") is not None and stage["before"]["channels"] == stage["after"]["channels"]
    return is_same and abs(stage["gain_db"]) < SAME_DB and stage["limiting_db"] < SAME_DB


def _fill_inspectors(
    result: str = "", stages: Sequence[str] = (), figures: Mapping[str, Any] | None = None
) -> list[Any]:
    """The updates of all inspectors, empty without a result and for a stage that was off."""
    found = figures or {}
    made = [name for name in STAGES if name in found]
    files = dict(zip(made, [*stages, result], strict=False))
    updates: list[Any] = []
    for name in STAGES:
        download = gr.DownloadButton(value=files.get(name), interactive=name in files)
        message = found[name]["message"] if name in found else "This stage was off." if figures else None
        updates += [message, download, found.get(name)]
    return updates
