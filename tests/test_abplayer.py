"""The player for other apps, `packages/abplayer`: built from AURAL's own files, and working without AURAL."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
import yaml
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "packages" / "abplayer"
SOURCES = ROOT / "aural" / "ui" / "abplayer"
PACKAGE = "gradio_abplayer"
START_SECONDS = 120  # on a busy machine

# Runs where there is the player and no AURAL: the package's tests, and if they pass the demo, to its end.
APART = f"""
import importlib.util, runpy, sys
import pytest

installed, project = sys.argv[1:]
assert importlib.util.find_spec("aural") is None
assert importlib.util.find_spec("{PACKAGE}").origin.startswith(installed)
if failed := pytest.main(["-q", "-p", "no:cacheprovider", project + "/tests"]):
    sys.exit(failed)
runpy.run_path(project + "/demo/app.py", run_name="__main__")
"""


@dataclass(frozen=True)
class Demo:
    """The package's demo, served from the wheel."""

    address: str
    log: Path

    def answers(self) -> bool:
        """Whether it is served by now."""
        try:
            return httpx.get(self.address, timeout=START_SECONDS).is_success
        except httpx.TransportError:
            return False


def sources() -> dict[str, bytes]:
    """The player's files as they are in the repository."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."]
    names = subprocess.run(
        listed, cwd=SOURCES, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: (SOURCES / name).read_bytes() for name in names}


def build_wheel(source: Path, folder: Path) -> Path:
    """Build a folder or an sdist as pip does, with what is installed here."""
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(PROJECT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, as an installation has them."""
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_players_files_as_aural_has_them(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {
            name.removeprefix(f"{PACKAGE}/"): archive.read(name)
            for name in archive.namelist()
            if ".dist-info/" not in name
        }
    assert packed == sources()
    assert {Path(name).suffix for name in packed} == {".py", ".js", ".css", ".typed"}


def test_a_source_distribution_builds_the_same_wheel_by_itself(wheel: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT, check=True, timeout=120)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "demo/app.py", f"{PACKAGE}/player.js"} <= names
    again = build_wheel(sdist, tmp_path)
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_it_needs_nothing_that_aural_does_not_need() -> None:
    document = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"\W", line)[0] for line in document["dependencies"]}
    assert names == {"gradio", "numpy", "soundfile"}
    ours = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name}\b", ours, re.MULTILINE) for name in names)
    assert "abplayer" not in ours  # a Space installs them before the repository is there


@pytest.fixture(scope="module")
def demo(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One process, because Gradio takes long to import: it runs the package's own tests, then its demo."""
    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADIO_SERVER_PORT": str(port),
    }
    started = Demo(f"http://127.0.0.1:{port}", folder / "log")
    command = [sys.executable, "-c", APART, str(installed), str(PROJECT)]
    with started.log.open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + START_SECONDS
        while not started.answers():
            assert process.poll() is None and time.monotonic() < end, started.log.read_text(encoding="utf-8")
            time.sleep(0.2)
        yield started
    finally:
        process.terminate()
        process.wait(30)


def test_its_own_tests_pass_where_there_is_no_aural(demo: Demo) -> None:
    assert re.search(r"^\d+ passed", demo.log.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.browser
def test_the_demo_plays_switches_and_opens_the_blind_test(page: Page, demo: Demo) -> None:
    page.goto(demo.address)
    player = page.locator(".ab")
    expect(player).to_have_attribute("data-state", "ready")
    expect(player.get_by_role("button", name="Original")).to_have_attribute("aria-pressed", "true")
    quieter, louder = sorted(map(float, player.get_attribute("data-gains").split()), reverse=True)
    assert quieter == 0 and -6.1 < louder < -5  # the filter takes a little of the 6 dB
    player.get_by_role("button", name="Play").click()
    page.wait_for_function("+document.querySelector('.ab').dataset.position > 0.2")
    page.keyboard.press("b")
    expect(player).to_have_attribute("data-active", "1")
    expect(player).to_have_attribute("data-state", "playing")
    player.get_by_role("button", name="ABX test").click()
    expect(player.get_by_role("button", name="Start", exact=True)).to_be_visible()


def test_it_is_published_after_all_tests_and_without_a_token() -> None:
    text = (ROOT / ".github" / "workflows" / "abplayer.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert set(jobs["publish"]["needs"]) == jobs.keys() - {"publish"}
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
