"""Long work as a generator: it yields the share done and returns the result.

Whoever runs one can show progress, and can cancel by closing it: `finally` blocks run at the next step.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[float, None, T]


def finish(steps: Steps[T]) -> T:
    """Run the steps to their end and hand back the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def part(steps: Steps[T], start: float, end: float) -> Steps[T]:
    """The same steps as a part of longer work: their 0 to 1 becomes `start` to `end`."""
    try:
        while True:
            yield start + (end - start) * next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()
