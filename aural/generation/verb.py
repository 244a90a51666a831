"""The verbs of this slice: `generate` and `loop`."""

from typing import Any

from aural.options import Estimate, Place, Verb, by_setting

PLACE = Place("generate", "Generate")
USUAL_STEPS = 25  # denoising steps of one unit of workload per second


def workload(*, count: int, seconds: float, steps: int, candidates: int = 1, **_: Any) -> float:
    """The workload: a second of a clip, generated without a source in 25 steps, is 1.

    >>> workload(count=4, seconds=5, steps=50), workload(count=4, seconds=5, steps=50, candidates=3)
    (40.0, 120.0)
    """
    return count * candidates * seconds * steps / USUAL_STEPS


GENERATE = Verb(
    "generate",
    "Make sounds of a class, or vary, fill or extend a sound.",
    "aural.generation.pipeline",
    PLACE,
    "generated.wav",
    needs_sound=False,
    keeps_length=False,
    estimates={
        "": Estimate(4.4, 1.52, 0.84, on_card=True, card_speed=10.0),
        "griffin_lim": Estimate(5.9, 1.86, 0.92, on_card=True),
    },
    kind=by_setting("vocoder"),
    workload=workload,
)
LOOP = Verb(
    "loop",
    "Make a sound loop without a seam.",
    "aural.generation.loop",
    PLACE,
    "loop.wav",
    keeps_length=False,
    estimates={"": Estimate(0.0, 0.03, 0.0028)},
    batch_name="Make a loop",
    batch_settings={"crossfade_seconds": "crossfade"},
    memory_factor=7.0,
)
