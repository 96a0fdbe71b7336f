"""Checkpoints as torch.save wrote them before 1.6: pickles, and then the storages, in a stream."""

import io
import struct

from stepscope.checkpoint_files.content import ITEM_BYTES, Tree, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.files import Opened
from stepscope.checkpoint_files.formats.refusals import damaged, refused
from stepscope.checkpoint_files.formats.tensors import LARGEST, Malformed, Storage, count
from stepscope.checkpoint_files.formats.torch_zip import storage_of
from stepscope.checkpoint_files.formats.unpickler import (
    PICKLE_BYTES,
    HostileGlobals,
    unpickled,
)

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
EXPECTED = "the stream that torch.save wrote before 1.6"
_FIRST_READ = 4 << 20  # bytes; the pickles of most files are shorter


def read_torch_legacy(file: Opened) -> tuple[Tree, set[str]]:
    """Return the tree of the file, and the globals that its pickles name.

    Where the pickles end is only known once they have been read. They are tried on the first
    bytes of the file, and then on more of them.

    Raises:
        UnreadableCheckpoint: it is damaged, hostile, or was not written by torch.save.
    """
    length = min(_FIRST_READ, file.nbytes)
    while True:
        head = file.read(0, length)
        try:
            return _Stream(file, head).read()
        except (HostileGlobals, Malformed) as problem:  # the name of a global may be cut off
            if length >= min(file.nbytes, PICKLE_BYTES):
                if isinstance(problem, HostileGlobals):
                    raise refused(file.path, problem.names) from problem
                raise damaged(file.path, str(problem), EXPECTED) from problem
        length = min(8 * length, file.nbytes, PICKLE_BYTES)


class _Stream:
    """The pickles at the beginning of the file, read twice: the storages stand behind them."""

    def __init__(self, file: Opened, head: bytes) -> None:
        self._file = file
        self._head = head
        self._needed: dict[str, Storage] = {}

    def read(self) -> tuple[Tree, set[str]]:
        nbytes = len(self._head)
        data = io.BytesIO(self._head)
        magic, _ = unpickled(data, nbytes, None)
        if magic != MAGIC:
            data.seek(0)
            unpickled(data, nbytes, self._unplaced)  # a hostile one is refused for what it asks
            raise UnreadableCheckpoint(
                self._file.path,
                "this is a pickle, but not one of torch.save",
                expected=EXPECTED,
                advice="save it with torch.save or safetensors",
            )
        protocol, _ = unpickled(data, nbytes, None)
        system, _ = unpickled(data, nbytes, None)
        if protocol != PROTOCOL or not isinstance(system, dict):
            raise Malformed("it was written in an unknown version of the format")
        if system.get("little_endian") is not True:
            raise UnreadableCheckpoint(
                self._file.path,
                "its values are not stored in little-endian order",
                expected="little-endian values, as almost every machine has them",
                advice="load and save it again with torch on the machine that wrote it",
            )
        main = data.tell()
        unpickled(data, nbytes, self._unplaced)
        keys, _ = unpickled(data, nbytes, None)
        self._place(keys, data.tell())
        data.seek(main)
        return unpickled(data, nbytes, self._placed)

    def _unplaced(self, pid: tuple[object, ...]) -> object:
        if pid[0] == "module":  # a class, with its source: one more global that is asked for
            return pid[1]
        key, dtype, numel = storage_of(pid)
        whole = Storage(self._file.path, 0, _nbytes(numel, dtype), dtype, key)
        seen = self._needed.setdefault(key, whole)
        if seen.nbytes != whole.nbytes:
            raise Malformed(f"storage {key[:80]!r} has two lengths")
        return whole

    def _placed(self, pid: tuple[object, ...]) -> object:
        key, dtype, _ = storage_of(pid)
        whole = self._needed[key]
        start, nbytes = whole.start, whole.nbytes
        view = pid[5] if len(pid) > 5 else None  # noqa: PLR2004  # written by torch 0.3 and before
        if isinstance(view, tuple):
            offset = _nbytes(count(view[1], "the offset of a view"), dtype)
            length = _nbytes(count(view[2], "the length of a view"), dtype)
            if offset + length > nbytes:
                raise Malformed(f"a view of storage {key[:80]!r} reaches out of it")
            start, nbytes = start + offset, length
        return Storage(self._file.path, start, nbytes, dtype, whole.key)

    def _place(self, keys: object, at: int) -> None:
        """Find the storages, each behind its number of elements, in the order of their keys."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise Malformed("the list of its storages is damaged")
        if len(set(keys)) != len(keys) or set(keys) != set(self._needed):
            raise Malformed("its storages are not those that its tensors need")
        for key in keys:
            needed = self._needed[key]
            if at + 8 + needed.nbytes > self._file.nbytes:
                raise Malformed(f"it ends before the values of storage {key[:80]!r} do")
            (numel,) = struct.unpack("<q", self._file.read(at, 8))
            if numel * ITEM_BYTES[needed.dtype] != needed.nbytes:
                raise Malformed(f"storage {key[:80]!r} has two lengths")
            place = (str(self._file.path), at + 8)
            self._needed[key] = Storage(self._file.path, at + 8, needed.nbytes, needed.dtype, place)
            at += 8 + needed.nbytes


def _nbytes(numel: int, dtype: str) -> int:
    return min(numel * ITEM_BYTES[dtype], LARGEST)
