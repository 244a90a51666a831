"""Files that appear whole or not at all."""

import shutil
from pathlib import Path

import pytest

from aural.files import below, write_then_rename


def test_a_file_gets_its_name_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with write_then_rename(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk"), write_then_rename(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_can_lie_elsewhere(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with write_then_rename(tmp_path / "a.txt", folder=scratch) as temporary:
        assert temporary.parent == scratch
        temporary.write_text("whole")
    assert list(scratch.iterdir()) == []
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_folders_may_vanish_while_they_are_listed(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").touch()
    paths = []
    for path in below(tmp_path):
        paths.append(path.relative_to(tmp_path).as_posix())
        for other in set("abc") - {paths[0]}:
            shutil.rmtree(tmp_path / other, ignore_errors=True)
    kept = paths[0]
    assert set(paths) == {"a", "b", "c", f"{kept}/inner", f"{kept}/inner/file"}
