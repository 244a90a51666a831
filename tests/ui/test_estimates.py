"""How long runs are expected to take."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from aural.batch.verbs import VERBS
from aural.options import Place, Verb
from aural.ui import estimates

# Verb and kind; the usual kind has no name.
Run = tuple[Verb, str]
RUNS: list[Run] = [(verb, kind) for verb in VERBS.values() for kind in verb.estimates or ("",)]
ON_CARD = [run for run in RUNS if run[0].estimates and run[0].estimates[run[1]].on_card]
NONSENSE = Verb("nonsense", "It does nothing.", "nowhere", Place("nowhere", "Nowhere"))

MEASURE, MASTER, ENHANCE = VERBS["measure"], VERBS["master"], VERBS["enhance"]
RESYNTHESIZE, SUPER_RESOLVE, RELEASE = VERBS["resynthesize"], VERBS["super_resolve"], VERBS["release"]
GENERATE = VERBS["generate"]


def name(run: Run) -> str:
    return f"{run[0].name}:{run[1]}"


@pytest.fixture(autouse=True)
def no_runs_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(estimates, "_averages", {})
    monkeypatch.setattr(estimates, "_started", set())
    yield


@pytest.mark.parametrize("run", RUNS, ids=name)
def test_every_verb_takes_longer_the_more_there_is(run: Run) -> None:
    verb, kind = run
    short, long, longer = (estimates.expected_seconds(verb, amount, kind) for amount in (5, 60, 120))
    assert 0 < short < long < longer
    assert longer - long == pytest.approx((long - short) * 60 / 55)
    assert not estimates.is_measured(verb, kind)


def test_the_first_run_takes_longer_since_models_load() -> None:
    first = estimates.expected_seconds(ENHANCE, 10)
    figures = ENHANCE.estimates[""]
    estimates.record(ENHANCE, 10, first)
    assert estimates.expected_seconds(ENHANCE, 10) == pytest.approx(first - figures.start_seconds)
    # Its other kinds have their libraries loaded too; other verbs have not.
    griffin_lim = ENHANCE.estimates["griffin_lim"]
    assert estimates.expected_seconds(ENHANCE, 0, "griffin_lim") == pytest.approx(griffin_lim.run_seconds)
    assert estimates.expected_seconds(MEASURE, 0) > MEASURE.estimates[""].run_seconds


def test_runs_of_this_process_take_the_place_of_the_figures() -> None:
    figures = MASTER.estimates[""]
    for _ in range(12):  # on a machine that takes three times as long
        estimates.record(MASTER, 100, 3 * (figures.run_seconds + 100 * figures.seconds_per_workload))
    assert estimates.is_measured(MASTER) and not estimates.is_measured(ENHANCE)
    for amount in (10, 100, 1000):
        wanted = 3 * (figures.run_seconds + amount * figures.seconds_per_workload)
        assert estimates.expected_seconds(MASTER, amount) == pytest.approx(wanted, rel=0.05)


def test_the_latest_runs_count_most() -> None:
    estimates.record(MEASURE, 100, 1)  # all is loaded
    usual = MEASURE.estimates[""].run_seconds + 100 * MEASURE.estimates[""].seconds_per_workload
    for _ in range(5):
        estimates.record(MEASURE, 100, 4 * usual)
    assert estimates.expected_seconds(MEASURE, 100) > 2 * usual
    for _ in range(10):
        estimates.record(MEASURE, 100, usual)
    assert estimates.expected_seconds(MEASURE, 100) == pytest.approx(usual, rel=0.5)


def test_a_first_short_run_does_not_rule_a_long_one() -> None:
    long = estimates.expected_seconds(ENHANCE, 600) - ENHANCE.estimates[""].start_seconds
    # The disk was slow: loading took ten times as long as it should.
    estimates.record(ENHANCE, 1, 10 * estimates.expected_seconds(ENHANCE, 1))
    assert estimates.expected_seconds(ENHANCE, 600) < 5 * long
    # A long run says more.
    estimates.record(ENHANCE, 600, long)
    assert estimates.expected_seconds(ENHANCE, 600) == pytest.approx(long, rel=0.25)


def test_a_release_is_its_stages_in_a_row() -> None:
    stages = (ENHANCE, SUPER_RESOLVE, MASTER)
    assert RELEASE.stages == stages
    assert estimates.expected_seconds(RELEASE, 60) == pytest.approx(
        sum(estimates.expected_seconds(stage, 60) for stage in stages)
    )
    for stage in stages:
        assert not estimates.is_measured(RELEASE)
        estimates.record(stage, 60, 2 * estimates.expected_seconds(stage, 60))
    assert estimates.is_measured(RELEASE)
    by_stages = estimates.expected_seconds(RELEASE, 60)
    assert by_stages == pytest.approx(sum(estimates.expected_seconds(stage, 60) for stage in stages))
    for _ in range(10):
        estimates.record(RELEASE, 60, 3 * by_stages)
    assert estimates.expected_seconds(RELEASE, 60) == pytest.approx(3 * by_stages, rel=0.1)


def test_a_stage_that_is_off_takes_no_time() -> None:
    kind = RELEASE.kind(enhancement=False, super_resolution=True, mastering=True)
    rest = sum(estimates.expected_seconds(stage, 60) for stage in (SUPER_RESOLVE, MASTER))
    assert estimates.expected_seconds(RELEASE, 60, kind) == pytest.approx(rest)
    estimates.record(RELEASE, 60, 3 * rest, kind)
    assert estimates.is_measured(RELEASE, kind) and not estimates.is_measured(RELEASE)
    nothing = RELEASE.kind(enhancement=False, super_resolution=False, mastering=False)
    assert estimates.expected_seconds(RELEASE, 60, nothing) == 0
    assert estimates.gpu_seconds(RELEASE, 60, RELEASE.kind(enhancement=False, super_resolution=False)) == 0


def test_a_release_loads_the_models_of_its_stages() -> None:
    estimates.record(RELEASE, 60, estimates.expected_seconds(RELEASE, 60))
    assert estimates.expected_seconds(MASTER, 0) == pytest.approx(MASTER.estimates[""].run_seconds)


def test_settings_choose_the_kind_of_run() -> None:
    assert SUPER_RESOLVE.kind(method="default", compare=True) == "lisa"
    assert estimates.gpu_seconds(SUPER_RESOLVE, 60, SUPER_RESOLVE.kind(method=["a program's mistake"])) > 0
    assert "griffin_lim" not in RESYNTHESIZE.estimates  # it is the usual kind
    griffin_lim_seconds = estimates.expected_seconds(RESYNTHESIZE, 60, RESYNTHESIZE.kind(phase="griffin_lim"))
    assert griffin_lim_seconds == estimates.expected_seconds(RESYNTHESIZE, 60)
    assert RESYNTHESIZE.kind(phase="vocoder", mel_bands=80) == "vocoder"
    assert MEASURE.kind(layout="auto") == ""
    assert ENHANCE.kind(setting=None) == ""
    assert NONSENSE.kind(setting="vocoder") == ""
    lisa_seconds = estimates.expected_seconds(SUPER_RESOLVE, 60, "lisa")
    assert lisa_seconds > estimates.expected_seconds(SUPER_RESOLVE, 60)
    # A kind that has no figures of its own.
    assert estimates.expected_seconds(MEASURE, 60, "loudly") == estimates.expected_seconds(MEASURE, 60)


@pytest.mark.parametrize("run", [run for run in RUNS if run[1]], ids=name)
def test_every_kind_is_a_choice_of_its_setting(run: Run) -> None:
    verb, kind = run
    needed = {"label": "dog"} if verb == GENERATE else {}
    settings = {
        "resynthesize": "phase",
        "enhance": "setting",
        "super_resolve": "method",
        "generate": "vocoder",
    }
    chosen = verb.options(**needed, **{settings[verb.name]: kind})
    assert verb.kind(**vars(chosen)) == kind
    # The usual kind is the default.
    assert verb.kind(**vars(verb.options(**needed))) not in verb.estimates


def test_more_clips_seconds_or_steps_are_more_work() -> None:
    workload = GENERATE.workload
    assert workload is not None
    once = workload(count=1, seconds=5, steps=25)
    assert workload(count=2, seconds=5, steps=25) == 2 * once
    assert workload(count=1, seconds=10, steps=25) == 2 * once
    assert workload(count=1, seconds=5, steps=50) == 2 * once


@pytest.mark.parametrize("run", [*ON_CARD, (RELEASE, "")], ids=name)
def test_a_card_is_asked_for_within_bounds_and_longer_for_more(run: Run) -> None:
    verb, kind = run
    asked = [estimates.gpu_seconds(verb, amount, kind) for amount in (0, 5, 60, 600, 7_200, 100_000, 1e12)]
    assert asked == sorted(asked) and asked[0] < asked[3]
    assert asked[0] >= 10 and asked[-1] == 300
    assert all(isinstance(seconds, int) for seconds in asked)


@pytest.mark.parametrize("verb", ["measure", "master", "degrade", "resynthesize", "super_resolve:sinc"])
def test_no_card_is_asked_for_where_no_network_runs(verb: str) -> None:
    verb, _, kind = verb.partition(":")
    assert estimates.gpu_seconds(VERBS[verb], 600, kind) == 0


def test_nothing_is_known_of_what_is_not_a_verb() -> None:
    estimates.record(NONSENSE, 5, 5)
    assert not estimates.is_measured(NONSENSE)
    assert estimates.expected_seconds(NONSENSE, 5) == 0
    assert estimates.gpu_seconds(NONSENSE, 5) == 0


@pytest.mark.parametrize(("amount", "seconds"), [(float("nan"), 5), (5, float("inf")), (-1, 5), (5, 0)])
def test_what_is_no_measurement_is_passed_over(amount: float, seconds: float) -> None:
    before = estimates.expected_seconds(MEASURE, 60)
    estimates.record(MEASURE, amount, seconds)
    assert estimates.expected_seconds(MEASURE, 60) == before and not estimates.is_measured(MEASURE)


def test_many_threads_may_note_at_once() -> None:
    figures = MEASURE.estimates[""]
    took = 2 * (figures.run_seconds + 60 * figures.seconds_per_workload)

    def run() -> None:
        for _ in range(200):
            estimates.record(MEASURE, 60, took)
            estimates.expected_seconds(RELEASE, 60)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert estimates.expected_seconds(MEASURE, 60) == pytest.approx(took, rel=1e-3)
