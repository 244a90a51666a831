"""A little of `tests.bench.fuzz`: hostile input at every endpoint of the app, in a process of its own."""

from pathlib import Path

from tests.bench.fuzz import run

INPUTS = 60


def test_hostile_input_is_answered_in_our_own_words(tmp_path: Path) -> None:
    report = run(tmp_path, range(INPUTS), seed=6)
    assert not report.failures, "\n".join(report.failures)
    assert len(report.outcomes) == INPUTS
    verdicts = {outcome.verdict for outcome in report.outcomes}
    assert verdicts == {"result", "ours", "gradio"}
    assert len({outcome.input.kind for outcome in report.outcomes}) > 12
