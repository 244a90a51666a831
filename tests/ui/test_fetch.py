"""Files by address: from public addresses only, anew each time, within limits of size and time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import pytest
from gradio import processing_utils

from aural.audio import Limits
from aural.files import below
from aural.ui import fetch, storage
from aural.ui.api_page import SERVED
from aural.ui.examples import FOLDER


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "stored"))


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "is_public", lambda text: text == "127.0.0.1")


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def sends(content: bytes, told: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if told != 0:
            handler.send_header("Content-Length", str(told or len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def get(url: str) -> Path:
    return Path(asyncio.run(fetch.fetch(url, "unused")))


def refusal(url: str) -> str:
    with pytest.raises(gr.Error) as failure:
        get(url)
    stored = below(Path(storage.get_upload_folder()))
    assert not [path for path in stored if path.suffix], "no half file is left"
    return str(failure.value.message)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.127.255.254", "192.0.0.8", "192.0.0.170", "198.18.0.1", "224.0.1.1", "240.0.0.1",
        "255.255.255.255", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::ffff:100.64.0.1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "ff0e::1", "64:ff9b::7f00:1",
        "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "not an address", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(text: str) -> None:
    assert not fetch.is_public(text)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are_public(text: str) -> None:
    assert fetch.is_public(text)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0", "2130706433", "0x7f.1", "[::ffff:7f00:1]"]
)
def test_a_service_on_loopback_is_not_asked(host: str) -> None:
    asked = []
    with served(lambda _: asked.append(1)) as address:
        port = address.rpartition(":")[2]
        assert "not public" in refusal(f"http://{host}:{port}/a.wav") or "unknown" in refusal(
            f"http://{host}:{port}/a"
        )
    assert not asked


@pytest.mark.usefixtures("loopback_is_public")
def test_a_file_is_read_anew_each_time() -> None:
    contents = [b"first", b"second"]
    with served(lambda handler: sends(contents.pop(0))(handler)) as address:
        first, second = get(f"{address}/a%20b.wav?x=1"), get(f"{address}/a%20b.wav?x=1")
    assert first.read_bytes() == b"first" and second.read_bytes() == b"second"
    assert first.name == second.name == "a b.wav"
    assert first.is_relative_to(storage._results()) and first.parent != second.parent


@pytest.mark.usefixtures("loopback_is_public")
@pytest.mark.parametrize("told", [None, 0])
def test_a_file_beyond_the_limit_is_refused(told: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "LIMITS", Limits(file_bytes=100_000))
    with served(sends(bytes(200_000), told)) as address:
        assert "is larger than the limit" in refusal(f"{address}/a.wav")


@pytest.mark.usefixtures("loopback_is_public")
def test_a_file_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "KEPT_BYTES", 100_000)
    with served(sends(bytes(200_000))) as address:
        assert refusal(f"{address}/a.wav") == storage.STORE_FULL


@pytest.mark.usefixtures("loopback_is_public")
def test_a_slow_file_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CALL_SECONDS", 0.5)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    start = time.monotonic()
    with served(drip) as address:
        assert "took longer than" in refusal(f"{address}/a.wav")
    assert time.monotonic() - start < 8


@pytest.mark.usefixtures("loopback_is_public")
def test_a_redirect_is_checked_like_an_address() -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        targets = {
            "/private": "http://169.254.169.254/",
            "/file": "file:///etc/passwd",
            "/loop": "/loop",
            "/ok": "/a.wav",
        }
        if handler.path in targets:
            handler.send_header("Location", targets[handler.path])
        handler.end_headers()

    with served(redirect) as address:
        assert "not public" in refusal(f"{address}/private")
        assert "no http or https address" in refusal(f"{address}/file")
        assert "more than 5 redirects" in refusal(f"{address}/loop")


@pytest.mark.usefixtures("loopback_is_public")
def test_what_breaks_off_leaves_nothing() -> None:
    with served(sends(b"half", told=1_000)) as address:
        assert "broke off" in refusal(f"{address}/a.wav")
    with served(lambda handler: handler.send_error(404)) as address:
        assert "HTTP 404" in refusal(f"{address}/a.wav")


def test_gradio_downloads_by_this(monkeypatch: pytest.MonkeyPatch) -> None:
    async def download(url: str, cache_dir: str) -> str:
        raise AssertionError(f"Gradio's own download of {url} to {cache_dir}")

    def download_now(url: str, cache_dir: str) -> str:
        raise AssertionError(f"Gradio's own download of {url} to {cache_dir}")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", download)
    for name in ("ssrf_protected_download", "save_url_to_cache"):
        monkeypatch.setattr(processing_utils, name, download_now)
    fetch.install()
    assert processing_utils.async_ssrf_protected_download is fetch.fetch
    with pytest.raises(gr.Error, match="not public"):
        processing_utils.save_url_to_cache("http://127.0.0.1:1/a.wav", "unused")


@pytest.mark.parametrize("host", ["http://127.0.0.1:7860", "https://example.org/aural"])
def test_an_example_of_ours_is_copied_from_where_it_lies(host: str) -> None:
    example = FOLDER / "phone_call.ogg"
    copy = get(f"{host}{SERVED}{quote(str(example))}")
    assert copy != example and copy.name == example.name
    assert copy.read_bytes() == example.read_bytes()


@pytest.mark.parametrize("path", ["/etc/passwd", f"{FOLDER}/../fields.py", f"{FOLDER}", f"{FOLDER}/none.ogg"])
def test_no_other_file_is_an_example_of_ours(path: str) -> None:
    assert fetch.example_at(f"http://127.0.0.1:7860{SERVED}{path}") is None
