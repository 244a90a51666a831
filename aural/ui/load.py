"""The load of the machine: how much longer a run takes beside other work, and how long it waits for its turn.

Calls of the app share its cores, and so does what others compute there. The share of a call is not known: one
with a network computes on all cores, one without on a single core. `BESIDE_A_CALL` lies between the two.
"""

from __future__ import annotations

import heapq
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gradio.context import LocalContext

BESIDE_A_CALL = 0.5  # share by which a run takes longer while another one goes on
MAX_OTHERS = 2.0  # others' work in units of the whole machine; more is not believed to last
AVERAGED_SECONDS = 60.0  # of the system's load average


@dataclass(eq=False)
class Call:
    """A call that runs."""

    alone_seconds: float  # expected on a machine that does nothing else
    begun: float
    beside: float  # seconds of all calls until then
    others: float  # others' work when it began, in units of the whole machine


class Load:
    """Counts the calls of the app, and tells how long one takes beside the others.

    Args:
        cores: of the machine.
        clock: the time in seconds.
        average: the system's average of tasks that compute or wait for a core, over a minute.
    """

    def __init__(
        self,
        cores: int = os.cpu_count() or 1,
        clock: Callable[[], float] = time.monotonic,
        average: Callable[[], float] | None = None,
    ) -> None:
        self._cores, self._clock, self._average = cores, clock, average or _system_average
        self._lock = threading.Lock()  # guards the rest
        self._calls: list[Call] = []
        self._counted = clock()
        self._sum = 0.0  # seconds of all calls so far
        self._recent = 0.0  # calls at a time, averaged as the system averages

    def begin(self, alone_seconds: float = 0.0) -> Call:
        """A call begins.

        Args:
            alone_seconds: how long it takes on a machine that does nothing else.
        """
        with self._lock:
            self._count()
            call = Call(alone_seconds, self._counted, self._sum, self._others())
            self._calls.append(call)
            return call

    def end(self, call: Call) -> float:
        """A call ends. Returns how long it would have taken without other work, in seconds."""
        with self._lock:
            self._count()
            took = self._counted - call.begun
            others = (call.others + self._others()) / 2
            self._calls.remove(call)
            beside = min(self._sum - call.beside - took, took)
        return (took - beside * BESIDE_A_CALL / (1 + BESIDE_A_CALL)) / (1 + others)

    def seconds(self, alone_seconds: float, waiting: int = 0, at_once: int = 2) -> float:
        """How long a call takes that is made now, in seconds, with the time that it waits for its turn.

        Args:
            alone_seconds: the same on a machine that does nothing else.
            waiting: calls that wait for their turn before it; each is taken to be as long as this one.
            at_once: calls that run at the same time.
        """
        with self._lock:
            self._count()
            slower = 1 + self._others()
            ends = [
                max(0.0, call.alone_seconds * slower - (self._counted - call.begun)) for call in self._calls
            ]
        own = alone_seconds * slower
        ends = sorted(ends + [0.0] * (at_once - len(ends)))[-at_once:]
        for _ in range(waiting):
            heapq.heapreplace(ends, ends[0] + own)
        begin = heapq.heappop(ends)
        beside = sum(
            min((end - begin) * BESIDE_A_CALL / (1 + BESIDE_A_CALL), own * BESIDE_A_CALL) for end in ends
        )
        return begin + own + beside

    def _count(self) -> None:
        """Bring the sums up to now."""
        now = self._clock()
        passed = now - self._counted
        self._counted = now
        self._sum += len(self._calls) * passed
        kept = math.exp(-passed / AVERAGED_SECONDS)
        self._recent = kept * self._recent + (1 - kept) * len(self._calls)

    def _others(self) -> float:
        """What others compute: the average without the app's calls, each of which may use all cores."""
        others = self._average() / self._cores - self._recent
        return min(max(others, 0.0), MAX_OTHERS)


def waiting_calls(queue: str) -> int:
    """Calls that wait in one of Gradio's queues for their turn; 0 outside of an event.

    Args:
        queue: its concurrency id.
    """
    waiting = getattr(LocalContext.blocks.get(None), "_queue", None)
    queues = getattr(waiting, "event_queue_per_concurrency_id", {})
    return len(queues[queue].queue) if queue in queues else 0


def _system_average() -> float:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return 0.0


LOAD = Load()  # of this process
