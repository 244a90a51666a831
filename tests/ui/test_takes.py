"""What stays beside a page's result from run to run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aural.audio import Clip, write
from aural.loudness.meter import loudness_lufs
from aural.ui import takes
from aural.ui.abplayer import MAX_VERSIONS, Version
from aural.ui.takes import MAX_PLAYED, MAX_TAKES, Made, Takes

NAMES = ("before", "enhanced", "resolved", "mastered")


def made(run: int, count: int = 4, result: int = -1) -> Made:
    """What a run makes: the recording and other versions."""
    return Made(tuple(Version(name, f"{name}-{run}.wav") for name in NAMES[:count]), result)


def names(versions: list[Version]) -> list[str]:
    return [version.label for version in versions]


@pytest.mark.parametrize("result", [0, 1, -1])
@pytest.mark.parametrize("count", range(1, 5))
def test_recording_and_result_always_have_their_slots(count: int, result: int) -> None:
    result = min(result, count - 1)
    kept = Takes()
    for number in range(MAX_PLAYED + 1):
        played = names(kept.played(made(1, count, result), range(number)))
        assert len(played) == min(count + number, MAX_VERSIONS)
        assert {NAMES[0], NAMES[:count][result]} <= set(played)
        assert played[len(played) - number :] == names([take.version for take in kept.takes])
        kept = kept.add(Version(f"take {number}", "x.wav"), "")


def test_a_result_becomes_a_take_with_its_settings_when_there_is_another() -> None:
    kept = Takes().follow(made(1), "").follow(None, "").follow(made(2), "memo.wav. Strength: 0.5")
    kept = kept.follow(made(3), "")
    assert [(take.version, take.text) for take in kept.takes] == [
        (Version("Take 1", "mastered-1.wav"), "Take 1: memo.wav. Strength: 0.5"),
        (Version("Take 2", "mastered-2.wav"), "Take 2"),
    ]


def test_a_run_that_makes_more_versions_is_still_the_same_run() -> None:
    first = made(1, 2)
    more = Made((*first.versions, Version("another's", "peer.wav")), 1)
    kept = Takes().follow(first, "").follow(more, "").follow(more, "")
    assert not kept.takes and kept.made == more


def test_what_was_removed_does_not_give_its_name_to_another() -> None:
    kept = Takes().follow(made(1), "").follow(made(2), "")
    kept = kept.remove([0]).follow(made(3), "")
    assert [(take.number, take.version.label) for take in kept.takes] == [(1, "Take 2")]


def test_there_is_an_end_to_what_is_kept() -> None:
    kept = Takes()
    for run in range(MAX_TAKES + 3):
        kept = kept.follow(made(run), "")
    assert len(kept.takes) == MAX_TAKES and kept.takes[-1].version.label == f"Take {MAX_TAKES + 2}"


def test_a_take_is_played_where_there_is_room_and_the_last_ticked_win(tmp_path: Path) -> None:
    kept = Takes()
    results = []
    for run in range(5):
        path = tmp_path / f"{run}.wav"
        path.touch()
        results.append(Made((Version("before", "memo.wav"), Version("after", path))))
    ticked: list[int] = []
    for result, shown in zip(results, [[], [0], [0, 1], [0, 1], [0, 1]], strict=True):
        kept, choice, played, _ = takes._follow("", result, kept, ticked)
        ticked = choice.value
        assert ticked == shown and names(played)[:2] == ["before", "after"]
    _, choice, played, _ = takes._show(result, kept, [0, 1, 3])
    assert choice.value == [1, 3] and names(played)[2:] == ["Take 2", "Take 4"]
    assert [number for _, number in choice.choices] == [3, 2, 1, 0], "the latest first"
    other = Made((Version("before", "another.wav"), results[0].versions[1]))
    _, choice, _, _ = takes._follow("", other, kept, [])
    assert choice.value == [], "another recording's result is no comparison"


def test_a_take_whose_file_was_swept_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    kept = Takes().add(Version("a", path), "a")
    path.unlink()
    after, choice, played, _ = takes._show(None, kept, [0])
    assert after.takes == () and not choice.visible and played is None


def test_a_visitor_s_file_is_added_at_its_own_loudness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    tone = Clip((0.1 * np.sin(np.arange(96_000) * 0.1))[np.newaxis].astype(np.float32), 48_000)
    path = write(tone, tmp_path / "a reference.mp3")
    ((kept, choice, played, _),) = takes._add(loudness_lufs, str(path), None, Takes(), [])
    (added,) = played
    assert added.label == "a reference" and str(added.path).endswith(".wav")
    assert added.loudness_lufs == pytest.approx(loudness_lufs(tone), abs=0.1)
    assert choice.value == [kept.takes[0].number]
