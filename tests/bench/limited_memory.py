"""Two long files at the same time in little memory: `python -m tests.bench.limited_memory`.

The app is told that it has 4 GiB. Two clients enhance ten minutes of stereo each, a third one an hour. The
first two get their results, at once or one after the other; the third is told what it would take. The
process, looked at every second, may not take more than it was told to have.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from aural.audio import Clip, read, write
from aural.ui.examples import FOLDER
from tests.serving import Server

TOO_LARGE_MINUTES = 60.0
TIMEOUT_SECONDS = 3_600.0


def main() -> None:
    """Print what came of each call, and the peak; exit 1 where that is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=4.0, help="memory that the app is told to have")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the two files")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory") as name:
        folder = Path(name)
        paths = [
            _write_stereo(folder / f"{number}.mp3", minutes)
            for number, minutes in enumerate((chosen.minutes, chosen.minutes, TOO_LARGE_MINUTES))
        ]
        with Server(folder, {"AURAL_MEMORY_GIB": str(chosen.gib)}) as server:
            peaks: list[float] = []
            over = threading.Event()
            watch = threading.Thread(target=_watch, args=(server, peaks, over))
            watch.start()
            with ThreadPoolExecutor(len(paths)) as pool:
                answers = list(pool.map(lambda path: _enhance(server.address, path), paths))
            over.set()
            watch.join()
            is_alive = server.is_alive
    for answer in answers:
        print(answer)
    peak_gib = max(peaks) / 2**30
    print(f"At most {peak_gib:.2f} GiB of {chosen.gib:g}.")
    *results, refusal = answers
    is_right = all(answer.startswith("enhanced") for answer in results) and "needs about" in refusal
    sys.exit(0 if is_alive and is_right and peak_gib < chosen.gib else 1)


def _watch(server: Server, peaks: list[float], over: threading.Event) -> None:
    while True:
        peaks.append(server.resident_bytes())
        if over.wait(1):
            return


def _write_stereo(path: Path, minutes: float) -> Path:
    """The song of the examples, again and again, in two channels."""
    song = read(FOLDER / "song.ogg")
    frames = round(60 * minutes * song.rate)
    channel = np.resize(song.samples[0], frames)
    write(Clip(np.stack((channel, channel)), song.rate), path)
    return path


def _enhance(address: str, path: Path) -> str:
    start = time.monotonic()
    client = Client(address, verbose=False, httpx_kwargs={"timeout": 600})
    try:
        client.submit(handle_file(str(path)), api_name="/enhance").result(timeout=TIMEOUT_SECONDS)
    except AppError as error:
        return str(error)
    return f"enhanced in {time.monotonic() - start:.0f} s"


if __name__ == "__main__":
    main()
