"""Long work as a generator: it yields the share done and returns the result.

Whoever runs one can show progress, and can cancel by closing it: `finally` blocks run at the next step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Steps = Generator[float, None, T]


class Stepwise(Generic[P, T]):
    """A function that can go in steps: `measure(clip)` runs it, `measure.steps(clip)` is the generator."""

    def __init__(self, work: Callable[P, Steps[T]]) -> None:
        self.steps = work
        functools.update_wrapper(self, work)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return finish(self.steps(*args, **kwargs))


def stepwise(work: Callable[P, Steps[T]]) -> Stepwise[P, T]:
    """Let a generator of the share done be called like a function too.

    >>> @stepwise
    ... def double(value: int) -> Steps[int]:
    ...     yield 0.5
    ...     return 2 * value
    >>> double(21), list(double.steps(21))
    (42, [0.5])
    """
    return Stepwise(work)


class Run(Generic[T]):
    """Steps to go through with `for`: then `result` is what they returned. Leaving `with` closes them.

    >>> def halves() -> Steps[str]:
    ...     yield 0.5
    ...     return "done"
    >>> with Run(halves()) as run:
    ...     shares = list(run)
    >>> shares, run.result
    ([0.5], 'done')
    """

    result: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._steps.close()

    def __iter__(self) -> Iterator[float]:
        self.result = yield from self._steps


def finish(steps: Steps[T]) -> T:
    """Run the steps to their end and hand back the result."""
    with Run(steps) as run:
        for _ in run:
            pass
    return run.result


def part(steps: Steps[T], start: float, end: float) -> Steps[T]:
    """The same steps as a part of longer work: their 0 to 1 becomes `start` to `end`."""
    with Run(steps) as run:
        for share in run:
            yield start + (end - start) * share
    return run.result
