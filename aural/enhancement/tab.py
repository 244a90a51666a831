"""The Enhance tab: makes a phone recording sound like a studio recording; or degrades one, to try it."""

from __future__ import annotations

import html
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr
import numpy as np

from aural.audio import Clip, read, read_tags, wav_encoding, write
from aural.enhancement import pipeline
from aural.enhancement.analysis import analyze
from aural.enhancement.live import BACKGROUNDS, STRENGTHS, start
from aural.enhancement.peers import PEERS, enhance_by, installed
from aural.enhancement.reference import Reference, align, compare_steps
from aural.enhancement.stream import MODEL_RATE
from aural.enhancement.verb import DEGRADE, ENHANCE
from aural.enhancement.voice_chain import VOICE_CHAINS
from aural.errors import InputError
from aural.loudness.meter import loudness_lufs, measure
from aural.options import Place, take_texts
from aural.ui import plots
from aural.ui.changes import change_section, show_change
from aural.ui.endpoints import Updates, add_notes, endpoint, follow, load, with_options
from aural.ui.examples import PHONE_EXAMPLES
from aural.ui.fields import NOTHING, examples_with_credits, slider
from aural.ui.live import Choice, LiveSection
from aural.ui.page import Page, Tab, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Audio, Version, audio_input, playable
from aural.ui.send_to import SendTo
from aural.ui.spectrograms import Drawn, draw, spectrogram_section
from aural.ui.storage import result_path
from aural.ui.tables import number, table
from aural.ui.takes import Made, add_takes

PRESET_NAMES = {
    "restore": "Restore",
    "podcast": "Podcast",
    "voice_memo": "Voice memo",
    "song_demo": "Song demo",
    "interview": "Interview",
}
SETTING_NAMES = {
    "original_phase": "Original phase",
    "griffin_lim": "Griffin-Lim",
    "vocoder": "Neural vocoder",
}
COMPLETION_NAMES = {"completer": "Completer", "extender": "Extender"}
MAX_PEERS = 2  # the player has four slots
BACKGROUNDS_DB = (-30, -24, -18, -12, -6, 0)

# Titles of `degrade.PRESETS`, which is imported on demand, so that the app starts faster.
PHONE_NAMES = {
    "phone_call": "Phone call",
    "voice_memo": "Voice memo",
    "video_call": "Video call",
    "far_away": "Far away",
    "random": "Any phone",
}

# Rows of the table of a recording's analysis: field, name, unit, decimals.
FIGURES = (
    ("snr_db", "SNR (estimated)", "dB", 1),
    ("bandwidth_hz", "Bandwidth", "Hz", 0),
    ("clipping_share", "Clipped samples", "%", 2),
    ("reverberation_seconds", "Reverberation time", "s", 2),
    ("integrated_lufs", "Integrated loudness", "LUFS", 1),
    ("true_peak_dbtp", "True peak", "dBTP", 1),
    ("pitch_hz", "Median pitch", "Hz", 0),
)
# Rows of the comparison with the reference: field, name, unit, decimals.
MEASURES = (
    ("snr_db", "SNR", "dB", 1),
    ("si_sdr_db", "SI-SDR", "dB", 1),
    ("pesq", "PESQ, 1 to 4.6", "", 2),
    ("stoi", "STOI, 0 to 1", "", 3),
    ("lsd", "LSD, lower is better", "", 3),
)

DEFAULTS = pipeline.Options()

LIVE = LiveSection(
    start,
    "Hear your voice without the noise around you while you speak.",
    [
        Choice("strength", "Listen to", list(STRENGTHS.items()), "1"),
        Choice("background_db", "Background", list(BACKGROUNDS.items()), "-30"),
    ],
    rate=MODEL_RATE,
)


@dataclass(frozen=True)
class _Source:
    """The input of both sections."""

    audio: gr.Audio
    reference: gr.Audio


def build(places: Sequence[Place]) -> Tab:
    """Add the tab to the Blocks being built.

    Args:
        places: the tabs that results can be sent to.
    """
    with gr.Tab("Enhance", id="enhance"), gr.Row():
        with gr.Column(scale=2, min_width=320):
            audio = audio_input("Recording: upload or record it")
            examples = gr.Column(min_width=0)
            preset = gr.Radio(
                [(PRESET_NAMES[key], key) for key in pipeline.PRESETS],
                value=DEFAULTS.preset,
                label="Preset",
                info="Restore only repairs; the others also add EQ, compression and loudness.",
            )
            about = gr.Markdown(_about_preset(DEFAULTS.preset))
            preset.change(_about_preset, preset, about, api_visibility="private", queue=False)
            strength = slider(DEFAULTS.strength, 0, 1, 0.05, "Strength", "0 = no change.")
            others = _advanced_section()
            with gr.Accordion("Compare with a studio recording", open=False):
                gr.Markdown(
                    "Add a studio recording of the same performance to measure how close the result comes. "
                    "It may start up to 2 s earlier or later."
                )
                source = _Source(audio, audio_input("Reference"))
            peers = _peer_choice()
            with examples:
                examples_with_credits(PHONE_EXAMPLES, audio, source.reference)
            # The reference does not belong to the next recording.
            audio.clear(lambda: None, None, source.reference, api_visibility="private", queue=False)
            phone_page = _phone_section(source)
            LIVE.build()
        with gr.Column(scale=5, min_width=320):
            enhance_page, send_to = _result_section(
                places, source, {"preset": preset, "strength": strength, **others}, peers
            )
    return Tab(ENHANCE.place.id, audio, [enhance_page, phone_page], [send_to])


def _advanced_section() -> dict[str, gr.components.Component]:
    """All other settings by the names of their options."""
    with gr.Accordion("Advanced", open=False):
        noise_reduction = gr.Checkbox(
            DEFAULTS.noise_reduction,
            label="Noise reduction",
            info="Removes noise, echo and clipping.",
        )
        adaptive = gr.Checkbox(
            DEFAULTS.adaptive,
            label="Adapt to the recording",
            info="Less noise reduction where the recording is clean, be it speech, song or music.",
        )
        completion = gr.Checkbox(
            DEFAULTS.completion,
            label="Completion",
            info="Reconstructs the highs the phone cut off.",
        )
        completion_method = gr.Radio(
            [(COMPLETION_NAMES[key], key) for key in pipeline.COMPLETION_METHODS],
            value=DEFAULTS.completion_method,
            label="Network for the highs",
            info="Both add what lies above the recorded band. Extender is that of Super-resolution.",
        )
        setting = gr.Radio(
            [(SETTING_NAMES[key], key) for key in pipeline.SETTINGS],
            value=DEFAULTS.setting,
            label="Waveform",
            info="Original phase is the most faithful.",
        )
        expand_rate = gr.Radio(
            [("From file", NOTHING), *((f"{rate / 1000:g} kHz", rate) for rate in pipeline.EXPAND_RATES)],
            value=DEFAULTS.expand_rate or NOTHING,
            label="Sample rate",
            info="A higher rate leaves room for the reconstructed highs.",
        )
        background = gr.Dropdown(
            [("Off", NOTHING), *((number(gain, 0) + " dB", gain) for gain in BACKGROUNDS_DB)],
            value=NOTHING if DEFAULTS.background_db is None else DEFAULTS.background_db,
            label="Background",
            info="Mixes some of the removed background back in: −30 dB leaves a soft floor in pauses.",
        )
        mastering = gr.Checkbox(
            DEFAULTS.mastering,
            label="Voice chain",
            info="The preset's EQ, compression, de-essing and loudness.",
        )
        mix = slider(
            DEFAULTS.mix, 0, 1, 0.05, "Voice chain mix", "0 = dry, 1 = wet. Loudness is set afterwards."
        )
        with gr.Row():
            loudness_lufs = gr.Number(
                None, label="Loudness, LUFS", info="Empty: from the preset.", min_width=120
            )
            seed = gr.Number(DEFAULTS.seed, label="Seed", info="Random seed.", min_width=120)
    return {
        "noise_reduction": noise_reduction,
        "adaptive": adaptive,
        "completion": completion,
        "completion_method": completion_method,
        "expand_rate": expand_rate,
        "setting": setting,
        "background_db": background,
        "mastering": mastering,
        "loudness_lufs": loudness_lufs,
        "mix": mix,
        "seed": seed,
    }


def _peer_choice() -> gr.CheckboxGroup:
    """Other free enhancers to listen to; hidden where none of their packages is installed."""
    names = [(PEERS[key].name, key) for key in installed()]
    return gr.CheckboxGroup(
        names,
        value=[],
        label="Also enhance with",
        info=f"Hear others on the same recording, in the player and in the blind test; up to {MAX_PEERS}.",
        visible=bool(names),
    )


def _result_section(
    places: Sequence[Place],
    source: _Source,
    settings: dict[str, gr.components.Component],
    peers: gr.CheckboxGroup,
) -> tuple[Page, SendTo]:
    at = page(ENHANCE.name, "Enhance", settings)
    show_estimate(at, ENHANCE, {"audio": source.audio, "setting": settings["setting"]})
    message = gr.Markdown()
    player = ABPlayer(label="Before and after, at matched loudness")
    versions = add_takes(at, player, loudness_lufs)
    spectrograms, drawn = spectrogram_section("Spectrograms (line: pitch; dashed: upper limit)")
    changed = change_section()
    found_table = gr.HTML()
    reference_table = gr.HTML()
    result = result_file("Enhanced file", places, ENHANCE.place)
    with result.row:
        keep_background = gr.DownloadButton("Background, WAV", interactive=False)
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Analysis")
    background = gr.File(label="Background", visible=False)
    original, compared_with = gr.State(), gr.State()  # the recording and the reference of the result
    wire(
        at,
        enhance,
        [source.audio, *(settings[name] for name in pipeline.Options.__dataclass_fields__), source.reference],
        [result.file, background, figures, spectrograms, original, compared_with, drawn],
        View(
            _show,
            [original, compared_with, result.file, background, figures],
            [message, versions, found_table, reference_table, keep_background],
        ),
        result=result,
        source=original,
        more=View(_show_more, [original, result.file, figures, peers], [versions, *changed.outputs]),
    )
    return at, result.send_to


@endpoint(ENHANCE)
@with_options(pipeline.Options)
def enhance(
    audio: str,
    options: pipeline.Options,
    reference: str | None = None,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Make a phone recording sound as if it came from a studio.

    Args:
        audio: the recording, an audio or video file
        options: as below
        reference: a studio recording of the same performance, to measure how close the result comes

    Returns:
        the enhanced file, 24-bit WAV
        the background that was removed, 24-bit WAV, or float if it exceeds full scale
        the analysis before and after; with a reference also SNR, SI-SDR, PESQ, STOI and LSD
        a picture of the spectrograms
    """
    clip = load(audio)
    # Refuse an unsuitable reference before the long work.
    aligned = _align(clip, reference) if reference else None
    result = yield from follow(pipeline.enhance.steps(clip, options), progress, "Enhancing")
    figures = add_notes(result.figures(), clip)
    if aligned is not None:
        figures["reference"] = yield from _compare(clip, result.clip, aligned, progress)
    progress(0.95, desc="Drawing")
    paths = [result_path(audio, ending) for ending in ("enhanced.wav", "background.wav")]
    for made, path in zip((result.clip, result.background), paths, strict=True):
        # The background of a clipped recording may exceed full scale.
        write(made, path, wav_encoding(made), read_tags(audio))
    loudness = figures["reference"]["integrated_lufs"] if aligned else None
    drawn, kept = _spectrograms(clip, result, [audio, paths[0]], aligned, loudness)
    yield *paths, figures, drawn, audio, reference, kept


def _align(clip: Clip, path: str) -> Reference:
    try:
        return align(clip, read(path))
    except InputError as error:
        raise InputError(f"Can't use the reference. {error}") from error


def _compare(
    before: Clip, after: Clip, aligned: Reference, progress: gr.Progress
) -> Generator[Any, None, dict[str, Any]]:
    """The figures of a comparison with the reference."""
    metrics_before, notes = yield from follow(
        compare_steps(before, aligned), progress, "Comparing the recording"
    )
    metrics_after, more = yield from follow(compare_steps(after, aligned), progress, "Comparing the result")
    loudness = yield from follow(measure.steps(aligned.clip), progress, "Measuring the reference")
    return {
        "delay_seconds": round(aligned.delay_seconds, 5),
        "before": metrics_before.figures(),
        "after": metrics_after.figures(),
        "notes": list(dict.fromkeys(notes + more)),
        "integrated_lufs": loudness.figures()["integrated_lufs"],
    }


def _spectrograms(
    clip: Clip,
    result: pipeline.Result,
    paths: Sequence[str],
    aligned: Reference | None,
    reference_lufs: float | None,
) -> tuple[str, Drawn]:
    """The spectrograms before and after, and of the reference at the same times, if there is one."""
    from aural.enhancement.features import VOICED

    heard = [
        plots.Sound(label, sound.samples, sound.rate, found.bandwidth_hz)
        for label, sound, found in (("Before", clip, result.before), ("After", result.clip, result.after))
    ]
    pitch_hz = np.where(result.voicing > VOICED, result.f0_hz, np.nan)
    loudness = [found.integrated_lufs for found in (result.before, result.after)]
    if aligned is not None:
        reference = aligned.beside(clip)
        paths = [*paths, result_path(paths[0], "reference.wav")]
        write(reference, paths[-1], wav_encoding(reference))
        heard.append(plots.Sound("Reference", reference.samples, reference.rate))
        loudness.append(reference_lufs)
    return draw(heard, paths, loudness, result.pitch_seconds, pitch_hz)


def _show(
    audio: str, reference_audio: str | None, result: str, background: str, figures: dict[str, Any]
) -> tuple[str, Made, str, str, gr.DownloadButton]:
    before, after = figures["before"], figures["after"]
    versions = [
        Version("Before", playable(audio), before["integrated_lufs"]),
        Version("After", result, after["integrated_lufs"]),
        # At its own loudness: the others would have to be turned down to it.
        Version("Background", background),
    ]
    against = figures.get("reference")
    if reference_audio and against:
        versions.append(Version("Reference", playable(reference_audio), against["integrated_lufs"]))
    return (
        f"**{figures['message']}**",
        Made(tuple(versions), 1),
        _change_table(FIGURES, before, after, "Before and after"),
        _reference_tables(against) if against else "",
        gr.DownloadButton(value=background, interactive=True),
    )


def _show_more(
    audio: str, result: str, figures: dict[str, Any], chosen: list[str]
) -> Generator[list[Any], None, None]:
    """The player with what the peers make of the recording, and before it what has changed."""
    loudness = (figures[name]["integrated_lufs"] for name in ("before", "after"))
    changed = show_change(audio, result, *loudness)
    yield [gr.skip(), *changed]
    if chosen:
        yield [_show_peers(audio, result, figures, chosen), *(gr.skip() for _ in changed)]


def _show_peers(audio: str, result: str, figures: dict[str, Any], chosen: list[str]) -> Made:
    """The recording, the result, and what the chosen peers make of the recording."""
    versions = [
        Version("Before", playable(audio), figures["before"]["integrated_lufs"]),
        Version("After", result, figures["after"]["integrated_lufs"]),
    ]
    clip = read(audio)
    for key in chosen[:MAX_PEERS]:
        made = clip.with_samples(enhance_by(key, clip.samples, clip.rate))
        path = result_path(audio, f"{key}.wav")
        write(made, path, wav_encoding(made))
        versions.append(Version(PEERS[key].name, path, measure(made).integrated_lufs))
    return Made(tuple(versions), 1)


def _reference_tables(against: dict[str, Any]) -> str:
    delay_ms = 1000 * against["delay_seconds"]
    notes = list(against["notes"])
    if delay_ms:
        way = "later" if delay_ms > 0 else "earlier"
        notes.insert(
            0, f"The recording started {abs(delay_ms):.1f} ms {way} than the reference and was aligned to it."
        )
    shown = _change_table(MEASURES, against["before"], against["after"], "Compared with the reference")
    return shown + "".join(f"<p>{html.escape(note)}</p>" for note in notes)


def _change_table(
    rows: tuple[tuple[str, str, str, int], ...], before: dict[str, Any], after: dict[str, Any], caption: str
) -> str:
    """Before, after, and the change of each figure."""
    cells = []
    for name, label, unit, decimals in rows:
        factor = 100 if unit == "%" else 1
        old, new = (None if found[name] is None else factor * found[name] for found in (before, after))
        heading = f"{label}, {unit}" if unit else label
        cells.append((heading, number(old, decimals), number(new, decimals), _change(old, new, decimals)))
    return table(("Metric", "Before", "After", "Change"), cells, caption)


def _change(before: float | None, after: float | None, decimals: int) -> str:
    if before is None or after is None:
        return number(None)
    change = round(after - before, decimals)
    return ("+" if change > 0 else "") + number(change or 0.0, decimals)


def _about_preset(key: str) -> str:
    chain = VOICE_CHAINS.get(key)
    if chain is None:
        return "Removes noise and echo and restores highs. Level and tone stay the same."
    parts = []
    if chain.high_pass_hz is not None:
        parts.append(f"high-pass at {chain.high_pass_hz:g} Hz")
    if chain.compressor is not None:
        parts.append(f"{chain.compressor.ratio:g}:1 compression")
    if chain.de_esser is not None:
        parts.append("de-essing")
    parts.append(f"{number(chain.loudness_lufs, 0)} LUFS")
    if chain.range_lu is not None:
        parts.append(f"loudness range up to {chain.range_lu:g} LU")
    parts.append(f"true peak up to {number(chain.ceiling_dbtp, 0)} dBTP")
    return f"Restores, then adds: {', '.join(parts)}."


def _phone_section(source: _Source) -> Page:
    with gr.Accordion("Simulate a phone", open=False):
        gr.Markdown("No bad recording handy? Degrade this one, then restore it.")
        preset = gr.Radio(
            [(name, key) for key, name in PHONE_NAMES.items()],
            value="voice_memo",
            label="Phone",
        )
        with gr.Row():
            snr_db = gr.Number(None, label="SNR, dB", info="Empty: typical of the phone.", min_width=120)
            seed = gr.Number(0, label="Seed", info="A different seed gives a different room.", min_width=120)
        at = page("degrade", "Degrade", {"preset": preset, "seed": seed, "snr_db": snr_db})
        show_estimate(at, DEGRADE, {"audio": source.audio})
        message = gr.Markdown()
        result = Audio(
            label="Simulated phone recording", type="filepath", interactive=False, buttons=["download"]
        )
        take = gr.Button("Use this recording", interactive=False)
        figures = gr.JSON(label="Figures", visible=False)
        original = gr.State()
    wire(
        at,
        degrade,
        [source.audio, preset, seed, snr_db],
        [result, figures, original],
        View(
            lambda figures: (_about_phone(figures["found"]), gr.Button(interactive=True)),
            [figures],
            [message, take],
        ),
    )
    # The original becomes the reference.
    take.click(
        lambda *files: files,
        [result, original],
        [source.audio, source.reference],
        api_visibility="private",
        queue=False,
    )
    return at


@endpoint(DEGRADE)
def degrade(
    audio: str,
    preset: str = "voice_memo",
    seed: int = 0,
    snr_db: float | None = None,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Simulate a phone recording: room, noise, microphone and codec.

    Args:
        audio: the recording, an audio or video file
        preset: one of phone_call, voice_memo, video_call, far_away, random
        seed: random seed for room, microphone and noise, 0 to 2³² - 1
        snr_db: signal-to-noise ratio, -20 to 60; None: from the preset

    Returns:
        the degraded file, 24-bit WAV
        the settings, and the analysis of the result
    """
    from aural.enhancement.degrade import Options, degrade_clip

    settings = {"preset": preset, "seed": seed, "snr_db": snr_db}
    options = Options(**take_texts(Options, settings))
    clip = load(audio)
    degraded = yield from follow(degrade_clip.steps(clip, options), progress, "Degrading")
    found = yield from follow(analyze.steps(degraded), progress, "Analyzing")
    path = result_path(audio, f"{preset}.wav")
    write(degraded, path, tags=read_tags(audio))
    yield path, add_notes({**asdict(options), "found": found.figures()}, clip), audio


def _about_phone(found: dict[str, Any]) -> str:
    parts = [
        f"{label if label.startswith('SNR') else label.lower()} {number(found[name], decimals)} {unit}"
        for name, label, unit, decimals in FIGURES
        if name in ("snr_db", "bandwidth_hz", "reverberation_seconds") and found[name] is not None
    ]
    return f"Detected: {', '.join(parts)}." if parts else "The clip is silent."
