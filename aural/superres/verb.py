"""The verb of this slice: `super_resolve`."""

from typing import Any

from aural.options import Estimate, Place, Verb


def _kind(*, method: object = "", compare: bool = False, **_: Any) -> str:
    """The work by method; in a comparison LISA takes nearly all of the time."""
    return "lisa" if compare else str(method)


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
    batch_name="Super-resolve",
    batch_settings={"rate": "rate"},
)
