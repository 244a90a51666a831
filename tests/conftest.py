"""Fixtures that any test may take."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import certifi

# Before the first import of Gradio: tests stay offline, and those that run side by side have ports of
# their own.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# What tests store is swept by nobody else, and gone at the end.
if "GRADIO_TEMP_DIR" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="aural-tests-")
    atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
# Each HTTP client reads all authorities of the web, which takes 0.1 s; tests reach this machine alone.
if "SSL_CERT_FILE" not in os.environ:
    end = "-----END CERTIFICATE-----"
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(Path(certifi.where()).read_text("utf-8").partition(end)[0] + end)
    os.environ["SSL_CERT_FILE"] = file.name
    atexit.register(os.remove, file.name)
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 200 * int(worker.removeprefix("gw")))
    # They share the cores already.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import chromium, fresh_page, page, windows
from tests.checkpoints import instead
from tests.endpoints import client, recording, speech

__all__ = [
    "address",
    "chromium",
    "client",
    "fresh_page",
    "page",
    "recording",
    "speech",
    "tiny_checkpoints",
    "windows",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Up to two more tries for what a browser plays and paints: on a busy machine it drops frames and sound.

    The summary counts such tries. `--reruns 0` has none.
    """
    for item in items if config.getoption("reruns", None) is None else []:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2))
    # Long ones first: short files fill both workers to the end.
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session")
def tiny_networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Any, Any]]:
    """A folder with checkpoints of a few kilobytes, and the models loaded from it."""
    from tests.enhancement import tiny as tiny_enhancement
    from tests.generation import tiny
    from tests.superres import tiny as tiny_superres

    folder = tmp_path_factory.mktemp("checkpoints")
    for kind in (tiny, tiny_enhancement, tiny_superres):
        kind.write_checkpoints(folder)
    return folder, {}


@pytest.fixture(scope="module")
def tiny_checkpoints(tiny_networks: tuple[Path, dict[Any, Any]]) -> Iterator[None]:
    """Tiny networks in the place of the shipped ones: everything runs, and quickly."""
    with instead(*tiny_networks):
        yield


@pytest.fixture(scope="module")
def address(tiny_checkpoints: None) -> Iterator[str]:  # noqa: ARG001
    """Where the app is served, with tiny networks.

    By an app of its own: a run that one module's tests have left would wait in the next one's way.
    """
    import app

    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    yield demo.local_url
    demo.close()
