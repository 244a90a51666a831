"""The speakers of a file's channels: their names, their order and the layouts they make.

Sources: WAVEFORMATEXTENSIBLE (WAV); the Vorbis I specification, 4.3.9 (Vorbis, and Opus by RFC 7845,
5.1.1.2); RFC 9639, 9.1.3 (FLAC).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # PyAV takes 80 ms to import and is loaded by the functions that need it
    from av import AudioLayout

# WAV's order, in which every clip keeps its channels: bit 0 of the channel mask first, overhead last.
SPEAKERS = ["FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"]
SPEAKERS += ["TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"]

# Vorbis, Opus and FLAC store no layout: the number of channels implies it. FLAC keeps WAV's order.
IMPLIED_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
VORBIS_SPEAKERS = {
    3: ["FL", "FC", "FR"],
    4: ["FL", "FR", "BL", "BR"],
    5: ["FL", "FC", "FR", "BL", "BR"],
    6: ["FL", "FC", "FR", "BL", "BR", "LFE"],
    7: ["FL", "FC", "FR", "SL", "SR", "BC", "LFE"],
    8: ["FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"],
}


@dataclass(frozen=True)
class Format:
    """The rate and channels of decoded sound."""

    rate: int  # Hz
    channels: int
    speakers: tuple[str, ...] | None  # in the order of the channels; None: not known

    def wav_order(self) -> Format:
        """The same with its channels in WAV's order."""
        if self.speakers is None or len(self.speakers) != self.channels:
            return Format(self.rate, self.channels, None)
        return Format(self.rate, self.channels, tuple(sorted(self.speakers, key=SPEAKERS.index)))


def speaker_names(layout: AudioLayout) -> tuple[str, ...] | None:
    """The names of a layout's speakers, or None if some have none."""
    names = tuple(channel.name for channel in layout.channels)
    return names if set(names) <= set(SPEAKERS) and len(set(names)) == len(names) else None


def layout_name(channels: int, speakers: Sequence[str] | None) -> str | None:
    """FFmpeg's name for the speakers, or their own names joined by + if it has none."""
    if channels <= 2:
        return IMPLIED_LAYOUTS[channels]
    if speakers is None:
        return None
    import av

    joined = "+".join(sorted(speakers, key=SPEAKERS.index))
    name: str = av.AudioLayout(joined).name
    return joined if " " in name else name


SIDES = {"L": "FL", "R": "FR"}  # the front speaker that takes over for others on its side
TWINS = {"BL": "SL", "BR": "SR", "SL": "BL", "SR": "BR"}  # surround speakers that stand for each other


def channel_matrix(source: Format, target: Format) -> NDArray[np.float32]:
    """Weights that bring the channels of one format to another's, (target, source).

    Mono goes to both front speakers as it is, and all speakers but the LFE to mono by their mean. A speaker
    that is missing in the target goes to the front, 3 dB lower.

    >>> mono, stereo = Format(48_000, 1, None), Format(48_000, 2, ("FL", "FR"))
    >>> channel_matrix(mono, stereo).tolist(), channel_matrix(stereo, mono).tolist()
    ([[1.0], [1.0]], [[0.5, 0.5]])
    """
    names = [_known_speakers(source), _known_speakers(target)]
    if source.channels == target.channels and (names[0] == names[1] or None in names):
        return np.eye(target.channels, dtype=np.float32)
    matrix = np.zeros((target.channels, source.channels), np.float32)
    if target.channels == 1:
        sounding = [name != "LFE" for name in names[0] or source.channels * ("",)]
        matrix[0] = np.array(sounding) / max(1, sum(sounding))
    elif source.channels == 1:
        matrix[:2, 0] = 1.0
    elif names[0] is None or names[1] is None:
        count = min(source.channels, target.channels)
        matrix[range(count), range(count)] = 1.0
    else:
        for column, name in enumerate(names[0]):
            for speaker, weight in _stand_ins(name, names[1]):
                matrix[names[1].index(speaker), column] = weight
    return matrix


def _known_speakers(form: Format) -> tuple[str, ...] | None:
    if form.channels <= 2:
        return ("FC",) if form.channels == 1 else ("FL", "FR")
    return form.speakers


def _stand_ins(speaker: str, present: Sequence[str]) -> list[tuple[str, float]]:
    """The speakers of a layout that play what is meant for one, with their weights."""
    if speaker in present:
        return [(speaker, 1.0)]
    if TWINS.get(speaker) in present:
        return [(TWINS[speaker], 1.0)]
    if speaker == "LFE":
        return []
    fronts = [SIDES[speaker[-1]]] if speaker[-1] in SIDES else list(SIDES.values())
    return [(front, math.sqrt(0.5)) for front in fronts if front in present]
