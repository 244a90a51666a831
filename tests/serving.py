"""The app in a process of its own, as visitors meet it: started, watched, killed, and started again."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0  # on a machine that is busy with other things

# Joins an exception's traceback with that of the exception which it came from.
CHAIN = re.compile(r"\n\n(?:The above exception was|During handling of the above exception).*\n\n")
JOINT = "caused:"


class Server:
    """`python app.py` on loopback; leave the context, and it is gone.

    Args:
        folder: gets `gradio/` with the uploads and results, and `server.log`.
        environment: on top of this process's own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.files = folder / "gradio"
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py", "--port", str(port)],
                cwd=ROOT,
                env={
                    **os.environ,
                    "GRADIO_ANALYTICS_ENABLED": "False",
                    "GRADIO_TEMP_DIR": str(self.files),
                    "AURAL_HUB_REPO": "",  # checkpoints come from this machine
                    **(environment or {}),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Server:
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it at once, with all that it has started: nothing of it gets to clean up."""
        if self.is_alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def info(self) -> dict[str, Any]:
        """What the app tells programs of its endpoints: name -> "parameters" and "returns"."""
        endpoints: dict[str, Any] = httpx.get(f"{self.address}/gradio_api/info", timeout=60).json()
        return endpoints["named_endpoints"]

    def resident_bytes(self) -> int:
        """Memory of the process and its children."""
        total = 0
        try:
            process = psutil.Process(self.process.pid)
            for one in (process, *process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            pass
        return total

    def stored(self) -> tuple[int, int]:
        """How many files lie in the folder of uploads and results, and their bytes."""
        count = size = 0
        for folder, _, names in os.walk(self.files):
            for name in names:
                try:
                    size += Path(folder, name).stat().st_size
                    count += 1
                except FileNotFoundError:  # swept at this moment
                    continue
        return count, size

    def logged_bytes(self) -> int:
        """How much the process has printed."""
        return self.log.stat().st_size

    def tracebacks(self, start: int = 0) -> list[str]:
        """The tracebacks that it has printed from this byte of its log on, with those of their causes."""
        found: list[list[str]] = []
        is_caused = False
        printed = self.log.read_bytes()[start:].decode("utf-8", "replace")
        for line in CHAIN.sub(f"\n{JOINT}\n", printed).splitlines():
            if line == JOINT:
                is_caused = True
            elif line.lstrip(" +").startswith(("Traceback (most", "Exception Group Traceback (most")):
                if not is_caused:
                    found.append([])
                found[-1].append(line)
                is_caused = False
            elif found:
                found[-1].append(line)
        return ["\n".join(lines) for lines in found]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_alive:
                raise RuntimeError(f"The app has ended:\n{self.log.read_text()[-2000:]}")
            try:
                if httpx.get(self.address, timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"The app did not answer within {START_SECONDS:g} s.")
