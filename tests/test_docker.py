"""The image for a server: what it copies is there and enough, and its command serves the app."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PORT = "7860"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments, long lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line.strip() for line in text.splitlines()]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


def arguments(name: str) -> list[str]:
    return [rest for one, rest in instructions() if one == name]


def copied() -> list[str]:
    return [source for rest in arguments("COPY") for source in rest.split()[:-1]]


def test_it_has_the_python_of_the_space() -> None:
    _, front_matter, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    minor = yaml.safe_load(front_matter)["python_version"].rpartition(".")[0]
    assert arguments("FROM") == [f"python:{minor}-slim"]


def test_it_copies_what_is_there_and_ignores_nothing_of_it() -> None:
    assert all((ROOT / source).exists() for source in copied())
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(copied())
    tracked = subprocess.run(
        ["git", "ls-files", "--", *copied()], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert not [name for name in tracked if Path(name).name.startswith(".")], ".dockerignore leaves it out"


def test_it_runs_as_a_user_who_owns_the_uploads_alone() -> None:
    last = [name for name, _ in instructions()]
    assert arguments("USER") == ["user"] and last.index("USER") > max(
        number for number, name in enumerate(last) if name in ("COPY", "RUN")
    )
    assert "--uid 1000" in arguments("RUN")[0] and "chown user /data" in arguments("RUN")[0]
    assert arguments("VOLUME") == ["/data"] and "GRADIO_TEMP_DIR=/data" in arguments("ENV")[0]


def test_the_cpu_build_installs_pytorch_alone_from_its_index(tmp_path: Path) -> None:
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    for index, expected in (("", 1), ("https://wheels.example/cpu", 2)):
        printed = subprocess.run(
            ["sh", "-c", arguments("RUN")[1]],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TORCH_INDEX": index},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert len(printed) == expected and printed[-1] == "install -r requirements.txt"
        if index:
            assert re.fullmatch(rf"install --index-url {index} torch==\S+ torchaudio==\S+", printed[0])


def test_compose_builds_this_image_and_leads_the_proxy_to_its_port() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    app, proxy = services["aural"], services["proxy"]
    assert (ROOT / app["build"]["context"] / "Dockerfile").is_file()
    assert set(app["build"]["args"]) == {rest.partition("=")[0] for rest in arguments("ARG")}
    assert [volume.partition(":")[2] for volume in app["volumes"]] == arguments("VOLUME")
    assert "ports" not in app and proxy["command"].endswith(f" --to aural:{PORT}")
    table = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in table for name in app["environment"])


@pytest.mark.skipif(sys.platform == "win32", reason="the image is of Linux")
def test_what_it_copies_serves_the_app_by_its_own_command(tmp_path: Path) -> None:
    """As in the image but for its system: another folder, its environment, its command and its check."""
    place = tmp_path / "app"
    place.mkdir()
    for source in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place / source, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / source, place / source)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    start = [*json.loads(arguments("ENTRYPOINT")[0]), *json.loads(arguments("CMD")[0])]
    check = json.loads(arguments("HEALTHCHECK")[0].partition("CMD ")[2])
    start, check = (
        [sys.executable, *(part.replace(PORT, port) for part in one[1:])] for one in (start, check)
    )
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "data"), "AURAL_HUB_REPO": ""}
    environment.pop("PYTHONPATH", None)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(start, cwd=place, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        healthy = False
        while not healthy and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
            done = subprocess.run(check, cwd=tmp_path, capture_output=True, check=False)
            healthy = done.returncode == 0
        assert healthy, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
