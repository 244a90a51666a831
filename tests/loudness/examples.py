"""The music that is shipped with the app."""

from pathlib import Path

import soundfile

SHORTEST_SECONDS = 5  # long enough for a loudness range

_FOLDER = Path(__file__).parents[2] / "aural" / "ui" / "examples"
MUSIC = [
    path
    for path in sorted([*_FOLDER.glob("*.ogg"), *_FOLDER.glob("*.flac")])
    if soundfile.info(path).duration >= SHORTEST_SECONDS
]
