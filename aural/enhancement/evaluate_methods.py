"""The ways to enhance that are compared: nothing, the peers of `peers.py`, and the app by its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from aural.audio import Clip
from aural.enhancement.data import RATE, Wave
from aural.enhancement.peers import PEERS, Peer

Method = Callable[[Wave], Wave]  # (time,) at RATE, both


@dataclass(frozen=True)
class Row:
    """One method."""

    label: str
    build: Callable[[], Method]  # imports and loads its dependencies
    peer: Peer | None = None  # whose method it is, if not ours


def unprocessed() -> Method:
    """The phone's recording."""
    return lambda recording: recording


def ours(**options: Any) -> Callable[[], Method]:
    """The app's enhancement with these options, the others at their defaults."""

    def build() -> Method:
        from aural.enhancement.pipeline import Options, enhance

        chosen = Options(**options)
        return lambda recording: enhance(Clip(recording[None], RATE), chosen).clip.samples[0]

    return build


def live() -> Method:
    """The noise reduction of live sound, at its defaults."""
    from aural.enhancement.stream import denoise

    return lambda recording: denoise(Clip(recording[None], RATE)).samples[0]


ROWS = {
    "unprocessed": Row("unprocessed", unprocessed),
    **{key: Row(peer.name, peer.load, peer) for key, peer in PEERS.items()},
    "stage_1": Row("stage 1 alone: noise reduction", ours(completion=False)),
    "stage_2": Row("stage 2 alone: completion", ours(noise_reduction=False)),
    "both": Row("**both stages, the default**", ours()),
    "live": Row("**live noise reduction, 40 ms late**", live),
    "extender": Row("both, the highs by the extender", ours(completion_method="extender")),
    "griffin_lim": Row("both, Griffin-Lim", ours(setting="griffin_lim")),
    "vocoder": Row("both, vocoder", ours(setting="vocoder")),
}


def is_installed(row: str) -> bool:
    """Whether what the row needs is installed."""
    peer = ROWS[row].peer
    return peer is None or peer.is_installed


def label(row: str) -> str:
    """The row's name, with the version of its package."""
    peer = ROWS[row].peer
    return peer.label if peer and peer.is_installed else ROWS[row].label


@cache
def ready(row: str) -> Method:
    """The row's method after a warm-up run, which loads models and allocates buffers."""
    method = ROWS[row].build()
    method(np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32))
    return method
