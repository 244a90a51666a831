"""The shipped examples that a loudness meter can be held to: music, a sentence, 5.1."""

import soundfile

from aural.ui.examples import EXAMPLES

SHORTEST_SECONDS = 6  # fewer windows of 3 s make no loudness range to compare

MUSIC = [example.path for example in EXAMPLES if soundfile.info(example.path).duration >= SHORTEST_SECONDS]
