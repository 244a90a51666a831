"""How long runs take: by the runs of this process, and before the first by the figures of a two-core machine.

A run takes

    seconds = start_seconds (the first time) + run_seconds + seconds_per_workload * workload

on the machine that the figures are of: whole calls of the app's endpoints, one of two at once on two cores
without a card, by `python -m tests.bench.bench_estimates`. How many times longer this machine takes, or less,
is a moving average over the runs that are recorded. The workload is channels times seconds of sound, or what
the verb says.

What a verb takes may hang on its settings: `Verb.kind` names the kind of a run. A kind without an estimate of
its own counts as the usual one, "".
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from aural.options import Estimate, Verb

# The figures count like a run of so long: a first short one, in which models load, does not rule alone.
FIGURES_WEIGHT_SECONDS = 2.0
MAX_WEIGHT_SECONDS = 60.0  # a longer run counts for no more than one of these
KEPT = 0.8  # of the weight of all that was before, when a run is noted

# What a ZeroGPU Space asks for. A visitor without an account has two minutes of a card a day, and a call that
# asks for more than is left is refused; no call may ask for more than 300 s.
MIN_GPU_SECONDS, MAX_GPU_SECONDS = 10, 300
GPU_START_SECONDS = 8.0  # a process is forked, the models go onto the card, and kernels load
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


_lock = threading.Lock()  # guards the two below
_averages: dict[tuple[str, str], _Average] = {}  # by verb and kind
_started: set[str] = set()  # the verbs whose models are loaded


def expected_seconds(verb: Verb, workload: float, kind: str = "") -> float:
    """How long a run is going to take on this machine; 0 s for a verb without estimates.

    Args:
        workload: channels times seconds of sound, or what `verb.workload` says.
        kind: see `verb.kind`.
    """
    with _lock:
        return _estimate_seconds(verb, workload, kind)


def is_measured(verb: Verb, kind: str = "") -> bool:
    """Whether runs of this process stand behind what is expected, or the figures of a two-core machine."""
    with _lock:
        if _key(verb, kind) in _averages:
            return True
        return bool(verb.stages) and all(_key(stage) in _averages for stage in verb.stages)


def record(verb: Verb, workload: float, took_seconds: float, kind: str = "") -> None:
    """Remember how long a run took; nothing is remembered of a verb without estimates."""
    parts = _parts(verb, kind)
    if not parts or not (workload >= 0 and took_seconds > 0 and math.isfinite(workload + took_seconds)):
        return
    with _lock:
        run_seconds = sum(_run_seconds(estimate, workload) for _, estimate in parts)
        expected = run_seconds + sum(_start_seconds(part, estimate) for part, estimate in parts)
        average = _averages.setdefault(_key(verb, kind), _Average())
        average.add(took_seconds / expected, min(run_seconds, MAX_WEIGHT_SECONDS))
        _started.update(part.name for part, _ in parts)


def gpu_seconds(verb: Verb, workload: float, kind: str = "") -> int:
    """The seconds of a card that a ZeroGPU Space is asked for, from 10 to 300; 0 for what runs no network.

    No such card was at hand to be measured. A call decodes, measures, draws and writes on the processor while
    it holds the card, so it is taken to last as long as on two cores alone; only where nearly all of the time
    is the networks' it is taken to be `Estimate.card_speed` times shorter. Half as much again is asked for.
    What is asked for decides whether a visitor's quota suffices, and how long he waits.
    """
    parts = _parts(verb, kind)
    if not any(estimate.on_card for _, estimate in parts):
        return 0
    seconds = sum(_run_seconds(estimate, workload) / estimate.card_speed for _, estimate in parts)
    asked = GPU_MARGIN * (GPU_START_SECONDS + seconds)
    return math.ceil(min(max(asked, MIN_GPU_SECONDS), MAX_GPU_SECONDS))


def _key(verb: Verb, kind: str = "") -> tuple[str, str]:
    """By which a kind of run is remembered."""
    return verb.name, kind if kind in verb.estimates else ""


def _parts(verb: Verb, kind: str = "") -> list[tuple[Verb, Estimate]]:
    """The verbs that a run is made of, each with its estimate."""
    if verb.stages:
        return [part for stage in verb.stages for part in _parts(stage)]
    estimate = verb.estimates.get(kind, verb.estimates.get(""))
    return [] if estimate is None else [(verb, estimate)]


def _estimate_seconds(verb: Verb, workload: float, kind: str = "") -> float:
    average = _averages.get(_key(verb, kind))
    if average is None and verb.stages:
        return sum(_estimate_seconds(stage, workload) for stage in verb.stages)
    seconds = sum(
        _start_seconds(part, estimate) + _run_seconds(estimate, workload)
        for part, estimate in _parts(verb, kind)
    )
    return (average or _Average()).factor * seconds


def _start_seconds(verb: Verb, estimate: Estimate) -> float:
    return 0.0 if verb.name in _started else estimate.start_seconds


def _run_seconds(estimate: Estimate, workload: float) -> float:
    return estimate.run_seconds + estimate.seconds_per_workload * workload
