"""Starting the app as a newcomer does: `python app.py`."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gradio import networking

import app

ROOT = Path(__file__).parents[1]
LONGEST_SECONDS = 120  # that a start may take on a busy machine


@pytest.mark.usefixtures("tiny_checkpoints")
def test_a_page_that_takes_long_at_first_does_not_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networking, "url_ok", lambda _: False)  # as on a busy machine after three seconds
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    try:
        assert demo.local_url.startswith("http://127.0.0.1:")
    finally:
        demo.close()


# As `python app.py` does, twice: the first time with this folder, the second time with another.
TWICE = """
import os
import runpy
import sys

try:
    runpy.run_path("app.py", run_name="__main__")
except SystemExit as end:
    print(end.code, file=sys.stderr)
os.environ["GRADIO_TEMP_DIR"] += "/file/folder"
runpy.run_path("app.py", run_name="__main__")
"""


def test_what_keeps_it_from_starting_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-c", TWICE, "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    assert ended.returncode == 1
    *_, first, second = ended.stderr.splitlines()
    assert first.startswith(f"AURAL can't start. Port {port} of 127.0.0.1 is taken. ")
    assert second.startswith("AURAL can't start. Files can't be stored in ")
    assert "Traceback" not in ended.stderr
