"""The speakers of a file's channels: their names, their order and the layouts they make.

Sources: WAVEFORMATEXTENSIBLE (WAV); the Vorbis I specification, 4.3.9 (Vorbis, and Opus by RFC 7845,
5.1.1.2); RFC 9639, 9.1.3 (FLAC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def speaker_names(layout: AudioLayout) -> list[str] | None:
    """The names of a layout's speakers, or None if some have none."""
    names = [channel.name for channel in layout.channels]
    return names if set(names) <= set(SPEAKERS) and len(set(names)) == len(names) else None


def layout_name(channels: int, speakers: list[str] | None) -> str | None:
    """FFmpeg's name for the speakers, or their own names joined by + if it has none."""
    if channels <= 2:
        return IMPLIED_LAYOUTS[channels]
    if speakers is None:
        return None
    import av

    joined = "+".join(sorted(speakers, key=SPEAKERS.index))
    name: str = av.AudioLayout(joined).name
    return joined if " " in name else name
