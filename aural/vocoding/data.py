"""Segments of recordings that the vocoder learns from, at random gains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aural.errors import InputError
from aural.training.corpus import KINDS, Corpus

# Share of the batch that each kind gets: what is to be generated are the sounds of ESC-50.
SHARES = {"esc50": 0.7, "speech": 0.2, "music": 0.1}
# A segment that peaks below this is drawn again: silence has nothing to teach, the model keeps it exactly.
LEAST_PEAK = 1e-4
GAIN_DB = (-12.0, 6.0)


def batches(corpus: Corpus, size: int, length: int) -> Callable[[torch.Generator], Tensor]:
    """A function that draws training segments at random gains, (size, length); longer recordings only."""
    kinds = {
        kind: [item for item in corpus.of(kind, validation=False) if item.length >= length] for kind in KINDS
    }
    shares = torch.tensor([SHARES[kind] if kinds[kind] else 0.0 for kind in KINDS])
    if not shares.any():
        raise InputError(f"No training recording has {length} samples: give a folder with longer ones.")

    def segment(kind: str, generator: torch.Generator) -> Tensor:
        # A silent recording is given up after a few draws; its segment is silent then.
        for _ in range(20):
            chosen = kinds[kind][int(torch.randint(len(kinds[kind]), (), generator=generator))]
            start = int(torch.randint(chosen.length - length + 1, (), generator=generator))
            wave = corpus.wave(chosen, start, length)
            if wave.abs().amax() >= LEAST_PEAK:
                break
        return wave

    def draw(generator: torch.Generator) -> Tensor:
        drawn = torch.multinomial(shares, size, replacement=True, generator=generator)
        low_db, high_db = GAIN_DB
        gain_db = low_db + (high_db - low_db) * torch.rand(size, 1, generator=generator)
        return torch.stack([segment(KINDS[kind], generator) for kind in drawn]) * 10 ** (gain_db / 20)

    return draw
