"""A Hub on loopback that serves one repository, and fails in the ways that Hubs and networks fail."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "someone/aural"
REVISION = "5" * 40  # a commit

# Behaviours that are one answer to every request: status, X-Error-Code.
REFUSALS = {
    "no repository": (404, "RepoNotFound"),
    "no revision": (404, "RevisionNotFound"),
    "no file": (404, "EntryNotFound"),
    "plain 404": (404, ""),
    "401": (401, ""),
    "500": (500, ""),
    "503": (503, ""),
}


class FakeHub(ThreadingHTTPServer):
    """Serves `files` by name, at `REVISION` of `REPOSITORY`, as `behaviour` says.

    Behaviours: "well", a key of `REFUSALS`, "silent" (takes the request, never answers), "drip" (sends
    headers for ever), "loop" (redirects to itself), "steady" (a slow line); and for bodies above 1,000 bytes,
    half of which arrives: "stall" (then nothing), "cut once" (then the end), "cut" (the end each time, and
    each time from the start).
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.etags = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.behaviour = "well"
        self.requests: list[str] = []  # "GET name" per request
        self.pause_seconds = 0.3  # between the pieces of "steady" and the headers of "drip"
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""

    def _answer(self) -> None:
        hub = self.server
        prefix = f"/{REPOSITORY}/resolve/{REVISION}/"
        name = self.path.removeprefix(prefix)
        hub.requests.append(f"{self.command} {name}")
        if hub.behaviour in REFUSALS:
            self._refuse(*REFUSALS[hub.behaviour])
        elif hub.behaviour == "silent":
            self._hold()
        elif hub.behaviour == "drip":
            self.send_response(200)
            while not hub.closing.wait(hub.pause_seconds):
                self.send_header("X-Filler", "drip")
                self.flush_headers()
        elif hub.behaviour == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif not self.path.startswith(prefix):
            self._refuse(404, "RevisionNotFound")
        elif name not in hub.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._send_file(name)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, name: str) -> None:
        hub = self.server
        content = hub.files[name]
        start = 0
        requested = self.headers.get("Range")
        if requested and hub.behaviour != "cut":
            start = int(requested.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hub.etags[name]}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "GET":
            self._send_body(content[start:])

    def _send_body(self, body: bytes) -> None:
        hub = self.server
        if hub.behaviour == "steady":
            for start in range(0, len(body), 100_000):
                self.wfile.write(body[start : start + 100_000])
                hub.closing.wait(hub.pause_seconds)
        elif hub.behaviour in ("stall", "cut once", "cut") and len(body) > 1000:
            self.wfile.write(body[: len(body) // 2])
            if hub.behaviour == "stall":
                self._hold()
            if hub.behaviour == "cut once":
                hub.behaviour = "well"
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _hold(self) -> None:
        self.server.closing.wait()
        self.close_connection = True
