"""The gate: what got worse beyond chance is named, what did not passes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aural.errors import OptionError
from aural.evaluation import gate

COUNT = 16
SCATTER = np.random.default_rng(0).normal(0, 0.1, COUNT)


def result(row: str = "both", **shifts: float) -> list[dict[str, Any]]:
    """Records of an evaluation, some figures of which lie elsewhere."""
    figures = {"pesq": 2.0, "lsd": 1.0, "bias_db": -3.0, "si_sdr_db": 10.0}
    return [
        {
            "row": row,
            "item": f"{number}.wav",
            "kind": "noise" if number % 2 else "room",
            "unseen": True,
            "seconds": 0.1 * number,
            **{name: value + shifts.get(name, 0.0) + SCATTER[number] for name, value in figures.items()},
        }
        for number in range(COUNT)
    ]


def by_name(changes: list[gate.Change]) -> dict[str, gate.Change]:
    return {change.metric: change for change in changes}


def test_the_same_result_passes() -> None:
    changes = gate.compare(result(), result())
    assert len(changes) == 4 and all(change.passes and change.gain == 0 for change in changes)
    assert {change.worse_share for change in changes} == {0}


def test_worse_is_lower_higher_or_further_from_zero() -> None:
    changes = by_name(gate.compare(result(), result(pesq=-0.2, lsd=0.2, bias_db=-2, si_sdr_db=-5)))
    assert not any(changes[name].passes for name in ("pesq", "lsd", "bias_db"))
    assert changes["pesq"].gain == pytest.approx(-0.2) and changes["lsd"].gain == pytest.approx(-0.2)
    assert changes["pesq"].worse_share == 1
    # Phase is not judged.
    assert changes["si_sdr_db"].gain == pytest.approx(-5) and changes["si_sdr_db"].passes
    better = by_name(gate.compare(result(), result(pesq=0.2, lsd=-0.2, bias_db=2.5)))
    assert all(change.passes for change in better.values()) and better["bias_db"].gain > 2


def test_what_chance_may_do_passes() -> None:
    other = result()
    for record, scatter in zip(other, np.random.default_rng(1).normal(0, 1, COUNT), strict=True):
        record["pesq"] += 0.3 * scatter
    change = by_name(gate.compare(result(), other))["pesq"]
    gains = np.array([b["pesq"] - a["pesq"] for a, b in zip(result(), other, strict=True)])
    assert change.error == pytest.approx(gains.std(ddof=1) / math.sqrt(COUNT))
    assert change.passes == (gains.mean() >= -change.error)
    assert 0 < change.worse_share < 1


def test_recordings_are_paired_by_name_and_grouped() -> None:
    shuffled = result(pesq=-1)[::-1][: COUNT // 2]
    changes = gate.compare(result(), shuffled, by="kind")
    assert {change.group for change in changes} == {"noise", "room"}
    assert all(change.count == COUNT // 4 for change in changes)
    for change in changes:
        if change.metric == "pesq":
            assert change.gain == pytest.approx(-1)
    with pytest.raises(OptionError, match=r"no recording in common\. Give two results of the same"):
        gate.compare(result(), [{**record, "item": "x"} for record in result()[:1]])


def test_figures_that_are_missing_on_one_side_do_not_count() -> None:
    other = result()
    del other[0]["lsd"]
    other[1]["lsd"] = math.nan
    assert by_name(gate.compare(result(), other))["lsd"].count == COUNT - 2


def test_every_form_of_an_evaluation_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    flat = result("one") + result("two", pesq=1)
    nested = {
        "all": {"means": {}, "items": [{"row": r["row"], "item": r["item"], "figures": r} for r in flat]}
    }
    for text in (json.dumps(flat), json.dumps(nested), "\n".join(map(json.dumps, flat))):
        path.write_text(text)
        assert np.mean([record["pesq"] for record in gate.records(path, "two")]) == pytest.approx(3, abs=0.1)
        with pytest.raises(OptionError, match=r"has several rows\. Add one: new\.json:one\."):
            gate.records(path)
        with pytest.raises(OptionError, match=r"no figures of three\. Choose another file or row\."):
            gate.records(path, "three")


def test_the_command_prints_the_table_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(result()))
    new.write_text(json.dumps(result(pesq=-0.5)))
    for second, code in ((old, 0), (new, 1)):
        with pytest.raises(SystemExit) as left:
            gate.main([str(old), str(second)])
        assert left.value.code == code
    printed = capsys.readouterr().out
    assert "|  | pesq | 16 | 1.9" in printed and "| **worse** |" in printed
    assert "1 of 3 figures got worse." in printed
