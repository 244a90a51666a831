"""Audio in, audio out: `Clip`, `read` and `write`; `probe` tells what a file holds before it is read."""

from aural.audio.clip import Clip
from aural.audio.decode import probe, read
from aural.audio.encode import wav_encoding, write
from aural.audio.limits import LIMITS, Facts, Limits

__all__ = ["LIMITS", "Clip", "Facts", "Limits", "probe", "read", "wav_encoding", "write"]
