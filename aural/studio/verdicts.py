"""What is wrong with a recording, in short verdicts, and which stages of a release would mend it.

The thresholds lie between what the analysis reads of studio recordings and of the same recordings through a
simulated phone (`aural.enhancement.degrade`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aural.audio.missing_band import missing_band
from aural.enhancement.analysis import Analysis
from aural.loudness.targets import Target
from aural.studio.naming import Heard
from aural.ui.verdicts import Level, Verdict, figure

Sound = Literal["speech", "music", "other"]

# Studio voices read 24 dB and more, voices through the simulated phone 5 to 21 dB.
NOISY_DB, VERY_NOISY_DB = 20.0, 12.0
# Studio voices read 0.4 s at most; from 0.9 s on one hears the room rather than the voice.
ECHO_SECONDS, STRONG_ECHO_SECONDS = 0.45, 0.9
# The flat tops of a full-band recording are shorter; from one sample in a thousand on one hears it.
CLIPPED_SHARE, BADLY_CLIPPED_SHARE = 1e-4, 1e-3
NARROW_BAND_HZ = 8_000.0  # below, consonants are dull, as in a phone call
FULL_RATE = 48_000  # Hz, of a release; a band is narrow if it ends below what this rate can hold
TOLERANCE_LU = 1.0  # as Apple Podcasts allow
FAR_LU = 6.0  # a listener reaches for the volume control
CLIPS_DBTP = 0.0  # above, a player or a lossy encoder clips

# Speech is voiced for a part of its time, within the range of voices; sustained music for nearly all of it.
# Dense music has no pauses, so that it reads a low SNR, and its median pitch is that of its bass.
VOICED_SHARES = 0.25, 0.9
VOICE_HZ, CLEAR_VOICE_HZ = (100.0, 330.0), (75.0, 330.0)
CLEAR_DB = 10.0  # SNR from which the pitch of a low voice is found
WIDE_CORRELATION = 0.97  # below it, left and right differ: a mix, rather than one voice
WIDE_SPEECH_DB = 20.0  # SNR of a voice in a wide room or mix
MUSIC_VOICED_SHARE = 0.35


@dataclass(frozen=True)
class Stage:
    """One stage of the plan."""

    on: bool
    reason: str  # why, in one clause


@dataclass(frozen=True)
class Plan:
    """The stages of a release, by the names of its options."""

    enhancement: Stage
    super_resolution: Stage
    mastering: Stage


def sound_of(analysis: Analysis) -> Sound:
    """Speech, music or neither, from pitch, pauses and stereo width.

    A rule of thumb for recordings of some seconds: drums in mono pass for speech.
    """
    voiced, f0_hz = analysis.voiced_share or 0.0, analysis.pitch_hz or 0.0
    snr_db = analysis.snr_db if analysis.snr_db is not None else -20.0
    correlation = analysis.loudness.correlation
    is_wide = correlation is not None and correlation < WIDE_CORRELATION
    lowest_hz, highest_hz = CLEAR_VOICE_HZ if snr_db >= CLEAR_DB else VOICE_HZ
    has_voice = (
        VOICED_SHARES[0] <= voiced <= VOICED_SHARES[1]
        and lowest_hz <= f0_hz <= highest_hz
        and (snr_db >= WIDE_SPEECH_DB or not is_wide)
    )
    if has_voice:
        return "speech"
    return "music" if voiced >= MUSIC_VOICED_SHARE else "other"


def verdicts(analysis: Analysis, target: Target, sounds_like: Heard | None = None) -> tuple[Verdict, ...]:
    """The verdicts on a recording that is to be played at the target, the kind of sound first.

    Args:
        sounds_like: what a sound is called that is neither speech nor music; None: unknown.
    """
    if analysis.integrated_lufs is None or analysis.bandwidth_hz is None:
        return (Verdict("silence", "red", "Silent: nothing to hear"),)
    sound = sound_of(analysis)
    other = "Neither speech nor music" if sounds_like is None else sounds_like.message
    names = {"speech": "Speech", "music": "Music", "other": other}
    faults = _faults(analysis) if sound == "speech" else _clipping(analysis)
    clean = [] if faults else [Verdict("clean", "green", "Already clean")]
    return (
        Verdict("sound", "green", names[sound]),
        *faults,
        *clean,
        *_band(analysis),
        *_loudness(analysis, target),
        *_peak(analysis, target),
    )


def plan(analysis: Analysis, target: Target) -> Plan:
    """The stages that would change something for the better, and why or why not."""
    found = {verdict.kind: verdict for verdict in verdicts(analysis, target)}
    if "silence" in found:
        silent = Stage(False, "The recording is silent.")
        return Plan(silent, silent, silent)
    sound = sound_of(analysis)
    faults = [found[kind].text for kind in ("noise", "echo", "clipping") if kind in found]
    if sound != "speech":
        enhancement = Stage(False, "Made for voices; this does not sound like one.")
    elif faults:
        enhancement = Stage(True, f"{', '.join(faults)}.")
    else:
        enhancement = Stage(False, "Nothing to do: already clean.")
    band_hz = analysis.bandwidth_hz or 0.0
    if "band" in found:
        super_resolution = Stage(True, f"{found['band'].text}.")
    else:
        super_resolution = Stage(False, f"Nothing to do: already full-band ({_kilohertz(band_hz)}).")
    return Plan(
        enhancement,
        super_resolution,
        _mastering(found, analysis, target, after_others=enhancement.on or super_resolution.on),
    )


def _faults(analysis: Analysis) -> list[Verdict]:
    """What the first stage would mend in a voice. In music, decays are not a room and chords no noise."""
    found = []
    if analysis.snr_db is not None and analysis.snr_db < NOISY_DB:
        is_bad = analysis.snr_db < VERY_NOISY_DB
        word = "Very noisy" if is_bad else "Noisy"
        found.append(Verdict("noise", "red" if is_bad else "amber", f"{word} ({_snr(analysis.snr_db)})"))
    echo = analysis.reverberation_seconds
    if echo is not None and echo >= ECHO_SECONDS:
        level: Level = "red" if echo >= STRONG_ECHO_SECONDS else "amber"
        found.append(Verdict("echo", level, f"Room echo ({echo:.1f} s)"))
    return [*found, *_clipping(analysis)]


def _clipping(analysis: Analysis) -> list[Verdict]:
    share = analysis.clipping_share
    if share <= CLIPPED_SHARE:
        return []
    is_bad = share >= BADLY_CLIPPED_SHARE
    percent = f"{100 * share:.1f}" if is_bad else f"{100 * share:.2f}"
    return [Verdict("clipping", "red" if is_bad else "amber", f"Clipped ({percent} %)")]


def _band(analysis: Analysis) -> list[Verdict]:
    band_hz = analysis.bandwidth_hz
    if band_hz is None or missing_band(analysis.loudness.rate, FULL_RATE, band_hz) is None:
        return []
    level: Level = "red" if band_hz < NARROW_BAND_HZ else "amber"
    return [Verdict("band", level, f"Band ends at {_kilohertz(band_hz)}")]


def _loudness(analysis: Analysis, target: Target) -> list[Verdict]:
    lufs = analysis.integrated_lufs
    assert lufs is not None  # the clip is not silent
    over_lu = lufs - target.loudness_for(analysis.loudness.channels)
    said = f"{figure(lufs, 0)} LUFS"
    if abs(over_lu) <= TOLERANCE_LU:
        return [Verdict("loudness", "green", f"{said}: right for {target.name}")]
    if over_lu > 0:
        return [Verdict("loudness", "amber", f"{said}: too loud for {target.name}")]
    level: Level = "red" if over_lu < -FAR_LU else "amber"
    return [Verdict("loudness", level, f"{said}: too quiet for {target.name}")]


def _peak(analysis: Analysis, target: Target) -> list[Verdict]:
    peak = analysis.true_peak_dbtp
    if peak is None or peak <= target.ceiling_dbtp:
        return []
    said = f"True peak {figure(peak, 1, sign=True)} dBTP"
    if peak > CLIPS_DBTP:
        return [Verdict("peak", "red", f"{said}: will clip")]
    return [Verdict("peak", "amber", f"{said}: above the limit of {figure(target.ceiling_dbtp, 0)}")]


def _mastering(found: dict[str, Verdict], analysis: Analysis, target: Target, *, after_others: bool) -> Stage:
    level = target.loudness_for(analysis.loudness.channels)
    is_quiet = analysis.integrated_lufs is not None and analysis.integrated_lufs < level
    if "peak" not in found and not after_others:
        if found["loudness"].level == "green":
            return Stage(False, f"Nothing to do: already {figure(level, 0)} LUFS.")
        if target.down_only and is_quiet:
            return Stage(False, f"Nothing to do: {target.name} leaves quiet files as they are.")
    if found["loudness"].level != "green":
        return Stage(True, f"From {figure(analysis.integrated_lufs or 0.0, 0)} to {figure(level, 0)} LUFS.")
    if "peak" in found:
        return Stage(True, f"{found['peak'].text}.")
    return Stage(True, f"Keeps {figure(level, 0)} LUFS after the other stages.")


def _snr(value_db: float) -> str:
    return f"{figure(value_db, 0)} dB SNR"


def _kilohertz(hz: float) -> str:
    """A frequency as people say it.

    >>> _kilohertz(3_612.0), _kilohertz(20_000.0)
    ('3.6 kHz', '20 kHz')
    """
    return f"{round(hz / 1000, 1):g} kHz"
