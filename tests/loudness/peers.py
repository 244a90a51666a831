"""Other loudness meters, asked for the same figures: FFmpeg's ebur128 (through PyAV) and libebur128."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pyebur128
from numpy.typing import NDArray
from pyebur128 import MeasurementMode

from aural.audio import Clip
from aural.loudness.layouts import layout_of

Levels = NDArray[np.float64]

TICKS_PER_SECOND = 10  # how often both give their momentary and short-term loudness


@dataclass(frozen=True)
class Reading:
    """What another meter says."""

    integrated_lufs: float
    range_lu: float
    momentary_lufs: Levels  # every 100 ms, the first at 0.1 s
    short_term_lufs: Levels  # at the same times
    true_peak_dbtp: float


def ffmpeg(clip: Clip) -> Reading:
    """FFmpeg's ebur128: loudness and range from a histogram of 0.01 LU, the peak to three decimals."""
    graph = av.filter.Graph()
    layout = layout_of(clip)
    source = graph.add_abuffer(
        sample_rate=clip.rate, format="flt", layout=layout, time_base=Fraction(1, clip.rate)
    )
    meter = graph.add("ebur128", "peak=true:metadata=1")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()

    momentary, short_term, last = [], [], {}
    for start in range(0, clip.frames, clip.rate):
        interleaved = np.ascontiguousarray(clip.samples[:, start : start + clip.rate].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate, frame.pts = clip.rate, start
        source.push(frame)
        if start + clip.rate >= clip.frames:
            source.push(None)
        while True:
            try:
                metadata = sink.pull().metadata
            except (av.BlockingIOError, av.EOFError):
                break
            if metadata:  # an incomplete tick at the end has none
                last = metadata
                momentary.append(float(last["lavfi.r128.M"]))
                short_term.append(float(last["lavfi.r128.S"]))
    return Reading(
        integrated_lufs=float(last["lavfi.r128.I"]),
        range_lu=float(last["lavfi.r128.LRA"]),
        momentary_lufs=np.array(momentary),
        short_term_lufs=np.array(short_term),
        true_peak_dbtp=float(20 * np.log10(float(last["lavfi.r128.true_peak"]))),
    )


def libebur128(clip: Clip) -> Reading:
    """libebur128, every block kept (no histogram)."""
    modes = MeasurementMode.MODE_I | MeasurementMode.MODE_LRA | MeasurementMode.MODE_TRUE_PEAK
    state = pyebur128.R128State(clip.channels, clip.rate, modes)
    interleaved = np.ascontiguousarray(clip.samples.T).reshape(-1)
    momentary, short_term = [], []
    tick = clip.rate // TICKS_PER_SECOND
    for start in range(0, clip.frames, tick):
        frames = min(tick, clip.frames - start)
        state.add_frames(interleaved[start * clip.channels :][: frames * clip.channels], frames)
        if frames == tick:
            momentary.append(pyebur128.get_loudness_momentary(state))
            short_term.append(pyebur128.get_loudness_shortterm(state))
    peak = max(pyebur128.get_true_peak(state, channel) for channel in range(clip.channels))
    return Reading(
        integrated_lufs=pyebur128.get_loudness_global(state),
        range_lu=pyebur128.get_loudness_range(state),
        momentary_lufs=np.array(momentary),
        short_term_lufs=np.array(short_term),
        true_peak_dbtp=float(20 * np.log10(peak)),
    )
