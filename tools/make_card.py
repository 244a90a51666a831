"""Draw the icon of the page and the picture that goes with a shared link, both in `aural/ui/pictures`.

python -m tools.make_card
"""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from aural.audio import read
from aural.ui.card import CARD, ICON, SIZE
from aural.ui.examples import FOLDER
from aural.ui.plots import ACCENT, PANEL, QUIET_TEXT, TEXT

PIXELS_PER_INCH = 100
ICON_PIXELS = 256
HEIGHTS = (0.3, 0.62, 1.0, 0.74, 0.42)  # of the icon's bars: a sound that rises and falls
BARS = 110
TOLD = "Down-mix and loudness  ·  Phone to studio\nSuper-resolution  ·  Sound from a class"


def draw_icon() -> Image.Image:
    """Five bars of a level meter."""
    figure = _figure(ICON_PIXELS, ICON_PIXELS)
    axes = figure.add_axes((0.14, 0.14, 0.72, 0.72))
    axes.set_axis_off()
    axes.bar(
        range(len(HEIGHTS)), [2 * h for h in HEIGHTS], bottom=[-h for h in HEIGHTS], width=0.62, color=ACCENT
    )
    axes.set(xlim=(-0.5, len(HEIGHTS) - 0.5), ylim=(-1, 1))
    return _image(figure)


def draw_card() -> Image.Image:
    """The name, what the app does, and the level of the speech example over time."""
    figure = _figure(*SIZE)
    figure.text(0.07, 0.72, "AURAL", color=TEXT, fontsize=76, fontweight="bold", va="center")
    figure.text(0.07, 0.5, TOLD, color=QUIET_TEXT, fontsize=26, va="center", linespacing=1.5)
    axes = figure.add_axes((0.07, 0.08, 0.86, 0.26))
    axes.set_axis_off()
    samples = np.abs(read(FOLDER / "speech.ogg").samples[0])
    peaks = [float(part.max()) for part in np.array_split(samples, BARS)]
    axes.bar(range(BARS), 2 * np.array(peaks), bottom=-np.array(peaks), width=0.6, color=ACCENT)
    axes.set(xlim=(-1, BARS), ylim=(-max(peaks), max(peaks)))
    return _image(figure)


def _figure(width: int, height: int) -> Figure:
    """Of a size in pixels."""
    size = (width / PIXELS_PER_INCH, height / PIXELS_PER_INCH)
    return Figure(figsize=size, dpi=PIXELS_PER_INCH, facecolor=PANEL)


def _image(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


if __name__ == "__main__":
    ICON.parent.mkdir(exist_ok=True)
    for path, image in ((ICON, draw_icon()), (CARD, draw_card())):
        image.quantize(64).save(path, optimize=True)
        print(f"{path.name}: {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")
