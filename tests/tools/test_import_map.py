"""The import map of a small example package."""

from pathlib import Path

import pytest

from tools import import_map
from tools.import_map import arrows, circles, modules, named, reached, upward


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A slice that trains, a meter that looks up, and two files that need each other."""
    files = {
        "app.py": "from aural.superres import tab",
        "aural/__init__.py": "",
        "aural/errors.py": "",
        "aural/superres/tab.py": "def build():\n    from aural.superres import model\n    return model\n",
        "aural/superres/model.py": "import aural.errors",
        "aural/superres/train.py": "from aural.superres.model import build",
        "aural/loudness/meter.py": "from aural.superres import model\nfrom aural.loudness.gate import gate",
        "aural/loudness/gate.py": "import aural.loudness.meter",
        "aural/vocoding/griffin_lim.py": "import aural.loudness.gate",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_an_import_upwards_or_sideways_is_found(house: Path) -> None:
    assert upward(modules(house)) == [
        ("aural.loudness.meter", "aural.superres.model"),
        ("aural.vocoding.griffin_lim", "aural.loudness.gate"),
    ]


def test_a_circle_of_files_is_found(house: Path) -> None:
    assert circles(arrows(modules(house))) == [["aural.loudness.gate", "aural.loudness.meter"]]


def test_what_a_file_reaches_includes_imports_inside_of_functions(house: Path) -> None:
    ours = reached("app", arrows(modules(house)))
    assert ours == {"app", "aural.superres.tab", "aural.superres.model", "aural.errors"}


def test_a_file_that_a_text_names_is_found(house: Path) -> None:
    (house / "aural/superres/verb.py").write_text('HOME = "aural.superres.model:build"\nNAME = "aural"')
    assert named(modules(house)) == [("aural.superres.verb", "aural.superres.model")]


def test_the_longest_function_counts_its_lines(house: Path) -> None:
    assert list(modules(house)["aural.superres.tab"].functions()) == [("build", 3)]


def test_the_map_of_aural_shows_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["import_map.py"])
    assert import_map.main() == 0
    told = capsys.readouterr().out
    assert "circles between files: 0\n" in told and "imports that point up or sideways: 0\n" in told
    assert "longest file: aural/" in told and "longest function: aural." in told
