"""What `pip install` brings: the core without torch, the extras, and the checkpoints."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import aural
from aural.audio import read, write
from aural.errors import EXTRAS
from aural.hub import manifest
from tests.absent import run_without
from tests.loudness.signals import tone

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MISSING = {*EXTRAS, "librosa", "pystoi", "pandas"}  # where nothing of the extras is installed


def core(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program where the extras are not installed."""
    return run_without(MISSING, code, *arguments)


# Runs several command lines there, one after the other, and prints of each its exit code and its two outputs.
SHELL = """
import contextlib
import io
import json
from aural.__main__ import main

found = []
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = main(line)
        except SystemExit as end:
            code = end.code or 0
    found.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""


def shell(*lines: list[object]) -> list[subprocess.CompletedProcess[str]]:
    """What each command line ends with where the extras are not installed."""
    done = core(SHELL, json.dumps([list(map(str, line)) for line in lines]))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return [subprocess.CompletedProcess(line, *told) for line, told in zip(lines, found, strict=True)]


def requirements(lines: list[str]) -> set[str]:
    """The lines as sets of what they require, those of AURAL's own extras written out."""
    needed = set()
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == "aural":
            for extra in requirement.extras:
                needed |= requirements(PROJECT["optional-dependencies"][extra])
        else:
            needed.add(str(requirement))
    return needed


def listed(file: str) -> set[str]:
    """What a file of requirements lists itself."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {str(Requirement(line)) for line in lines if not line.startswith(("#", "-r"))}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tone(48_000, [(3, -23)]), tmp_path / "song.wav")


def test_a_space_installs_the_core_and_the_extras_models_and_app() -> None:
    extras = PROJECT["optional-dependencies"]
    needed = requirements([*PROJECT["dependencies"], *extras["models"], *extras["app"]])
    assert listed("requirements.txt") == needed


def test_batch_and_development_agree_with_the_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    app = listed("requirements.txt")
    assert listed("requirements-batch.txt") == requirements(extras["batch"]) - app
    development = listed("requirements-dev.txt")
    assert requirements(extras["train"]) - app <= development
    assert requirements(extras["peers"]) <= development | listed("requirements-evaluate.txt")


def test_all_is_every_extra() -> None:
    extras = PROJECT["optional-dependencies"]
    others = {name: lines for name, lines in extras.items() if name != "all"}
    assert requirements(extras["all"]) == set().union(*(requirements(lines) for lines in others.values()))


def test_each_extra_brings_the_packages_that_errors_promise() -> None:
    for package, extra in EXTRAS.items():
        names = {Requirement(line).name for line in requirements(PROJECT["optional-dependencies"][extra])}
        assert package in names


def test_the_core_measures_masters_and_degrades(song: Path, tmp_path: Path) -> None:
    measured, mastered, degraded = shell(
        ["measure", song, "--json"],
        ["master", song, tmp_path / "loud.flac", "--target", "spotify"],
        ["degrade", song, tmp_path / "call.wav", "--preset", "phone_call", "--json"],
    )
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout)["figures"]["integrated_lufs"] == pytest.approx(-23, abs=0.1)
    assert mastered.returncode == 0, mastered.stderr
    assert aural.measure(read(tmp_path / "loud.flac")).integrated_lufs == pytest.approx(-14, abs=0.1)
    assert degraded.returncode == 0, degraded.stderr
    found = json.loads(degraded.stdout)["figures"]["found"]
    assert found["bandwidth_hz"] is not None
    assert found["pitch_hz"] is None and found["voiced_share"] is None


def test_the_core_reads_and_writes_every_format(song: Path, tmp_path: Path) -> None:
    code = """
from pathlib import Path
import aural
from aural.audio import read, write
from aural.batch.arguments import FORMATS

clip = read(sys.argv[1])
for suffix in FORMATS:
    path = write(clip, Path(sys.argv[2]) / f"again.{suffix}")
    assert abs(read(path).seconds - clip.seconds) < 0.1
assert abs(aural.measure(aural.master(clip, target="tidal").clip).integrated_lufs + 14) < 0.1
assert "torch" not in sys.modules
"""
    done = core(code, song, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_verb_whose_extra_is_missing_says_which_to_install(tmp_path: Path) -> None:
    recording, result = ROOT / "aural" / "ui" / "examples" / "speech_8k.flac", tmp_path / "result.wav"
    sources = {"enhance": recording, "super_resolve": recording, "generate": "dog", "release": recording}
    for done in shell(*([verb, what, result] for verb, what in sources.items())):
        assert (done.returncode, done.stdout) == (1, ""), done.args
        assert done.stderr == 'This needs torch. Run pip install ".[models]" in AURAL\'s folder.\n', done.args
    assert not result.exists()


def test_the_library_says_so_too(song: Path) -> None:
    code = """
import aural
from aural.audio import read
from aural.errors import AuralError

try:
    aural.enhance(read(sys.argv[1]))
except AuralError as error:
    print(error)
"""
    assert 'Run pip install ".[models]"' in core(code, song).stdout


def test_the_core_tells_its_version_and_completes(tmp_path: Path) -> None:
    version, unknown, *completions = shell(
        ["--version"],
        ["--print-completion", "word"],
        *(["--print-completion", name] for name in ("bash", "zsh", "fish")),
    )
    assert (version.returncode, version.stdout) == (0, f"AURAL {aural.__version__}\n")
    assert "version" in PROJECT["dynamic"]
    assert unknown.returncode == 2 and "bash" in unknown.stderr
    for done in completions:
        name = done.args[-1]
        assert done.returncode == 0, done.stderr
        for word in ("super_resolve", "noise-reduction", "apple_music"):
            assert word in done.stdout, name
        if program := shutil.which(name):
            script = tmp_path / "aural"
            script.write_text(done.stdout)
            subprocess.run([program, "-n", script], check=True, timeout=20)
    assert complete(completions[0].stdout) == ["measure", "podcast", "tidal"]


def complete(script: str) -> list[str]:
    """What bash makes of the beginning of a verb and of two choices."""
    script = f"""
{script}
COMP_WORDS=(aural mea) COMP_CWORD=1; _shtab_aural; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(aural enhance --preset pod) COMP_CWORD=3; _shtab_aural; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(aural master --target tid) COMP_CWORD=3; _shtab_aural; echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=20)
    return [line.strip() for line in done.stdout.splitlines()]


def test_an_installed_package_has_its_own_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    assert manifest.folder() == ROOT / "checkpoints"
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "aural" / "hub" / "manifest.py"))
    packaged = tmp_path / "aural" / manifest.PACKAGED
    assert manifest.folder() == tmp_path / "checkpoints"
    packaged.mkdir(parents=True)
    assert manifest.folder() == packaged
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path))
    assert manifest.folder() == tmp_path


def test_the_wheel_takes_the_checkpoints_and_the_page_along() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = document["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"app.py": "aural/app.py", "checkpoints": f"aural/{manifest.PACKAGED}"}
    assert all((ROOT / path).exists() for path in included)
