"""How fast a training runs is read from what it wrote, without the time before its first step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aural.training.loop import CARD
from tools.card.throughput import earlier_steps, later_steps, trainings


def test_steps_and_seconds_are_those_between_the_first_step_logged_and_the_last(tmp_path: Path) -> None:
    entries = [{"data": "read"}, *({"step": step, "seconds": 60.0 + 4 * step} for step in (2, 3, 12))]
    (tmp_path / "denoiser.log").write_text("\n".join(map(json.dumps, entries)))
    assert later_steps(tmp_path) == (10, 40.0)


def test_a_run_without_two_steps_tells_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "denoiser.log").write_text('{"step": 2, "seconds": 80.0}\n')
    with pytest.raises(SystemExit, match="more --seconds"):
        later_steps(tmp_path)


def test_an_earlier_run_tells_its_steps_in_its_card(tmp_path: Path) -> None:
    (tmp_path / "denoiser").mkdir()
    (tmp_path / "denoiser" / CARD).write_text(json.dumps({"step": 19, "minutes": 1.5}))
    assert earlier_steps(tmp_path) == (19, 90.0)


def test_no_run_writes_a_checkpoint(tmp_path: Path) -> None:
    earlier = [each for each in trainings(tmp_path, tmp_path, tmp_path) if each.when == "earlier"]
    assert len(earlier) == 2 and all("--no-save" in each.options for each in earlier)
