"""What each service and standard would do to a file as it is: its gain, and the peaks that it would limit."""

from __future__ import annotations

from dataclasses import dataclass

from aural.loudness.meter import Loudness
from aural.loudness.targets import TARGETS


@dataclass(frozen=True)
class Service:
    """A target's effect on a file."""

    name: str
    loudness_lufs: float  # at which the file would be played
    gain_db: float
    limiting_db: float  # by how much its peaks would then exceed the target's limit; 0: they fit


def on_services(loudness: Loudness) -> tuple[Service, ...]:
    """The effect of every platform and standard, in their order in `TARGETS`; none for silence."""
    lufs, peak_dbtp = loudness.integrated_lufs, loudness.true_peak_dbtp
    if lufs is None or peak_dbtp is None:
        return ()
    found = []
    for target in TARGETS.values():
        if target.kind == "device":
            continue
        gain_db = target.loudness_for(loudness.channels) - lufs
        if target.down_only:
            gain_db = min(gain_db, 0.0)
        limiting_db = max(0.0, peak_dbtp + gain_db - target.ceiling_dbtp)
        found.append(Service(target.name, lufs + gain_db, gain_db, limiting_db))
    return tuple(found)
