"""Work with networks stays on a few threads, whoever asks for it."""

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aural.hub.workers import Workers

number = contextvars.ContextVar("number", default=0)


def test_many_threads_steps_are_run_by_few() -> None:
    workers, at_work = Workers(2), threading.Barrier(8)

    def steps() -> Iterator[int]:
        for _ in range(5):
            yield threading.get_ident()

    def ask(_: int) -> set[int]:
        at_work.wait(10)  # eight threads at the same time
        return set(workers.iterate(steps()))

    with ThreadPoolExecutor(8) as pool:
        ran = set().union(*pool.map(ask, range(8)))
    assert len(ran) == 2
    assert threading.get_ident() not in ran


def test_the_values_are_those_of_the_iterator() -> None:
    assert list(Workers(1).iterate(iter([1, None, 3]))) == [1, None, 3]


def test_the_work_sees_the_callers_context() -> None:
    number.set(7)
    assert Workers(1).run(number.get) == 7


def test_an_error_reaches_the_caller_and_the_thread_goes_on() -> None:
    workers = Workers(1)
    with pytest.raises(ZeroDivisionError):
        workers.run(divmod, 1, 0)
    assert workers.run(divmod, 7, 2) == (3, 1)


def test_a_worker_does_not_wait_for_itself() -> None:
    workers = Workers(1)
    assert workers.run(workers.run, abs, -3) == 3
