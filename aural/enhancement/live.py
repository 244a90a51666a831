"""Live noise reduction of a microphone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aural.enhancement.stream import Streamer
from aural.errors import OptionError

# What the page sends, and its titles.
STRENGTHS = MappingProxyType({"1": "Enhanced", "0.5": "Half of the noise reduction", "0": "Microphone"})
BACKGROUNDS = MappingProxyType({"off": "Off", "-30": "−30 dB", "-20": "−20 dB", "-12": "−12 dB"})


def start(rate: int, choices: Mapping[str, Any]) -> Streamer:
    """The stream of a live session, of one channel.

    Args:
        rate: of the microphone, Hz.
        choices: `strength`, one of STRENGTHS; `background_db`, one of BACKGROUNDS.

    Raises:
        OptionError: a setting out of range.
    """
    strength, background = (
        next((each for each in known if each == choices.get(name)), None)
        for name, known in (("strength", STRENGTHS), ("background_db", BACKGROUNDS))
    )
    if strength is None:
        raise OptionError(f"The strength must be one of {', '.join(STRENGTHS)}. Reload the page.")
    if background is None:
        raise OptionError(f"The background must be one of {', '.join(BACKGROUNDS)}. Reload the page.")
    return Streamer(
        1, rate, strength=float(strength), background_db=None if background == "off" else float(background)
    )
