"""The verb of this slice: `super_resolve`."""

import math
from collections.abc import Mapping
from typing import Any

from aural.options import Estimate, Place, Verb


def _kind(*, method: object = "", compare: bool = False, **_: Any) -> str:
    """The work by method; in a comparison LISA takes nearly all of the time."""
    return "lisa" if compare else str(method)


def result_rate(settings: Mapping[str, Any], rate: int) -> float:
    """The rate of the result in Hz, also for settings that the pipeline will refuse.

    >>> result_rate({"rate": 96_000}, 8_000), result_rate({"factor": 3}, 8_000), result_rate({}, 8_000)
    (96000.0, 24000.0, 48000.0)
    """
    for name, unit in (("rate", 1), ("factor", rate)):
        value = settings.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value * unit)
    return 48_000.0


SUPER_RESOLVE = Verb(
    "super_resolve",
    "Reconstruct the missing high frequencies of a file, at any sample rate.",
    "aural.superres.pipeline",
    Place("super_resolve", "Super-resolution"),
    "super-resolved.wav",
    estimates={
        "": Estimate(2.1, 0.73, 0.0253, on_card=True),
        "lisa": Estimate(2.0, 0.64, 0.2539, on_card=True, card_speed=10.0),
        "sinc": Estimate(1.9, 0.55, 0.0044),
    },
    kind=_kind,
    memory_factor=6.0,
    result_rate=result_rate,
    batch_name="Super-resolve",
    batch_settings={"rate": "rate"},
)
