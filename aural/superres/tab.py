"""The Super-resolution tab: reconstructs the missing highs of a sound, at any sample rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
import soundfile

from aural.audio import Clip, read_tags, wav_encoding, write
from aural.audio.bandwidth import bandwidth
from aural.audio.missing_band import FULL_BAND_HZ, missing_band
from aural.errors import InputError
from aural.loudness.meter import loudness_lufs, measure
from aural.options import Place
from aural.superres import pipeline
from aural.superres.live import NARROW_RATES, start
from aural.superres.verb import SUPER_RESOLVE
from aural.ui import plots
from aural.ui.endpoints import Updates, add_notes, endpoint, follow, load, report_errors, with_options
from aural.ui.examples import NARROW_EXAMPLES
from aural.ui.fields import NOTHING, examples_with_credits, new_file, picture, slider
from aural.ui.live import Choice, LiveSection
from aural.ui.page import Page, Tab, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Version, audio_input, playable
from aural.ui.send_to import SendTo
from aural.ui.spectrograms import draw, spectrogram_section
from aural.ui.storage import result_path
from aural.ui.tables import number, table
from aural.ui.takes import Made, add_takes

METHOD_NAMES: dict[pipeline.Method, str] = {"default": "AURAL", "lisa": "LISA", "sinc": "Sinc"}
PRESET_RATES = (44_100, 48_000, 88_200, 96_000, 192_000)
WHAT_IF_RATES = (4_000, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000)

# Limit for comparing all methods, because LISA takes many times as long as the others.
COMPARED_SECONDS = 120.0

# Columns of the comparison with the original: name, heading, decimals.
MEASURES = (
    ("snr_db", "SNR, dB", 1),
    ("lsd", "LSD", 2),
    ("lsd_above", "LSD above the cutoff", 2),
    ("lsd_below", "LSD below the cutoff", 2),
)

# The zoom between the samples.
DECODED_RATE = 192_000  # Hz, of the models' output
CONTEXT_SECONDS = 0.15  # on both sides of the view
POINTS_PER_SAMPLE = 32
MAX_POINTS = 6_000  # three for each column of the picture
NARROWEST_MS, WIDEST_MS = 1.0, 20.0
FIRST_SAMPLES = 40  # in the first view


DEFAULTS = pipeline.Options()

LIVE = LiveSection(
    start,
    "Hear your voice downsampled to a phone's rate and restored while you speak.",
    [
        Choice(
            "narrow_rate",
            "Downsample to",
            [(str(rate), f"{rate / 1000:g} kHz") for rate in NARROW_RATES],
            "8000",
        ),
        Choice("method", "Listen to", list(METHOD_NAMES.items()), next(iter(METHOD_NAMES))),
    ],
    edge="narrow_rate",
)


def build(places: Sequence[Place]) -> Tab:
    """Add the tab to the Blocks being built.

    Args:
        places: the tabs that results can be sent to.
    """
    with gr.Tab("Super-resolution", id="super_resolve"), gr.Row():
        with gr.Column(scale=2, min_width=320):
            audio = audio_input("Sound: upload or record it")
            examples_with_credits(NARROW_EXAMPLES, audio)
            about = gr.Markdown()
            settings = _target_section()
            settings["method"] = gr.Radio(
                [(name, key) for key, name in METHOD_NAMES.items()],
                value=DEFAULTS.method,
                label="Method",
                info="AURAL generates the missing highs; sinc only resamples.",
            )
            compare = gr.Checkbox(
                False,
                label="Compare all methods",
                info=f"Adds the others to the player; slower (up to {COMPARED_SECONDS / 60:g} minutes).",
            )
            settings["what_if_rate"] = _what_if_section()
            settings["bandwidth_hz"] = _advanced_section()
            LIVE.build()
            new_file(audio)(
                look,
                audio,
                about,
                api_visibility="private",
                concurrency_id="looking",
                trigger_mode="always_last",
            )
        with gr.Column(scale=5, min_width=320):
            at, send_to = _result_section(places, audio, settings, compare)
    return Tab(SUPER_RESOLVE.place.id, audio, [at], [send_to])


def _target_section() -> dict[str, gr.components.Component]:
    """Rate and factor by the names of their options; a preset sets the rate."""
    preset = gr.Radio(
        [("Automatic", NOTHING), *((f"{rate / 1000:g} kHz", rate) for rate in PRESET_RATES)],
        value=NOTHING,
        label="Target sample rate",
        info="Automatic: 48 kHz, or the file's own rate if higher.",
    )
    with gr.Accordion("Custom rate or factor", open=False), gr.Row():
        rate = gr.Number(None, label="Sample rate, Hz", info="4,000 to 192,000.", min_width=120)
        factor = gr.Number(None, label="Factor", info="For example 2.37.", min_width=120)
    # Only one of the three applies; the others are cleared.
    preset.input(
        lambda chosen: (chosen or None, None), preset, [rate, factor], api_visibility="private", queue=False
    )
    rate.input(
        lambda typed: (typed if typed in PRESET_RATES else None if typed else NOTHING, None),
        rate,
        [preset, factor],
        api_visibility="private",
        queue=False,
    )
    factor.input(
        lambda typed: (None if typed else NOTHING, None),
        factor,
        [preset, rate],
        api_visibility="private",
        queue=False,
    )
    return {"rate": rate, "factor": factor}


def _what_if_section() -> gr.Radio:
    with gr.Accordion("Test with a known original", open=False):
        gr.Markdown(
            "Have a full-band sound? Downsample it first, restore it, and see how close the result comes to "
            "the original."
        )
        return gr.Radio(
            [("Off", NOTHING), *((f"{rate / 1000:g} kHz", rate) for rate in WHAT_IF_RATES)],
            value=DEFAULTS.what_if_rate or NOTHING,
            label="Downsample to",
        )


def _advanced_section() -> gr.Number:
    with gr.Accordion("Advanced", open=False):
        return gr.Number(
            None, label="Upper limit, Hz", info="Empty: detected. Everything above it is generated."
        )


def _result_section(
    places: Sequence[Place],
    audio: gr.Audio,
    settings: dict[str, gr.components.Component],
    compare: gr.Checkbox,
) -> tuple[Page, SendTo]:
    at = page(SUPER_RESOLVE.name, "Super-resolve", {**settings, "compare": compare})
    show_estimate(at, SUPER_RESOLVE, {"audio": audio, "method": settings["method"], "compare": compare})
    message = gr.Markdown()
    player = ABPlayer(label="Before and after, at matched loudness")
    shown_versions = add_takes(at, player, loudness_lufs)
    comparison = gr.HTML()
    spectrograms, drawn = spectrogram_section("Spectrograms (dashed: upper limit)")
    between = picture("Between the samples")
    with gr.Row():
        position = slider(0, 0, 1, 0.001, "View position, s", "Starts at the loudest point.")
        width = slider(5, NARROWEST_MS, WIDEST_MS, 0.1, "View width, ms", "Width of the view.")
    result = result_file("Super-resolved file", places, SUPER_RESOLVE.place)
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Metrics")
    made, original = gr.State(), gr.State()  # what the page shows of this run, and its file
    wire(
        at,
        super_resolve,
        [audio, *(settings[name] for name in pipeline.Options.__dataclass_fields__), compare],
        [result.file, figures, spectrograms, between, made, original, drawn],
        View(_show, [made, figures], [message, shown_versions, comparison, position, width]),
        result=result,
        source=original,
    )
    gr.on(
        [position.input, width.input],
        zoom,
        [made, position, width],
        between,
        api_visibility="private",
        concurrency_id="zooming",
        trigger_mode="always_last",
        show_progress="hidden",
    )
    return at, result.send_to


@report_errors
def look(audio: str | None, progress: gr.Progress = gr.Progress()) -> Updates:
    """Rate, channels, duration and bandwidth of the uploaded file."""
    yield ""
    if not audio:
        return
    clip = load(audio)
    found = yield from follow(bandwidth.steps(clip), progress, "Analyzing")
    channels = {1: "mono", 2: "stereo"}.get(clip.channels, f"{clip.channels} channels")
    facts = f"**{clip.rate:,} Hz**, {channels}, {clip.seconds:,.1f} s. Bandwidth: **{found.hz:,.0f} Hz**"
    if found.is_limited and found.hz < FULL_BAND_HZ:
        facts += f" of {clip.rate / 2:,.0f} Hz possible at this rate"
    yield f"{facts}."


@dataclass(frozen=True)
class _Source:
    """The input of the zoom: a file that can be read at any position, and how it is super-resolved."""

    path: str  # WAV or FLAC
    seconds: float
    channel: int  # with the highest peak
    loudest_seconds: float
    bandwidth_hz: float
    methods: tuple[pipeline.Method, ...]  # to draw


@endpoint(SUPER_RESOLVE)
@with_options(pipeline.Options)
def super_resolve(
    audio: str,
    options: pipeline.Options,
    compare: bool = False,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Generate the missing high frequencies of a sound, at any sample rate.

    Args:
        audio: the sound, an audio or video file
        options: as below
        compare: add the other methods to the pictures and metrics; for sounds up to 2 minutes

    Returns:
        the super-resolved file, 24-bit WAV, or float if it exceeds full scale
        the detected bandwidth and what was done; with what_if_rate also the error of each method
        a picture of the spectrograms
        a picture of the signal between the samples
    """
    clip = load(audio)
    is_short = clip.seconds <= COMPARED_SECONDS
    steps = pipeline.super_resolve.steps(clip, options, compare=compare and is_short)
    result = yield from follow(steps, progress, "Super-resolving")
    figures = add_notes(result.figures(), clip)
    if compare and not is_short:
        figures["message"] += (
            f" Methods are only compared for sounds up to {COMPARED_SECONDS / 60:g} minutes."
        )
    # If nothing is missing, all methods return the same clip.
    others = {method: one for method, one in result.alternatives.items() if one is not result.clip}
    made = {options.method: result.clip, **others}
    methods = tuple(method for method in reversed(pipeline.METHODS) if method in made)
    paths = {method: _write(made[method], audio, method, options.method) for method in methods}
    sounds = _list_sounds(clip, result, options, {method: made[method] for method in methods})
    versions = []
    measured: dict[int, float | None] = {}  # where nothing is missing, the result is the input
    for one, path in zip(sounds, [playable(audio), *paths.values()], strict=True):
        if id(one.samples) not in measured:
            measuring = measure.steps(Clip(one.samples, one.rate, clip.layout))
            loudness = yield from follow(measuring, progress, "Measuring")
            measured[id(one.samples)] = loudness.integrated_lufs
        versions.append(Version(one.label, path, measured[id(one.samples)]))
    progress(0.95, desc="Drawing")
    if options.what_if_rate:
        path = result_path(audio, "cut.wav")
        write(result.source, path, "wav32f")
    else:
        path = str(versions[0].path)
    source = _source(path, result, methods)
    at, width = _first_view(source, result.source.rate)
    drawn, kept = draw(sounds, [audio, *paths.values()], [version.loudness_lufs for version in versions])
    yield (
        paths[options.method],
        figures,
        drawn,
        _draw_between(source, at, width),
        (Made(tuple(versions), 1 + methods.index(options.method)), source, at, width),
        audio,
        kept,
    )


def _write(clip: Clip, audio: str, method: pipeline.Method, chosen: pipeline.Method) -> str:
    """Write a version's file and return its path; only the chosen method is not in the file's name."""
    rate = f"{clip.rate / 1000:g}kHz"
    path = result_path(audio, f"{rate}.wav" if method == chosen else f"{rate}-{method}.wav")
    write(clip, path, wav_encoding(clip), read_tags(audio))  # new samples may exceed full scale
    return path


def _list_sounds(
    clip: Clip, result: pipeline.Result, options: pipeline.Options, made: dict[pipeline.Method, Clip]
) -> list[plots.Sound]:
    """The versions with the upper limits of their bands. With `what_if_rate` the upload is the original."""
    old_hz = result.bandwidth_hz
    if options.what_if_rate:
        sounds = [plots.Sound("Original", clip.samples, clip.rate)]
    else:
        sounds = [plots.Sound("Before", clip.samples, clip.rate, old_hz)]
    for method, sound in made.items():
        filled = None if method == "sinc" else missing_band(result.source.rate, sound.rate, old_hz)
        ends = (old_hz, None) if filled is None else (filled[1], old_hz)
        sounds.append(plots.Sound(METHOD_NAMES[method], sound.samples, sound.rate, *ends))
    return sounds


def _source(path: str, result: pipeline.Result, methods: tuple[pipeline.Method, ...]) -> _Source:
    clip = result.source
    peaks = [max(float(row.max()), -float(row.min())) for row in clip.samples]
    channel = int(np.argmax(peaks))
    row = clip.samples[channel]
    loudest = row.argmax() if row.max() >= -row.min() else row.argmin()
    return _Source(path, clip.seconds, channel, float(loudest) / clip.rate, result.bandwidth_hz, methods)


def _first_view(source: _Source, rate: int) -> tuple[float, float]:
    """Start of the zoom in s and its width in ms, around the loudest moment."""
    width = float(np.clip(round(1000 * FIRST_SAMPLES / rate, 1), NARROWEST_MS, WIDEST_MS))
    at = source.loudest_seconds - width / 2000
    return round(min(max(at, 0.0), max(source.seconds - width / 1000, 0.0)), 3), width


@report_errors
def zoom(made: tuple[Made, _Source, float, float] | None, at: float, width: float) -> Updates:
    """The picture between the samples at another position or width."""
    if made is None:
        yield None
        return
    source = made[1]
    at = float(np.clip(at or 0.0, 0.0, max(source.seconds - NARROWEST_MS / 1000, 0.0)))
    yield _draw_between(source, at, float(np.clip(width or NARROWEST_MS, NARROWEST_MS, WIDEST_MS)))


def _draw_between(source: _Source, at: float, width_ms: float) -> str:
    """Draw the samples from `at` s, and the signals of the methods between them."""
    from aural.superres import sinc

    piece, first = _excerpt(source, at - CONTEXT_SECONDS, at + width_ms / 1000 + CONTEXT_SECONDS)
    start, rate = first / piece.rate, piece.rate
    end = min(at + width_ms / 1000, source.seconds)
    points = min(MAX_POINTS, math.ceil((end - at) * rate * POINTS_PER_SAMPLE) + 1)
    times = np.linspace(at, end, points)
    curves = {}
    for method in source.methods:
        shown = piece
        if method != "sinc" and rate < DECODED_RATE:
            band_hz = max(source.bandwidth_hz, pipeline.MIN_BAND_HZ)
            options = pipeline.Options(rate=DECODED_RATE, method=method, bandwidth_hz=band_hz)
            shown = pipeline.super_resolve(piece, options).clip
        curves[METHOD_NAMES[method]] = sinc.at(shown.samples, shown.rate, times - start)[0]
    indices = np.arange(math.ceil((at - start) * rate - 1e-6), math.floor((end - start) * rate + 1e-6) + 1)
    indices = indices[indices < piece.frames]
    return plots.save(
        plots.between_samples((first + indices) / rate, piece.samples[0, indices], times, curves)
    )


def _excerpt(source: _Source, start_seconds: float, end_seconds: float) -> tuple[Clip, int]:
    """The loudest channel of an excerpt, and the index of its first sample."""
    try:
        opened = soundfile.SoundFile(source.path)
    except soundfile.LibsndfileError:
        raise InputError("The files of this result have expired. Super-resolve the sound again.") from None
    with opened as sound:
        rate = sound.samplerate
        first = max(0, math.floor(start_seconds * rate))
        sound.seek(min(first, sound.frames))
        samples = sound.read(math.ceil(end_seconds * rate) - first, "float32", always_2d=True)
    return Clip(samples[:, [source.channel]].T, rate), first


def _show(
    made: tuple[Made, _Source, float, float], figures: dict[str, Any]
) -> tuple[str, Made, str, gr.Slider, gr.Slider]:
    versions, source, at, width = made
    return (
        f"**{figures['message']}**",
        versions,
        _comparison_table(figures["comparison"]),
        gr.Slider(value=at, maximum=round(max(source.seconds, 0.001), 3)),
        gr.Slider(value=width),
    )


def _comparison_table(comparison: dict[str, dict[str, float | None]] | None) -> str:
    """The error of each method relative to the original; empty without one."""
    if not comparison:
        return ""
    rows = [
        (
            METHOD_NAMES[method],
            *(_figure(comparison[method][name], decimals) for name, _, decimals in MEASURES),
        )
        for method in reversed(pipeline.METHODS)
        if method in comparison
    ]
    headings = ("Method", *(heading for _, heading, _ in MEASURES))
    return table(headings, rows, "Compared with the original (higher SNR and lower LSD are better)")


def _figure(value: float | None, decimals: int) -> str:
    # Adding 0 turns −0 into 0.
    return number(None if value is None else round(value, decimals) + 0.0, decimals)
