"""Short examples to try the app with; README.md in this folder has the full credits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results" / "results.json"  # written by `tools.make_example_results`


@dataclass(frozen=True)
class Example:
    """A file that comes with the app."""

    path: Path
    title: str  # shown on its button
    credit: str  # author, work, licence, and what was changed
    reference: Path | None = None  # the studio recording behind a simulated phone recording


EXAMPLES = [
    Example(
        FOLDER / "song.ogg",
        "Pop song",
        "“Let's Go Fishin'” by Karissa Hobbs, CC BY 3.0, excerpt, re-encoded",
    ),
    Example(
        FOLDER / "celesta.ogg",
        "Quiet celesta",
        "“Dance of the Sugar Plum Fairy” by Kevin MacLeod, CC BY 3.0, excerpt, re-encoded",
    ),
    Example(
        FOLDER / "orchestra.ogg",
        "Orchestra",
        "Hungarian Dance No. 5 by Johannes Brahms, public domain, excerpt, re-encoded",
    ),
    Example(
        FOLDER / "speech.ogg",
        "Speech, mono",
        "“kathleen” voice of the Rhasspy project, CC0, re-encoded",
    ),
    Example(
        FOLDER / "out_of_phase.flac",
        "Out of phase",
        "made for testing from “Vibe Ace” by Kevin MacLeod, CC BY 3.0, excerpt, right channel mirrored",
    ),
    Example(
        FOLDER / "surround.flac",
        "5.1 surround",
        "made for testing from the Brahms recording and the speech, public domain and CC0",
    ),
]

# The speech as phones would have recorded it.
PHONE_EXAMPLES = [
    Example(
        FOLDER / file,
        title,
        f"“kathleen” voice of the Rhasspy project, CC0, {change} by AURAL",
        reference=FOLDER / "speech.ogg",
    )
    for file, title, change in (
        ("phone_call.ogg", "Phone call", "sent through a simulated phone call"),
        ("noisy_memo.ogg", "Noisy voice memo", "turned into a simulated voice memo with noise"),
        ("far_away.ogg", "Far away in a hall", "put into a simulated large room"),
    )
]

# Sounds whose band is narrower than an ear's.
NARROW_EXAMPLES = [
    Example(
        FOLDER / "speech_8k.flac",
        "Speech at 8 kHz",
        "“kathleen” voice of the Rhasspy project, CC0, resampled",
    ),
    Example(
        FOLDER / "speech_16k.ogg",
        "Speech at 16 kHz",
        "“kathleen” voice of the Rhasspy project, CC0, resampled, re-encoded",
    ),
    Example(
        FOLDER / "narrow_song.mp3",
        "Small MP3 at 48 kHz",
        "“Let's Go Fishin'” by Karissa Hobbs, CC BY 3.0, excerpt, resampled, as MP3 with nothing above 9 kHz",
    ),
]


@dataclass(frozen=True)
class StoredResult:
    """What Studio makes of an example by itself, so that it can be heard at once."""

    example: Example
    path: Path
    faults: str  # what is wrong with the example, in one clause
    before_lufs: float  # integrated loudness of the example
    after_lufs: float  # and of the result


def stored_results() -> list[StoredResult]:
    """The results of `PHONE_EXAMPLES`, in their order."""
    facts = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    return [
        StoredResult(example, RESULTS.with_name(example.path.name), **facts[example.path.name])
        for example in PHONE_EXAMPLES
    ]
