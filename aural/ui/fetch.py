"""Files that a visitor names by their address: downloaded anew each time, within limits of size and time.

Gradio's own download keeps what it has once read at an address, has no limit, and takes addresses for public
that are not (100.64.0.0/10, 192.0.0.0/24). Here the address that was checked is the one that is asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import socket
import time
from collections import OrderedDict
from pathlib import Path
from urllib.parse import unquote, urljoin

import gradio as gr
import httpx
from gradio import processing_utils
from gradio.context import LocalContext
from gradio.utils import get_space
from gradio_client import utils as client_utils  # type: ignore[import-untyped]

from aural.audio import LIMITS
from aural.errors import OutOfSpaceError
from aural.files import GIBIBYTE
from aural.ui import storage
from aural.ui.api_page import SERVED
from aural.ui.examples import FOLDER
from aural.ui.overrides import replace

CALL_SECONDS = 300.0  # for all addresses of one call
SILENCE_SECONDS = 20.0  # for a connection, and between two parts of a file
MAX_REDIRECTS = 5
MAX_CALLS = 100  # whose deadlines are known

NOT_PUBLIC = "The address {host!r} can't be used, because it is not public. Upload the file instead."
NOT_FOUND = "No file could be downloaded from {host!r} ({reason}). Check its address, or upload the file."
TOO_LARGE = "The file at {host!r} is larger than the limit of {limit:g} GiB. Cut it into shorter parts."
TOO_SLOW = "The download from {host!r} took longer than {minutes:g} minutes. Upload the file instead."

# Of IANA's registries of special-purpose addresses; `ipaddress` before Python 3.13 takes them for global.
SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16"),
    )
)
# Addresses of IPv6 that hold one of IPv4.
NAT64 = ipaddress.ip_network("64:ff9b::/96")

_deadlines: OrderedDict[str, float] = OrderedDict()  # by the call


def install() -> None:
    """Make Gradio download by this module."""
    without = "some downloads are Gradio's own, without our limits of size and time"
    replace(processing_utils, "async_ssrf_protected_download", fetch, without)
    replace(processing_utils, "ssrf_protected_download", _fetch_now, without)
    replace(processing_utils, "save_url_to_cache", _fetch_now, without)


async def fetch(url: str, cache_dir: str) -> str:  # noqa: ARG001 - Gradio's signature
    """Download a file to a new folder among the results; returns its path.

    The address of one of our examples, as the snippets for programs give it, is a copy of that file.

    Raises `gr.Error` with a sentence if it cannot be had.
    """
    if example := example_at(url):
        # Gradio takes what it is given away.
        return str(shutil.copy(example, Path(storage.result_path("download", "x")).with_name(example.name)))
    host = httpx.URL(url).host if client_utils.is_http_url_like(url) else ""
    seconds_left = _deadline() - time.monotonic()
    try:
        async with asyncio.timeout(max(seconds_left, 0)):
            return await _fetch(url)
    except TimeoutError:
        raise _failure(TOO_SLOW.format(host=host, minutes=CALL_SECONDS / 60)) from None
    except OutOfSpaceError as error:
        raise _failure(str(error)) from None
    except httpx.InvalidURL:
        raise _failure(NOT_FOUND.format(host=url[:40], reason="it is no valid address")) from None
    except httpx.HTTPError as error:
        raise _failure(NOT_FOUND.format(host=host, reason=_reason(error))) from None
    except OSError as error:
        raise _failure(str(storage.out_of_space(error) or storage.NOT_WRITABLE)) from None


def example_at(url: str) -> Path | None:
    """The example that an app like this one serves at an address; None for other addresses."""
    _, served, path = unquote(url).rpartition(SERVED)
    name = Path(path).name
    return FOLDER / name if served and path == str(FOLDER / name) and (FOLDER / name).is_file() else None


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public Internet.

    >>> is_public("8.8.8.8"), is_public("100.64.0.1"), is_public("192.0.0.8"), is_public("::ffff:127.0.0.1")
    (True, False, False, False)
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    is_special = address.is_multicast or address.is_reserved or any(address in each for each in SPECIAL)
    return address.is_global and not is_special


def _fetch_now(url: str, cache_dir: str) -> str:
    path: str = client_utils.synchronize_async(fetch, url, cache_dir)
    return path


def _deadline() -> float:
    """When the downloads of the call at hand must be done, on the steady clock."""
    call = LocalContext.event_id.get(None) or ""
    if not call:
        return time.monotonic() + CALL_SECONDS
    while len(_deadlines) >= MAX_CALLS and call not in _deadlines:
        _deadlines.popitem(last=False)
    return _deadlines.setdefault(call, time.monotonic() + CALL_SECONDS)


async def _fetch(url: str) -> str:
    for _ in range(MAX_REDIRECTS + 1):
        address = httpx.URL(url)
        transport = await _transport(address)
        timeout = httpx.Timeout(SILENCE_SECONDS)
        client = httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)
        # Unpacked, a small answer could become any size.
        async with client, client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.has_redirect_location:
                url = urljoin(url, answer.headers["Location"])
                continue
            if answer.status_code != 200:
                raise _failure(NOT_FOUND.format(host=address.host, reason=f"HTTP {answer.status_code}"))
            return await _store(answer, address)
    raise _failure(NOT_FOUND.format(host=httpx.URL(url).host, reason=f"more than {MAX_REDIRECTS} redirects"))


class _Pinned(httpx.AsyncHTTPTransport):
    """Connects to the IP address that was checked, whatever the name leads to by then."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Host"] = request.url.netloc.decode("ascii")
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host=self._address)
        return await super().handle_async_request(request)


async def _transport(address: httpx.URL) -> httpx.AsyncBaseTransport:
    if address.scheme not in ("http", "https") or not address.host:
        raise _failure(NOT_FOUND.format(host=address.host, reason="it is no http or https address"))
    if get_space() is not None and _is_of_hub(address.host):
        return httpx.AsyncHTTPTransport()  # inside a Space the Hub's names lead to addresses of its network
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port or 443, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        raise _failure(NOT_FOUND.format(host=address.host, reason="its name is unknown")) from None
    for *_, place in found:
        if is_public(str(place[0])):
            return _Pinned(str(place[0]))
    raise _failure(NOT_PUBLIC.format(host=address.host))


def _is_of_hub(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in ("hf.co", "huggingface.co"))


async def _store(answer: httpx.Response, address: httpx.URL) -> str:
    told = answer.headers.get("content-length", "")
    size = int(told) if told.isascii() and told.isdigit() else 0
    too_large = TOO_LARGE.format(host=address.host, limit=LIMITS.file_bytes / GIBIBYTE)
    if size > LIMITS.file_bytes:
        raise _failure(too_large)
    reservation = await asyncio.to_thread(storage.Reservation, size)
    folder: Path | None = None
    try:
        name = client_utils.strip_invalid_filename_characters(Path(unquote(address.path)).name) or "file"
        folder = Path(storage.result_path("download", "x")).parent
        path = folder / name
        received = 0
        with path.open("wb") as file:
            async for part in answer.aiter_raw():
                received += len(part)
                if received > LIMITS.file_bytes:
                    raise _failure(too_large)
                if received > size:
                    await asyncio.to_thread(reservation.grow, received)
                file.write(part)
        return str(path)
    except BaseException:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        reservation.release()


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"it sent nothing for {SILENCE_SECONDS:g} s"
    return "it can't be reached" if isinstance(error, httpx.ConnectError) else "its answer broke off"


def _failure(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)
