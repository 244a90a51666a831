"""The verbs of this slice: `enhance` and `degrade`."""

from aural.options import Estimate, Place, Verb, by_setting

PLACE = Place("enhance", "Enhance")

ENHANCE = Verb(
    "enhance",
    "Make a phone recording sound as if it came from a studio.",
    "aural.enhancement.pipeline",
    PLACE,
    "enhanced.wav",
    measures=True,
    estimates={
        "": Estimate(1.8, 0.85, 0.0550, on_card=True),
        "griffin_lim": Estimate(1.8, 0.74, 0.1030, on_card=True),
        "vocoder": Estimate(1.9, 1.01, 0.0730, on_card=True),
    },
    kind=by_setting("setting"),
    batch_name="Enhance",
    batch_settings={"preset": "preset", "strength": "strength"},
    memory_factor=8.0,
    result_rate=lambda *_: 48_000,  # at which it works
)
DEGRADE = Verb(
    "degrade",
    "Make a recording sound as if a phone had made it.",
    "aural.enhancement.degrade",
    PLACE,
    "degraded.wav",
    estimates={"": Estimate(1.8, 0.02, 0.0134)},
    batch_name="Simulate a phone",
    batch_settings={"preset": "phone"},
    memory_factor=7.0,
)
