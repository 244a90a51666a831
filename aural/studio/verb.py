"""The verb of this slice, `release`: the verbs of other slices in sequence."""

from aural.enhancement.verb import ENHANCE
from aural.loudness.verb import MASTER
from aural.options import Place, Verb, by_stage
from aural.superres.verb import SUPER_RESOLVE, result_rate

RELEASE = Verb(
    "release",
    "Enhance, super-resolve and master a phone recording in one go.",
    "aural.studio.pipeline",
    Place("studio", "Studio"),
    "released.wav",
    measures=True,
    memory_factor=12.0,
    result_rate=result_rate,
    stages=(ENHANCE, SUPER_RESOLVE, MASTER),
    kind=by_stage(
        {
            ENHANCE.name: "enhancement",
            SUPER_RESOLVE.name: "super_resolution",
            MASTER.name: "mastering",
        }
    ),
    batch_name="Phone to release",
    batch_settings={"preset": "preset", "strength": "strength", "target": "target"},
)
