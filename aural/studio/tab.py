"""The Studio tab: a recording is repaired and set for its target; and the section Batch from `app.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from aural.audio import Clip, read_tags, wav_encoding, write
from aural.audio.steps import part
from aural.enhancement.tab import PRESET_NAMES
from aural.loudness.tab import DOWNMIX_CHOICES, TARGET_CHOICES
from aural.options import Place
from aural.studio import pipeline
from aural.studio.verb import RELEASE
from aural.ui import plots
from aural.ui.endpoints import Updates, add_notes, endpoint, follow, load, with_options
from aural.ui.examples import PHONE_EXAMPLES
from aural.ui.fields import NOTHING, examples_with_credits, picture, slider
from aural.ui.page import Page, Tab, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Version, audio_input, playable
from aural.ui.send_to import SendTo
from aural.ui.storage import result_path
from aural.ui.tables import number, table

# The stages by their names in the figures: title, and ending of the file's name.
STAGES = {
    "enhanced": ("Enhanced", "enhanced.wav"),
    "super_resolved": ("Super-resolved", "super-resolved.wav"),
    "mastered": ("Mastered", "released.wav"),
}
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
RATES = (44_100, 48_000, 88_200, 96_000)


DEFAULTS = pipeline.Options()


def build(places: Sequence[Place], batch: Callable[[], Page]) -> Tab:
    """Add the tab to the Blocks being built.

    Args:
        places: the tabs that results can be sent to.
        batch: builds the section Batch.
    """
    with gr.Tab("Studio", id=RELEASE.place.id), gr.Tabs():
        with gr.Tab("One file", id="release"), gr.Row():
            with gr.Column(scale=2, min_width=320):
                audio = audio_input("Recording: upload or record it")
                examples_with_credits(PHONE_EXAMPLES, audio)
                settings = _settings_section()
            with gr.Column(scale=5, min_width=320):
                release_page, send_to = _result_section(places, audio, settings)
        with gr.Tab("Batch", id="batch"):
            batch_page = batch()
    return Tab(RELEASE.place.id, audio, [release_page, batch_page], [send_to])


def _settings_section() -> dict[str, gr.components.Component]:
    """All settings by the names of their options."""
    target, preset, strength = target_choice(), preset_choice(), strength_choice()
    with gr.Accordion("Advanced", open=False):
        rate = rate_choice(DEFAULTS.rate)
        completion = gr.Checkbox(
            DEFAULTS.completion, label="Completion", info="Reconstructs the highs the phone cut off."
        )
        fold = gr.Dropdown(
            DOWNMIX_CHOICES,
            value=DEFAULTS.downmix,
            label="Down-mix",
            info="Reduces the channels before the loudness is set.",
        )
        seed = gr.Number(DEFAULTS.seed, label="Seed", info="Random seed.")
    return {
        "preset": preset,
        "strength": strength,
        "completion": completion,
        "rate": rate,
        "target": target,
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


def _result_section(
    places: Sequence[Place], audio: gr.Audio, settings: dict[str, gr.components.Component]
) -> tuple[Page, SendTo]:
    gr.Markdown(
        "Three steps in one: **enhance** the recording, **super-resolve** it to full bandwidth, and "
        "**master** it for its target. Listen to, measure or download every stage."
    )
    at = page(RELEASE.name, "Make it release-ready", settings)
    show_estimate(at, RELEASE, {"audio": audio})
    message = gr.Markdown()
    player = ABPlayer(label="The stages, at matched loudness")
    stages_table = gr.HTML()
    spectrograms = picture("Spectrograms (dashed: upper limit)")
    result = result_file("Released file", places, RELEASE.place)
    inspected = [
        part for place, (title, _) in enumerate(STAGES.values(), 1) for part in _inspector(place, title)
    ]
    stages = gr.File(label="Stage files", file_count="multiple", visible=False)
    figures = gr.JSON(label="Figures", visible=False)
    original = gr.State()  # the source of the result, even if another file is uploaded meanwhile
    wire(
        at,
        release,
        [audio, *(settings[name] for name in pipeline.Options.__dataclass_fields__)],
        [result.file, stages, figures, spectrograms, original],
        View(
            lambda *values: [*_show(*values), *_fill_inspectors(*values[1:])],
            [original, result.file, stages, figures],
            [message, player, stages_table, *inspected],
        ),
        result=result,
    )
    return at, result.send_to


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
        the enhanced and the super-resolved file, in the same format
        the results of each stage, and the measurements of each version
        a picture of the spectrograms of the recording and of each stage
    """
    clip = load(audio)
    steps = part(pipeline.release.steps(clip, options), 0.0, 0.95)
    result = yield from follow(steps, progress, "Enhancing, super-resolving, mastering")
    versions = {
        "before": result.enhanced.before.loudness,
        "enhanced": result.enhanced.after.loudness,
        "super_resolved": result.mastered.before,
        "mastered": result.mastered.after,
    }
    progress(0.95, desc="Drawing and writing")
    ends_hz = _ends_of_band(result)
    figures = add_notes(result.figures(), clip)
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
        _write(one, audio, ending) for one, (_, ending) in zip(made, STAGES.values(), strict=True)
    )
    drawn = plots.save(_spectrograms((clip, *made), ends_hz, result.super_resolved.filled_hz is not None))
    yield released, stages, figures, drawn, audio


def _ends_of_band(result: pipeline.Result) -> dict[str, float | None]:
    """The upper limit of each version's band, Hz; None for silence."""
    resolved = result.super_resolved
    filled_hz = resolved.bandwidth_hz if resolved.filled_hz is None else resolved.filled_hz[1]
    is_silent = result.enhanced.before.bandwidth_hz is None
    return {
        "before": result.enhanced.before.bandwidth_hz,
        "enhanced": result.enhanced.after.bandwidth_hz,
        "super_resolved": None if is_silent else filled_hz,
        "mastered": None if is_silent else filled_hz,
    }


def _write(clip: Clip, audio: str, ending: str) -> str:
    """Write a version's file and return its path."""
    path = result_path(audio, ending)
    write(clip, path, wav_encoding(clip), read_tags(audio))
    return path


def _spectrograms(clips: Sequence[Clip], ends_hz: Mapping[str, float | None], is_filled: bool) -> Any:
    sounds = []
    for (name, title), clip in zip(VERSIONS.items(), clips, strict=True):
        old_hz = ends_hz["enhanced"] if is_filled and name == "super_resolved" else None
        sounds.append(plots.Sound(title, clip.samples, clip.rate, ends_hz[name], old_hz))
    return plots.spectrogram_versions(sounds)


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
        table(("Metric", *VERSIONS.values()), rows, "Results by stage"),
    )


def _fill_inspectors(
    result: str = "", stages: Sequence[str] = (), figures: Mapping[str, Any] | None = None
) -> list[Any]:
    """The updates of all inspectors, empty without a result."""
    updates: list[Any] = []
    for name, file in zip(STAGES, [*stages, result] if figures else [None] * len(STAGES), strict=True):
        found = figures[name] if figures else {}
        download = gr.DownloadButton(value=file, interactive=file is not None)
        updates += [found.get("message"), download, found or None]
    return updates
