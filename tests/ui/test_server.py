"""Connections that send nothing end, no visitor holds them all, and no event of the page starts a program."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from aural.ui import server
from aural.ui.examples import FOLDER

ROOT = Path(__file__).parents[2]
API = "/gradio_api"
META = {"_type": "gradio.FileData"}


def connect(address: str, sent: str = "") -> socket.socket:
    where = urlsplit(address)
    connection = socket.create_connection((where.hostname or "", where.port or 80), timeout=20)
    connection.sendall(sent.encode())
    return connection


def ends(connection: socket.socket) -> bool:
    """Whether the server closes the connection."""
    try:
        while connection.recv(4_096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


HALVES = {
    "nothing": "",
    "half a line": "GET / HT",
    "half a header": "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
    "no body": f"POST {API}/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
    "boundary=b\r\nContent-Length: 1000\r\n\r\n",
    "half a body": f"POST {API}/queue/join HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + "{",
    "a second half": "GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\nGET /rob",
}


@pytest.mark.parametrize("kind", HALVES)
def test_half_a_request_ends(address: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(server, "CHECKED_EVERY_SECONDS", 0.1)
    with connect(address, HALVES[kind]) as connection:
        assert ends(connection)


def test_a_request_that_takes_its_time_is_answered(address: str) -> None:
    with connect(address, "GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n") as connection:
        time.sleep(1.5)
        connection.sendall(b"\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 200")


def test_one_address_does_not_hold_all_connections(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ADDRESS_CONNECTIONS", 20)
    with ExitStack() as stack:
        held = [stack.enter_context(connect(address)) for _ in range(40)]
        assert sum(ends(one) for one in held[30:]) == 10
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=transport, timeout=20) as elsewhere:
            assert elsewhere.get(f"{address}robots.txt").status_code == 200


def test_the_process_keeps_descriptors_for_its_files() -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such limit")
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 64 <= server.max_connections() <= max(64, min(soft - server.FILES_OF_THE_APP, 10_000))


def test_messages_name_no_folders(tmp_path: Path) -> None:
    told = server.error_payload(ValueError(f"can't open '{tmp_path}/a1/b.wav', nor {Path.home()}/x.py"), True)
    assert told["error"] == "can't open 'b.wav', nor x.py"


# --- No program is started --------------------------------------------------------------------------------


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs named ffmpeg and ffprobe that only write their arguments to this file."""
    record = tmp_path / "started.txt"
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("ffmpeg", "ffprobe", "avconv", "avprobe"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "$0 $@" >> {record}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert subprocess.run(["ffmpeg", "-x"], check=True).returncode == 0 and record.exists()
    record.unlink()
    return record


PLAYLIST = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


def results(http: httpx.Client, event: dict[str, Any], data: list[Any]) -> str:
    """What an event of the page answers."""
    body = {"data": data, "fn_index": event["id"], "session_hash": "anybody"}
    if not event["queue"]:
        return http.post(f"{API}/run/predict", json=body).text
    joined = http.post(f"{API}/queue/join", json=body)
    if joined.status_code != 200:
        return joined.text
    with http.stream("GET", f"{API}/queue/data", params={"session_hash": "anybody"}) as stream:
        for line in stream.iter_lines():
            if '"process_completed"' in line:
                return line
    return ""


def events(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The events that take a file, each with the kinds of its inputs."""
    kinds = {component["id"]: component["type"] for component in config["components"]}
    for event in config["dependencies"]:
        inputs = [kinds[number] for number in event["inputs"]]
        if event["backend_fn"] and {"audio", "file"} & set(inputs):
            yield event, inputs


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are scripts")
@pytest.mark.parametrize("name", ["list.wav", "list.m3u8", "list.mp4"])
def test_no_event_of_the_page_starts_ffmpeg(address: str, started: Path, name: str) -> None:
    with httpx.Client(base_url=address.rstrip("/"), timeout=60) as http:
        sent = http.post(f"{API}/upload", files={"files": (name, PLAYLIST.encode())}).json()[0]
        config = http.get("/config").json()
        tried = 0
        for event, inputs in events(config):
            file = {"path": sent, "orig_name": name, "meta": META}
            data = [file if kind in ("audio", "file") else None for kind in inputs]
            answer = results(http, event, data)
            assert "root:x:" not in answer
            for path in set(json.dumps(answer).split('"')):
                if path.startswith(str(Path(sent).parents[1])):
                    assert b"root:x:" not in http.get(f"{API}/file={path}").content
            tried += 1
    assert tried > 20
    assert not started.exists(), started.read_text()


def test_the_examples_start_nothing_either(address: str, started: Path) -> None:
    with httpx.Client(base_url=address.rstrip("/"), timeout=60) as http:
        file = {"path": str(FOLDER / "speech.ogg"), "meta": META}
        config = http.get("/config").json()
        sends = [event for event, inputs in events(config) if not event["queue"] and inputs == ["file"]]
        for event in sends:
            results(http, event, [file])
    assert sends and not started.exists()
