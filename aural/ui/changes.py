"""What a verb changed in a sound: when, and in which bands; and the balance of a voice before and after.

Both are compared at the same loudness, so that a gain is no change.

Sources: Glasberg and Moore 1990 (ERB scale), Byrne et al. 1994 (the average of speech), IEC 61260-1 (third
octaves).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import soundfile
from gradio.blocks import Block
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.ui import plots
from aural.ui.fields import picture
from aural.ui.memory import decoding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

MAX_SECONDS = 300.0  # longer sounds take too much memory
WINDOW_SECONDS = 0.043
COLUMNS = 600
SPECTRA_PER_COLUMN = 8  # at most, spread over the column
COLUMNS_AT_ONCE = 16  # bounds the memory
BANDS = 96  # on the ERB scale
LOWEST_HZ = 50.0
AUDIBLE_DB = -70.0  # relative to the strongest bands; what is softer before and after is left out
STRONG_DB = -20.0  # bands that carry the voice, relative to the strongest ones
SILENT_DB = -120.0  # re a full-scale sine
STRONGEST_PERCENTILE = 95.0  # of the columns, by their strongest band
CHANGED_DB = 6.0  # of the strong bands; from here on the ear hears another voice
MIN_SPAN_SECONDS = 0.1  # shorter changes are not named
NAMED_SPANS = 3
SHOWN_DB = 24.0  # either way, in the picture

# The average of speech in third octaves, 12 languages, men and women, dB SPL.
SPEECH_HZ, SPEECH_DB = np.array(
    [
        *((63, 38.6), (80, 43.5), (100, 54.4), (125, 57.7), (160, 56.8), (200, 60.2), (250, 60.3)),
        *((315, 59.0), (400, 62.1), (500, 62.1), (630, 60.5), (800, 56.8), (1_000, 53.7), (1_250, 53.0)),
        *((1_600, 52.0), (2_000, 48.7), (2_500, 48.1), (3_150, 46.8), (4_000, 45.6), (5_000, 44.5)),
        *((6_300, 44.3), (8_000, 43.7), (10_000, 43.4), (12_500, 41.3), (16_000, 40.7)),
    ]
).T
LOUDNESS_HZ = 250.0, 4_000.0  # where the three balances are brought to one level


@dataclass(frozen=True)
class ChangeSection:
    """Where a page shows what changed."""

    message: gr.Markdown
    change: gr.Image
    balance: gr.Image

    @property
    def outputs(self) -> list[Block]:
        """What `show_change` returns, in order."""
        return [self.message, self.change, self.balance]


def change_section() -> ChangeSection:
    """Add the section to the page being built."""
    with gr.Accordion("What changed", open=False):
        message = gr.Markdown("Shown once there is a result.")
        return ChangeSection(
            message,
            picture("Removed and added, at the same loudness"),
            picture("Balance of the loud parts"),
        )


def show_change(before: str, after: str, before_lufs: float | None, after_lufs: float | None) -> list[Any]:
    """The section's message and pictures for two files."""
    if soundfile.info(after).duration > MAX_SECONDS:
        return [f"Shown for sounds up to {MAX_SECONDS / 60:g} minutes.", None, None]
    gain_db = 0.0 if before_lufs is None or after_lufs is None else before_lufs - after_lufs
    with decoding(before):
        change = find_change(read(before), read(after), gain_db)
    drawn = (draw_change(change), draw_balance(change))
    return [f"**{change.message}**", *(plots.save(figure) for figure in drawn)]


@dataclass(frozen=True, eq=False)
class Change:
    """Two versions of a sound in bands, at the same loudness."""

    seconds: float  # duration
    bands_hz: Array  # (bands,), centres
    before_db: Array  # (bands, columns)
    after_db: Array  # (bands, columns)
    before_thirds_db: Array  # (SPEECH_HZ,), in the columns where something is strong; NaN above the band
    after_thirds_db: Array

    @property
    def difference_db(self) -> Array:
        """(bands, columns), after minus before; NaN where neither is audible."""
        is_audible = np.maximum(self.before_db, self.after_db) > self._strongest_db + AUDIBLE_DB
        return np.where(is_audible, self.after_db - self.before_db, np.nan)

    @property
    def strong_db(self) -> Array:
        """(columns,): by how much the strong bands changed, weighted by power; NaN where there are none."""
        level = np.maximum(self.before_db, self.after_db)
        power = np.where(level > max(self._strongest_db + STRONG_DB, SILENT_DB), 10 ** (level / 10), 0.0)
        total = power.sum(0)
        changed = (power * np.abs(self.after_db - self.before_db)).sum(0)
        mean: Array = np.divide(changed, total, out=np.full(len(total), np.nan), where=total > 0)
        return mean

    @property
    def spans(self) -> list[tuple[float, float]]:
        """From when to when the strong bands changed by more than CHANGED_DB, in seconds."""
        is_changed = np.concatenate(([False], np.nan_to_num(self.strong_db) > CHANGED_DB, [False]))
        borders = np.flatnonzero(np.diff(is_changed)) * self.seconds / self.before_db.shape[1]
        pairs = zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True)
        return [(start, end) for start, end in pairs if end - start >= MIN_SPAN_SECONDS]

    @property
    def message(self) -> str:
        """What happened to the loud parts, in a sentence or two."""
        strong = self.strong_db[np.isfinite(self.strong_db)]
        if not strong.size:
            return "There is no sound to compare."
        text = f"What is loud changed by {strong.mean():.1f} dB on average."
        spans = sorted(self.spans, key=lambda span: span[0] - span[1])
        if not spans:
            return f"{text} Nowhere by more than {CHANGED_DB:g} dB."
        seconds = sum(end - start for start, end in spans)
        places = sorted({math.floor(start) for start, _ in spans[:NAMED_SPANS]})
        return (
            f"{text} By more than {CHANGED_DB:g} dB for {seconds:.1f} s, the longest at "
            f"{', '.join(map(plots.clock, places))}: listen whether that was noise or a word."
        )

    @property
    def _strongest_db(self) -> float:
        return float(np.percentile(self.before_db.max(0), STRONGEST_PERCENTILE))


def find_change(before: Clip, after: Clip, gain_db: float = 0.0) -> Change:
    """Compare two versions of a sound.

    Args:
        gain_db: of `after`, which makes it as loud as `before`.
    """
    rate = max(before.rate, after.rate)
    window = 2 ** round(math.log2(rate * WINDOW_SECONDS))
    resampled = [resample(clip, rate) for clip in (before, after)]
    frames = min(clip.frames for clip in resampled)
    bands_hz = plots.erb_spaced(LOWEST_HZ, min(rate / 2, 20_000.0), BANDS)
    hz = np.arange(window // 2 + 1) * rate / window
    bands = _triangles(bands_hz, hz)
    thirds = _third_octaves(hz)
    powers = [_powers(clip, frames, window) for clip in resampled]
    gains = 1.0, 10 ** (gain_db / 10)
    levels = [_decibels(gain * (bands @ power)) for gain, power in zip(gains, powers, strict=True)]
    strongest = levels[0].max(0)
    is_strong = strongest > np.percentile(strongest, STRONGEST_PERCENTILE) + STRONG_DB
    balances = []
    for clip, gain, power in zip((before, after), gains, powers, strict=True):
        balance = _decibels(gain * (thirds @ power[:, is_strong].mean(1)))
        balances.append(np.where(clip.rate / 2 > 2 ** (1 / 6) * SPEECH_HZ, balance, np.nan))
    return Change(frames / rate, bands_hz, levels[0], levels[1], balances[0], balances[1])


def draw_change(change: Change) -> Figure:
    """The difference over time and frequency, and below it how much the strong bands changed."""
    from matplotlib.colors import LinearSegmentedColormap

    figure, (above, below) = plots.make_panels(1, rows=2, height_ratios=(3, 1))
    times = np.array([0.0, change.seconds])
    colours = LinearSegmentedColormap.from_list("change", ["#60a5fa", plots.FIELD, plots.SECOND])
    image = plots.draw_image(
        above, change.difference_db, times, change.bands_hz, -SHOWN_DB, SHOWN_DB, colours
    )
    above.set_xlabel("")
    above.tick_params(labelbottom=False)
    plots.colour_bar(figure, image, [above, below], "removed (−) and added (+), dB")
    strong = change.strong_db
    middles = (np.arange(len(strong)) + 0.5) * change.seconds / len(strong)
    below.plot(middles, strong, color=plots.ACCENT, linewidth=1.6)
    below.fill_between(middles, 0, strong, color=plots.ACCENT, alpha=0.3, linewidth=0)
    below.axhline(CHANGED_DB, color=plots.WARNING, linewidth=1.6, linestyle="--")
    plots.time_axis(below, times)
    below.set_ylim(0, max(2 * CHANGED_DB, float(np.nanmax(strong, initial=0.0)) * 1.1))
    below.set_ylabel("Loud parts, dB")
    return figure


def draw_balance(change: Change) -> Figure:
    """Third-octave levels before and after, where something is strong, and those of average speech."""
    figure, axes = plots.make_panel()
    lines = (
        (SPEECH_DB, plots.SECOND, "average speech", "--"),
        (change.before_thirds_db, plots.QUIET_TEXT, "before", "-"),
        (change.after_thirds_db, plots.ACCENT, "after", "-"),
    )
    is_middle = (LOUDNESS_HZ[0] <= SPEECH_HZ) & (LOUDNESS_HZ[1] >= SPEECH_HZ)
    tops = []
    for levels, colour, label, style in lines:
        middle = levels[is_middle & np.isfinite(levels)]
        shown = levels - (10 * math.log10(np.mean(10 ** (middle / 10))) if middle.size else 0.0)
        axes.plot(SPEECH_HZ, shown, color=colour, linewidth=2.6, linestyle=style, label=label)
        tops.append(float(np.nanmax(shown, initial=0.0)))
    axes.set_xscale("log")
    axes.set_xlim(SPEECH_HZ[0], SPEECH_HZ[-1])
    axes.set_ylim(-40, max(tops) + 3)
    axes.set_ylabel("Third octaves, dB")
    plots.log_frequency_axis(axes)
    plots.legend(axes)
    return figure


def _triangles(centres_hz: Array, hz: Array) -> Array:
    """(bands, bins): triangles between the centres of the neighbours, at least two bins wide."""
    width = np.maximum(np.gradient(centres_hz), hz[1])[:, np.newaxis]
    weights: Array = (1 - np.abs(hz - centres_hz[:, np.newaxis]) / width).clip(0)
    return weights


def _third_octaves(hz: Array) -> Array:
    """(SPEECH_HZ, bins): the share of each bin that lies in the third octave."""
    edges = SPEECH_HZ[:, np.newaxis] * 2.0 ** np.array([-1 / 6, 1 / 6])
    half = hz[1] / 2
    low, high = np.maximum(edges[:, :1], hz - half), np.minimum(edges[:, 1:], hz + half)
    shares: Array = ((high - low) / hz[1]).clip(0)
    return shares


def _powers(clip: Clip, frames: int, window: int) -> Array:
    """Power spectra, (bins, columns); channels are averaged as powers, so that nothing cancels."""
    from scipy.fft import rfft

    columns = min(COLUMNS, max(1, frames // (window // 4)))
    spectra = min(SPECTRA_PER_COLUMN, math.ceil(frames / columns / (window // 2)) or 1)
    starts = np.linspace(0, frames, columns * spectra, endpoint=False).astype(int) - window // 2
    starts = starts.reshape(columns, spectra, 1)
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    power = np.empty((columns, window // 2 + 1))
    for first in range(0, columns, COLUMNS_AT_ONCE):
        index = starts[first : first + COLUMNS_AT_ONCE] + np.arange(window)
        pieces = clip.samples[:, index.clip(0, frames - 1)] * np.where(
            (index >= 0) & (index < frames), hann, 0
        )
        spectrum = rfft(pieces)
        power[first : first + COLUMNS_AT_ONCE] = (spectrum.real**2 + spectrum.imag**2).mean((0, 2))
    spectra_by_column: Array = power.T / (hann.sum() / 2) ** 2
    return spectra_by_column


def _decibels(power: Array) -> Array:
    level: Array = 10 * np.log10(power + 1e-16)
    return level
