"""The gate in front of the running app: what visitors reach, and what each request may ask for."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file

from aural.audio import write
from aural.ui import gate, storage
from aural.ui.examples import FOLDER
from aural.ui.sessions import Sessions
from tests.endpoints import tune

API = "/gradio_api"
META = {"_type": "gradio.FileData"}


@pytest.fixture
def visitor(address: str) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=address.rstrip("/"), timeout=60, limits=limits) as http:
        yield http


@pytest.fixture
def small_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bound of 50 kB on a folder of its own."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(storage, "KEPT_BYTES", 50_000)
    return tmp_path


def upload(http: httpx.Client, name: str, content: bytes) -> str:
    answer = http.post(f"{API}/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    path: str = answer.json()[0]
    return path


def part(disposition: str, body: bytes = b"x") -> bytes:
    return b"--b\r\n%b\r\n\r\n%b\r\n--b--\r\n" % (disposition.encode(), body)


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring", "/monitoring/summary", "/monitoring/key", "/login", "/logout", "/pwa_icon/100000",
        "/docs",
        f"{API}/deep_link?session_hash=x", f"{API}/stream/a/b/1/playlist.m3u8", f"{API}/dev/reload",
        f"{API}/vibe-code", f"{API}/proxy=https://x.hf.space/a", f"{API}/file/{FOLDER}/song.ogg",
        f"{API}/runs",
        f"{API}/run-history/buckets", f"{API}/profiling/traces", f"{API}/custom_component/1/client/a/b",
        f"{API}/token", "/file=/etc/passwd", "/unknown",
    ],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_there(visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 404 and answer.json() == {"detail": gate.NO_ROUTE}


@pytest.mark.parametrize(
    "path",
    [
        "/", "/config", "/theme.css", "/robots.txt", "/llms.txt", "/favicon.ico", "/manifest.json",
        f"{API}/app_id", f"{API}/info",
        f"{API}/openapi.json", f"{API}/queue/status", f"{API}/mcp/schema", f"{API}/file={FOLDER}/song.ogg",
        "/static/img/logo_nosize.svg",
    ],
)  # fmt: skip
def test_what_the_page_needs_is_there(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(path).status_code == 200


def test_recordings_of_the_screen_are_not_taken(visitor: httpx.Client) -> None:
    answer = visitor.post(f"{API}/process_recording", files={"video": ("a.mp4", b"x")})
    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POST"])
def test_other_methods_are_refused(visitor: httpx.Client, method: str) -> None:
    assert visitor.request(method, "/").status_code == 405


@pytest.mark.parametrize(
    "other",
    [
        "http://example.com/x.svg",
        "HTTPS://example.com/x.html",
        "%68ttp://127.0.0.1/",
        "//host/x",
        "ftp://h/x",
    ],
)
def test_no_file_of_another_host_is_served_as_ours(visitor: httpx.Client, other: str) -> None:
    answer = visitor.get(f"{API}/file={other}")
    assert answer.status_code == 403 and answer.json()["detail"] == gate.NO_ADDRESS


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.nip.io:7860", "localhost.evil.example", "192.168.0.7"]
)
def test_a_name_that_leads_to_loopback_gets_nothing(visitor: httpx.Client, host: str) -> None:
    for path in ("/", f"{API}/info", f"{API}/file={FOLDER}/song.ogg"):
        assert visitor.get(path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "aural.localhost"])
def test_the_names_of_loopback_are_answered(visitor: httpx.Client, host: str) -> None:
    assert visitor.get("/robots.txt", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("null", 403), ("http://localhost:3000", 200)]
)
def test_another_website_cannot_use_the_app_on_loopback(
    visitor: httpx.Client, origin: str, status: int
) -> None:
    answer = visitor.post(f"{API}/upload", files={"files": ("a.txt", b"x")}, headers={"Origin": origin})
    assert answer.status_code == status


FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Gradio-Server": "http://evil.example",
}


def test_forwarding_headers_count_only_behind_a_proxy(
    visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/config", f"{API}/info", "/"):
        assert "evil.example" not in visitor.get(path, headers=FORGED).text
        assert "evil.example" not in visitor.get(path).text
    monkeypatch.setenv("AURAL_PROXY", "1")
    forwarded = {"X-Forwarded-Host": "aural.example", "X-Forwarded-Proto": "https", "Host": "aural.example"}
    assert visitor.get("/config", headers=forwarded).json()["root"] == "https://aural.example"
    assert "https://aural.example" in visitor.get(f"{API}/info", headers=forwarded).text
    monkeypatch.delenv("AURAL_PROXY")
    assert "aural.example" not in visitor.get(f"{API}/info").text, "one visitor's address is no other's"


@pytest.mark.parametrize("variable", ["AURAL_HOSTS"])
def test_the_operator_may_name_the_hosts(
    visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "aural.example, other.example")
    assert visitor.get("/robots.txt", headers={"Host": "other.example:80"}).status_code == 200
    assert visitor.get("/robots.txt", headers={"Host": "evil.example"}).status_code == 403


BODIES = {
    "deep": b'{"data": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "deep and short": b'{"data": ' + b"[" * 100 + b"]" * 100 + b"}",
    "many values": b'{"data": [' + b"1," * 400_000 + b"1]}",
    "large": b'{"data": ["' + b"x" * (12 * 2**20) + b'"]}',
    "no JSON": b"{",
    "digits": b'{"data": [' + b"9" * 5_000 + b"]}",
    "a list": b"[]",
    "nothing": b"",
    "no UTF-8": b'{"data": ["\xff"]}',
    "unknown event": b'{"data": [], "fn_index": 99999, "session_hash": "a"}',
    "no number": b'{"data": [], "fn_index": [1], "session_hash": "a"}',
    "no text": b'{"data": [], "fn_index": 1, "session_hash": {"a": 1}}',
    "NaN": b'{"data": NaN, "session_hash": "a"}',
    "quotes": b'{"data": "' + rb"\"" * 400_000 + b'"}',
}


@pytest.mark.parametrize(
    "where", ["call/measure", "call/v2/measure", "queue/join", "run/x", "cancel", "component_server"]
)
@pytest.mark.parametrize("kind", BODIES)
def test_a_hostile_body_is_refused_at_once(visitor: httpx.Client, kind: str, where: str) -> None:
    start = time.monotonic()
    answer = visitor.post(
        f"{API}/{where}", content=BODIES[kind], headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("kind", ["deep", "many values", "large", "no JSON", "a list"])
def test_a_hostile_body_of_a_tool_is_refused(visitor: httpx.Client, kind: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    assert 400 <= visitor.post(f"{API}/mcp/", content=BODIES[kind], headers=headers).status_code < 500


UPLOADS = {
    "no boundary": ("multipart/form-data", b"x"),
    "garbage": ("multipart/form-data; boundary=b", b"garbage"),
    "no disposition": ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
    "a field": ("multipart/form-data; boundary=b", part('Content-Disposition: form-data; name="files"')),
    "a large field": (
        "multipart/form-data; boundary=b",
        part('Content-Disposition: form-data; name="files"', b"a" * 300_000),
    ),
    "other name": (
        "multipart/form-data; boundary=b",
        part('Content-Disposition: form-data; name="a"; filename="a"'),
    ),
    "no end": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\nabc',
    ),
    "JSON": ("application/json", b"{}"),
    "no type": ("", b""),
}


@pytest.mark.parametrize("query", ["", "?upload_id=abc"])
@pytest.mark.parametrize("kind", UPLOADS)
def test_a_malformed_upload_is_refused_and_leaves_nothing(
    visitor: httpx.Client, kind: str, query: str
) -> None:
    root = Path(get_upload_folder())
    before = {path for path in root.iterdir() if path.is_file()}
    content_type, content = UPLOADS[kind]
    answer = visitor.post(f"{API}/upload{query}", content=content, headers={"Content-Type": content_type})
    assert 400 <= answer.status_code < 500, answer.text
    assert not {path for path in root.iterdir() if path.is_file()} - before


@pytest.mark.usefixtures("small_store")
def test_an_upload_beyond_the_bound_is_refused_before_it_is_read(visitor: httpx.Client) -> None:
    with socket.create_connection(
        (visitor.base_url.host, visitor.base_url.port or 80), timeout=30
    ) as connection:
        head = f"POST {API}/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode())
        answer = ""
        while storage.STORE_FULL not in answer:  # though nothing of the body has been sent
            received = connection.recv(4_096).decode()
            assert received, answer
            answer += received
    assert answer.startswith("HTTP/1.1 507")
    assert upload(visitor, "small.txt", b"x" * 100)


def test_an_upload_beyond_the_disk_is_refused(visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = storage.shutil.disk_usage("/")._replace(free=storage.MARGIN_BYTES + 1_000)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: usage)
    answer = visitor.post(f"{API}/upload", files={"files": ("a.wav", bytes(2_000))})
    assert answer.status_code == 507 and answer.text == storage.DISK_FULL


def test_an_upload_without_a_length_is_counted(
    visitor: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(get_upload_folder())  # of the app; what is counted is another
    before = set(folder.iterdir())
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(storage, "KEPT_BYTES", 50_000)
    monkeypatch.setattr(storage, "STEP_BYTES", 1_000)

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
        for _ in range(100):
            yield bytes(1_000)
        yield b"\r\n--b--\r\n"

    content_type = {"Content-Type": "multipart/form-data; boundary=b"}
    assert visitor.post(f"{API}/upload", content=body(), headers=content_type).status_code == 507
    assert not [path for path in set(folder.iterdir()) - before if path.is_file()]


def test_no_call_skips_the_queue(client: Client, visitor: httpx.Client, tmp_path: Path) -> None:
    path = write(tune(1), tmp_path / "a.wav")
    sent = upload(visitor, "a.wav", path.read_bytes())
    data = {"data": [{"path": sent, "meta": META}, "auto", False]}
    for where in ("run/measure", "api/measure", "run/measure/"):
        assert visitor.post(f"{API}/{where}", json=data).status_code == 404
    figures = client.predict(handle_file(path), compare_downmixes=False, api_name="/measure")[0]
    assert figures["channels"] == 2


def test_one_client_leaves_places_for_others(
    visitor: httpx.Client, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SESSION_CALLS", 3)
    monkeypatch.setattr(gate, "ADDRESS_CALLS", 5)
    sent = upload(visitor, "a.flac", write(tune(60), tmp_path / "a.flac").read_bytes())
    body = {"data": [{"path": sent, "meta": META}, "auto", True]}

    def join(http: httpx.Client, session: str | None) -> tuple[int, str]:
        named = {} if session is None else {"session_hash": session}
        answer = http.post(f"{API}/call/measure", json={**body, **named})
        return answer.status_code, answer.text

    answers = [join(visitor, "greedy") for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 200, 429]
    assert json.loads(answers[-1][1])["detail"] == gate.TOO_MANY_CALLS.format(count=3)
    assert [join(visitor, None)[0] for _ in range(3)] == [200, 200, 429], "an address has a share too"
    elsewhere = httpx.Client(
        base_url=address.rstrip("/"), timeout=60, transport=httpx.HTTPTransport(local_address="127.0.0.2")
    )
    with elsewhere:
        assert join(elsewhere, None)[0] == 200
    for status, text in answers[:3]:
        assert status == 200
        event = json.loads(text)["event_id"]
        cancelled = {"session_hash": "greedy", "fn_index": 0, "event_id": event}
        visitor.post(f"{API}/cancel", json=cancelled)


def sessions(capacity: int) -> Sessions:
    with gr.Blocks() as blocks:
        gr.Textbox()
    blocks.state_session_capacity = capacity
    return Sessions(blocks)


def use(held: Sessions, name: str, address: str) -> Any:
    held.own(name, address)
    return held[name]


def test_many_calls_of_one_visitor_end_no_other_session() -> None:
    held = sessions(20)
    mine = use(held, "page", "192.0.2.1")
    for number in range(100):
        use(held, f"many{number}", "192.0.2.2")
        held[f"call{number}"]  # of a call that names no session
    assert held["page"] is mine
    assert len(held.session_data) == 20


def test_of_one_visitor_the_session_that_is_connected_stays() -> None:
    held = sessions(10)
    mine = use(held, "page", "192.0.2.1")
    with held.alive("page"):
        for number in range(50):
            use(held, f"many{number}", "192.0.2.1")
        assert held["page"] is mine
    for number in range(50):
        use(held, f"more{number}", "192.0.2.1")
    assert "page" not in held


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("203.0.113.9, 8.8.8.8, 10.0.0.4", "8.8.8.8"),
        ("8.8.8.8, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.4", "10.0.0.4"),
        ("forged, 8.8.4.4", "8.8.4.4"),
    ],
)
def test_behind_a_proxy_the_client_is_whom_the_proxy_has_seen(told: str, found: str) -> None:
    scope = {"headers": [(b"x-forwarded-for", told.encode())], "client": ("10.0.0.9", 1)}
    assert gate.address_of(gate._forwarded(scope, behind_proxy=True)) == found
    assert gate.address_of(gate._forwarded(scope, behind_proxy=False)) == "10.0.0.9"
