"""Files of a Hub repository, downloaded into the Hub cache by a process that is ended when the Hub stalls.

huggingface_hub retries a failing Hub for 23 s and more, and a thread that waits for a socket or a name server
can't be ended; a process can. Run as a program this module is that process, so it imports nothing of aural.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 3.5  # without new bytes; with the start and end of the process about 5 s, if not busy
GRACE_SECONDS = 0.3  # for an interrupted download to remove its partial file
POLL_SECONDS = 0.2
LOG_SECONDS = 2.0  # between the states of a progress bar in a log, which keeps them all
# A file grows chunk by chunk. At the library's 10 MB a slow but healthy connection would look stalled.
CHUNK_BYTES = 64 * 1024
# A killed process leaves its partial file in the cache, where no later one resumes it. A working one keeps
# writing to its own.
STALE_SECONDS = 600


class Unavailable(Exception):  # noqa: N818 - one place does not have the file, the next may
    """A file can't be had from one of its places."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {capitalized(remedy)}.")
        self.reason = reason
        self.remedy = remedy


def capitalized(text: str) -> str:
    """As the beginning of a sentence; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def download(
    repository: str, revision: str, files: Mapping[str, bool], *, cache: Path, timeout_seconds: float
) -> dict[str, Path]:
    """Download files into the Hub cache, one after the other, with the library's progress bars on stderr.

    Args:
        repository: "owner/name"; the Hub is the one that HF_ENDPOINT names.
        files: name -> whether to replace the copy that the cache holds.
        cache: the Hub cache's folder.
        timeout_seconds: how long the Hub may send nothing new.

    Returns:
        name -> path in the cache.

    Raises:
        Unavailable: the Hub does not have a file, fails, or stalls.
    """
    blobs = cache / f"models--{repository.replace('/', '--')}" / "blobs"
    _remove_stale(blobs)
    order = json.dumps([repository, revision, dict(files), str(cache)])
    with subprocess.Popen(
        [sys.executable, "-P", __file__, order], stdout=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        answer = _answer(process, blobs, timeout_seconds)
    if "reason" in answer:
        raise Unavailable(answer["reason"], answer["remedy"])
    if "paths" not in answer:
        raise Unavailable(f"the Hub sent nothing new for {timeout_seconds:g} s", "try again later")
    return {file: Path(path) for file, path in answer["paths"].items()}


def _environment() -> dict[str, str]:
    """Of the process: plain HTTP, whose bytes reach the partial file as they come, and bars in a log too."""
    settings = {
        "HF_HUB_DISABLE_TELEMETRY": "1",  # it would ask the Hub for a list before the first file
        "HF_HUB_DISABLE_XET": "1",
    }
    bars_in_log = {"TQDM_POSITION": "-1", "TQDM_MININTERVAL": f"{LOG_SECONDS:g}"}
    return os.environ | settings | ({} if sys.stderr.isatty() else bars_in_log)


def _answer(process: subprocess.Popen[str], blobs: Path, timeout_seconds: float) -> dict[str, Any]:
    """What the process says last; empty if it was ended, since nothing new came for too long."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    answer: dict[str, Any] = {}
    largest: dict[str, int] = {}
    ends_at = float("inf")  # until the first line: a slow start is not the Hub's fault
    while True:
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            line = ""
        if line is None:
            return answer
        if line:
            answer = json.loads(line)
        if line or (_has_grown(blobs, largest) and ends_at < float("inf")):
            ends_at = time.monotonic() + timeout_seconds
        elif time.monotonic() > ends_at:
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # a look-up by a hanging name server does not hear the signal
            return {}


def _has_grown(blobs: Path, largest: dict[str, int]) -> bool:
    """Whether a partial file is larger than it ever was; `largest` keeps the sizes.

    That may be another process's, which holds the lock on a file that this one waits for.
    """
    has_grown = False
    for path in blobs.glob("*.incomplete"):
        try:
            size = path.stat().st_size
        except OSError:
            continue  # it is complete by now
        if size > largest.get(path.name, 0):
            largest[path.name] = size
            has_grown = True
    return has_grown


def _remove_stale(blobs: Path) -> None:
    for path in blobs.glob("*.incomplete"):
        try:
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()
        except OSError:
            continue  # another process has removed it


def _fetch(repository: str, revision: str, files: dict[str, bool], cache: str) -> dict[str, Any]:
    """The body of the process: the files' paths, or the reason why there are none and a remedy."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    paths = {}
    for file, force in files.items():
        _emit(file=file)
        try:
            # Ask once without retries first: hf_hub_download would retry a failing Hub before it says why.
            get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
            paths[file] = hf_hub_download(
                repository, file, revision=revision, cache_dir=cache, force_download=force
            )
        except Exception as error:
            reason, remedy = _explain(error, repository, revision, file)
            return {"reason": reason, "remedy": remedy}
    return {"paths": paths}


def _emit(**words: object) -> None:
    print(json.dumps(words), flush=True)


def _explain(error: Exception, repository: str, revision: str, file: str) -> tuple[str, str]:
    """What went wrong, and what the user can do."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{hub} has no repository {repository} that this user may read",
            "check AURAL_HUB_REPO, and HF_TOKEN if it is private",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision {revision}", "correct the revision in the manifest"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{repository} has no {file} at revision {revision}", "correct the revision in the manifest"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set and the Hub cache has no usable {file}", "unset HF_HUB_OFFLINE"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        remedy = "try again later" if status >= 500 or status == 429 else "check AURAL_HUB_REPO and HF_TOKEN"
        return f"{hub} answered {status} for {repository}", remedy
    detail = (str(error) or type(error).__name__).strip().splitlines()[0]
    return f"{file} can't be fetched from {hub} ({detail})", "check the connection and the disk, try again"


if __name__ == "__main__":
    # Interrupted, the library removes its partial file.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _emit(**_fetch(*json.loads(sys.argv[1])))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)
