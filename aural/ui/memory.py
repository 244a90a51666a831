"""Admission by memory: a call starts once what it will take is left, and is refused where it never will be.

What a call takes at most is estimated as

    bytes = START_BYTES + memory_factor * 4 * channels * seconds * rate

of its sound as float32, at the rate of the source or of the result, whichever is higher; `Verb.memory_factor`
was measured. What is left is what the machine, its control groups (cgroups) and AURAL_MEMORY_GIB allow.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from aural.audio import LIMITS, Facts, probe
from aural.errors import AuralError, InputError
from aural.files import GIBIBYTE
from aural.options import Verb

START_BYTES = 64 * 2**20  # of any call
MAX_RATE = LIMITS.max_rate
SPARE_BYTES = 128 * 2**20  # that stay free
DECODE_FACTOR = 3.0  # of reading a file and writing it in another format
WAIT_SECONDS = 10 * 60.0  # for other calls to end
POLL_SECONDS = 0.25

NEVER = (
    "This needs about {need:.1f} GiB of memory, and the server has {left:.1f} GiB. Try a shorter file, or "
    "run AURAL on a computer with more memory."
)
NOT_NOW = "The server's memory is in use by other jobs. Try again in a few minutes."

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")

T = TypeVar("T")

_this_thread = threading.local()
_lock = threading.Lock()  # guards the next two
_shares: WeakKeyDictionary[Share, int] = WeakKeyDictionary()  # bytes of the calls that run
_idle_bytes = 0  # what was left when none ran


def need_bytes(verb: Verb, arguments: Mapping[str, Any], *, together: bool = False) -> int:
    """What a call takes at most; 0 if it has no sound that can be probed.

    Args:
        arguments: of the endpoint, by name.
        together: whether several files are held at once, not one after the other.
    """
    settings = dict(arguments)
    for value in arguments.values():
        if is_dataclass(value) and not isinstance(value, type):
            settings |= {field.name: getattr(value, field.name) for field in fields(value)}
    sizes = [
        size
        for value in arguments.values()
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str) and (size := _held_bytes(verb, settings, text))
    ]
    if not sizes:
        return 0
    of_files = any(isinstance(value, list) for value in arguments.values())
    size = max(sizes) if of_files and not together else sum(sizes)
    return round(START_BYTES + verb.memory_factor * size)


def start() -> None:
    """Forget the calls of an app that was closed in this process: nobody ends them."""
    with _lock:
        _shares.clear()


def decoded_bytes(path: str) -> int:
    """The size of a file's sound as float32; 0 if it is none."""
    facts = _probe(path)
    return 0 if facts is None else round(4 * facts.channels * facts.seconds * facts.rate)


def _held_bytes(verb: Verb, settings: Mapping[str, Any], path: str) -> int:
    """The size of a sound or of the verb's result, whichever is larger."""
    facts = _probe(path)
    if facts is None:
        return 0
    rate: float = facts.rate
    if verb.result_rate is not None:
        rate = max(rate, min(verb.result_rate(settings, facts.rate), MAX_RATE))
    return round(4 * facts.channels * facts.seconds * rate)


def _probe(path: str) -> Facts | None:
    try:
        return probe(path) if Path(path).is_file() else None
    except (AuralError, OSError, ValueError):  # whoever reads it reports it
        return None


class Share:
    """A call's share of the memory: wait for it, hold it, and release it."""

    def __init__(self, need: int) -> None:
        self._need = need

    def release(self) -> None:
        """Leave it to others."""
        with _lock:
            _shares.pop(self, None)

    def wait(self) -> Iterator[None]:
        """Yield as long as other calls must end first.

        Raises `InputError` if the memory is too small for this call, or is not free in time.
        """
        if not self._need:
            return
        started = time.monotonic()
        while not self._take():
            if time.monotonic() - started > WAIT_SECONDS:
                raise InputError(NOT_NOW)
            yield
            time.sleep(POLL_SECONDS)

    def _take(self) -> bool:
        global _idle_bytes
        left = available_bytes()
        if left is None:
            return True
        with _lock:
            if not _shares:
                _idle_bytes = left
            taken = sum(_shares.values())
            # What runs may not have taken all of its share yet.
            free = min(left, _idle_bytes - taken) - SPARE_BYTES
            if self._need <= free:
                _shares[self] = self._need
                return True
            most = (max(_idle_bytes, left) if _shares else left) - SPARE_BYTES
            if self._need > most:
                raise InputError(NEVER.format(need=self._need / GIBIBYTE, left=max(most, 0) / GIBIBYTE))
        return False


def holding(steps: Iterator[T]) -> Iterator[T]:
    """Steps of a call that holds its share, in which `decoding` asks for nothing more."""
    while True:
        _this_thread.holds_share = True
        try:
            outputs = next(steps)
        except StopIteration:
            return
        finally:
            _this_thread.holds_share = False
        yield outputs


@contextmanager
def decoding(path: str) -> Iterator[None]:
    """Hold the memory for reading a file and writing it again; waits for it.

    Raises `InputError` as `Share.wait`.
    """
    if getattr(_this_thread, "holds_share", False):
        yield
        return
    size = decoded_bytes(path)
    share = Share(round(START_BYTES + DECODE_FACTOR * size) if size else 0)
    try:
        for _ in share.wait():
            pass
        yield
    finally:
        share.release()


def available_bytes() -> int | None:
    """The memory that is left to this process; None where the system does not tell."""
    left = [_left_on_machine(), *_left_in_groups(), _left_of_address_space(), _left_of_setting()]
    known = [each for each in left if each is not None]
    return max(0, min(known)) if known else None


def _left_on_machine() -> int | None:
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return _left_by_psutil()
    return 1024 * kibibytes


def _left_by_psutil() -> int | None:
    try:
        import psutil  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return None
    return int(psutil.virtual_memory().available)


def _left_in_groups() -> list[int]:
    """In the control groups that the process is in, of version 2 or 1, and in those above them."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, inner = rest.partition(":")
        if controllers == "":
            names, root = ("memory.max", "memory.current", "inactive_file"), CGROUPS
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = CGROUPS / "memory"
        else:
            continue
        group = root / inner.strip("/")
        # In a container the path may be that of the machine outside; its own group is then the root.
        while True:
            left += _left_in_group(group, *names)
            if group == root or root not in group.parents:
                break
            group = group.parent
    return left


def _left_in_group(group: Path, limit: str, usage: str, cache: str) -> list[int]:
    try:
        allowed = int((group / limit).read_text())
        used = int((group / usage).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # "max"
        return []
    return [allowed - used + int(stat.get(cache, 0))] if allowed < 2**60 else []


def _left_of_address_space() -> int | None:
    if sys.platform != "linux":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _status("VmSize")
    return None if soft == resource.RLIM_INFINITY or size is None else soft - size


def _left_of_setting() -> int | None:
    try:
        allowed = float(os.environ["AURAL_MEMORY_GIB"]) * GIBIBYTE
    except (KeyError, ValueError):
        return None
    resident = _status("VmRSS")
    return round(allowed) - (resident or 0)


def _status(name: str) -> int | None:
    try:
        lines = (PROC / "self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError):
        return None
