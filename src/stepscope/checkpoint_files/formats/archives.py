"""The directory of a zip archive whose entries are stored as they are, and nowhere twice."""

import io
import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from stepscope.checkpoint_files.content import UnreadableCheckpoint
from stepscope.checkpoint_files.formats.files import Opened

DIRECTORY_BYTES = 64 << 20  # some 600,000 entries
_LOCAL = struct.Struct("<4s22xHH")  # of the header before each entry: magic, lengths of name, extra


@dataclass(frozen=True, slots=True)
class Entry:
    """Bytes of the file that are one entry of the archive."""

    name: str
    start: int
    nbytes: int


def directory(file: Opened, start: int, length: int) -> list[zipfile.ZipInfo]:
    """Return what the archive in this part of the file says about its entries, unchecked."""
    try:
        # zipfile reads nothing but the directory here, and knows the 64-bit extensions.
        with zipfile.ZipFile(_Window(file, start, length)) as archive:
            return archive.infolist()
    except _DAMAGE as problem:
        raise UnreadableCheckpoint(
            file.path,
            f"the zip archive is damaged: {problem}",
            expected="an archive that is complete to its last byte",
            advice="compare its size with the original's, and copy it again",
        ) from problem


def entries(file: Opened, start: int, length: int, said: list[zipfile.ZipInfo]) -> dict[str, Entry]:
    """Return the entries by name, each with its place in the file.

    Raises:
        UnreadableCheckpoint: an entry is compressed, encrypted, named like a path that leads
            out, there twice, outside the archive, or overlaps another.
    """
    found = {said_of.filename: _entry(file, start, length, said_of) for said_of in said}
    if len(found) != len(said):
        raise _suspicious(file, "two entries of the zip archive have the same name")
    end = start
    for entry in sorted(found.values(), key=attrgetter("start", "nbytes")):
        if entry.start < end:
            raise _suspicious(file, f"entry {entry.name!r} overlaps the one before it")
        end = entry.start + entry.nbytes
    return found


def _entry(file: Opened, start: int, length: int, said: zipfile.ZipInfo) -> Entry:
    name = said.filename
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise _suspicious(file, f"entry {name!r} is named like a path that leads out")
    if said.flag_bits & 0x1:
        raise _suspicious(file, f"entry {name!r} is encrypted")
    if said.compress_type != zipfile.ZIP_STORED or said.compress_size != said.file_size:
        raise _suspicious(
            file,
            f"entry {name!r} is compressed: {said.compress_size} bytes for {said.file_size}",
        )
    head = start + said.header_offset
    if said.header_offset < 0 or said.header_offset + _LOCAL.size > length:
        raise _suspicious(file, f"entry {name!r} begins outside the archive")
    magic, name_length, extra_length = _LOCAL.unpack(file.read(head, _LOCAL.size))
    first = head + _LOCAL.size + name_length + extra_length
    if magic != b"PK\x03\x04" or first + said.file_size > start + length:
        raise _suspicious(file, f"entry {name!r} is not where the archive's directory says")
    return Entry(name, first, said.file_size)


def _suspicious(file: Opened, found: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(
        file.path,
        found,
        expected="stored entries beside each other, as torch.save writes them",
        advice="do not load it unless you know who wrote it; save it again with torch.save",
    )


class _Window(io.RawIOBase):
    """A part of a file as a file. Reads of more than a directory may need are refused."""

    def __init__(self, file: Opened, start: int, length: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._length = length
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        if origin + offset < 0:
            raise OSError("a place before the beginning")
        self._at = origin + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._at)
        wanted = left if size < 0 else min(size, left)
        if wanted > DIRECTORY_BYTES:
            raise ValueError(f"its directory claims {wanted} bytes")
        data = self._file.read(self._start + self._at, wanted)
        self._at += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        raise io.UnsupportedOperation


_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,  # a version or a method that zipfile does not know
    OSError,
    ValueError,
    OverflowError,
    EOFError,
    IndexError,
    struct.error,
)
