"""The HTTP server: connections that send nothing end, and no visitor holds them all; uploads leave no halves.

uvicorn waits for ever for the rest of a request, and Gradio passes no settings on to it. So its protocol is
replaced by one with deadlines, and Gradio's server and upload parser by their own kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import http_server, queueing, route_utils, utils
from gradio.blocks import Blocks
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from aural.errors import without_paths
from aural.ui import storage
from aural.ui.gate import address_of, is_behind_proxy
from aural.ui.overrides import replace

HEADER_SECONDS = 15.0  # for the whole header of a request
BODY_SECONDS = 30.0  # in which some of a body must arrive
MIN_BODY_BYTES = 4096  # in that time, unless the body ends
CHECKED_EVERY_SECONDS = 1.0
ADDRESS_CONNECTIONS = 200  # of one address
MAX_FIELD_BYTES = 2**16  # of an upload's part that is no file
FILES_OF_THE_APP = 256  # descriptors kept free of connections

_error_payload = utils.error_payload
_demo: Blocks | None = None
_connections: Counter[str] = Counter()  # by address


def install(demo: Blocks) -> None:
    """Make Gradio's `launch` use this server and this parser.

    Args:
        demo: behind a proxy, which makes all connections, its addresses may have any number.
    """
    global _demo
    _demo = demo
    replace(http_server, "Server", Server, "connections that send nothing stay open")
    for module in (utils, queueing):
        replace(module, "error_payload", error_payload, "unexpected errors may tell the server's paths")
    replace(route_utils, "GradioMultiPartParser", UploadParser, "uploads that break off leave files")


def error_payload(error: BaseException | None, show_error: bool) -> dict[str, Any]:
    """What Gradio tells a visitor of an error that is none of the app's sentences: no paths, no internals."""
    if isinstance(error, OSError) and (lack := storage.out_of_space(error)):
        error = gr.Error(str(lack), print_exception=False)
    payload: dict[str, Any] = _error_payload(error, show_error)
    if isinstance(text := payload.get("error"), str):
        payload["error"] = without_paths(text)
    return payload


class Server(http_server.Server):
    """Gradio's server with `DeadlineProtocol`, and without uvicorn's trust in forwarding headers."""

    def __init__(self, config: Config, *args: Any, **settings: Any) -> None:
        config.http = DeadlineProtocol
        config.ws = "none"
        config.proxy_headers = False  # `aural.ui.gate` does it, where a proxy is configured
        config.server_header = False
        super().__init__(config, *args, **settings)


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for each request's header and for its body, and a cap on connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless its address or the app has too many."""
        super().connection_made(transport)
        self._address = address_of({"client": self.client})
        _connections[self._address] += 1
        self._waits_since = self._body_since = self.loop.time()
        self._body_bytes = 0
        self._timer = self.loop.call_later(CHECKED_EVERY_SECONDS, self._check)
        is_crowded = len(self.connections) > max_connections()
        has_too_many = _connections[self._address] > ADDRESS_CONNECTIONS
        if is_crowded or (has_too_many and not (_demo is not None and is_behind_proxy(_demo))):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._timer.cancel()
        _connections[self._address] -= 1
        if not _connections[self._address]:
            del _connections[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives."""
        self._body_bytes += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def _check(self) -> None:
        now = self.loop.time()
        if self._awaits_header():
            if now - self._waits_since > HEADER_SECONDS:
                self.transport.abort()
                return
            self._body_since, self._body_bytes = now, 0
        elif not self.cycle.more_body or self.flow.read_paused:
            self._body_since, self._body_bytes = now, 0
        elif now - self._body_since > BODY_SECONDS:
            if self._body_bytes < MIN_BODY_BYTES:
                self.transport.abort()
                return
            self._body_since, self._body_bytes = now, 0
        self._timer = self.loop.call_later(CHECKED_EVERY_SECONDS, self._check)

    def _awaits_header(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


def max_connections() -> int:
    """How many connections the app takes: the process must keep descriptors for its files."""
    if sys.platform == "win32":
        return 400
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if soft == resource.RLIM_INFINITY else max(64, min(soft - FILES_OF_THE_APP, 10_000))


class UploadParser(route_utils.GradioMultiPartParser):
    """Gradio's parser, which deletes its temporary files also where an upload breaks off."""

    @override
    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a part; only files may be large."""
        part = self._current_part
        if part.file is None:
            if len(part.data) + end - start > MAX_FIELD_BYTES:
                raise MultiPartException(f"A field that is no file exceeds {MAX_FIELD_BYTES} bytes.")
            part.data += data[start:end]
            return
        super().on_part_data(data, start, end)

    @override
    async def parse(self) -> FormData:
        """The parts of the upload."""
        try:
            form = await super().parse()
            if not all(hasattr(file, "sha") for file in form.getlist("files")) or not form.getlist("files"):
                raise MultiPartException('No field named "files" holds a file.')
            return form
        except BaseException:
            for file in self._files_to_close_on_error:
                with contextlib.suppress(OSError, ValueError):
                    file.close()
                Path(file.name).unlink(missing_ok=True)
            if self.upload_progress is not None:
                self.upload_progress.set_done(self.upload_id)  # type: ignore[arg-type]
            raise
