"""A Hub on loopback that serves and takes one repository, and fails as Hubs and networks fail."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import yaml

REPOSITORY = "someone/aural"
REVISION = "5" * 40  # a commit
TOKEN = "hf_of_someone"  # what may write
LFS_BYTES = 100_000  # and more go by LFS; the real Hub's limit is 10 MB

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
    """Serves `files` by name, at `REVISION` of a repository, as `behaviour` says; takes commits by `TOKEN`.

    Without files the repository does not exist yet. A commit is served under its own revision; `heads` has
    them in order. Xet is not spoken: uploads come by LFS where HF_HUB_DISABLE_XET=1.

    Behaviours: "well", a key of `REFUSALS`, "silent" (takes the request, never answers), "drip" (sends
    headers for ever), "loop" (redirects to itself), "steady" (a slow line); and for bodies above 1,000 bytes,
    half of which arrives: "stall" (then nothing), "cut once" (then the end), "cut" (the end each time, and
    each time from the start).
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], repository: str = REPOSITORY) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository = repository
        self.files = files
        self.etags = {name: _etag(content) for name, content in files.items()}
        self.heads = [REVISION] if files else []
        self.commits = {REVISION: files}  # revision -> its files
        self.cards: list[dict[str, Any]] = []  # front matter that was shown for approval
        self.objects: dict[str, bytes] = {}  # sha256 -> what LFS brought
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

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""

    def _answer(self) -> None:
        hub = self.server
        prefix = f"/{hub.repository}/resolve/"
        revision, _, name = self.path.removeprefix(prefix).partition("/")
        if revision == "main" and hub.heads:
            revision = hub.heads[-1]
        path = urlsplit(self.path).path
        hub.requests.append(f"{self.command} {name or self.path}")
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
        elif hub.heads and path in (
            f"/api/models/{hub.repository}",
            f"/api/models/{hub.repository}/revision/main",
            f"/api/models/{hub.repository}/revision/{hub.heads[-1]}",
        ):
            files = [{"rfilename": name} for name in hub.commits[hub.heads[-1]]]
            self._send({"id": hub.repository, "sha": hub.heads[-1], "siblings": files})
        elif hub.heads and path == f"/api/models/{hub.repository}/tree/{hub.heads[-1]}":
            files = hub.commits[hub.heads[-1]].items()
            self._send(
                [
                    {"type": "file", "path": file, "size": len(content), "oid": _git_oid(content)}
                    for file, content in files
                ]
            )
        elif not self.path.startswith(prefix) or revision not in hub.heads:
            self._refuse(404, "RevisionNotFound")
        elif name not in hub.commits[revision]:
            self._refuse(404, "EntryNotFound")
        else:
            self._send_file(revision, name)

    def _take(self) -> None:
        """What `create_repo` and `upload_folder` ask for."""
        hub = self.server
        path = urlsplit(self.path).path
        hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if hub.behaviour in REFUSALS:
            self._refuse(*REFUSALS[hub.behaviour])
        elif path.startswith("/lfs/"):  # storage, which asks for no token: the address is the permission
            oid = path.removeprefix("/lfs/")
            assert hashlib.sha256(body).hexdigest() == oid
            hub.objects[oid] = body
            self._send({})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "")
        elif path == "/api/repos/create":
            wanted = json.loads(body)
            assert f"{wanted['organization']}/{wanted['name']}" == hub.repository
            exists = bool(hub.heads)
            if not exists:
                hub.heads.append("0" * 40)
                hub.commits["0" * 40] = {}
            self._send({"url": f"{hub.url}/{hub.repository}"}, 409 if exists else 200)
        elif path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif path == f"/api/models/{hub.repository}/preupload/main":
            self._send({"files": [self._upload_mode(file) for file in json.loads(body)["files"]]})
        elif path == f"/{hub.repository}.git/info/lfs/objects/batch":
            objects = json.loads(body)["objects"]
            for item in objects:
                if item["oid"] not in hub.objects:
                    item["actions"] = {"upload": {"href": f"{hub.url}/lfs/{item['oid']}"}}
            self._send({"transfer": "basic", "objects": objects})
        elif path == f"/api/models/{hub.repository}/commit/main":
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._refuse(404, "RepoNotFound")

    def _validate(self, card: str) -> None:
        opening, front_matter, _ = card.split("---\n", 2)
        fields = yaml.safe_load(front_matter)
        if opening or not fields.get("license"):
            self._send({"errors": [{"message": "license is required"}]}, 400)
            return
        self.server.cards.append(fields)
        self._send({"errors": [], "warnings": []})

    def _upload_mode(self, file: dict[str, Any]) -> dict[str, Any]:
        hub = self.server
        mode = "lfs" if file["size"] > LFS_BYTES else "regular"
        there = hub.commits[hub.heads[-1]].get(file["path"])
        oid = None if there is None else _etag(there) if mode == "lfs" else _git_oid(there)
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        hub = self.server
        files = dict(hub.commits[hub.heads[-1]])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.objects[value["oid"]]
        revision = hashlib.sha1(repr((hub.heads, sorted(files))).encode()).hexdigest()
        hub.commits[revision] = files
        hub.heads.append(revision)
        self._send({"commitUrl": f"{hub.url}/{hub.repository}/commit/{revision}", "commitOid": revision})

    def _send(self, answer: dict[str, Any] | list[Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, revision: str, name: str) -> None:
        hub = self.server
        content = hub.commits[revision][name]
        etag = hub.etags[name] if revision == REVISION else _etag(content)
        start = 0
        requested = self.headers.get("Range")
        if requested and hub.behaviour != "cut":
            start = int(requested.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", revision)
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


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
