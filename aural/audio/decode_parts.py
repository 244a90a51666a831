"""The parts of a file that are decoded one after the other, each as a file of its own.

Most files have one part: the whole. A chained Ogg file (RFC 3533, section 4) has one for each link, since
libsndfile reads only the first. In a WAV, RF64 or W64 file whose header tells fewer bytes of sound than there
are, the header is corrected while it is read; so it is in AU files.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

OGG = b"OggS"
# A page that begins a stream: version 0, flag 2; with flag 4 it is its only page.
OGG_FIRST_PAGE = re.compile(rb"OggS\x00[\x02\x06]")
OGG_HEADER_BYTES = 27  # before the table of segments, whose length is the last byte

RIFF, WAVE = (b"RIFF", b"RF64", b"BW64"), b"WAVE"
AU = b".snd"
W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
W64_GUID_END = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # of every chunk but the first

CHUNK_NAME = re.compile(rb"[ -~]{4}")
TAG_NAMES = (b"ID3", b"TAG", b"APE")  # that some programs append outside of any chunk
MIN_SURPLUS_BYTES = 4_096  # behind the sound that a header tells, for the header to be wrong


@dataclass(frozen=True)
class Part:
    """A range of a file, read as if it were a file of its own."""

    path: Path
    start: int = 0  # bytes
    end: int | None = None  # None: to the end of the file
    patch: tuple[int, bytes] | None = None  # a place in the part, and the bytes that stand there instead
    number: int = 0  # among the parts of the file

    @property
    def is_whole(self) -> bool:
        """Whether it equals its file."""
        return self.start == 0 and self.end is None and self.patch is None

    def open(self) -> BinaryIO:
        """The part, opened to read."""
        return self.path.open("rb") if self.is_whole else io.BufferedReader(_Range(self))  # type: ignore[type-var]


class _Range(io.RawIOBase):
    """The bytes of a part."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.file = part.path.open("rb", buffering=0)
        end = self.file.seek(0, io.SEEK_END) if part.end is None else part.end
        self.size, self.position = end - part.start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = max(0, base + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self.size - self.position))
        self.file.seek(self.part.start + self.position)
        content = self.file.read(count)
        buffer[: len(content)] = content
        if self.part.patch is not None:
            place, new = self.part.patch
            for index, value in enumerate(new, place - self.position):
                if 0 <= index < len(content):
                    buffer[index] = value
        self.position += len(content)
        return len(content)

    def close(self) -> None:
        self.file.close()
        super().close()


def split(path: Path) -> list[Part]:
    """The parts of a file that is not empty, in order. Raises `OSError`."""
    with path.open("rb") as file:
        start = file.read(16)
        if not start.startswith(OGG):
            return [Part(path, patch=_right_size(file, start))]
        starts = _link_starts(file)
    return [
        Part(path, first, end, number=number)
        for number, (first, end) in enumerate(zip(starts, [*starts[1:], None], strict=True))
    ]


def _link_starts(file: BinaryIO) -> list[int]:
    """Where the links of an Ogg file start: at a first page that does not follow another one directly."""
    starts, page_end = [0], 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for found in OGG_FIRST_PAGE.finditer(content):
            page = found.start()
            if page != page_end:
                starts.append(page)
            table_start = page + OGG_HEADER_BYTES
            segments = content[table_start - 1] if table_start <= len(content) else 0
            table = content[table_start : table_start + segments]
            page_end = table_start + len(table) + sum(table)
    return starts


def _right_size(file: BinaryIO, start: bytes) -> tuple[int, bytes] | None:
    """The right size of the sound for the header of a WAV, RF64, W64 or AU file; None if it is right.

    In WAV a size that is too large needs no correction: libsndfile and FFmpeg stop at the end of the file.
    """
    if start.startswith(W64_RIFF):
        return _w64_size(file)
    if start[:4] in RIFF and start[8:12] == WAVE:
        return _wav_size(file)
    if start[:4] == AU and len(start) == 16:
        return _au_size(file)
    return None


def wav_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The name, place and told size of each chunk of a WAV file; its content begins 8 bytes later."""
    place, file_bytes = 12, file.seek(0, io.SEEK_END)
    while place + 8 <= file_bytes:
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        yield name, place, size
        place += 8 + size + size % 2


def _wav_size(file: BinaryIO) -> tuple[int, bytes] | None:
    file_bytes = file.seek(0, io.SEEK_END)
    told_at, told = None, 0  # RF64 tells the size in another chunk
    for name, place, size in wav_chunks(file):
        if name == b"ds64":
            file.seek(place + 16)
            told_at, told = place + 16, int.from_bytes(file.read(8), "little")
        elif name == b"data":
            size = size if told_at is None else told
            end = place + 8 + size + size % 2
            file.seek(end)
            following = file.read(8)
            # In WAV 0 says that the length was not written: FFmpeg reads such a file up to its end.
            is_unwritten = size == 0 and told_at is None
            surplus = file_bytes - end
            if is_unwritten or surplus < MIN_SURPLUS_BYTES or _is_chunk(following, surplus):
                return None
            actual = file_bytes - place - 8
            return (
                (place + 4, struct.pack("<I", actual))
                if told_at is None
                else (told_at, struct.pack("<Q", actual))
            )
    return None


def _au_size(file: BinaryIO) -> tuple[int, bytes] | None:
    file.seek(4)
    start, told = struct.unpack(">II", file.read(8))
    actual = file.seek(0, io.SEEK_END) - start
    return None if actual - MIN_SURPLUS_BYTES < told <= actual else (8, struct.pack(">I", max(0, actual)))


def _is_chunk(header: bytes, rest_bytes: int) -> bool:
    """Whether these bytes begin a chunk of WAV, or a tag."""
    if header.startswith(TAG_NAMES):
        return True
    name, size = struct.unpack("<4sI", header)
    return CHUNK_NAME.fullmatch(name) is not None and size <= rest_bytes


def _w64_size(file: BinaryIO) -> tuple[int, bytes] | None:
    place, file_bytes = 40, file.seek(0, io.SEEK_END)
    while place + 24 <= file_bytes:
        file.seek(place)
        name, size = struct.unpack("<16sQ", file.read(24))
        if not name.endswith(W64_GUID_END) or (size < 24 and name[:4] != b"data"):
            return None
        end = place + max(24, size + -size % 8)
        if name[:4] == b"data":
            file.seek(min(end, file_bytes))
            following, surplus = file.read(16), file_bytes - end
            told = size if surplus < MIN_SURPLUS_BYTES or following.endswith(W64_GUID_END) else 0
            actual = file_bytes - place
            return None if 24 < told <= actual else (place + 16, struct.pack("<Q", actual))
        place = end
    return None
