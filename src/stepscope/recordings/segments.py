"""Files that entries are appended to, in bounded room: the older ones are thinned."""

import errno
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from stepscope.recordings.files import SegmentName
from stepscope.recordings.thinning import thin

SHARE = 24  # a file is sealed when it has taken this part of the room
NEWLINE = b"\n"


@dataclass(slots=True)
class _Sealed:
    name: SegmentName
    size: int  # bytes
    level: int  # how often its entries were thinned


class Segments:
    """The files of one process. The first is kept as it is; the newer, the denser are the others.

    No locks and no maps of memory, and names change only within the folder: it may lie on NFS.
    """

    def __init__(self, folder: Path, room: int) -> None:
        """`room` is the number of bytes that all of them may take."""
        self.part = 0
        self._folder = folder
        self._room = room
        self._most = room // SHARE
        self._number = 0
        self._file = -1  # descriptor
        self._size = 0
        self._is_torn = False  # the file ends within an entry
        self._sealed: list[_Sealed] = []

    def append(self, waiting: bytearray) -> None:
        """Write whole entries, and take off what is written, even where that is not all.

        Raises:
            FileNotFoundError: somebody has deleted the files.
            OSError: they cannot be written now; the same bytes may be offered again.
        """
        if self._file < 0 or (self._size >= self._most and not self._is_torn):
            self._open_next()
        try:
            self._write(waiting)
        except OSError as why:
            if why.errno == errno.ESTALE:  # the server has forgotten the file, for good
                self._seal()
            raise

    def close(self) -> None:
        """Hand the last file over to the disk.

        Raises:
            OSError: the disk did not take it.
        """
        if self._file < 0:
            return
        file, self._file = self._file, -1
        try:
            os.fsync(file)
        finally:
            os.close(file)

    @property
    def _current(self) -> SegmentName:
        return SegmentName(self.part, self._number, self._number)

    def _write(self, waiting: bytearray) -> None:
        if not os.fstat(self._file).st_nlink:
            raise FileNotFoundError(f"{self._folder / str(self._current)} was deleted")
        while waiting:
            done = os.write(self._file, waiting)
            self._size += done
            self._is_torn = waiting[done - 1 : done] != NEWLINE
            del waiting[:done]

    def _seal(self) -> None:
        self._sealed.append(_Sealed(self._current, self._size, level=0))
        self._size, self._is_torn = 0, False
        self.close()

    def _open_next(self) -> None:
        self._make_room()
        if self._file >= 0:
            self._seal()
        if not self.part:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open_first()
            return
        self._number += 1
        self._file = self._made(self._current)

    def _open_first(self) -> None:
        """Find a part that no other process writes."""
        part = 1
        while True:
            try:
                self._file = self._made(SegmentName(part, 1, 1))
            except FileExistsError:
                part += 1
            else:
                self.part, self._number = part, 1
                return

    def _made(self, name: SegmentName) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        return os.open(self._folder / str(name), flags, 0o666)

    def _make_room(self) -> None:
        """Thin until there is room for the file that is open, the next, and a draft."""
        while self._taken() > self._room - 2 * self._most and len(self._sealed[1:]) > 1:
            self._join()

    def _taken(self) -> int:
        return self._size + sum(each.size for each in self._sealed)

    def _join(self) -> None:
        """Put two neighbours of one level into the place of one.

        Levels fall from the oldest to the newest. The most populous gives its two oldest, so that
        all keep about the same number of files: what is twice as old is half as dense.
        """
        levels = Counter(each.level for each in self._sealed[1:])
        level = max(levels, key=lambda level: (levels[level], level))
        at = next(index for index, each in enumerate(self._sealed) if index and each.level == level)
        at = min(at, len(self._sealed) - 2)
        older, newer = self._sealed[at : at + 2]
        texts = [
            text
            for each in (older, newer)
            for text in (self._folder / str(each.name)).read_bytes().split(NEWLINE)
        ]
        content = b"".join(text + NEWLINE for text in thin(texts, self._most))
        name = SegmentName(self.part, older.name.first, newer.name.last)
        self._write_whole(name, content)
        for each in (older, newer):
            (self._folder / str(each.name)).unlink(missing_ok=True)
        self._sealed[at : at + 2] = [_Sealed(name, len(content), newer.level + 1)]

    def _write_whole(self, name: SegmentName, content: bytes) -> None:
        draft = self._folder / f"lines-{self.part}.part"
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / str(name))
