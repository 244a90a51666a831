"""What each service and standard would do to a file as it is: its gain, and the peaks that it would limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aural.audio import Clip
from aural.audio.steps import Steps, part
from aural.loudness import pipeline as mastering
from aural.loudness.meter import Loudness, measure
from aural.loudness.targets import TARGETS


@dataclass(frozen=True)
class Service:
    """A target's effect on a file."""

    key: str  # of the target
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
    for key, target in TARGETS.items():
        if target.kind == "device":
            continue
        gain_db = target.loudness_for(loudness.channels) - lufs
        if target.down_only:
            gain_db = min(gain_db, 0.0)
        limiting_db = max(0.0, peak_dbtp + gain_db - target.ceiling_dbtp)
        found.append(Service(key, target.name, lufs + gain_db, gain_db, limiting_db))
    return tuple(found)


def played_on(service: Service, clip: Clip) -> Steps[Clip]:
    """A stretch of the file as a service would play it: by its gain, and the peaks limited if they must be.

    Yields the share done.
    """
    if service.limiting_db == 0:
        yield 1.0
        return clip.with_samples(clip.samples * np.float32(10 ** (service.gain_db / 20)))
    loudness = yield from part(measure.steps(clip), 0.0, 0.3)
    # The gain is that of the file, of which the stretch is a louder part.
    wanted = min(max((loudness.integrated_lufs or -60.0) + service.gain_db, -60.0), 0.0)
    options = mastering.Options(mastering.FREE, wanted, TARGETS[service.key].ceiling_dbtp)
    mastered = yield from part(mastering.master.steps(clip, options, loudness), 0.3, 1.0)
    return mastered.clip
