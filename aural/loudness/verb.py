"""The verbs of this slice: `measure` and `master`."""

from aural.options import Estimate, Place, Verb

PLACE = Place("loudness", "Loudness")

MEASURE = Verb(
    "measure",
    "Measure loudness, peaks and stereo image.",
    "aural.loudness.meter",
    PLACE,
    measures=True,
    estimates={"": Estimate(0.5, 0.91, 0.0089)},
    batch_name="Measure",
    memory_factor=2.5,
)
MASTER = Verb(
    "master",
    "Bring a file to the loudness and true peak of a device or platform.",
    "aural.loudness.pipeline",
    PLACE,
    "mastered.wav",
    measures=True,
    estimates={"": Estimate(0.3, 0.13, 0.0066)},
    batch_name="Master",
    batch_settings={"target": "target"},
    memory_factor=4.0,
)
