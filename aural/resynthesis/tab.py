"""The section Round trip, which `app.py` adds to the Down-mix & Loudness tab."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
import numpy as np

from aural.audio import read, read_tags, write
from aural.loudness.equal_loudness import sound_pressure_level_db
from aural.loudness.meter import loudness_lufs, measure
from aural.options import Place
from aural.resynthesis import pipeline
from aural.resynthesis.verb import RESYNTHESIZE
from aural.ui import plots
from aural.ui.endpoints import Updates, add_notes, endpoint, follow, load, with_options
from aural.ui.fields import picture
from aural.ui.page import Page, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Version, playable
from aural.ui.send_to import SendTo
from aural.ui.storage import result_path
from aural.ui.tables import number, table
from aural.ui.takes import Made, add_takes
from aural.vocoding import PHASE_SETTINGS

PHASE_NAMES = {"original": "original phase", "griffin_lim": "Griffin-Lim", "vocoder": "neural vocoder"}
PICTURED_PHON = (20.0, 40.0, 60.0, 80.0)
PICTURED_BANDS = 40
PICTURED_BINS = 16  # on each side of the tone in the picture of leakage
FULL_SCALE_SPL_DB = 100.0  # level of a full-scale sine in the picture of hearing: loud playback

DEFAULTS = pipeline.Options()


def section(places: Sequence[Place], audio: gr.Audio) -> tuple[Page, SendTo]:
    """Add the section to the tab being built.

    Args:
        places: the tabs that results can be sent to.
        audio: the tab's upload field.
    """
    gr.Markdown(
        "Hear what a spectrogram keeps of a sound. The file is turned into a spectrogram and back, "
        "with the original phase, a phase estimated by Griffin-Lim, or a waveform from the neural vocoder."
    )
    settings = {**_spectrogram_section(), **_advanced_section()}
    controls = {name: settings[name] for name in pipeline.Options.__dataclass_fields__}
    at = page(RESYNTHESIZE.name, "Resynthesize", controls)
    show_estimate(at, RESYNTHESIZE, {"audio": audio, "phase": settings["phase"]})
    player = ABPlayer(label="Before and after, at matched loudness")
    versions = add_takes(at, player, loudness_lufs)
    figures_table = gr.HTML()
    pair = picture("Spectrogram before and after, 0 to 1")
    result = result_file("Resynthesized file", places, RESYNTHESIZE.place)
    with gr.Accordion("How hearing and windowing shape a spectrogram", open=False):
        contours = picture("Equal-loudness contours (ISO 226:2023) and this file's spectrum")
        mel = picture("Mel scale and this file's spectrum")
        leakage = picture("Spectral leakage by window and zero-padding")
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Metrics")
    original = gr.State()  # the source of the result, even if another file is uploaded meanwhile
    wire(
        at,
        resynthesize,
        [audio, *controls.values()],
        [result.file, figures, pair, original],
        View(_show, [original, result.file, figures], [versions, figures_table]),
        result=result,
        more=View(
            _draw_hearing, [original, settings["mel_bands"], settings["window"]], [contours, mel, leakage]
        ),
    )
    return at, result.send_to


def _spectrogram_section() -> dict[str, gr.components.Component]:
    """Phase, mel bands and rate, by the names of their options."""
    with gr.Row():
        phase = gr.Radio(
            [(PHASE_NAMES[setting], setting) for setting in PHASE_SETTINGS],
            value=DEFAULTS.phase,
            label="Phase",
            info="Source of the phase, which a spectrogram does not store. The vocoder needs 22,050 Hz, a "
            "window of 1024, a hop of 260 and 80 mel bands.",
        )
        mel_bands = gr.Number(
            DEFAULTS.mel_bands, label="Mel bands", info="8 to 512. 0 keeps every frequency bin.", precision=0
        )
        rate = gr.Number(
            22_050,
            label="Spectrogram sample rate, Hz",
            info="4,000 to 384,000. Empty: from file.",
            precision=0,
        )
    return {"phase": phase, "mel_bands": mel_bands, "rate": rate}


def _advanced_section() -> dict[str, gr.components.Component]:
    """All other settings by the names of their options."""
    with gr.Accordion("Advanced", open=False), gr.Row():
        window = gr.Number(
            DEFAULTS.window, label="Window", info="Length of the Hann window, in samples.", precision=0
        )
        hop = gr.Number(
            DEFAULTS.hop, label="Hop", info="Samples between frames. At most half the window.", precision=0
        )
        iterations = gr.Number(
            DEFAULTS.iterations,
            label="Iterations",
            info="Griffin-Lim, 1 to 1000. More is better and slower.",
            precision=0,
        )
        momentum = gr.Number(
            DEFAULTS.momentum,
            label="Momentum",
            info="Griffin-Lim, from 0 to below 1. Higher converges faster.",
            step=0.01,
        )
        seed = gr.Number(
            DEFAULTS.seed,
            label="Seed",
            info="Random seed for Griffin-Lim's first phase and the vocoder's noise.",
            precision=0,
        )
    return {"window": window, "hop": hop, "iterations": iterations, "momentum": momentum, "seed": seed}


@endpoint(RESYNTHESIZE)
@with_options(pipeline.Options)
def resynthesize(
    audio: str,
    options: pipeline.Options,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Convert an audio file to a spectrogram and back, with its original or a reconstructed phase.

    Args:
        audio: an audio or video file
        options: as below

    Returns:
        the rebuilt file, 24-bit WAV
        spectral convergence and log-spectral distance, in dB, and the loudness before and after
        a picture of the spectrograms before and after
    """
    clip = load(audio)
    result = yield from follow(pipeline.resynthesize.steps(clip, options), progress, "Resynthesizing")
    path = result_path(audio, "resynthesized.wav")
    write(result.clip, path, tags=read_tags(audio))
    figures = {
        **result.figures(),
        "before_lufs": measure(clip).figures()["integrated_lufs"],
        "after_lufs": measure(result.clip).figures()["integrated_lufs"],
    }
    picture = plots.spectrogram_pair(
        result.spectrogram_before, result.spectrogram_after, result.seconds, result.frequency_hz
    )
    yield path, add_notes(figures, clip), plots.save(picture), audio


def _show(audio: str, result: str, figures: dict[str, float]) -> tuple[Made, str]:
    rows = [
        ("Spectral convergence, lower is better", f"{number(figures['spectral_convergence_db'])} dB"),
        ("Log-spectral distance, lower is better", f"{number(figures['log_spectral_distance_db'])} dB"),
    ]
    return (
        Made(
            (
                Version("Before", playable(audio), figures["before_lufs"]),
                Version("After", result, figures["after_lufs"]),
            )
        ),
        table(("Metric", "Value"), rows, "Reconstruction error"),
    )


def _draw_hearing(audio: str, mel_bands: int, window: int) -> tuple[str, str, str]:
    """Pictures of the equal-loudness contours and the mel scale with the file's spectrum, and of leakage."""
    from librosa import hz_to_mel

    from aural.audio.spectral import FrontEnd, mel_filters

    clip = read(audio)
    spectrum = pipeline.average_spectrum(clip)
    audible = np.geomspace(20, min(12_500, clip.rate / 2), 400)
    contours = {phon: sound_pressure_level_db(audible, phon) for phon in PICTURED_PHON}
    audible_db = np.interp(audible, spectrum.frequency_hz, spectrum.level_db) + FULL_SCALE_SPL_DB

    # Few enough triangles to be distinguished, over the bins of the average spectrum.
    fft = 2 * (spectrum.frequency_hz.size - 1)
    bands = min(mel_bands or FrontEnd.mel_bands, PICTURED_BANDS)
    filters = mel_filters(
        FrontEnd(rate=clip.rate, window=fft, fft=fft, hop=fft // 4, mel_bands=bands)
    ).numpy()
    mels = hz_to_mel(spectrum.frequency_hz)

    fine, coarse = pipeline.leakage(window, 8), pipeline.leakage(window, 1)
    near = np.abs(fine.frequency_bins - fine.sine_bins) <= PICTURED_BINS
    bins = fine.frequency_bins[near]
    curves = {
        "rectangular window": fine.rectangular_db[near],
        "Hann window": fine.hann_db[near],
        "Hann window, no zero-padding": np.interp(bins, coarse.frequency_bins, coarse.hann_db),
    }
    return (
        plots.save(plots.equal_loudness(audible, contours, audible_db)),
        plots.save(plots.mel_scale(spectrum.frequency_hz, mels, filters, spectrum.level_db)),
        plots.save(plots.leakage(bins * clip.rate / window, curves)),
    )
