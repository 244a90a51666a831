"""A file of a Hub repository, fetched into the Hub cache by a process that ends when the Hub stalls.

huggingface_hub tries a failing Hub again for 23 s and more, and a thread that waits for a socket or a name
server cannot be ended; a process can. Run as a program this module is that process, so it imports nothing of
aural.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub.utils.tqdm import tqdm

PATIENCE_SECONDS = 3.5  # without new bytes; with the start and the end of the process it stays below 5 s
GRACE_SECONDS = 0.3  # for an interrupted download to remove its partial file
# New bytes are noticed chunk by chunk. At the library's 10 MB a slow but healthy line would look stalled.
CHUNK_BYTES = 64 * 1024


class Unavailable(Exception):  # noqa: N818 - one place does not have the file, the next may
    """A file cannot be had from one of its places."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}.")
        self.reason = reason
        self.remedy = remedy


def download(
    repository: str, revision: str, file: str, *, cache: Path, force: bool, patience_seconds: float
) -> Path:
    """Fetch one file into the Hub cache.

    Args:
        repository: "owner/name"; the Hub is the one that HF_ENDPOINT names.
        cache: the Hub cache's folder.
        force: replace the copy that the cache holds.
        patience_seconds: how long the Hub may send nothing new.

    Raises:
        Unavailable: the Hub does not have the file, fails, or stalls.
    """
    order = json.dumps([repository, revision, file, str(cache), force, patience_seconds])
    finished = subprocess.run(
        [sys.executable, "-P", __file__, order],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        # Telemetry would ask the Hub for a list of its own before the first file.
        env=os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1"},
    )
    if not finished.stdout:
        raise Unavailable(f"the Hub sent nothing new for {patience_seconds:g} s", "try again later")
    answer = json.loads(finished.stdout)
    if "path" not in answer:
        raise Unavailable(answer["reason"], answer["remedy"])
    return Path(answer["path"])


class _Watch:
    """Interrupts the process once nothing new has come for too long."""

    def __init__(self, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self.restart()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have told us to ignore it
        threading.Thread(target=self._run, daemon=True).start()

    def restart(self) -> None:
        self.ends_at = time.monotonic() + self.patience_seconds

    def _run(self) -> None:
        while (left_seconds := self.ends_at - time.monotonic()) > 0:
            time.sleep(left_seconds)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(GRACE_SECONDS)
        os._exit(1)  # a look-up by a hanging name server does not hear the signal


def _fetch(
    repository: str, revision: str, file: str, cache: str, force: bool, patience_seconds: float
) -> dict[str, str]:
    """The body of the process: the file's path, or the reason why there is none and a remedy."""
    watch = _Watch(patience_seconds)
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    try:
        # One question without retries first: hf_hub_download would repeat a failing one before it says why.
        get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
        path = hf_hub_download(
            repository,
            file,
            revision=revision,
            cache_dir=cache,
            force_download=force,
            tqdm_class=_bar_that_restarts(watch),
        )
    except Exception as error:
        reason, remedy = _explain(error, repository, revision, file)
        return {"reason": reason, "remedy": remedy}
    return {"path": path}


def _bar_that_restarts(watch: _Watch) -> type[tqdm]:
    """The library's progress bar; bytes that have not come before restart the watch."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        received = 0.0
        furthest = 0.0

        def update(self, n: float | None = 1) -> bool | None:
            # After a cut the library may start the file again: what it had already does not count as new.
            self.received += n or 0
            if self.received > self.furthest:
                self.furthest = self.received
                watch.restart()
            return super().update(n)  # type: ignore[no-any-return]

    return Bar


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
    return f"{file} cannot be fetched from {hub} ({detail})", "check the connection and the disk, try again"


if __name__ == "__main__":
    try:
        print(json.dumps(_fetch(*json.loads(sys.argv[1]))))
    except KeyboardInterrupt:
        sys.exit(1)
