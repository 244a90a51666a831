"""Training segments for the vocoder, at random gains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aural.errors import InputError
from aural.training.corpus import KINDS, Corpus

# Share of each kind in a batch; the generator makes sounds of ESC-50.
SHARES = {"esc50": 0.7, "speech": 0.2, "music": 0.1}
# A segment with a lower peak is sampled again: the model keeps silence exactly, without training.
MIN_PEAK = 1e-4
GAIN_DB = (-12.0, 6.0)


def batches(corpus: Corpus, size: int, length: int) -> Callable[[torch.Generator], Tensor]:
    """A function that samples training segments at random gains, (size, length), from longer recordings."""
    kinds = {
        kind: [item for item in corpus.of(kind, validation=False) if item.length >= length] for kind in KINDS
    }
    shares = torch.tensor([SHARES[kind] if kinds[kind] else 0.0 for kind in KINDS])
    if not shares.any():
        raise InputError(f"No training recording has {length} samples. Choose a folder with longer ones.")

    def segment(kind: str, generator: torch.Generator) -> Tensor:
        # After 20 attempts a silent segment is accepted.
        for _ in range(20):
            chosen = kinds[kind][int(torch.randint(len(kinds[kind]), (), generator=generator))]
            start = int(torch.randint(chosen.length - length + 1, (), generator=generator))
            wave = corpus.wave(chosen, start, length)
            if wave.abs().amax() >= MIN_PEAK:
                break
        return wave

    def sample(generator: torch.Generator) -> Tensor:
        kinds_sampled = torch.multinomial(shares, size, replacement=True, generator=generator)
        low_db, high_db = GAIN_DB
        gain_db = low_db + (high_db - low_db) * torch.rand(size, 1, generator=generator)
        return torch.stack([segment(KINDS[kind], generator) for kind in kinds_sampled]) * 10 ** (gain_db / 20)

    return sample
