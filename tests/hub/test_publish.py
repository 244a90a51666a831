"""What is pushed to the Hub is what is pulled from there; and what deploys this repository fits it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import yaml
from packaging.requirements import Requirement

from aural.hub import manifest, publish
from aural.hub.__main__ import main
from tests.hub.fake_hub import LFS_BYTES, REPOSITORY, TOKEN, FakeHub

# The library's own way with its HTTP client, as it uploads by LFS.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
HUB_REPOSITORY = "aural-audio/checkpoints"
CARD = "# A\n\nHears much | says\nlittle. Then more.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two checkpoints with cards, not published; one has weights that the Hub takes as a large file."""
    folder = tmp_path / "checkpoints"
    for name, size in (("first", 1000), ("second", LFS_BYTES + 1)):
        (folder / name).mkdir(parents=True)
        (folder / name / "README.md").write_text(CARD)
        (folder / name / "config.json").write_text(json.dumps({"name": name}))
        export(folder, name, bytes([len(name)]) * size)
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(folder))
    return folder


def export(folder: Path, name: str, weights: bytes) -> None:
    """What a training ends with: new weights and an entry that is not published."""
    (folder / name / "model.safetensors").write_bytes(weights)
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text()) if manifest.is_file() else {}
    digests = {
        file: hashlib.sha256((folder / name / file).read_bytes()).hexdigest()
        for file in ("config.json", "model.safetensors")
    }
    entries[name] = {"licence": f"CC-{name}", "revision": None, "sha256": digests}
    manifest.write_text(json.dumps(entries))


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub without the repository, which this process and those that it starts find, with a token for it."""
    server = FakeHub({})
    for name, value in (
        ("HF_ENDPOINT", server.url),
        ("HF_HOME", str(tmp_path / "home")),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_HUB_DISABLE_XET", "1"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
        ("HF_TOKEN", TOKEN),
        ("NO_PROXY", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    for name, setting in (
        ("ENDPOINT", server.url),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_DISABLE_TELEMETRY", True),
        ("HF_TOKEN_PATH", str(tmp_path / "home" / "token")),
    ):
        monkeypatch.setattr(huggingface_hub.constants, name, setting)
    yield server
    server.close()


def revisions(folder: Path) -> dict[str, str | None]:
    return {
        name: fields["revision"]
        for name, fields in json.loads((folder / "manifest.json").read_text()).items()
    }


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_pushed_is_pulled_at_the_pinned_revision(
    folder: Path, fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The workflow that publishes installs huggingface_hub and nothing else.
    program = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'numpy', 'gradio', 'safetensors', 'librosa']);"
        f"from aural.hub.__main__ import main; sys.exit(main(['push', '--repo', '{REPOSITORY}']))"
    )
    pushed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert pushed.returncode == 0, pushed.stderr
    revision = fake_hub.heads[-1]
    assert revisions(folder) == {"first": revision, "second": revision}
    assert revision in pushed.stdout and "pins first, second to it" in pushed.stdout
    assert "\ngit commit -m " in pushed.stdout
    assert publish.preload(REPOSITORY, manifest.entries(), revision) in pushed.stdout
    published = fake_hub.commits[revision]
    assert set(published) == {
        "README.md",
        "manifest.json",
        *(
            f"{name}/{file}"
            for name in ("first", "second")
            for file in ("README.md", "config.json", "model.safetensors")
        ),
    }
    assert set(fake_hub.objects) == {hashlib.sha256(published["second/model.safetensors"]).hexdigest()}

    assert main(["pull", "--repo", REPOSITORY, "second", "first"]) == 0
    printed = capsys.readouterr().out
    for name in ("first", "second"):
        for file in ("README.md", "config.json", "model.safetensors"):
            assert published[f"{name}/{file}"] == (folder / name / file).read_bytes()
        snapshot = tmp_path / "cache" / "models--someone--aural" / "snapshots" / revision / name
        assert f"{name}: {snapshot}\n" in printed
        assert (snapshot / "model.safetensors").read_bytes() == published[f"{name}/model.safetensors"]


def test_a_second_push_makes_no_commit_and_one_with_new_weights_does(folder: Path, fake_hub: FakeHub) -> None:
    first = publish.push(REPOSITORY)
    assert first.pinned == ("first", "second")
    again = publish.push(REPOSITORY)
    assert (again.revision, again.pinned) == (first.revision, ())
    export(folder, "first", b"new")
    assert revisions(folder) == {"first": None, "second": first.revision}
    newer = publish.push(REPOSITORY)
    assert newer.revision != first.revision
    assert revisions(folder) == {"first": newer.revision, "second": newer.revision}
    assert fake_hub.commits[newer.revision]["first/model.safetensors"] == b"new"
    assert fake_hub.commits[first.revision]["first/model.safetensors"] == b"\5" * 1000


def test_a_checkpoint_that_is_exported_meanwhile_is_not_pinned(folder: Path) -> None:
    entries = manifest.entries()
    export(folder, "second", b"newer than what was uploaded")
    assert publish.pin(entries.values(), "7" * 40) == ("first",)
    assert revisions(folder) == {"first": "7" * 40, "second": None}


@pytest.mark.usefixtures("folder")
def test_what_a_space_preloads_is_each_file_at_one_revision() -> None:
    line = publish.preload(REPOSITORY, manifest.entries(), "7" * 40)
    files = "first/config.json,first/model.safetensors,second/config.json,second/model.safetensors"
    assert line == f"{REPOSITORY} {files} {'7' * 40}"


def test_the_repository_gets_a_card_from_the_manifest_and_the_cards(folder: Path, fake_hub: FakeHub) -> None:
    published = fake_hub.commits[publish.push(REPOSITORY).revision]
    card = published["README.md"].decode()
    front_matter = yaml.safe_load(card.split("---\n")[1])
    assert front_matter["license"] == "other" and front_matter["license_name"]
    assert front_matter["library_name"] == "aural" and "audio" in front_matter["tags"]
    assert fake_hub.cards[-1] == front_matter
    assert "| [first](first/README.md) | Hears much \\| says little | 0.0 | CC-first |" in card
    assert "| [second](second/README.md) | Hears much \\| says little | 0.1 | CC-second |" in card
    manifest = json.loads(published["manifest.json"])
    assert manifest == {
        name: fields | {"revision": None}
        for name, fields in json.loads((folder / "manifest.json").read_text()).items()
    }


def test_checkpoints_of_one_licence_make_a_repository_of_that_licence(
    folder: Path, fake_hub: FakeHub
) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for fields in manifest.values():
        fields["licence"] = "CC-BY-4.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    publish.push(REPOSITORY)
    assert fake_hub.cards[-1]["license"] == "cc-by-4.0"
    assert "license_name" not in fake_hub.cards[-1]


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "second/model.safetensors",
            b"damaged",
            "model.safetensors is not the manifest's, so nothing is uploaded",
        ),
        ("first/config.json", b"{}", "config.json is not the manifest's"),
        ("first/config.json", None, "has no config.json"),
        ("first/README.md", None, "has no README.md"),
    ],
)
def test_a_push_refuses_what_is_damaged_or_missing(
    folder: Path,
    fake_hub: FakeHub,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: bytes | None,
    message: str,
    options: list[str],
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    before = contents(folder)
    assert main(["push", "--repo", REPOSITORY, *options]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert fake_hub.requests == [] and contents(folder) == before


def test_a_dry_run_changes_nothing(
    folder: Path, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    before = contents(folder)
    assert main(["push", "--repo", REPOSITORY, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "0.100 MB  second/model.safetensors" in printed
    assert f"8 files, 0.1 MB, would go to {REPOSITORY}; nothing was sent" in printed
    assert fake_hub.requests == [] and contents(folder) == before


@pytest.mark.parametrize(
    ("token", "behaviour", "message"),
    [
        (None, "well", "Run `hf auth login`, or set HF_TOKEN"),
        (
            "hf_of_nobody",
            "well",
            "write to someone/aural (it answered 401). Run `hf auth login`",
        ),
        (TOKEN, "500", "answered 500 for someone/aural. Try again later"),
        (TOKEN, "offline", "HF_HUB_OFFLINE is set"),
        (TOKEN, "down", "refused). Check the connection"),
    ],
)
def test_a_push_that_the_hub_does_not_take_is_one_sentence(
    folder: Path,
    fake_hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    token: str | None,
    behaviour: str,
    message: str,
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    fake_hub.behaviour = behaviour
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", behaviour == "offline")
    if behaviour == "down":
        fake_hub.close()
    before = contents(folder)
    assert main(["push", "--repo", REPOSITORY]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.usefixtures("folder")
def test_a_pull_refuses_a_poisoned_file_and_fetches_the_others(
    fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = publish.push(REPOSITORY).revision
    fake_hub.commits[revision]["first/model.safetensors"] = b"poison"
    assert main(["pull", "--repo", REPOSITORY]) == 1
    captured = capsys.readouterr()
    assert "sent a first/model.safetensors whose sha256 is not the manifest's" in captured.err
    assert "second: " in captured.out and "first: " not in captured.out
    blobs = tmp_path / "cache" / "models--someone--aural" / "blobs"
    assert b"poison" not in {path.read_bytes() for path in blobs.iterdir()}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["pull"], 1, "Add --repo owner/name, or set AURAL_HUB_REPO"),
        (["pull", "third", "--repo", REPOSITORY], 1, "no checkpoint 'third'. Choose from first, second"),
        (["pull", "first", "--repo", REPOSITORY], 1, "the manifest names no revision"),
        (["push"], 2, "--repo"),
        (["push", "--repo", "aural"], 2, "Write it as owner/name"),
        (["push", "--repo", "a/b/c"], 2, "Write it as owner/name"),
        ([], 2, "push | pull | list"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(
    fake_hub: FakeHub, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    try:
        returned = main(arguments)
    except SystemExit as ended:  # as argparse does
        returned = int(ended.code or 0)
    assert returned == code
    assert message in capsys.readouterr().err
    assert fake_hub.requests == []


def test_the_list_tells_what_a_load_would_take_and_from_where(
    folder: Path, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows() -> list[list[str]]:
        capsys.readouterr()
        assert main(["list"]) == 0
        return [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()[1:]]

    assert rows() == [
        ["first", "0.0", "CC-first", "not published", str(folder / "first")],
        ["second", "0.1", "CC-second", "not published", str(folder / "second")],
    ]
    revision = publish.push(REPOSITORY).revision[:13]
    main(["pull", "second", "--repo", REPOSITORY])
    (folder / "first" / "config.json").write_text("{}")
    assert rows()[0][4].startswith("nowhere, since the sha256 of")
    monkeypatch.setenv("AURAL_HUB_REPO", REPOSITORY)
    fake_hub.requests.clear()
    assert rows() == [
        ["first", "?", "CC-first", revision, f"{REPOSITORY}, which is asked when it is used"],
        ["second", "0.1", "CC-second", revision, f"the Hub cache ({REPOSITORY})"],
    ]
    assert fake_hub.requests == []


def test_the_shipped_checkpoints_can_be_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    upload = publish.prepare(HUB_REPOSITORY, tmp_path)
    card = (tmp_path / "README.md").read_text()
    for name, entry in upload.entries.items():
        row = next(line for line in card.splitlines() if line.startswith(f"| [{name}]"))
        assert row.endswith(f"| {entry.licence} |")
        assert len(row.split(" | ")[1]) > 30, "the card's first sentence says little"


def front_matter() -> dict[str, Any]:
    opening, text, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert opening == ""
    fields: dict[str, Any] = yaml.safe_load(text)
    return fields


def test_the_front_matter_is_that_of_a_space_which_runs_this_code() -> None:
    fields = front_matter()
    assert fields["sdk"] == "gradio" and (ROOT / fields["app_file"]).is_file()
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    requirement = next(Requirement(line) for line in lines if re.match("gradio\\W", line))
    assert requirement.specifier.contains(fields["sdk_version"])
    assert re.fullmatch(r"3\.\d+\.\d+", fields["python_version"])
    assert len(fields["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {fields["colorFrom"], fields["colorTo"]} <= colours
    assert fields["suggested_hardware"] in {flavour.value for flavour in huggingface_hub.SpaceHardware}
    # The checkpoints, which go along, are not under the code's licence.
    assert fields["license"] == "other" and fields["license_name"]
    assert (ROOT / fields["license_link"]).read_text().startswith("MIT License\n")
    published = any(entry.revision for entry in manifest.entries().values())
    assert fields.get("models", []) == [HUB_REPOSITORY] * published, "it names what exists only"


def test_what_the_space_preloads_is_what_the_manifest_pins() -> None:
    # A build fetches it, so it may name only what is published.
    lines = front_matter().get("preload_from_hub", [])
    entries = manifest.entries()
    for revision in {entry.revision for entry in entries.values()}:
        assert lines in ([], [publish.preload(HUB_REPOSITORY, entries, revision)] if revision else [])


def workflow(name: str) -> dict[Any, Any]:
    fields: dict[Any, Any] = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))
    return fields


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


ON = True  # what YAML 1.1 takes the key `on` for


def test_every_push_and_pull_request_is_tested() -> None:
    assert set(workflow("tests.yml")[ON]) == {"push", "pull_request"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step["run"] for step in steps("tests.yml") if "make" in step.get("run", "")]
    assert commands == ["make check test"]
    assert {"check", "test"} <= targets


@pytest.mark.parametrize("name", ["tests.yml", "newest.yml", "sync.yml"])
def test_the_workflows_use_the_python_of_the_space(name: str) -> None:
    versions = {
        step["with"]["python-version"]
        for step in steps(name)
        if step.get("uses", "").startswith("actions/setup-python@")
    }
    assert versions == {front_matter()["python_version"]}


def test_only_what_passed_the_tests_on_main_goes_to_the_space() -> None:
    trigger = workflow("sync.yml")[ON]["workflow_run"]
    assert trigger == {
        "workflows": [workflow("tests.yml")["name"]],
        "types": ["completed"],
        "branches": ["main"],
    }
    job = workflow("sync.yml")["jobs"]["space"]
    assert "workflow_run.conclusion == 'success'" in job["if"] and "workflow_run.event == 'push'" in job["if"]
    checkout, sync = job["steps"]  # no more steps: the action uploads all that lies in the folder
    assert checkout["with"] == {"ref": "${{ github.event.workflow_run.head_sha }}"}
    assert sync["uses"].startswith("huggingface/hub-sync@v")
    assert {"github_repo_id", "huggingface_repo_id", "hf_token"} <= set(sync["with"])


def test_the_workflow_publishes_by_commands_that_exist(folder: Path, fake_hub: FakeHub) -> None:
    job = workflow("sync.yml")["jobs"]["checkpoints"]
    assert job["if"] == "github.event_name == 'workflow_dispatch'"
    inputs = workflow("sync.yml")[ON]["workflow_dispatch"]["inputs"]
    assert inputs["repository"]["default"] == HUB_REPOSITORY and inputs["dry_run"]["default"] is True
    scripts = [step["run"] for step in job["steps"] if "aural.hub" in step.get("run", "")]
    assert len(scripts) == 2
    summary = folder.parent / "summary.md"
    settings = os.environ | {
        "REPOSITORY": REPOSITORY,
        "GITHUB_STEP_SUMMARY": str(summary),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for script in scripts:
        subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, env=settings, check=True, capture_output=True)
    assert set(revisions(folder).values()) == {fake_hub.heads[-1]}
    assert summary.read_text().startswith("Commit this change")
