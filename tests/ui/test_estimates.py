"""How long runs are expected to take."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from aural.ui import estimates

VERBS = ["measure", "master", "resynthesize", "enhance", "degrade", "super_resolve", "generate", "release"]


@pytest.fixture(autouse=True)
def no_runs_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(estimates, "_averages", {})
    monkeypatch.setattr(estimates, "_started", set())
    yield


@pytest.mark.parametrize("verb", [*VERBS, *estimates.FIGURES])
def test_every_verb_takes_longer_the_more_there_is(verb: str) -> None:
    short, long, longer = (estimates.expected_seconds(verb, amount) for amount in (5, 60, 120))
    assert 0 < short < long < longer
    assert longer - long == pytest.approx((long - short) * 60 / 55)
    assert not estimates.is_measured(verb)


def test_the_first_run_takes_longer_since_models_load() -> None:
    first = estimates.expected_seconds("enhance", 10)
    figures = estimates.FIGURES["enhance"]
    estimates.note("enhance", 10, first)
    assert estimates.expected_seconds("enhance", 10) == pytest.approx(first - figures.start_seconds)
    # Its other kinds have their libraries loaded too; other verbs have not.
    griffin_lim = estimates.FIGURES["enhance:griffin_lim"]
    assert estimates.expected_seconds("enhance:griffin_lim", 0) == pytest.approx(griffin_lim.run_seconds)
    assert estimates.expected_seconds("measure", 0) > estimates.FIGURES["measure"].run_seconds


def test_runs_of_this_process_take_the_place_of_the_figures() -> None:
    figures = estimates.FIGURES["master"]
    for _ in range(12):  # on a machine that takes three times as long
        estimates.note("master", 100, 3 * (figures.run_seconds + 100 * figures.seconds_per_amount))
    assert estimates.is_measured("master") and not estimates.is_measured("enhance")
    for amount in (10, 100, 1000):
        wanted = 3 * (figures.run_seconds + amount * figures.seconds_per_amount)
        assert estimates.expected_seconds("master", amount) == pytest.approx(wanted, rel=0.05)


def test_the_latest_runs_count_most() -> None:
    estimates.note("measure", 100, 1)  # all is loaded
    usual = estimates.FIGURES["measure"].run_seconds + 100 * estimates.FIGURES["measure"].seconds_per_amount
    for _ in range(5):
        estimates.note("measure", 100, 4 * usual)
    assert estimates.expected_seconds("measure", 100) > 2 * usual
    for _ in range(10):
        estimates.note("measure", 100, usual)
    assert estimates.expected_seconds("measure", 100) == pytest.approx(usual, rel=0.5)


def test_a_first_short_run_does_not_rule_a_long_one() -> None:
    long = estimates.expected_seconds("enhance", 600) - estimates.FIGURES["enhance"].start_seconds
    # The disk was slow: loading took ten times as long as it should.
    estimates.note("enhance", 1, 10 * estimates.expected_seconds("enhance", 1))
    assert estimates.expected_seconds("enhance", 600) < 5 * long
    # A long run says more.
    estimates.note("enhance", 600, long)
    assert estimates.expected_seconds("enhance", 600) == pytest.approx(long, rel=0.25)


def test_a_release_is_its_stages_in_a_row() -> None:
    stages = ("enhance", "super_resolve", "master")
    assert estimates.expected_seconds("release", 60) == pytest.approx(
        sum(estimates.expected_seconds(stage, 60) for stage in stages)
    )
    for stage in stages:
        assert not estimates.is_measured("release")
        estimates.note(stage, 60, 2 * estimates.expected_seconds(stage, 60))
    assert estimates.is_measured("release")
    by_stages = estimates.expected_seconds("release", 60)
    assert by_stages == pytest.approx(sum(estimates.expected_seconds(stage, 60) for stage in stages))
    for _ in range(10):
        estimates.note("release", 60, 3 * by_stages)
    assert estimates.expected_seconds("release", 60) == pytest.approx(3 * by_stages, rel=0.1)


def test_a_release_loads_the_models_of_its_stages() -> None:
    estimates.note("release", 60, estimates.expected_seconds("release", 60))
    assert estimates.expected_seconds("master", 0) == pytest.approx(estimates.FIGURES["master"].run_seconds)


def test_settings_choose_the_kind_of_run() -> None:
    assert estimates.key("super_resolve", method="default", compare=True) == "super_resolve:lisa"
    assert estimates.key("resynthesize", phase="griffin_lim") == "resynthesize"
    assert estimates.key("resynthesize", phase="vocoder", mel_bands=80) == "resynthesize:vocoder"
    assert estimates.key("measure", layout="auto") == "measure"
    assert estimates.key("enhance", setting=None) == "enhance"
    assert estimates.key("nonsense", setting="vocoder") == "nonsense"
    assert estimates.expected_seconds("super_resolve:lisa", 60) > estimates.expected_seconds(
        "super_resolve", 60
    )
    # A kind that has no figures of its own.
    assert estimates.expected_seconds("measure:loudly", 60) == estimates.expected_seconds("measure", 60)


def test_every_kind_is_a_choice_of_its_setting() -> None:
    from aural.enhancement import pipeline as enhancement
    from aural.generation import pipeline as generation
    from aural.resynthesis import pipeline as resynthesis
    from aural.superres import pipeline as superres

    options = {
        "resynthesize": resynthesis.Options,
        "enhance": enhancement.Options,
        "super_resolve": superres.Options,
        "generate": generation.Options,
    }
    for kind in estimates.FIGURES:
        verb, _, choice = kind.partition(":")
        if choice:
            needed = {"label": "dog"} if verb == "generate" else {}
            chosen = options[verb](**needed, **{estimates.KINDS[verb]: choice})
            assert estimates.key(verb, **vars(chosen)) == kind
            # The verb without a kind is the default.
            assert estimates.key(verb, **vars(options[verb](**needed))) == verb


def test_more_clips_seconds_or_steps_are_more_work() -> None:
    once = estimates.amount_of_generation(1, 5, 25)
    assert estimates.amount_of_generation(2, 5, 25) == 2 * once
    assert estimates.amount_of_generation(1, 10, 25) == 2 * once
    assert estimates.amount_of_generation(1, 5, 50) == 2 * once


@pytest.mark.parametrize("verb", [*sorted(estimates.ON_CARD), "release"])
def test_a_card_is_asked_for_within_bounds_and_longer_for_more(verb: str) -> None:
    asked = [estimates.gpu_seconds(verb, amount) for amount in (0, 5, 60, 600, 7_200, 100_000, 1e12)]
    assert asked == sorted(asked) and asked[0] < asked[3]
    assert asked[0] >= 10 and asked[-1] == 300
    assert all(isinstance(seconds, int) for seconds in asked)


@pytest.mark.parametrize("verb", ["measure", "master", "degrade", "resynthesize", "super_resolve:sinc"])
def test_no_card_is_asked_for_where_no_network_runs(verb: str) -> None:
    assert estimates.gpu_seconds(verb, 600) == 0


def test_nothing_is_known_of_what_is_not_a_verb() -> None:
    estimates.note("nonsense", 5, 5)
    assert not estimates.is_measured("nonsense")
    assert estimates.expected_seconds("nonsense", 5) == 0
    assert estimates.gpu_seconds("nonsense", 5) == 0


@pytest.mark.parametrize(("amount", "seconds"), [(float("nan"), 5), (5, float("inf")), (-1, 5), (5, 0)])
def test_what_is_no_measurement_is_passed_over(amount: float, seconds: float) -> None:
    before = estimates.expected_seconds("measure", 60)
    estimates.note("measure", amount, seconds)
    assert estimates.expected_seconds("measure", 60) == before and not estimates.is_measured("measure")


def test_many_threads_may_note_at_once() -> None:
    figures = estimates.FIGURES["measure"]
    took = 2 * (figures.run_seconds + 60 * figures.seconds_per_amount)

    def run() -> None:
        for _ in range(200):
            estimates.note("measure", 60, took)
            estimates.expected_seconds("release", 60)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert estimates.expected_seconds("measure", 60) == pytest.approx(took, rel=1e-3)
