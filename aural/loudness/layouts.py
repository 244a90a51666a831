"""Channel layouts, their loudness weights (ITU-R BS.1770-5) and fold-down matrices (ITU-R BS.775-4).

Channels have FFmpeg's names and order, which is also that of WAV's channel mask.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aural.audio import Clip
from aural.audio.speakers import IMPLIED_LAYOUTS
from aural.errors import OptionError
from aural.options import require_known

Matrix = NDArray[np.float64]

LAYOUTS: dict[str, tuple[str, ...]] = {
    "mono": ("FC",),
    "stereo": ("FL", "FR"),
    "2.1": ("FL", "FR", "LFE"),
    "3.0": ("FL", "FR", "FC"),
    "3.0(back)": ("FL", "FR", "BC"),
    "3.1": ("FL", "FR", "FC", "LFE"),
    "4.0": ("FL", "FR", "FC", "BC"),
    "quad": ("FL", "FR", "BL", "BR"),
    "quad(side)": ("FL", "FR", "SL", "SR"),
    "4.1": ("FL", "FR", "FC", "LFE", "BC"),
    "5.0": ("FL", "FR", "FC", "BL", "BR"),
    "5.0(side)": ("FL", "FR", "FC", "SL", "SR"),
    "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
    "5.1(side)": ("FL", "FR", "FC", "LFE", "SL", "SR"),
    "6.0": ("FL", "FR", "FC", "BC", "SL", "SR"),
    "6.1": ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    "6.1(back)": ("FL", "FR", "FC", "LFE", "BL", "BR", "BC"),
    "7.0": ("FL", "FR", "FC", "BL", "BR", "SL", "SR"),
    "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
    "octagonal": ("FL", "FR", "FC", "BL", "BR", "BC", "SL", "SR"),
}

# Assumed for a number of channels if the file names no layout.
USUAL_LAYOUTS = {1: "mono", 2: "stereo", **IMPLIED_LAYOUTS}

AUTO = "auto"  # the layout that the file names, or the usual one

SURROUND_WEIGHT = 1.41  # BS.1770-5 table 3: +1.5 dB
HALF_POWER = math.sqrt(0.5)  # BS.775's 0.7071, -3 dB

# The six channels of BS.775's matrices.
LEFT, RIGHT, CENTRE, LFE, LEFT_SURROUND, RIGHT_SURROUND = range(6)


def layout_of(clip: Clip, layout: str = AUTO) -> str:
    """The name of a clip's layout: `layout` unless AUTO, else the one its file names, else the usual one.

    Raises `OptionError` for a layout that is unknown or has another number of channels, and for more
    channels than any layout has.
    """
    require_layout(layout)
    if layout != AUTO:
        if len(LAYOUTS[layout]) != clip.channels:
            raise OptionError(
                f"The layout {layout} has {len(LAYOUTS[layout])} channels and the audio {clip.channels}. "
                "Choose a layout that fits, or auto."
            )
        return layout
    if clip.layout is not None and clip.layout not in LAYOUTS:
        alike = [name for name, speakers in LAYOUTS.items() if len(speakers) == clip.channels]
        raise OptionError(
            f"AURAL doesn't know the file's channel layout {clip.layout}. "
            f"Choose the closest one yourself ({', '.join(alike) or 'none'}), or export another."
        )
    if clip.layout is not None and len(LAYOUTS[clip.layout]) == clip.channels:
        return clip.layout
    if clip.channels not in USUAL_LAYOUTS:
        raise OptionError(
            f"The audio has {clip.channels} channels; AURAL takes 1 to {max(USUAL_LAYOUTS)}. Export fewer."
        )
    return USUAL_LAYOUTS[clip.channels]


def require_layout(layout: str) -> None:
    """Raise `OptionError` unless this is AUTO or the name of a layout."""
    require_known("channel layout", layout, [AUTO, *LAYOUTS])


def loudness_weights(layout: str) -> Matrix:
    """The weight of each channel's power in the loudness sum. Shape: (channels,).

    1.41 for loudspeakers at 60 to 120 degrees to the side. Back channels are at 110 degrees if they are the
    only surrounds, and at 135 to 150 degrees, with the sides at 90, if there are both.

    >>> loudness_weights("7.1").tolist()
    [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41]
    """
    channels = LAYOUTS[layout]
    surrounds = {"SL", "SR"} if "SL" in channels else {"BL", "BR"}
    return np.array([0.0 if c == "LFE" else SURROUND_WEIGHT if c in surrounds else 1.0 for c in channels])


def lfe_channels(layout: str) -> tuple[int, ...]:
    """The indices of a layout's channels for low-frequency effects.

    >>> lfe_channels("5.1"), lfe_channels("stereo")
    ((3,), ())
    """
    return tuple(number for number, name in enumerate(LAYOUTS[layout]) if name == "LFE")


def to_five_one(layout: str) -> Matrix:
    """The matrix that folds any layout to the six channels of 5.1. Shape: (6, channels).

    7.1 folds by back + 0.7071 side; a centre back is shared by both surrounds at -3 dB.
    """
    channels = LAYOUTS[layout]
    both = "SL" in channels and "BL" in channels
    side = HALF_POWER if both else 1.0
    shares = {
        "FL": {LEFT: 1.0},
        "FR": {RIGHT: 1.0},
        "FC": {CENTRE: 1.0},
        "LFE": {LFE: 1.0},
        "BL": {LEFT_SURROUND: 1.0},
        "BR": {RIGHT_SURROUND: 1.0},
        "SL": {LEFT_SURROUND: side},
        "SR": {RIGHT_SURROUND: side},
        "BC": {LEFT_SURROUND: HALF_POWER, RIGHT_SURROUND: HALF_POWER},
    }
    matrix = np.zeros((6, len(channels)))
    for column, channel in enumerate(channels):
        for row, share in shares[channel].items():
            matrix[row, column] = share
    return matrix


# Rows: left, right. Columns: the six channels. The LFE is dropped, as in BS.775.
LO_RO = np.array(
    [
        [1.0, 0.0, HALF_POWER, 0.0, HALF_POWER, 0.0],
        [0.0, 1.0, HALF_POWER, 0.0, 0.0, HALF_POWER],
    ]
)
LT_RT = np.array(
    [
        [1.0, 0.0, HALF_POWER, 0.0, -0.5, -0.5],
        [0.0, 1.0, HALF_POWER, 0.0, 0.5, 0.5],
    ]
)
PRO_LOGIC_II = np.array(
    [
        [1.0, 0.0, HALF_POWER, 0.0, -math.sqrt(0.75), -0.5],
        [0.0, 1.0, HALF_POWER, 0.0, 0.5, math.sqrt(0.75)],
    ]
)
