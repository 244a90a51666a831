"""Audio in, audio out: `Clip`, `read` and `write`; `probe` tells what a file holds before it is read.

`read_tags` finds title, artist, cover and so on, which `write` stores.
"""

from aural.audio.clip import Clip
from aural.audio.decode import probe, read
from aural.audio.encode import wav_encoding, write
from aural.audio.limits import LIMITS, Facts, Limits
from aural.audio.tags import Cover, Tags, read_tags

__all__ = [
    "LIMITS",
    "Clip",
    "Cover",
    "Facts",
    "Limits",
    "Tags",
    "probe",
    "read",
    "read_tags",
    "wav_encoding",
    "write",
]
