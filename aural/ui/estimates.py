"""How long runs take: from earlier runs of this process, or before the first from a two-core machine.

A run takes

    seconds = start_seconds (the first time) + run_seconds + seconds_per_workload * workload

on the reference machine: two cores, no GPU, two calls at once; `python -m tests.bench.bench_estimates`
measures it. The ratio of this machine to the reference is a moving average over the recorded runs. The
workload is channels times seconds of sound, unless the verb defines another.

A run may take longer with some settings: `Verb.kind` names the kind of a run. A kind without an estimate of
its own counts as the usual one, "". The kind of a run of several verbs names those that take part.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from aural.options import STAGES_JOINED, Estimate, Verb

# The reference counts like a run of this length: a short first run, which loads models, has little weight.
FIGURES_WEIGHT_SECONDS = 2.0
MAX_WEIGHT_SECONDS = 60.0  # weight of a longer run
KEPT = 0.8  # share of the earlier runs' weight when a run is recorded

# Limits of a ZeroGPU request. A visitor without an account has two minutes of GPU a day, and a call that
# requests more than is left is refused. No call may request more than 300 s.
MIN_GPU_SECONDS, MAX_GPU_SECONDS = 10, 300
GPU_START_SECONDS = 8.0  # fork, copy the models to the GPU, load kernels
GPU_MARGIN = 1.5  # a run that exceeds its request is ended


@dataclass
class _Average:
    """A moving average of how many times longer runs took than on the reference machine."""

    weighted: float = FIGURES_WEIGHT_SECONDS
    weight: float = FIGURES_WEIGHT_SECONDS

    @property
    def factor(self) -> float:
        return self.weighted / self.weight

    def add(self, factor: float, weight: float) -> None:
        self.weighted = KEPT * self.weighted + weight * factor
        self.weight = KEPT * self.weight + weight


_lock = threading.Lock()  # guards the next two
_averages: dict[tuple[str, str], _Average] = {}  # by verb and kind
_started: set[str] = set()  # the verbs whose models are loaded


def expected_seconds(verb: Verb, workload: float, kind: str = "") -> float:
    """Expected duration of a run that has this machine to itself; 0 s for a verb without estimates.

    Args:
        workload: channels times seconds of sound, or what `verb.workload` says.
        kind: see `verb.kind`.
    """
    with _lock:
        return _estimate_seconds(verb, workload, kind)


def is_measured(verb: Verb, kind: str = "") -> bool:
    """Whether the estimate comes from runs of this process, not from the reference machine."""
    with _lock:
        if _key(verb, kind) in _averages:
            return True
        return bool(verb.stages) and all(_key(stage) in _averages for stage in _stages(verb, kind))


def record(verb: Verb, workload: float, took_seconds: float, kind: str = "") -> None:
    """Record how long a run took, or would have on a machine that does nothing else (`aural.ui.load`).

    Ignored for a verb without estimates.
    """
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
    """The seconds of GPU to request from ZeroGPU, 10 to 300; 0 for a verb that runs no network.

    Not measured on such a GPU. A call decodes, measures, draws and writes on the CPU while it holds the GPU,
    so it is assumed to last as long as on two cores; `Estimate.card_speed` shortens verbs whose time is
    nearly all in their networks. `GPU_MARGIN` is added. The request counts against the visitor's quota and
    affects the waiting time.
    """
    parts = _parts(verb, kind)
    if not any(estimate.on_card for _, estimate in parts):
        return 0
    seconds = sum(_run_seconds(estimate, workload) / estimate.card_speed for _, estimate in parts)
    asked = GPU_MARGIN * (GPU_START_SECONDS + seconds)
    return math.ceil(min(max(asked, MIN_GPU_SECONDS), MAX_GPU_SECONDS))


def _key(verb: Verb, kind: str = "") -> tuple[str, str]:
    """The key under which a kind of run is recorded."""
    return verb.name, kind if kind in verb.estimates or verb.stages else ""


def _parts(verb: Verb, kind: str = "") -> list[tuple[Verb, Estimate]]:
    """The verbs of a run, each with its estimate."""
    if verb.stages:
        return [part for stage in _stages(verb, kind) for part in _parts(stage)]
    estimate = verb.estimates.get(kind, verb.estimates.get(""))
    return [] if estimate is None else [(verb, estimate)]


def _stages(verb: Verb, kind: str) -> list[Verb]:
    """The stages of a run: all, or those that its kind names."""
    return [stage for stage in verb.stages if not kind or stage.name in kind.split(STAGES_JOINED)]


def _estimate_seconds(verb: Verb, workload: float, kind: str = "") -> float:
    average = _averages.get(_key(verb, kind))
    if average is None and verb.stages:
        return sum(_estimate_seconds(stage, workload) for stage in _stages(verb, kind))
    seconds = sum(
        _start_seconds(part, estimate) + _run_seconds(estimate, workload)
        for part, estimate in _parts(verb, kind)
    )
    return (average or _Average()).factor * seconds


def _start_seconds(verb: Verb, estimate: Estimate) -> float:
    return 0.0 if verb.name in _started else estimate.start_seconds


def _run_seconds(estimate: Estimate, workload: float) -> float:
    return estimate.run_seconds + estimate.seconds_per_workload * workload
