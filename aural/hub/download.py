"""Files of a Hub repository, fetched into the Hub cache by a process that ends when the Hub stalls.

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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huggingface_hub.utils.tqdm import tqdm

TIMEOUT_SECONDS = 3.5  # without new bytes; with the start and end of the process about 5 s, if not busy
GRACE_SECONDS = 0.3  # for an interrupted download to remove its partial file
# New bytes are noticed chunk by chunk. At the library's 10 MB a slow but healthy line would look stalled.
CHUNK_BYTES = 64 * 1024
# A process that is killed leaves its partial file in the cache, where no later one takes it up. One that is
# at work writes to its own all the time.
STALE_SECONDS = 600

Progress = Callable[[str, int, int], None]  # of a file: its name, the bytes so far, the bytes in all


class Unavailable(Exception):  # noqa: N818 - one place does not have the file, the next may
    """A file cannot be had from one of its places."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}.")
        self.reason = reason
        self.remedy = remedy


def download(
    repository: str, revision: str, file: str, *, cache: Path, force: bool, timeout_seconds: float
) -> Path:
    """Fetch one file into the Hub cache; see `download_all`."""
    files = {file: force}
    return download_all(repository, revision, files, cache=cache, timeout_seconds=timeout_seconds)[file]


def download_all(
    repository: str,
    revision: str,
    files: Mapping[str, bool],
    *,
    cache: Path,
    timeout_seconds: float,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Fetch files into the Hub cache, one after the other.

    Args:
        repository: "owner/name"; the Hub is the one that HF_ENDPOINT names.
        files: name -> whether to replace the copy that the cache holds.
        cache: the Hub cache's folder.
        timeout_seconds: how long the Hub may send nothing new.
        progress: told of the bytes as they come; None: a bar for each file on stderr.

    Returns:
        name -> path in the cache.

    Raises:
        Unavailable: the Hub does not have a file, fails, or stalls.
    """
    order = json.dumps([repository, revision, dict(files), str(cache), timeout_seconds])
    bars = _Bars()
    answer: dict[str, Any] = {}
    try:
        # Should this process end, the other one finds nobody who hears its progress, and ends too.
        with subprocess.Popen(
            [sys.executable, "-P", __file__, order],
            stdout=subprocess.PIPE,
            text=True,
            # Telemetry would ask the Hub for a list of its own before the first file.
            env=os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1"},
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                answer = json.loads(line)
                if "file" in answer:
                    (progress or bars.show)(answer["file"], answer["done"], answer["total"])
    finally:
        bars.close()
    if "reason" in answer:
        raise Unavailable(answer["reason"], answer["remedy"])
    if "paths" not in answer:
        raise Unavailable(f"the Hub sent nothing new for {timeout_seconds:g} s", "try again later")
    return {file: Path(path) for file, path in answer["paths"].items()}


class _Bars:
    """A bar on stderr for each file that is told of."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def show(self, file: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if file not in self._bars:
            self._bars[file] = tqdm(
                desc=file,
                total=total,
                unit="B",
                unit_scale=True,
                mininterval=0.1 if sys.stderr.isatty() else 2.0,  # a log keeps every state of the bar
            )
        bar = self._bars[file]
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()


class _Watchdog:
    """Interrupts the process once nothing new has come for too long.

    Where another process holds the lock on a file that it is fetching, its bytes count as new.
    """

    def __init__(self, timeout_seconds: float, blobs: Path) -> None:
        self.timeout_seconds = timeout_seconds
        self.blobs = blobs
        self.begin()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have told us to ignore it
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self) -> None:
        """Another file is next."""
        self.most_bytes = 0
        self.restart()

    def restart(self) -> None:
        self.ends_at = time.monotonic() + self.timeout_seconds

    def _run(self) -> None:
        while (left_seconds := self.ends_at - time.monotonic()) > 0:
            time.sleep(min(left_seconds, 0.2))
            # After a cut the library may start a file again: what it had already does not count as new.
            if (partial_bytes := sum(_sizes(self.blobs))) > self.most_bytes:
                self.most_bytes = partial_bytes
                self.restart()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(GRACE_SECONDS)
        os._exit(1)  # a look-up by a hanging name server does not hear the signal


def _sizes(blobs: Path) -> list[int]:
    """Bytes of each partial file."""
    sizes = []
    for path in blobs.glob("*.incomplete"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue  # it is complete by now
    return sizes


def _fetch(
    repository: str, revision: str, files: dict[str, bool], cache: str, timeout_seconds: float
) -> dict[str, Any]:
    """The body of the process: the files' paths, or the reason why there are none and a remedy."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    blobs = Path(cache, f"models--{repository.replace('/', '--')}", "blobs")
    _remove_stale(blobs)
    watch = _Watchdog(timeout_seconds, blobs)  # not before: a slow start is not the Hub's fault
    paths = {}
    for file, force in files.items():
        watch.begin()
        try:
            # One question without retries first: hf_hub_download would repeat a failing one, then say why.
            get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
            path = hf_hub_download(
                repository,
                file,
                revision=revision,
                cache_dir=cache,
                force_download=force,
                tqdm_class=_bar_that_tells(file, watch),
            )
        except Exception as error:
            reason, remedy = _explain(error, repository, revision, file)
            return {"reason": reason, "remedy": remedy}
        paths[file] = path
        size = Path(path).stat().st_size
        _emit(file=file, done=size, total=size)
    return {"paths": paths}


def _remove_stale(blobs: Path) -> None:
    for path in blobs.glob("*.incomplete"):
        try:
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()
        except OSError:
            continue  # somebody else has removed it


def _emit(**words: object) -> None:
    print(json.dumps(words), flush=True)


def _bar_that_tells(file: str, watch: _Watchdog) -> type[tqdm]:
    """A progress bar that shows nothing: it tells of the bytes, and new ones restart the watch."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings | {"disable": True})  # type: ignore[no-untyped-call]
            self.received = self.furthest = settings.get("initial", 0)
            self.said_at = 0.0

        def update(self, n: float | None = 1) -> None:
            # After a cut the library may start the file again: what it had already does not count as new.
            self.received += n or 0
            if self.received > self.furthest:
                self.furthest = self.received
                watch.restart()
            if self.total and time.monotonic() - self.said_at > 0.1:
                self.said_at = time.monotonic()
                _emit(file=file, done=int(self.received), total=int(self.total))

        def update_transfer(self, n: float) -> None:
            """Bytes off the wire, which Xet tells of apart from those that are in the file."""
            if n > 0:
                watch.restart()

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None:
            """Nothing is shown here."""

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
        _emit(**_fetch(*json.loads(sys.argv[1])))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)  # at once: whoever was to read what is left in the pipe may be gone
