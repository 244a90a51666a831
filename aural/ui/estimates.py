"""How long runs take: by the runs of this process, and before the first by the figures of a two-core machine.

A run of an amount of work takes

    seconds = start_seconds (the first time) + run_seconds + seconds_per_amount * amount

on the machine that the figures are of. How many times longer this machine takes, or less, is a moving average
over the runs that are noted. The amount of work is channels times seconds of sound; see
`amount_of_generation` for what has no input.

What a verb takes may hang on its settings: a kind of run has a key of its own, as "super_resolve:lisa" (the
method), "enhance:waveform" (the setting) or "resynthesize:vocoder" (the phase); see `key`. A key that is not
known counts as its verb, "super_resolve:default" as "super_resolve".
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Figures:
    """What a kind of run takes on the machine that was measured."""

    start_seconds: float  # more, the first time: libraries and models are loaded
    run_seconds: float  # whatever the length: pictures, files
    seconds_per_amount: float  # for a second of one channel


# Whole calls of the app's endpoints, one of two at once on two cores without a card:
# `python -m tests.bench.bench_estimates`.
FIGURES: Mapping[str, Figures] = MappingProxyType(
    {
        "measure": Figures(0.5, 0.91, 0.0089),
        "master": Figures(0.3, 0.13, 0.0066),
        "resynthesize": Figures(2.2, 0.48, 0.0379),
        "resynthesize:original": Figures(2.3, 0.48, 0.0110),
        "resynthesize:vocoder": Figures(1.9, 0.44, 0.0463),
        "enhance": Figures(1.8, 0.71, 0.0408),
        "enhance:griffin_lim": Figures(1.8, 0.74, 0.0879),
        "enhance:vocoder": Figures(1.9, 1.01, 0.0652),
        "enhance:waveform": Figures(2.1, 0.71, 0.0375),
        "degrade": Figures(1.8, 0.02, 0.0134),
        "super_resolve": Figures(2.1, 0.73, 0.0253),
        "super_resolve:lisa": Figures(2.0, 0.64, 0.2539),
        "super_resolve:sinc": Figures(1.9, 0.55, 0.0044),
        "generate": Figures(4.4, 1.52, 0.3323),
        "generate:griffin_lim": Figures(5.9, 1.86, 0.4121),
    }
)
# Done one after the other.
STAGES: Mapping[str, tuple[str, ...]] = MappingProxyType({"release": ("enhance", "super_resolve", "master")})
# The setting that a verb's kinds are named after.
KINDS: Mapping[str, str] = MappingProxyType(
    {"resynthesize": "phase", "enhance": "setting", "super_resolve": "method", "generate": "vocoder"}
)

USUAL_STEPS = 25  # of denoising, by which amounts of generation are counted

# The figures count like a run of so long: a first short one, in which models load, does not rule alone.
FIGURES_WEIGHT_SECONDS = 2.0
MOST_WEIGHT_SECONDS = 60.0  # a longer run counts for no more than one of these
KEPT = 0.8  # of the weight of all that was before, when a run is noted

# What runs a network, and with it on a card where there is one.
ON_CARD = frozenset(
    {
        "resynthesize:vocoder",
        "enhance",
        "enhance:griffin_lim",
        "enhance:vocoder",
        "enhance:waveform",
        "super_resolve",
        "super_resolve:lisa",
        "generate",
        "generate:griffin_lim",
    }
)
# What a ZeroGPU Space asks for. A visitor without an account has two minutes of a card a day, and a call that
# asks for more than is left is refused; no call may ask for more than 300 s.
LEAST_GPU_SECONDS, MOST_GPU_SECONDS = 10, 300
GPU_START_SECONDS = 8.0  # a process is forked, the models go onto the card, and kernels load
GPU_SPEED = {"generate": 10.0, "super_resolve:lisa": 10.0}  # how many times faster than two cores, at least
GPU_MARGIN = 1.5  # a run that takes longer than was asked for is ended


@dataclass
class _Average:
    """A moving average of how many times longer runs took than the figures say."""

    weighted: float = FIGURES_WEIGHT_SECONDS
    weight: float = FIGURES_WEIGHT_SECONDS

    @property
    def factor(self) -> float:
        return self.weighted / self.weight

    def add(self, factor: float, weight: float) -> None:
        self.weighted = KEPT * self.weighted + weight * factor
        self.weight = KEPT * self.weight + weight


_lock = threading.Lock()
_averages: dict[str, _Average] = {}
_started: set[str] = set()  # the verbs whose models are loaded


def key(verb: str, **settings: Any) -> str:
    """The kind of run that a verb is with these settings; others than those that matter are passed over.

    >>> key("super_resolve", method="lisa", rate=48_000), key("enhance", setting="original_phase")
    ('super_resolve:lisa', 'enhance')
    """
    if verb == "super_resolve" and settings.get("compare"):
        return "super_resolve:lisa"  # all methods run, of which this one takes nearly all of the time
    return _known(f"{verb}:{settings.get(KINDS.get(verb, ''))}") or verb


def amount_of_generation(count: int, seconds: float, steps: int) -> float:
    """The amount of work in clips that are generated from nothing: a second of a clip in 25 steps is 1.

    >>> amount_of_generation(count=4, seconds=5, steps=50)
    40.0
    """
    return count * seconds * steps / USUAL_STEPS


def expected_seconds(verb: str, amount: float) -> float:
    """How long a run is going to take on this machine.

    Args:
        verb: or a kind of it, see `key`; one that is not known takes 0 s.
        amount: channels times seconds of sound.
    """
    with _lock:
        return _expected(_known(verb), amount)


def is_measured(verb: str) -> bool:
    """Whether runs of this process stand behind what is expected, or the figures of a two-core machine."""
    known = _known(verb)
    with _lock:
        return known in _averages or all(stage in _averages for stage in STAGES.get(known, ("",)))


def note(verb: str, amount: float, took_seconds: float) -> None:
    """Remember how long a run took; nothing is remembered of a verb that is not known."""
    known = _known(verb)
    if not known or not (amount >= 0 and took_seconds > 0 and math.isfinite(amount + took_seconds)):
        return
    with _lock:
        run_seconds = sum(_run_seconds(part, amount) for part in _parts(known))
        expected = run_seconds + sum(_start_seconds(part) for part in _parts(known))
        average = _averages.setdefault(known, _Average())
        average.add(took_seconds / expected, min(run_seconds, MOST_WEIGHT_SECONDS))
        _started.update(part.split(":")[0] for part in _parts(known))


def gpu_seconds(verb: str, amount: float) -> int:
    """The seconds of a card that a ZeroGPU Space is asked for, from 10 to 300; 0 for what runs no network.

    No such card was at hand to be measured. A call decodes, measures, draws and writes on the processor while
    it holds the card, so it is taken to last as long as on two cores alone; only where nearly all of the time
    is the networks' it is taken to be `GPU_SPEED` times shorter. Half as much again is asked for. What is
    asked for decides whether a visitor's quota suffices, and how long he waits.
    """
    known = _known(verb)
    if not ON_CARD.intersection(_parts(known)):
        return 0
    seconds = sum(_run_seconds(part, amount) / GPU_SPEED.get(part, 1.0) for part in _parts(known))
    asked = GPU_MARGIN * (GPU_START_SECONDS + seconds)
    return math.ceil(min(max(asked, LEAST_GPU_SECONDS), MOST_GPU_SECONDS))


def _known(verb: str) -> str:
    """The key, or its verb where it is not known, or nothing where that is not either."""
    return next((known for known in (verb, verb.split(":")[0]) if known in FIGURES or known in STAGES), "")


def _parts(known: str) -> tuple[str, ...]:
    """The keys of FIGURES that a run is made of."""
    return STAGES.get(known, (known,) if known else ())


def _expected(known: str, amount: float) -> float:
    if known in _averages or known not in STAGES:
        seconds = sum(_start_seconds(part) + _run_seconds(part, amount) for part in _parts(known))
        return _averages.get(known, _Average()).factor * seconds
    return sum(_expected(stage, amount) for stage in STAGES[known])


def _start_seconds(part: str) -> float:
    return 0.0 if part.split(":")[0] in _started else FIGURES[part].start_seconds


def _run_seconds(part: str, amount: float) -> float:
    return FIGURES[part].run_seconds + FIGURES[part].seconds_per_amount * amount
