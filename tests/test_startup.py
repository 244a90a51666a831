"""Starting the app as a newcomer does: `python app.py`."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from gradio import networking

import app

ROOT = Path(__file__).parents[1]
LONGEST_SECONDS = 120  # that a start may take on a busy machine


def test_the_app_answers_with_its_page(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    start = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            while time.monotonic() - start < LONGEST_SECONDS:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                        assert "AURAL" in page.read().decode()
                        return
                except (urllib.error.URLError, ConnectionError):
                    assert server.poll() is None, "the app has ended"
                    time.sleep(0.1)
            raise AssertionError("the app did not answer")
        finally:
            server.terminate()


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_page_that_takes_long_at_first_does_not_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networking, "url_ok", lambda _: False)  # as on a busy machine after three seconds
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    try:
        assert demo.local_url.startswith("http://127.0.0.1:")
    finally:
        demo.close()


@pytest.mark.parametrize("fault", ["port", "folder"])
def test_what_keeps_it_from_starting_is_one_sentence(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "file/folder" if fault == "folder" else tmp_path
    (tmp_path / "file").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "app.py", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "GRADIO_TEMP_DIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    reason = "Files can't be stored in " if fault == "folder" else f"Port {port} of 127.0.0.1 is taken. "
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"AURAL can't start. {reason}")
    assert "Traceback" not in ended.stderr
