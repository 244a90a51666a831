"""One ASGI gate in front of Gradio: which requests reach the app, and how much each may ask for.

Gradio serves more routes than AURAL needs, reads bodies of any size and depth, believes any forwarding header
and lets one visitor take the whole queue. The gate passes on what `ROUTES` lists, within limits, and answers
the rest itself in one sentence. `docs/security.md` lists what is left and every limit.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from anyio import to_thread
from gradio.blocks import Blocks
from gradio.utils import get_space
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aural.errors import OutOfSpaceError
from aural.files import GIBIBYTE
from aural.ui import storage
from aural.ui.sessions import sessions_of

MAX_JSON_BYTES = 2**20  # of a call
MAX_TOOL_BYTES = 8 * 2**20  # of a tool's call, which may hold a file as a data: URI
MAX_JSON_VALUES = 20_000
MAX_JSON_DEPTH = 64
MAX_UPLOAD_BYTES = 50 * 2 * GIBIBYTE  # of one request: a batch of files
SESSION_CALLS = 12  # that wait or run for one page or client; the queue holds 24 and runs 2
ADDRESS_CALLS = 20  # for one address
ADDRESS_TOOLS = 6  # tools that run for one address

NO_ROUTE = "There is nothing at this address."
WRONG_METHOD = "This address does not take such requests."
WRONG_HOST = (
    "This app only answers to localhost and 127.0.0.1. Open it by one of them, or set AURAL_PROXY=1 if a "
    "proxy stands in front of it."
)
WRONG_ORIGIN = "Another website may not use this app. Open the app itself."
NO_ADDRESS = "Only files of this app are served. Give the path of one."
TOO_LARGE = "The request is larger than the limit of {limit}. Upload files first and send their paths."
TOO_COMPLEX = (
    f"The JSON is nested deeper than {MAX_JSON_DEPTH} levels or holds more than {MAX_JSON_VALUES} values. "
    "Send less."
)
NOT_JSON = "The request's body is not JSON as this address expects it. See docs/api.md."
NO_ENDPOINT = "There is no such endpoint. /gradio_api/info lists all of them."
WRONG_ARGUMENTS = "The arguments don't fit this endpoint. /gradio_api/info lists them."
WRONG_UPLOAD = 'The upload is malformed. Send multipart/form-data with one or more fields named "files".'
TOO_MANY_CALLS = "You already have {count} jobs waiting or running. Wait until one is done."

Kind = Literal["none", "json", "tool", "upload"]

FORWARDING = ("x-forwarded-", "x-gradio-", "forwarded", "x-real-ip", "x-client-ip", "x-original-")
SCHEME = re.compile(r"\s*(?:[a-z][a-z0-9+.-]+:|[/\\]{2})", re.IGNORECASE)  # one letter is a Windows drive
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
NAN = re.compile(rb"NaN|Infinity")
SESSION = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Route:
    """What a visitor may ask for."""

    path: re.Pattern[str]
    methods: tuple[str, ...]
    kind: Kind = "none"  # of the body


def _route(path: str, methods: str, kind: Kind = "none") -> Route:
    return Route(re.compile(path), tuple(methods.split()), kind)


READ = "GET HEAD"
# Everything that the page, gradio_client, curl, MCP clients and Spaces need.
ROUTES = (
    _route(r"/|/config/?|/theme\.css|/robots\.txt|/llms\.txt|/favicon\.ico|/manifest\.json", READ),
    _route(r"/(?:static|assets|svelte)/.+", READ),
    _route(r"/gradio_api/(?:info/?|openapi\.json|app_id/?|user/?|theme\.css|startup-events)", READ),
    _route(r"/gradio_api/(?:queue/status|queue/data|upload_progress|heartbeat/[^/]+)", READ),
    _route(r"/gradio_api/file=.+", READ),
    _route(r"/gradio_api/call/(?:v2/)?[^/]+/[^/]+", READ),
    _route(r"/gradio_api/upload", "POST", "upload"),
    _route(r"/gradio_api/(?:queue/join|cancel|reset/?|component_server/?)", "POST", "json"),
    _route(r"/gradio_api/(?:call(?:/v2)?|run|api)/(?P<endpoint>[^/]+)/?", "POST", "json"),
    _route(r"/gradio_api/mcp(?:/.*)?", f"{READ} POST DELETE", "tool"),
)
JOINS = re.compile(r"/gradio_api/(?:queue/join|call(?:/v2)?/[^/]+/?)")  # what takes a place in the queue
DIRECT = re.compile(r"/gradio_api/(?:run|api)/[^/]+/?")
HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([^/]+)")
INFO = re.compile(r"/gradio_api/(?:info/?|openapi\.json)")


class Refused(Exception):  # noqa: N818 - it is an answer
    """The gate's own answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Gate:
    """The middleware.

    Args:
        app: what is behind the gate.
        demo: whose queue and sessions are shared out.
    """

    def __init__(self, app: ASGIApp, demo: Blocks) -> None:
        self._app = app
        self._demo = demo
        self._joining: Counter[str] = Counter()  # calls that are not yet in the queue, by address and session
        self._tools: Counter[str] = Counter()  # by address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        # A websocket is closed by returning: nothing here uses one.

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = get_route_path(scope)
        is_upload = started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            started = True
            # Gradio tells by 500 that arguments do not fit.
            if message["type"] == "http.response.start" and DIRECT.fullmatch(path):
                message = {**message, "status": 422 if message["status"] == 500 else message["status"]}
            await send(message)

        try:
            route = _find(path, scope["method"])
            is_upload = route.kind == "upload"
            behind_proxy = is_behind_proxy(self._demo)
            _check_host(scope, behind_proxy)
            scope = _forwarded(scope, behind_proxy)
            if route.kind == "upload":
                await self._pass_upload(scope, receive, send_on)
            elif scope["method"] == "POST" and route.kind in ("json", "tool"):
                await self._pass_json(route, path, scope, receive, send_on)
            else:
                await self._pass_read(path, scope, receive, send_on)
        except Refused as refused:
            if started:
                raise
            await _refusal(refused, is_upload)(scope, receive, send_on)
        except ClientDisconnect:
            return
        except OSError as error:
            lack = storage.out_of_space(error) if is_upload and not started else None
            if lack is None:
                raise
            await _refusal(Refused(507, str(lack)), is_upload)(scope, receive, send_on)

    async def _pass_read(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if path.startswith("/gradio_api/file=") and SCHEME.match(path.partition("=")[2]):
            raise Refused(403, NO_ADDRESS)
        if INFO.fullmatch(path):
            # Gradio keeps the first answer, with the address that its visitor has used, for everybody.
            scope["app"].api_info = None
        beat = HEARTBEAT.fullmatch(path)
        with sessions_of(scope["app"]).alive(beat[1]) if beat else _nothing():
            await self._app(scope, receive, send)

    async def _pass_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = Headers(scope=scope).get("content-length", "")
        size = int(told) if told.isascii() and told.isdigit() else 0
        if size > MAX_UPLOAD_BYTES:
            raise Refused(413, TOO_LARGE.format(limit=f"{MAX_UPLOAD_BYTES // GIBIBYTE} GiB"))
        try:
            reservation = await to_thread.run_sync(storage.Reservation, size)
        except OutOfSpaceError as error:
            raise Refused(507, str(error)) from None
        try:
            await self._app(scope, _counted(receive, reservation, size), send)
        except OutOfSpaceError as error:
            raise Refused(507, str(error)) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # of Gradio's parser
            raise Refused(400, WRONG_UPLOAD) from error
        finally:
            reservation.release()

    async def _pass_json(self, route: Route, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(scope, receive, MAX_TOOL_BYTES if route.kind == "tool" else MAX_JSON_BYTES)
        given = _parse(body)
        receive = _replay(body, receive)
        address = address_of(scope)
        if route.kind == "tool":
            with _counting(self._tools, {address: ADDRESS_TOOLS}):
                await self._app(scope, receive, send)
            return
        found = route.path.fullmatch(path)
        assert found is not None
        session = self._check_call(path, found.groupdict().get("endpoint"), given)
        sessions_of(scope["app"]).own(session, address)
        with self._admit(address, session) if JOINS.fullmatch(path) else _nothing():
            try:
                await self._app(scope, receive, send)
            except (TypeError, ValueError, KeyError) as error:
                # Gradio fails to refuse arguments that do not fit, and where they hold a NaN.
                if "/call/v2/" not in path and not NAN.search(STRING.sub(b"", body)):
                    raise
                raise Refused(422, WRONG_ARGUMENTS) from error

    def _check_call(self, path: str, endpoint: str | None, given: Any) -> str:
        """The session of a call whose parts have the right types; "" if it names none."""
        if not isinstance(given, dict):
            raise Refused(422, NOT_JSON)
        if "/call/v2/" in path:
            self._require_endpoint(endpoint)
            return ""
        session, number = given.get("session_hash"), given.get("fn_index")
        if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
            raise Refused(422, NOT_JSON)
        if number is not None and not (isinstance(number, int) and number in self._demo.fns):
            raise Refused(404, NO_ENDPOINT)
        if endpoint is not None and (number is None or "/call/" in path):
            self._require_endpoint(endpoint)
        if path.startswith("/gradio_api/component_server"):
            self._require_component(given)
        return session or ""

    def _require_endpoint(self, name: str | None) -> None:
        if not any(fn.api_name == name for fn in self._demo.fns.values()):
            raise Refused(404, NO_ENDPOINT)

    def _require_component(self, given: dict[str, Any]) -> None:
        number, session = given.get("component_id"), given.get("session_hash")
        is_known = isinstance(number, int) and number in self._demo.blocks
        if not is_known or not isinstance(session, str) or not isinstance(given.get("fn_name"), str):
            raise Refused(422, NOT_JSON)
        if "data" not in given:
            raise Refused(422, NOT_JSON)

    @contextmanager
    def _admit(self, address: str, session: str) -> Iterator[None]:
        """Hold a place until the call is in the queue; refuse it where its caller has too many."""
        queue = self._demo._queue
        events = [event for each in queue.event_queue_per_concurrency_id.values() for event in each.queue]
        events += [event for job in queue.active_jobs if job for event in job]
        ours = [event for event in events if address_of(event.request.scope) == address]
        # A call without a session gets one of its own: all such calls of an address count as one client.
        of_session = sum(event.session_hash == (session or event._id) for event in ours)
        limits = {
            address: ADDRESS_CALLS - len(ours),
            f"{address} {session}": SESSION_CALLS - of_session,
        }
        with _counting(self._joining, limits, len(ours)):
            yield


def is_behind_proxy(demo: Blocks) -> bool:
    """Whether a proxy stands in front: set by the operator, or one that Gradio or a Space brings."""
    return bool(
        _is_set("AURAL_PROXY")
        or get_space() is not None
        or demo.root_path
        or getattr(demo, "share", False)
        or getattr(demo, "is_colab", False)
    )


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")


def _find(path: str, method: str) -> Route:
    routes = [route for route in ROUTES if route.path.fullmatch(path)]
    for route in routes:
        if method in route.methods:
            return route
    raise Refused(405, WRONG_METHOD) if routes else Refused(404, NO_ROUTE)


# --- Who asks ---------------------------------------------------------------------------------------------


def address_of(scope: Scope) -> str:
    """The address that a visitor's share is counted for; of IPv6 the network, which one visitor has whole.

    >>> address_of({"client": ("192.0.2.7", 4711)}), address_of({"client": ("2001:db8:1:2:3::4", 4711)})
    ('192.0.2.7', '2001:db8:1:2::')
    """
    text = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return str(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def _check_host(scope: Scope, behind_proxy: bool) -> None:
    """Refuse other websites what is served on loopback, also those whose name leads here (DNS rebinding)."""
    headers = Headers(scope=scope)
    host, origin = headers.get("host", ""), headers.get("origin")
    names = [name.strip().lower() for name in os.environ.get("AURAL_HOSTS", "").split(",") if name.strip()]
    if names:
        if _hostname(host) not in names and not _is_local(_hostname(host)):
            raise Refused(403, WRONG_HOST)
        return
    if behind_proxy or not _is_local((scope.get("server") or ("",))[0]):
        return
    if not _is_local(_hostname(host)):
        raise Refused(403, WRONG_HOST)
    if origin is not None and not _is_local(_hostname(origin)):
        raise Refused(403, WRONG_ORIGIN)


def _hostname(text: str) -> str:
    """
    >>> _hostname("127.0.0.1:7860"), _hostname("http://[::1]:7860"), _hostname("null")
    ('127.0.0.1', '::1', 'null')
    """
    try:
        return urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


def _is_local(name: str | None) -> bool:
    """
    >>> _is_local("localhost"), _is_local("127.0.0.2"), _is_local("::1"), _is_local("127.0.0.1.nip.io")
    (True, True, True, False)
    """
    if not name:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback or name == "0.0.0.0"
    except ValueError:
        return False


def _forwarded(scope: Scope, behind_proxy: bool) -> Scope:
    """The request without forwarding headers; behind a proxy, with the client that it tells."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if not behind_proxy:
        kept = [(name, value) for name, value in headers if not _is_forwarding(name)]
        return {**scope, "headers": kept}
    kept = [(name, value) for name, value in headers if name != b"x-gradio-server"]
    told = ",".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for")
    client = _nearest_public(told)
    return {**scope, "headers": kept, **({"client": (client, 0)} if client else {})}


def _is_forwarding(name: bytes) -> bool:
    return name.decode("latin-1").startswith(FORWARDING) and name != b"x-gradio-user"


def _nearest_public(told: str) -> str | None:
    """The last public address of a chain: what stands before it, a visitor may have made up.

    >>> _nearest_public("203.0.113.9, 8.8.8.8, 10.0.0.4")
    '8.8.8.8'
    """
    addresses = [part.strip() for part in told.split(",") if part.strip()]
    for text in reversed(addresses):
        try:
            if ipaddress.ip_address(text).is_global:
                return text
        except ValueError:
            continue
    return addresses[-1] if addresses else None


@contextmanager
def _counting(counter: Counter[str], limits: dict[str, int], before: int = 0) -> Iterator[None]:
    """Count something for each of these keys, unless one has reached its limit."""
    for key, limit in limits.items():
        if counter[key] >= limit:
            raise Refused(429, TOO_MANY_CALLS.format(count=counter[key] + before))
    counter.update(limits.keys())
    try:
        yield
    finally:
        counter.subtract(limits.keys())
        for key in limits:
            if not counter[key]:
                del counter[key]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


# --- What is sent -----------------------------------------------------------------------------------------


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    told = Headers(scope=scope).get("content-length", "")
    refused = Refused(413, TOO_LARGE.format(limit=f"{limit // 2**20} MiB"))
    if told.isascii() and told.isdigit() and int(told) > limit:
        raise refused
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise refused
        if not message.get("more_body", False):
            return bytes(body)


def _parse(body: bytes) -> Any:
    """The JSON of a body; it is cheap also where the body is hostile.

    >>> _parse(b'{"data": ["[[[", 5]}')
    {'data': ['[[[', 5]}
    """
    bare = STRING.sub(b"", body)
    if sum(map(bare.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise Refused(413, TOO_COMPLEX)
    depth = 0
    for mark in re.findall(rb"[\[{\]}]", bare):
        depth += 1 if mark in b"[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise Refused(422, TOO_COMPLEX)
    try:
        return json.loads(body or b"null")
    except ValueError:
        raise Refused(400, NOT_JSON) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever follows."""
    is_sent = False

    async def replay() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _counted(receive: Receive, reservation: storage.Reservation, told: int) -> Receive:
    """What is received, with room made for what goes beyond the length that was told."""
    received = 0

    async def count() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_UPLOAD_BYTES:
            raise Refused(413, TOO_LARGE.format(limit=f"{MAX_UPLOAD_BYTES // GIBIBYTE} GiB"))
        if received > told:
            reservation.grow(received)
        return message

    return count


def _refusal(refused: Refused, is_upload: bool) -> Response:
    """As Gradio's page and client expect it: a text after an upload, else JSON."""
    if is_upload:
        return PlainTextResponse(str(refused), refused.status)
    return JSONResponse({"detail": str(refused)}, refused.status)
