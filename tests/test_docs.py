"""README and docs: each code block runs, or a comment above it says why not; links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aural.__main__ import main
from aural.audio import Clip, write
from tests.audio.test_video import film

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
ADDRESS = "http://127.0.0.1:7860"
RATE = 16_000
# Calls `aural` as this clone has it, and shows what make would do without doing it.
SHELL = f"""
aural() {{ PYTHONPATH={ROOT} {sys.executable} -m aural "$@"; }}
make() {{ command make --directory {ROOT} --dry-run "$@" > /dev/null; }}
"""


@dataclass(frozen=True)
class Block:
    """Code on a page."""

    page: str
    line: int
    comment: str  # of the HTML comment above it
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def code_blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"(?:^<!-- (.*) -->\n)?^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(page.name, text.count("\n", 0, match.start(2)) + 1, match[1] or "", match[2], match[3])
        for match in found
    ]


BLOCKS = [block for page in PAGES for block in code_blocks(page)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs run, with the files that they name."""
    time_s = np.arange(RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 220 * time_s) * np.exp(-3 * (time_s % 0.5))
    noise = 0.01 * np.random.default_rng(0).standard_normal(RATE)
    clip = Clip((tone + noise)[np.newaxis].astype(np.float32), RATE)
    for name in ("song.flac", "call.wav", "studio.wav", "dog.wav", "memos/talks/a.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(clip, tmp_path / name)
    (tmp_path / "memo.m4a").write_bytes((tmp_path / "song.flac").read_bytes())  # the content counts
    (tmp_path / "talks").mkdir()
    for name in ("talk.mp4", "talks/one.mp4"):
        film(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def skip_as_told(block: Block) -> None:
    for start in ("not run: ", "run by ", "checked by "):
        if block.comment.startswith(start):
            pytest.skip(block.comment)


@pytest.mark.usefixtures("folder", "tiny_checkpoints")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_the_python_runs(block: Block, request: pytest.FixtureRequest) -> None:
    skip_as_told(block)
    code = block.code
    if block.comment == "needs the app":
        code = code.replace(ADDRESS, request.getfixturevalue("address"))
    code = re.sub(r'aural\.generate\("[^"]+"', r"\g<0>, steps=2", code)  # quick
    names: dict[str, Any] = {}
    exec(code, names)
    if "client" in names:
        names["client"].close()


@pytest.mark.usefixtures("tiny_checkpoints")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "sh"], ids=str)
def test_the_shell_runs(block: Block, folder: Path) -> None:
    skip_as_told(block)
    lines = [shlex.split(line, comments=True) for line in block.code.splitlines()]
    if all(words[0] == "aural" and ">" not in words for words in lines):
        for _, *arguments in lines:  # in this process, which has the libraries by now
            quick = ("--steps", "2", "--seconds", "1") if arguments[0] == "generate" else ()
            try:
                assert main([*arguments, *quick]) == 0
            except SystemExit as end:  # --help and --version leave so
                assert not end.code
        return
    script = SHELL + block.code
    done = subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, timeout=230)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_the_json_is_json(block: Block) -> None:
    assert json.loads(block.code)


def test_every_block_is_run_or_says_why_not() -> None:
    for block in BLOCKS:
        if block.language in ("js", "html"):
            assert block.comment, f"{block}: no test here runs it"
        elif not block.language:
            assert "aural/" in block.code, f"{block}: only the tree of folders is no code"
        else:
            assert block.language in ("python", "sh", "json"), block


def test_a_block_that_another_test_runs_is_named_there() -> None:
    for block in BLOCKS:
        for name in re.findall(r"(?:run|checked) by (\S+\.py)", block.comment):
            assert block.page in (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) <= 9 * 1024
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name != "README.md"])
def test_each_page_begins_with_whom_it_is_for(name: str) -> None:
    title, _, sentence, *_ = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ") and sentence.startswith("For ")


@pytest.mark.parametrize("name", [*NAMES, "CHANGELOG.md"])
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}


def test_every_page_of_the_docs_is_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme


def test_the_cpu_build_needs_its_index_and_is_installed_first() -> None:
    def dry_run(*settings: str) -> str:
        command = ["make", "--dry-run", "--always-make", ".venv/app", *settings]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "--index-url" not in dry_run()
    lines = dry_run("TORCH=cpu", "TORCH_INDEX=https://wheels.example/cpu").splitlines()
    (torch,) = (number for number, line in enumerate(lines) if "--index-url" in line)
    assert '"https://wheels.example/cpu"' in lines[torch] and "requirements.txt" in lines[torch + 1]
