"""Starting the app as a newcomer does: `python app.py`."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_app_listens_within_twelve_seconds(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    start = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            while time.monotonic() - start < 12:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                        assert "AURAL" in page.read().decode()
                        return
                except (urllib.error.URLError, ConnectionError):
                    assert server.poll() is None, "the app has ended"
                    time.sleep(0.1)
            raise AssertionError("the app did not answer within 12 s")
        finally:
            server.terminate()
