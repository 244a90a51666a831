"""Live super-resolution of a microphone.

The sound is first downsampled, for example to the rate of a phone, so that there is something to restore.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aural.audio.clip import Samples
from aural.errors import OptionError
from aural.superres.pipeline import METHODS, Method

NARROW_RATES = (4_000, 8_000, 11_025, 16_000, 24_000)  # Hz, to which the microphone can be downsampled


class LiveStream:
    """One channel, downsampled and then super-resolved to its own rate.

    Attributes:
        look_ahead_seconds: minimum delay of the result.
    """

    def __init__(self, rate: int, narrow_rate: int, method: Method) -> None:
        from aural.superres.sinc import SincStream
        from aural.superres.streaming import Streamer

        self._cut = SincStream(rate, narrow_rate, 1)
        self._streamer = Streamer(1, narrow_rate, rate, narrow_rate / 2, method)
        self.look_ahead_seconds = self._cut.look_ahead_seconds + self._streamer.look_ahead_seconds

    def push(self, samples: Samples) -> Samples:
        """What is ready. Shape: (1, time) -> (1, any time), both at `rate`."""
        return self._streamer.push(self._cut.push(samples))


def start(rate: int, choices: Mapping[str, Any]) -> LiveStream:
    """The stream of a live session.

    Args:
        rate: of the microphone, Hz.
        choices: `narrow_rate`, one of NARROW_RATES and below `rate`; `method`, one of METHODS.

    Raises:
        OptionError: a setting out of range.
    """
    narrow_rate = next((each for each in NARROW_RATES if str(each) == choices.get("narrow_rate")), None)
    if narrow_rate is None or narrow_rate >= rate:
        known = ", ".join(map(str, NARROW_RATES))
        raise OptionError(f"Can't downsample {rate:g} Hz to that. Choose a lower of {known} Hz.")
    method = next((each for each in METHODS if each == choices.get("method")), None)
    if method is None:
        raise OptionError(f"There is no such method. Choose {' or '.join(METHODS)}.")
    return LiveStream(rate, narrow_rate, method)
