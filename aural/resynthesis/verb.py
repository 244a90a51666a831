"""The verb of this slice: `resynthesize`. It is not offered in batches: it is an experiment with one file."""

from aural.loudness.verb import PLACE
from aural.options import Estimate, Verb, by_setting

RESYNTHESIZE = Verb(
    "resynthesize",
    "Take a file through its spectrogram and back.",
    "aural.resynthesis.pipeline",
    PLACE,
    "resynthesized.wav",
    estimates={
        "": Estimate(2.2, 0.48, 0.0379),
        "original": Estimate(2.3, 0.48, 0.0110),
        "vocoder": Estimate(1.9, 0.44, 0.0463, on_card=True),
    },
    kind=by_setting("phase"),
    memory_factor=13.0,
)
