"""Loudness targets of devices, platforms and standards, with the source of each figure.

Platforms change their figures without notice; these were current in 2026. If no authoritative figure exists
(a car, a laptop), the source says that it is AURAL's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OWN_CHOICE = "AURAL's own choice: no authoritative figure exists"


@dataclass(frozen=True)
class Target:
    """The requirements of the place where a file will be played."""

    name: str  # for people
    kind: Literal["device", "platform", "standard"]
    loudness_lufs: float  # integrated
    ceiling_dbtp: float  # largest true peak
    source: str  # of the figures
    range_max_lu: float | None = None  # largest suitable loudness range, if known
    short_term_max_lufs: float | None = None  # largest short-term loudness, if limited
    mono_loudness_lufs: float | None = None  # for mono files, if different
    down_only: bool = False  # quiet files are not turned up

    def loudness_for(self, channels: int) -> float:
        """The target loudness of a file with this number of channels, LUFS."""
        if channels == 1 and self.mono_loudness_lufs is not None:
            return self.mono_loudness_lufs
        return self.loudness_lufs


MOBILE = "T. Lund, Audio for Mobile TV, iPad and iPod (NAB 2013): -16 LUFS on the move"
MOBILE_RANGE = "; range: 6-16 LU for streaming to phones, kept to its middle in noise"

TARGETS: dict[str, Target] = {
    "earbuds": Target("Earbuds, on the move", "device", -16, -1, MOBILE + MOBILE_RANGE, range_max_lu=10),
    "headphones_quiet": Target(
        "Headphones, quiet room",
        "device",
        -24,
        -1,
        "MPEG-D DRC practice (ISO/IEC 23003-4): -24 LUFS where it is quiet",
        range_max_lu=20,
    ),
    "headphones_noisy": Target(
        "Headphones, noisy place",
        "device",
        -17,
        -1,
        "middle of the -18 to -16 LUFS usual in noise" + MOBILE_RANGE,
        range_max_lu=8,
    ),
    "phone_speaker": Target("Phone speaker", "device", -16, -1, MOBILE + MOBILE_RANGE, range_max_lu=8),
    "laptop": Target("Laptop", "device", -16, -1, OWN_CHOICE, range_max_lu=12),
    "smart_speaker": Target(
        "Smart speaker",
        "device",
        -16,
        -1,
        "Google Assistant audio guidelines: -16 LUFS stereo, -19 LUFS mono; range: " + OWN_CHOICE,
        range_max_lu=12,
        mono_loudness_lufs=-19,
    ),
    "car": Target("Car", "device", -16, -1, OWN_CHOICE, range_max_lu=9),
    "tv": Target("Television", "device", -23, -1, "EBU R 128; range: " + OWN_CHOICE, range_max_lu=15),
    "theatre": Target(
        "Theatre, cinema",
        "device",
        -29,
        0,
        "usual dialogue level of cinema mixes, about -29 LUFS; measured here over the whole programme",
        range_max_lu=25,
    ),
    "ebu_r128": Target("EBU R 128", "standard", -23, -1, "EBU R 128 (2023)"),
    "ebu_r128_s1": Target(
        "EBU R 128 s1, adverts and trailers",
        "standard",
        -23,
        -1,
        "EBU R 128 s1: short-term at most -18 LUFS",
        short_term_max_lufs=-18,
    ),
    "ebu_r128_s2": Target(
        "EBU R 128 s2, streaming", "standard", -18, -1, "EBU R 128 s2: -20 to -16 LUFS, taken at its middle"
    ),
    "atsc_a85": Target("ATSC A/85", "standard", -24, -2, "ATSC A/85:2013"),
    "aes77_track": Target("AES77, music track", "standard", -16, -1, "AES77-2023"),
    "aes77_album": Target("AES77, loudest album track", "standard", -14, -1, "AES77-2023"),
    "aes77_speech": Target("AES77, speech", "standard", -18, -1, "AES77-2023"),
    "dolby_line": Target("Dolby line mode", "standard", -31, 0, "Dolby metadata guide: line mode at -31"),
    "spotify": Target("Spotify", "platform", -14, -1, "Spotify for Artists, normal setting"),
    "spotify_loud": Target("Spotify, loud setting", "platform", -11, -1, "Spotify for Artists, loud setting"),
    "spotify_quiet": Target(
        "Spotify, quiet setting", "platform", -19, -1, "Spotify for Artists, quiet setting"
    ),
    "apple_music": Target("Apple Music", "platform", -16, -1, "Apple Digital Masters, Sound Check"),
    "apple_podcasts": Target(
        "Apple Podcasts", "platform", -16, -1, "Apple Podcasts audio requirements, ±1 LU"
    ),
    "youtube": Target(
        "YouTube",
        "platform",
        -14,
        -1,
        "observed, not published by YouTube; loud uploads are turned down, quiet ones left",
        down_only=True,
    ),
    "tidal": Target("Tidal", "platform", -14, -1, "Tidal delivery guidelines"),
    "amazon_music": Target("Amazon Music", "platform", -14, -2, "Amazon Music delivery guidelines"),
    "netflix": Target(
        "Netflix",
        "platform",
        -27,
        -2,
        "Netflix sound mix specifications: -27 LKFS of the dialogue, range 4 to 18 LU; measured here over "
        "the whole programme",
        range_max_lu=18,
    ),
    "alexa": Target("Alexa", "platform", -14, -2, "Alexa Skills Kit audio guidelines"),
    "google_assistant": Target(
        "Google Assistant",
        "platform",
        -16,
        -1,
        "Google Assistant audio guidelines: -16 LUFS stereo, -19 LUFS mono",
        mono_loudness_lufs=-19,
    ),
    "mobile_game": Target(
        "Mobile game",
        "platform",
        -16,
        -1,
        "usual for mobile games: -16 ±2 LUFS, range 10 to 15 LU",
        range_max_lu=15,
    ),
}
