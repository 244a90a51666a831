"""A few threads of their own for work with networks.

PyTorch keeps buffers and a team of helpers for every thread that has ever computed, about 20 MB each. A
server with forty threads, any of which takes the next step of a call, would keep 800 MB of them.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

_END = object()


class Workers:
    """Threads that run functions, and the steps of iterators, for others, who wait.

    Args:
        count: of threads; they start when they are first needed.
    """

    def __init__(self, count: int) -> None:
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(count, "aural", self._begin)

    def _begin(self) -> None:
        self._own.is_worker = True

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the threads, in the caller's context; from such a thread, in it."""
        if getattr(self._own, "is_worker", False):
            return function(*args, **kwargs)
        context = contextvars.copy_context()
        return self._pool.submit(lambda: context.run(function, *args, **kwargs)).result()

    def iterate(self, iterator: Iterator[T]) -> Iterator[T]:
        """The same values, each made in one of the threads."""
        while (value := self.run(next, iterator, _END)) is not _END:
            yield value  # type: ignore[misc]
