"""What the readings of a loudness meter mean, in short verdicts.

A reading is judged as it is shown, to a tenth (the correlation to a hundredth), so that no verdict
contradicts the figure beside it. Without a reading there is no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from aural.loudness.meter import Loudness
from aural.loudness.targets import TARGETS
from aural.ui.verdicts import Level, Verdict, figure

TOLERANCE_LU = 1.0  # as Apple Podcasts allow
# The level that most streaming services turn loud music down to, and the peak that they ask for so that
# their encoders do not clip; EBU R 128 and AES77 ask for the same peak.
STREAMING_LUFS = TARGETS["spotify"].loudness_lufs
CEILING_DBTP = TARGETS["spotify"].ceiling_dbtp
FULL_SCALE_DB = 0.0  # above, fixed-point files, converters and decoders clip (ITU-R BS.1770-5, annex 2)
MOST_NAMED = 3  # targets in one clause

# Above 20 LU quiet passages fall below the noise of a room; up to 8 LU they stay above that of a street. In
# between it depends on the place: no verdict.
QUIET_PLACE_LU = TARGETS["headphones_quiet"].range_max_lu
NOISY_PLACE_LU = TARGETS["headphones_noisy"].range_max_lu

# The peak of a file stays near 0 dBTP, so that a master of -8 LUFS, among the loudest that are released,
# reads 8 LU. Speech and acoustic recordings usually read 12 LU and more.
LIMITED_LU = 8.0

# Of two channels of one level, (L + R) / 2 keeps (1 + r) / 2 of the power: below r = 0 less than of unrelated
# ones, so that something cancels; at 0.3 it keeps 65 %. Meters mark below 0 red; most mixes read 0.3 to 1.
CANCELS, WIDE, MONO = 0.0, 0.3, 0.995
# Unrelated channels lose 3 dB, as 10 lg 1/2. At twice that, three quarters of the power are gone.
UNRELATED_LOSS_DB = 3.0
LARGE_LOSS_DB = -(UNRELATED_LOSS_DB + 3.0)

# A file at 0 dBFS has single samples there; from one in a thousand on one hears the clipping, as in Studio.
AUDIBLE_SHARE = 1e-3


def verdicts(loudness: Loudness) -> tuple[Verdict, ...]:
    """The verdicts on a measured clip, in the order of its readings; none for silence."""
    if loudness.integrated_lufs is None:
        return ()
    return (
        *_loudness(loudness.integrated_lufs, loudness.channels),
        *_range(loudness.range_lu),
        *_peak(loudness.true_peak_dbtp, loudness.sample_peak_dbfs),
        *_limiting(loudness.peak_to_loudness_lu),
        *_image(loudness.correlation, loudness.mono_loss_db),
        *_full_scale(loudness),
    )


def _loudness(integrated_lufs: float, channels: int) -> Iterator[Verdict]:
    shown = round(integrated_lufs, 1)
    said = f"{figure(shown, 1)} LUFS"
    if names := _fitting(shown, channels):
        yield Verdict("loudness", "green", f"{said}: fits {', '.join(names)}")
        return
    over_lu = shown - STREAMING_LUFS
    distance, level = f"{abs(over_lu):.1f} LU", f"the {figure(STREAMING_LUFS, 0)} of streaming"
    clause = f"{distance} above {level}, which turns it down" if over_lu > 0 else f"{distance} below {level}"
    yield Verdict("loudness", "amber", f"{said}: {clause}")


def _fitting(lufs: float, channels: int) -> list[str]:
    """The names of the targets of the nearest level, if it is near; of platforms rather than of standards."""
    for kind in ("platform", "standard", "device"):
        levels = {
            target.name: target.loudness_for(channels) for target in TARGETS.values() if target.kind == kind
        }
        nearest = min(levels.values(), key=lambda level: abs(lufs - level))
        if abs(lufs - nearest) <= TOLERANCE_LU:
            names = [name for name, level in levels.items() if level == nearest]
            # "Spotify, loud setting" would read as two names in a list.
            return [name for name in names if "," not in name][:MOST_NAMED] or names[:1]
    return []


def _range(range_lu: float | None) -> Iterator[Verdict]:
    if range_lu is None:
        return
    assert QUIET_PLACE_LU is not None and NOISY_PLACE_LU is not None
    shown = round(range_lu, 1)
    said = f"Loudness range {figure(shown, 1)} LU"
    if shown > QUIET_PLACE_LU:
        yield Verdict("range", "amber", f"{said}: quiet passages get lost in noise")
    elif shown <= NOISY_PLACE_LU:
        yield Verdict("range", "green", f"{said}: suits noisy places too")


def _peak(true_peak_dbtp: float | None, sample_peak_dbfs: float | None) -> Iterator[Verdict]:
    if true_peak_dbtp is None:
        return
    shown = round(true_peak_dbtp, 1)
    said = f"True peak {figure(shown, 1, sign=True)} dBTP"
    limit = f"the {figure(CEILING_DBTP, 0)} dBTP that most services ask for"
    if shown > FULL_SCALE_DB:
        # A peak between samples clips only where they are converted.
        is_certain = sample_peak_dbfs is not None and round(sample_peak_dbfs, 1) > FULL_SCALE_DB
        word = "will" if is_certain else "can"
        yield Verdict("peak", "red", f"{said}: {word} clip in playback or after encoding")
    elif shown > CEILING_DBTP:
        yield Verdict("peak", "amber", f"{said}: above {limit}")
    else:
        yield Verdict("peak", "green", f"{said}: within {limit}")


def _limiting(peak_to_loudness_lu: float | None) -> Iterator[Verdict]:
    if peak_to_loudness_lu is None:
        return
    shown = round(peak_to_loudness_lu, 1)
    said = f"PLR {figure(shown, 1)} LU"
    if shown < LIMITED_LU:
        yield Verdict("limiting", "amber", f"{said}: as low as after heavy limiting")
    else:
        yield Verdict("limiting", "green", f"{said}: not heavily limited")


def _image(correlation: float | None, mono_loss_db: float | None) -> Iterator[Verdict]:
    if mono_loss_db is None:  # mono
        return
    if correlation is None:
        yield Verdict("correlation", "amber", "One side of the stereo image is silent")
        return
    shown = round(correlation, 2)
    said = f"Stereo correlation {figure(shown, 2)}"
    level: Level = "red" if shown < CANCELS else "amber" if shown < WIDE else "green"
    clauses = {"red": "partly cancels in mono", "amber": "very wide, so check it in mono"}
    good = "practically mono" if correlation >= MONO else "holds up in mono"
    yield Verdict("correlation", level, f"{said}: {clauses.get(level, good)}")
    if round(mono_loss_db, 1) < LARGE_LOSS_DB:
        lost = figure(mono_loss_db, 1)
        yield Verdict("mono", "amber", f"Level change in mono {lost} dB: most of the sound is lost")


def _full_scale(loudness: Loudness) -> Iterator[Verdict]:
    count = loudness.full_scale_samples
    if not count:
        return
    said = f"{count:,} {'sample' if count == 1 else 'samples'} at full scale"
    if count >= AUDIBLE_SHARE * loudness.seconds * loudness.rate * loudness.channels:
        yield Verdict("full_scale", "red", f"{said}: probably clipped audibly")
    else:
        yield Verdict("full_scale", "amber", f"{said}: may be clipped")
