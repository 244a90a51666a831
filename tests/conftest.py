"""Fixtures that any test may take."""

import os

# Before the first import of Gradio: tests stay offline, and those that run side by side have ports of
# their own.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 200 * int(worker.removeprefix("gw")))
    # They share the cores already.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

from collections.abc import Iterator

import pytest

from tests.browser import chromium, page
from tests.endpoints import client, recording, speech

__all__ = ["address", "chromium", "client", "page", "recording", "speech", "tiny_checkpoints"]


@pytest.fixture(scope="module")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Networks of a few kilobytes in the place of the shipped ones: everything runs, and quickly."""
    from tests.enhancement import tiny as tiny_enhancement
    from tests.generation import tiny
    from tests.superres import tiny as tiny_superres

    folder = tmp_path_factory.mktemp("checkpoints")
    with tiny.checkpoints(folder):
        tiny_enhancement.write_checkpoints(folder)
        tiny_superres.write_checkpoints(folder)
        yield


@pytest.fixture(scope="module")
def address(tiny_checkpoints: None) -> Iterator[str]:  # noqa: ARG001
    """Where the app is served, with tiny networks."""
    import app

    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    yield demo.local_url
    demo.close()
