"""Audio in, audio out: `Clip`, `read` and `write`."""

from aural.audio.clip import Clip
from aural.audio.files import LIMITS, Limits, read, write

__all__ = ["LIMITS", "Clip", "Limits", "read", "write"]
