"""Pictures of sound: loudness, spectrograms, samples, goniometer, mel scale, leakage, comparisons.

Each function takes plain arrays and returns a matplotlib figure of `WIDTH_PX` x `HEIGHT_PX`, or higher for
four spectrograms; `save` writes it as WebP. pyplot is not used, because its global state would be shared by
the server's threads. matplotlib is imported for the first picture, so that the app starts fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aural.ui.language import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Twice the page's 900 x 450, letters 2 % of the width: sharp on a desktop, legible on a phone.
WIDTH_PX, HEIGHT_PX = 1800, 900
PIXELS_PER_INCH = 200
TWO_ROWS_HEIGHT = 1.4  # relative height with two rows of spectrograms with axes
FONT_POINTS = 12.5

# A dark panel on light and dark pages, like a studio meter; teal is the theme's accent.
PANEL = "#131417"
FIELD = "#0b0c0e"
GRID = "#2c2e35"
TEXT = "#e4e4e7"
QUIET_TEXT = "#a6a7b0"
ACCENT = "#2dd4bf"
SECOND = "#fbbf24"
WARNING = "#fb7185"
SERIES = (ACCENT, SECOND, "#c084fc", "#60a5fa", WARNING, TEXT)
CURVES = (ACCENT, SECOND, QUIET_TEXT)  # front to back
COLOUR_MAP = "inferno"

COLUMNS = 1200
ROWS = 512
COLUMNS_AT_ONCE = 16  # bounds the memory
SPECTRA_PER_COLUMN = 8  # at most; a column of a long file shows the maximum of 8 spread over it
LOWEST_HZ = 30.0  # start of a logarithmic frequency axis
HIGHEST_HZ = 24_000.0  # of versions side by side: nothing is audible or generated above
DYNAMIC_RANGE_DB = 90.0
NO_SAMPLES = np.zeros((1, 0), np.float32)

LOUDNESS_FLOOR_LUFS = -70.0  # the absolute gate of ITU-R BS.1770
GONIOMETER_CELLS = 161  # odd: mono falls into the middle one
GONIOMETER_SAMPLES = 2_000_000

Array = NDArray[np.float64]
Scale = Literal["erb", "linear"]  # of a frequency axis: that of the ear (Glasberg and Moore 1990), or Hz


def loudness_history(
    times_s: ArrayLike,
    momentary_lufs: ArrayLike,
    short_term_lufs: ArrayLike,
    integrated_lufs: float | None,
    target_lufs: float | None = None,
) -> Figure:
    """Momentary and short-term loudness over time; integrated loudness and target as lines.

    Shape: the three series are (n,). Values that are not finite, as in silence, leave a gap.
    """
    from matplotlib.ticker import MaxNLocator

    times = np.asarray(times_s, float)
    momentary, short_term = _finite(momentary_lufs), _finite(short_term_lufs)
    lines = [
        (value, colour, name)
        for value, colour, name in ((integrated_lufs, TEXT, "integrated"), (target_lufs, SECOND, "target"))
        if value is not None and math.isfinite(value)
    ]
    figure, axes = make_panel()
    axes.plot(*_thin(times, momentary), color=QUIET_TEXT, linewidth=1.2, alpha=0.75, label="momentary")
    axes.plot(*_thin(times, short_term), color=ACCENT, linewidth=3, label="short-term")
    for value, colour, name in lines:
        axes.axhline(value, color=colour, linewidth=2, linestyle="--", label=f"{name} {_format_level(value)}")
    axes.set_ylim(*_loudness_limits(np.concatenate([momentary, short_term]), [value for value, *_ in lines]))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("Loudness (LUFS)")
    time_axis(axes, times)
    legend(axes)
    return figure


def spectrogram(
    samples: NDArray[np.float32],
    rate: int,
    max_frequency_hz: float | None = None,
    marks_hz: Sequence[float] = (),
    scale: Scale = "erb",
) -> Figure:
    """Level in dBFS over time and frequency, up to `max_frequency_hz` or half the rate; marks are dashed.

    Shape: samples (channels, time), of any length from one sample on.
    """
    top_hz = min(rate / 2, max_frequency_hz or math.inf)
    rows_hz = _rows_hz(top_hz, scale)
    # Bass needs a longer window, but a linear axis shows none.
    window = 2 ** round(math.log2(rate * (0.085 if scale == "erb" else 0.043)))
    levels = spectrogram_dbfs(samples, rate, rows_hz, window)
    highest = 10 * math.ceil(max(levels.max(initial=-math.inf), -60.0) / 10)
    figure, axes = make_panel()
    times = np.array([0.0, samples.shape[1] / rate])
    image = draw_image(axes, levels, times, rows_hz, highest - DYNAMIC_RANGE_DB, highest)
    for mark_hz in marks_hz:
        axes.axhline(_row_of(mark_hz, rows_hz), color=ACCENT, linewidth=2, linestyle=(0, (5, 4)))
    colour_bar(figure, image, [axes], "dBFS")
    return figure


def spectrogram_dbfs(
    samples: NDArray[np.float32], rate: int, rows_hz: Array, window: int
) -> NDArray[np.float32]:
    """Level at the given frequencies, at up to `COLUMNS` times; a full-scale sine reads 0 dBFS.

    Channels are averaged as powers, so that nothing cancels. Memory and time are bounded for any length.

    Shape: samples (channels, time), rows_hz (rows,) ascending -> (rows, columns).
    """
    from scipy.fft import rfft

    frames = samples.shape[1]
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    columns = min(COLUMNS, max(1, frames // (window // 8)))
    spectra = min(SPECTRA_PER_COLUMN, math.ceil(frames / columns / (window // 2)) or 1)
    power = np.empty((columns, window + 1), np.float32)
    starts = np.linspace(0, frames, columns * spectra, endpoint=False).astype(int) - window // 2
    starts = starts.reshape(columns, spectra, 1)
    # Zero-padded to twice its length, a Hann window loses 0.4 dB between two bins instead of 1.4 dB.
    for first in range(0, columns, COLUMNS_AT_ONCE):
        index = starts[first : first + COLUMNS_AT_ONCE] + np.arange(window)
        # Indexing, because `take` would copy a whole transposed array each time.
        pieces = samples[:, index.clip(0, frames - 1)] * np.where((index >= 0) & (index < frames), hann, 0)
        spectrum = rfft(pieces, 2 * window)
        square = np.square(spectrum.real) + np.square(spectrum.imag)
        power[first : first + COLUMNS_AT_ONCE] = square.mean(0).max(1)
    bins_db = 10 * np.log10(power.T / (hann.sum() / 2) ** 2 + 1e-16)
    return _at_rows(bins_db, rows_hz * 2 * window / rate)


def spectrogram_pair(
    before: ArrayLike,
    after: ArrayLike,
    times_s: ArrayLike,
    frequencies_hz: ArrayLike,
    labels: tuple[str, str] = ("Before", "After"),
) -> Figure:
    """Two spectrograms scaled to [0, 1], side by side on one scale.

    Shape: before, after (frequencies, times); times_s (times,); frequencies_hz (frequencies,) ascending.
    """
    figure, (left, right) = make_panels(2)
    for axes, values, label in ((left, before, labels[0]), (right, after, labels[1])):
        image = draw_image(
            axes, np.asarray(values, float), np.asarray(times_s), np.asarray(frequencies_hz), 0, 1
        )
        axes.set_title(label, color=TEXT, fontsize=FONT_POINTS)
    right.set_ylabel("")
    right.tick_params(labelleft=False)
    colour_bar(figure, image, [left, right], "scaled level")
    return figure


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound shown by `spectrogram_versions`."""

    label: str
    samples: NDArray[np.float32]  # (channels, time)
    rate: int
    end_hz: float | None = None  # upper limit of its band: dashed
    old_end_hz: float | None = None  # upper limit before highs were added: dotted
    gain_db: float = 0.0  # that it is shown with


def spectrogram_versions(
    versions: Iterable[Sound],
    pitch_s: ArrayLike = (),
    pitch_hz: ArrayLike = (),
    scale: Scale = "erb",
    rate: int | None = None,
) -> Figure:
    """Level in dBFS of several sounds on shared scales, up to three side by side, four in two rows.

    The ear's scale leaves room for both the pitch and the highs; a linear scale gives the highs most room.
    Above half its rate a sound is shown as silent.

    Args:
        versions: may be read one by one, to save memory.
        rate: the highest of all; needed if the versions are no sequence.

    Shape: pitch_s and pitch_hz (n,), drawn over every sound; NaN leaves a gap.
    """
    if rate is None:
        versions = list(versions)
        rate = max(version.rate for version in versions)
    rows_hz = _rows_hz(min(rate / 2, HIGHEST_HZ), scale)
    levels, heard = [], []
    for version in versions:
        window = 2 ** round(math.log2(version.rate * 0.043))
        level = spectrogram_dbfs(version.samples, version.rate, rows_hz, window)
        level[rows_hz > version.rate / 2] = -math.inf
        levels.append(level + version.gain_db)
        heard.append((replace(version, samples=NO_SAMPLES), version.samples.shape[1] / version.rate))
        del version
    loudest = max(float(level.max(initial=-math.inf)) for level in levels)
    highest = 10 * math.ceil(max(loudest, -60.0) / 10)
    rows = 1 if len(heard) <= 3 else 2
    columns = math.ceil(len(heard) / rows)
    figure, panels = make_panels(columns, rows=rows)
    if rows > 1:
        figure.set_figheight(TWO_ROWS_HEIGHT * figure.get_figheight())
    for axes, (version, seconds), level in zip(panels, heard, levels, strict=False):
        times = np.array([0.0, seconds])
        image = draw_image(axes, level, times, rows_hz, highest - DYNAMIC_RANGE_DB, highest)
        axes.set_title(version.label, color=TEXT, fontsize=FONT_POINTS)
        pitch_rows = np.interp(_finite(pitch_hz), rows_hz, np.arange(ROWS), left=math.nan)
        axes.plot(np.asarray(pitch_s, float), pitch_rows, color=ACCENT, linewidth=2, label="pitch")
        if version.end_hz is not None:
            row = _row_of(version.end_hz, rows_hz)
            axes.axhline(row, color=TEXT, linewidth=1.8, linestyle=(0, (5, 4)), label="upper limit")
        if version.old_end_hz is not None:
            row = _row_of(version.old_end_hz, rows_hz)
            axes.axhline(
                row, color=ACCENT, linewidth=2.4, linestyle=(0, (1, 2)), label="original upper limit"
            )
    for number, axes in enumerate(panels):
        axes.set_visible(number < len(heard))
        if number % columns:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
        if number + columns < len(heard):
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
    is_matched = any(abs(version.gain_db) >= 0.05 for version, _ in heard)
    colour_bar(figure, image, panels, "dBFS at matched loudness" if is_matched else "dBFS")
    return figure


def _rows_hz(top_hz: float, scale: Scale) -> Array:
    """The frequencies of a picture's rows."""
    return erb_spaced(LOWEST_HZ, top_hz, ROWS) if scale == "erb" else np.linspace(0, top_hz, ROWS)


def erb_spaced(low_hz: float, high_hz: float, count: int) -> Array:
    """Frequencies at even steps of the ear's scale (ERB rate, Glasberg and Moore 1990), in Hz."""
    low, high = (21.4 * math.log10(1 + 0.00437 * hz) for hz in (low_hz, high_hz))
    spaced: Array = (10 ** (np.linspace(low, high, count) / 21.4) - 1) / 0.00437
    return spaced


def between_samples(
    seconds: ArrayLike, samples: ArrayLike, curve_seconds: ArrayLike, curves: Mapping[str, ArrayLike]
) -> Figure:
    """A sound's samples as dots, and continuous signals through them: one line for each label.

    The last line has the accent colour and is on top. Time is in ms from the first point.

    Shape: seconds and samples (n,), curve_seconds (points,) ascending, each curve (points,).
    """
    from matplotlib.ticker import MaxNLocator

    times, dots = np.asarray(curve_seconds, float), _finite(samples)
    start, end = (times[0], times[-1]) if times.size else (0.0, 0.0)
    lines = {label: _finite(curve) for label, curve in curves.items()}
    figure, axes = make_panel()
    axes.axhline(0, color=GRID, linewidth=1.5)
    for behind, (label, curve) in reversed(list(enumerate(reversed(lines.items())))):
        # Lines further back are wider, so that none is hidden.
        axes.plot(
            1000 * (times - start),
            curve,
            color=CURVES[behind % len(CURVES)],
            linewidth=2 + behind,
            label=label,
        )
    axes.plot(
        1000 * (np.asarray(seconds, float) - start),
        dots,
        linestyle="none",
        marker="o",
        markersize=7,
        markerfacecolor=TEXT,
        markeredgecolor=FIELD,
        label="samples",
    )
    values = np.concatenate([dots, *lines.values()])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    margin = 0.08 * (high - low) or 1.0
    axes.set(xlim=(0, max(1000 * (end - start), 1e-3)), ylim=(low - margin, high + margin))
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"Time (ms after {start:.3f} s)")
    axes.set_ylabel("Sample value")
    legend(axes)
    return figure


def spectrogram_tiles(spectrograms: Sequence[ArrayLike], seconds: float, frequencies_hz: ArrayLike) -> Figure:
    """Spectrograms scaled to [0, 1]: one with its axes, several numbered from 1, in a row or two.

    Shape: each spectrogram (frequencies, times), `seconds` long; frequencies_hz (frequencies,) ascending.
    """
    rows = 1 if len(spectrograms) <= 2 else 2
    columns = math.ceil(len(spectrograms) / rows)
    figure, panels = make_panels(columns, rows=rows)
    times, rows_hz = np.array([0.0, seconds]), np.asarray(frequencies_hz, float)
    for axes, values in zip(panels, spectrograms, strict=False):
        draw_image(axes, np.asarray(values, float), times, rows_hz, 0, 1)
    if len(panels) > 1:  # too narrow for axes: each tile has a number instead
        for number, axes in enumerate(panels, start=1):
            axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
            axes.set_title(str(number), color=TEXT, fontsize=FONT_POINTS, loc="left")
            axes.set_visible(number <= len(spectrograms))
    return figure


def goniometer(samples: NDArray[np.float32], correlation: float | None) -> Figure:
    """Left against right, rotated by 45 degrees, next to the stereo correlation.

    Mono is a vertical line, out of phase a horizontal one. Shape: samples (1 or 2, time).
    """
    step = math.ceil(samples.shape[1] / GONIOMETER_SAMPLES) or 1
    left, right = samples[0, ::step], samples[-1, ::step]
    mid, side = (left + right) / math.sqrt(2), (right - left) / math.sqrt(2)
    peak = max(np.abs(left).max(initial=0), np.abs(right).max(initial=0))
    radius = max(np.abs(mid).max(initial=0), np.abs(side).max(initial=0)) or 1.0
    counts, _, _ = np.histogram2d(mid, side, GONIOMETER_CELLS, [[-radius, radius]] * 2)
    shade = np.log1p(counts) if peak else np.zeros_like(counts)
    figure, (axes, meter) = make_panels(2, width_ratios=[5, 4])
    axes.imshow(
        np.ma.masked_equal(shade, 0),
        cmap=COLOUR_MAP,
        origin="lower",
        extent=(-radius, radius, -radius, radius),
        vmin=-0.35 * shade.max(),  # keeps a single sample visible
        interpolation="nearest",
        zorder=2,
    )
    slant = radius / math.sqrt(2)
    for x, y, name in ((-slant, slant, "L"), (slant, slant, "R"), (0, radius, "M"), (radius, 0, "S")):
        axes.plot([-x, x], [-y, y], color=GRID, linewidth=1.5, zorder=1)
        axes.text(1.1 * x, 1.1 * y, name, color=TEXT, fontsize=FONT_POINTS, ha="center", va="center")
    axes.set(xlim=(-1.18 * radius, 1.18 * radius), ylim=(-1.05 * radius, 1.18 * radius), aspect="equal")
    axes.set_axis_off()
    _draw_correlation(meter, correlation)
    meter.set_xlabel(f"peak {_format_level(20 * math.log10(peak))} dBFS" if peak else "silence", labelpad=30)
    return figure


def equal_loudness(
    frequencies_hz: ArrayLike, contours: Mapping[float, ArrayLike], spectrum_db: ArrayLike | None = None
) -> Figure:
    """Equal-loudness contours in dB SPL for each level in phon, and a file's spectrum behind them.

    Shape: frequencies_hz (n,), each contour (n,), spectrum_db (n,) in dB SPL.
    """
    frequencies = np.asarray(frequencies_hz, float)
    figure, axes = make_panel()
    low, high = 0.0, 100.0
    for phon, contour in contours.items():
        levels = np.asarray(contour, float)
        low, high = min(low, levels.min()), max(high, levels.max())
        axes.plot(frequencies, levels, color=ACCENT, linewidth=2.5)
        axes.annotate(
            f"{phon:g} phon",
            (frequencies[-1], levels[-1]),
            (8, 0),
            textcoords="offset points",
            color=TEXT,
            fontsize=FONT_POINTS,
            va="center",
        )
    if spectrum_db is not None:
        spectrum = _finite(spectrum_db)
        axes.fill_between(
            frequencies, low - 10, spectrum, color=SECOND, alpha=0.28, linewidth=0, label="this file"
        )
        axes.plot(frequencies, spectrum, color=SECOND, linewidth=1.5)
        legend(axes)
    axes.set(xscale="log", xlim=(frequencies[0], frequencies[-1]), ylim=(low - 5, high + 5))
    axes.set_ylabel("Sound pressure level (dB)")
    log_frequency_axis(axes)
    return figure


def mel_scale(
    frequencies_hz: ArrayLike, mels: ArrayLike, filters: ArrayLike, spectrum_db: ArrayLike | None = None
) -> Figure:
    """The triangles of a mel filter bank, with Hz below and mel above, and a file's mean spectrum.

    Shape: frequencies_hz (bins,), mels (bins,) the same in mel, filters (bands, bins), spectrum_db (bins,).
    """
    frequencies, in_mel = np.asarray(frequencies_hz, float), np.asarray(mels, float)
    figure, axes = make_panel()
    if spectrum_db is not None:
        spectrum = _finite(spectrum_db)
        lowest, highest = np.nanmin(spectrum, initial=0), np.nanmax(spectrum, initial=-200)
        lowest = max(lowest, highest - DYNAMIC_RANGE_DB)
        share = np.clip((spectrum - lowest) / max(highest - lowest, 1), 0, None)
        axes.fill_between(
            frequencies, share, color=SECOND, alpha=0.3, linewidth=0, label="this file, mean level in dB"
        )
    weights = np.asarray(filters, float)
    heights = np.maximum(weights.max(axis=1, keepdims=True), 1e-12)
    for triangle in weights / heights:
        axes.plot(
            frequencies, np.where(triangle > 0, triangle, np.nan), color=ACCENT, linewidth=1.2, alpha=0.85
        )
    axes.plot([], [], color=ACCENT, label=f"{len(weights)} mel bands")
    axes.set(xlim=(frequencies[0], frequencies[-1]), ylim=(0, 1.25), xlabel="Frequency (kHz)")
    axes.set_ylabel("Weight")
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}")
    above = axes.secondary_xaxis("top")
    ticks = range(500, int(in_mel[-1]) + 1, 500)
    above.set_xticks(np.interp(ticks, in_mel, frequencies), [str(tick) for tick in ticks])
    above.set_xlabel("mel", color=TEXT, fontsize=FONT_POINTS)
    above.tick_params(colors=QUIET_TEXT, labelsize=FONT_POINTS)
    legend(axes, inside=True)
    return figure


def leakage(frequencies_hz: ArrayLike, curves: Mapping[str, ArrayLike]) -> Figure:
    """Spectral leakage of windows in dB below the peak, one line for each label.

    Shape: frequencies_hz (n,), each curve (n,).
    """
    frequencies = np.asarray(frequencies_hz, float)
    figure, axes = make_panel()
    for (label, curve), colour in zip(curves.items(), SERIES, strict=False):
        axes.plot(frequencies, np.maximum(_finite(curve), -130), color=colour, linewidth=2.2, label=label)
    axes.set(xlim=(frequencies[0], frequencies[-1]), ylim=(-120, 5), xlabel="Frequency (Hz)")
    axes.set_ylabel("Level (dB)")
    legend(axes)
    return figure


def comparison_bars(labels: Sequence[str], values: Sequence[float | None], unit: str) -> Figure:
    """One level for each label, as bars.

    A value that is None or not finite, such as the level of silence, shows as "silent".
    """
    numbers = _finite([math.nan if value is None else value for value in values])
    known = numbers[np.isfinite(numbers)]
    # Decibels have no natural zero, so bars start below the lowest value, at least 6 dB below the highest.
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    start, end = min(low - 0.25 * (high - low), high - 6), high + max(0.08 * (high - low), 0.5)
    figure, axes = make_panel()
    rows = np.arange(len(labels))
    axes.barh(rows, end - start, left=start, height=0.62, color=GRID, alpha=0.55)
    axes.barh(rows, np.nan_to_num(numbers, nan=start) - start, left=start, height=0.62, color=ACCENT)
    for row, number in zip(rows, numbers, strict=True):
        text = f"{_format_level(number)} {unit}" if math.isfinite(number) else "silent"
        axes.annotate(
            text,
            (end, row),
            (8, 0),
            textcoords="offset points",
            color=TEXT,
            fontsize=FONT_POINTS,
            va="center",
        )
    axes.set_yticks(rows, [say(label) for label in labels])  # `save` does not reach the labels of ticks
    axes.set(xlim=(start, end), ylim=(len(labels) - 0.5, -0.5))
    axes.tick_params(axis="y", colors=TEXT)
    axes.set_xlabel(unit)
    axes.grid(False)
    return figure


def save(figure: Figure, scale: float = 1.0) -> str:
    """Write the figure as WebP to the folder that Gradio serves, and return the path.

    A spectrogram takes a sixth of a PNG's bytes, and less of its time.

    At a scale of 0.5 it has half the width and height, and takes half the time to draw and send.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text
    from PIL import Image

    from aural.ui.storage import picture_path

    path = picture_path()
    for text in figure.findobj(Text):
        text.set_text(say(text.get_text()))  # in the visitor's language
    figure.set_dpi(scale * PIXELS_PER_INCH)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # once: savefig draws twice, the first time for the layout
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=90, method=1)
    return path


def make_panel() -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    figure, (axes,) = make_panels(1)
    return figure, axes


def make_panels(
    columns: int,
    width_ratios: Sequence[float] | None = None,
    rows: int = 1,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (WIDTH_PX / PIXELS_PER_INCH, HEIGHT_PX / PIXELS_PER_INCH)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=size, dpi=PIXELS_PER_INCH, facecolor=PANEL, layout=layout)
    ratios: dict[str, Any] = {"width_ratios": width_ratios, "height_ratios": height_ratios}
    panels = list(figure.subplots(rows, columns, squeeze=False, **ratios).flat)
    for axes in panels:
        axes.set_facecolor(FIELD)
        axes.spines[:].set_color(GRID)
        axes.tick_params(colors=QUIET_TEXT, labelsize=FONT_POINTS)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=TEXT, fontsize=FONT_POINTS)
    return figure, panels


def legend(axes: Axes, inside: bool = False) -> None:
    """One line above the axes, or inside at the top."""
    axes.legend(
        loc="upper right" if inside else "lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        labelcolor=TEXT,
        fontsize=0.9 * FONT_POINTS,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.2,
    )


def _finite(values: ArrayLike) -> Array:
    """A copy with NaN for values that are not finite, where matplotlib leaves a gap."""
    numbers = np.array(values, float)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _thin(times: Array, values: Array) -> tuple[Array, Array]:
    """At most `COLUMNS` points, each the maximum of those it replaces; hours of sound have a million."""
    step = math.ceil(len(values) / COLUMNS) or 1
    starts = np.arange(0, len(values), step)
    return times[starts], np.fmax.reduceat(values, starts) if len(values) else values


def _loudness_limits(values: Array, lines: Sequence[float]) -> tuple[float, float]:
    heard = values[values > LOUDNESS_FLOOR_LUFS]
    top = max([*lines, heard.max(initial=LOUDNESS_FLOOR_LUFS)]) if lines or heard.size else -10.0
    # Fades and pauses may be cut off at the bottom; shown in full, they would flatten the rest.
    usual = np.percentile(heard, 10) if heard.size else top
    return max(LOUDNESS_FLOOR_LUFS, min([*lines, usual, top - 12]) - 4), top + 3


def time_axis(axes: Axes, times: Array) -> None:
    """Seconds, or minutes and seconds, from 0 to the last of the times."""
    from matplotlib.ticker import MaxNLocator

    last = max(times.max(initial=0), 1e-3)
    long = last >= 60
    axes.set_xlim(0, last)
    axes.set_xlabel("Time (min:s)" if long else "Time (s)")
    # Steps that divide a minute if minutes are shown.
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 1.5, 3, 6, 10] if long else [1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda at, _: clock(at) if long else f"{at:g}")


def clock(seconds: float) -> str:
    """Minutes and seconds: "1:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _format_level(number: float) -> str:
    return f"{number:.1f}".replace("-", "−")


def draw_image(
    axes: Axes,
    values: NDArray[np.floating],
    times: Array,
    rows_hz: Array,
    low: float,
    high: float,
    colours: Colormap | str = COLOUR_MAP,
) -> AxesImage:
    """Image of (rows, columns) with ticks at the right rows, however the rows are spaced."""
    from matplotlib.ticker import MaxNLocator

    axes.grid(False)
    time_axis(axes, times)
    image = axes.imshow(
        values,
        cmap=colours,
        origin="lower",
        aspect="auto",
        extent=(*axes.get_xlim(), -0.5, len(rows_hz) - 0.5),
        vmin=low,
        vmax=high,
    )
    if np.allclose(np.diff(rows_hz, 2), 0, atol=1e-3):
        ticks = [float(tick) for tick in MaxNLocator(6).tick_values(0, rows_hz[-1])]
    else:
        ticks = [step * decade for decade in (10, 100, 1000, 10_000, 100_000) for step in (1, 2, 5)]
    shown: dict[float, str] = {}  # row -> name, from the top down, far enough apart for letters
    for tick in reversed([tick for tick in ticks if rows_hz[0] <= tick <= rows_hz[-1]]):
        row = _row_of(tick, rows_hz)
        if min(shown, default=math.inf) - row > 0.07 * len(rows_hz):
            shown[row] = _hertz(tick)
    axes.set_yticks(list(shown), list(shown.values()))
    axes.set_ylabel("Frequency (Hz)")
    return image


def _hertz(frequency_hz: float) -> str:
    return f"{frequency_hz / 1000:g}k" if frequency_hz >= 1000 else f"{frequency_hz:g}"


def _row_of(frequency_hz: float, rows_hz: Array) -> float:
    return float(np.interp(frequency_hz, rows_hz, np.arange(len(rows_hz))))


def colour_bar(figure: Figure, image: AxesImage, row: list[Axes], label: str) -> None:
    """The bar that says what the colours of an image mean."""
    bar = figure.colorbar(image, ax=row, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=QUIET_TEXT, labelsize=FONT_POINTS)
    bar.set_label(label, color=TEXT, fontsize=FONT_POINTS)


def _at_rows(bins_db: NDArray[np.float32], rows: Array) -> NDArray[np.float32]:
    """Values of (bins, columns) at fractional bins: the maximum within a row, or interpolated."""
    edges = np.concatenate([rows[:1], (rows[1:] + rows[:-1]) / 2, rows[-1:]])
    last = len(bins_db) - 1
    first = np.minimum(np.ceil(edges[:-1]).astype(int), last)
    end = np.floor(edges[1:]).astype(int) + 1
    below = np.minimum(rows.astype(int), last)
    share = (rows - below)[:, np.newaxis].astype(np.float32)
    between: NDArray[np.float32] = (1 - share) * bins_db[below] + share * bins_db[np.minimum(below + 1, last)]
    for row in np.flatnonzero(end > first):
        between[row] = bins_db[first[row] : end[row]].max(0)
    return between


def _draw_correlation(axes: Axes, correlation: float | None) -> None:
    axes.set(xlim=(-1.03, 1.03), ylim=(0, 1), yticks=[], box_aspect=0.16)
    axes.set_xticks([-1, 0, 1], ["−1\ncancels\nin mono", "0\nwide", "+1\nmono"])
    axes.axvspan(-1.03, 0, color=WARNING, alpha=0.18, linewidth=0)
    axes.axvspan(0, 1.03, color=ACCENT, alpha=0.14, linewidth=0)
    text = "–"
    if correlation is not None and math.isfinite(correlation):
        axes.axvline(correlation, color=ACCENT if correlation >= 0 else WARNING, linewidth=7)
        text = f"{correlation:+.2f}".replace("-", "−")
    axes.set_title(f"Correlation {text}", color=TEXT, fontsize=1.2 * FONT_POINTS, pad=14)


def log_frequency_axis(axes: Axes) -> None:
    """Round frequencies on a logarithmic axis."""
    from matplotlib.ticker import NullLocator

    ticks = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]
    low, high = axes.get_xlim()
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [_hertz(tick) for tick in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Frequency (Hz)")
