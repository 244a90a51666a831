"""How much longer a call takes beside others."""

from __future__ import annotations

import pytest

from aural.ui import load
from aural.ui.load import Load, waiting_calls


class Machine:
    """A machine with two cores whose time and load are set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.average = 0.0
        self.load = Load(2, lambda: self.now, lambda: self.average)

    def after(self, seconds: float) -> Load:
        self.now += seconds
        return self.load


def test_a_call_on_an_idle_machine_takes_as_long_as_it_does() -> None:
    machine = Machine()
    assert machine.load.seconds(10) == 10
    call = machine.load.begin(10)
    assert machine.after(12).end(call) == pytest.approx(12)
    assert machine.load.seconds(10) == 10


def test_a_call_takes_longer_beside_another_one_but_no_longer_than_that_goes_on() -> None:
    machine = Machine()
    machine.load.begin(100)
    assert machine.load.seconds(10) == pytest.approx(15)
    # A second before its end.
    assert 10 < machine.after(99).seconds(10) < 10.5
    assert machine.after(60).seconds(10) == 10  # it should have ended


@pytest.mark.parametrize("slows", [1.0, 1.5, 2.0])  # from a core for each to one call's work at a time
def test_beside_another_call_the_expected_time_is_within_a_factor_of_two(slows: float) -> None:
    machine = Machine()
    machine.load.begin(100)
    assert 0.5 < machine.load.seconds(10) / (10 * slows) < 2


def test_calls_that_wait_come_first() -> None:
    machine = Machine()
    machine.load.begin(30)
    alone = machine.load.seconds(10)
    machine.load.begin(20)
    waits = machine.load.seconds(10)
    assert alone < 20 + 10 <= waits
    more = [machine.load.seconds(10, waiting) for waiting in (0, 1, 2, 5)]
    assert more == sorted(more) and more[0] == waits and more[-1] > more[-2] > waits
    # Where they may all run at the same time, nobody waits.
    assert machine.load.seconds(10, at_once=3) < waits


def test_what_others_compute_counts_within_bounds_and_the_calls_of_the_app_do_not() -> None:
    machine = Machine()
    machine.average = 2.0  # both cores
    assert machine.load.seconds(10) == pytest.approx(20)
    machine.average = 1000.0
    assert machine.load.seconds(10) == 10 * (1 + load.MAX_OTHERS)
    machine.average = 0.0
    call = machine.load.begin(600)
    machine.average = 2.0  # by the call
    assert machine.after(600).end(call) == pytest.approx(600, rel=0.01)
    assert machine.load.seconds(10) == pytest.approx(10, rel=0.01)
    # After a while it is no longer its doing.
    assert machine.after(600).seconds(10) == pytest.approx(20, rel=0.01)


def test_a_run_is_remembered_without_the_load_that_it_saw() -> None:
    machine = Machine()
    machine.load.begin(1000)
    expected = machine.load.seconds(10)
    call = machine.load.begin(10)
    assert machine.after(expected).end(call) == pytest.approx(10)
    machine = Machine()
    machine.average = 3.0
    expected = machine.load.seconds(1)
    call = machine.load.begin(1)
    assert machine.after(expected).end(call) == pytest.approx(1, rel=0.05)


def test_nobody_waits_outside_of_the_app() -> None:
    assert waiting_calls("audio") == 0
