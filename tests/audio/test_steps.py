"""Long work is run, followed, cut into parts and cancelled the same way everywhere."""

from __future__ import annotations

import inspect

import pytest

from aural.audio.steps import Run, Steps, finish, part, stepwise


@stepwise
def count(to: int, closed: list[int] | None = None) -> Steps[str]:
    """Count up."""
    try:
        for number in range(1, to + 1):
            yield number / to
    finally:
        if closed is not None:
            closed.append(to)
    return f"counted to {to}"


def test_a_stepwise_function_runs_or_hands_out_its_steps() -> None:
    assert count(4) == "counted to 4"
    assert list(count.steps(4)) == [0.25, 0.5, 0.75, 1.0]
    assert finish(count.steps(4)) == count(4)


def test_a_stepwise_function_keeps_its_name_its_signature_and_its_words() -> None:
    assert count.__name__ == "count" and count.__doc__ == "Count up."  # type: ignore[attr-defined]
    assert list(inspect.signature(count).parameters) == ["to", "closed"]


def test_a_part_goes_from_its_start_to_its_end() -> None:
    with Run(part(count.steps(4), 0.5, 0.7)) as run:
        assert list(run) == pytest.approx([0.55, 0.6, 0.65, 0.7])
    assert run.result == "counted to 4"


def test_whoever_leaves_closes_the_work_and_every_part_of_it() -> None:
    closed: list[int] = []
    steps = part(part(count.steps(4, closed), 0, 0.5), 0, 0.5)
    assert next(steps) == 0.0625
    steps.close()
    assert closed == [4]
    with pytest.raises(KeyboardInterrupt), Run(count.steps(5, closed)) as run:
        for _ in run:
            raise KeyboardInterrupt
    assert closed == [4, 5]


def test_a_failure_of_the_work_is_that_of_the_run() -> None:
    @stepwise
    def failing() -> Steps[None]:
        yield 0.5
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    with pytest.raises(ValueError, match="no"):
        list(part(failing.steps(), 0, 1))
