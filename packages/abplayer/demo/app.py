"""Hear what a low-pass filter takes from plucked strings: python app.py

The filtered version is 6 dB louder. "Matched loudness" takes that away again, so only the filter is heard.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
import numpy as np
import pyloudnorm
import soundfile
from gradio_abplayer import HEAD, ABPlayer, Version
from numpy.typing import NDArray

RATE = 48_000
NOTES_HZ = (196.0, 246.9, 293.7, 392.0, 493.9, 392.0, 293.7, 246.9)
NOTE_SECONDS = 0.5

folder = TemporaryDirectory()


def strings() -> NDArray[np.float64]:
    """An arpeggio, (time,): overtones that fade the faster, the higher they are."""
    times = np.arange(round(NOTE_SECONDS * RATE)) / RATE
    notes = []
    for note_hz in NOTES_HZ:
        overtones = np.arange(1, int(18_000 / note_hz))[:, np.newaxis]
        swing = np.sin(2 * np.pi * note_hz * overtones * times) * np.exp(-(2 + overtones / 4) * times)
        notes.append((swing / overtones).sum(0) * np.minimum(1, (NOTE_SECONDS - times) / 0.01))
    return 0.15 * np.concatenate(notes)


def low_pass(samples: NDArray[np.float64], cutoff_hz: float) -> NDArray[np.float64]:
    """Without what is above the cut-off."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / RATE) > cutoff_hz] = 0
    return np.fft.irfft(spectrum, len(samples))


def version(label: str, samples: NDArray[np.float64]) -> Version:
    """Write the samples to a file and measure their integrated loudness."""
    path = Path(folder.name) / f"{label}.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_24")
    return Version(label, path, pyloudnorm.Meter(RATE).integrated_loudness(samples))


def versions(cutoff_hz: float) -> list[Version]:
    """The original, and the filtered one."""
    original = strings()
    filtered = 2 * low_pass(original, cutoff_hz)
    return [version("Original", original), version(f"Up to {cutoff_hz:g} Hz, 6 dB louder", filtered)]


with gr.Blocks(title="A/B player") as demo:
    gr.Markdown(
        "Switch by **A** and **B** while it plays. Can you tell them apart? The **ABX test** shows it."
    )
    cutoff = gr.Slider(1000, 16_000, 8000, step=500, label="Cut-off, Hz")
    player = ABPlayer(versions(8000), label="Original and filtered, at matched loudness")
    cutoff.release(versions, cutoff, player, api_visibility="private")

if __name__ == "__main__":
    demo.launch(head=HEAD)
