"""Reads what one process wrote, from where the last reading stopped, while it may still write."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from stepscope.evidence.course.line import Happening, Line
from stepscope.recordings.entries import LONGEST, Ended, Entry, Found, decode_entry
from stepscope.recordings.files import SegmentName, segments

CHUNK = 2**20  # bytes
TORN, UNREADABLE = "torn", "unreadable"  # kinds of damage


def understood(
    entry: Entry, text: bytes, kinds: Iterable[type[Happening]], damage: Counter[str]
) -> Line | Found | Ended | None:
    """Return what an entry says; None where it only names a window, or does not make sense."""
    try:
        if entry.ended:
            return Ended(step=entry.step, seconds=entry.seconds, how=entry.ended)
        if entry.found is not msgspec.UNSET:
            return msgspec.json.decode(entry.found, type=Found, strict=False)
        return None if entry.window else Line.from_json(text, kinds)
    except (ValueError, RecursionError):
        damage[UNREADABLE] += 1
        return None


class Tail:
    """The entries of one part of a rank."""

    def __init__(self, folder: Path, part: int) -> None:
        self.damage = Counter[str]()  # what could not be read, by its kind
        self._folder = folder
        self._part = part
        self._name: SegmentName | None = None  # of the file that is being read
        self._offset = 0
        self._rest = b""  # a line whose end is not there yet
        self._is_too_long = False
        self._done = 0  # the last file that was read to its end
        self._n = 0  # the last entry that was read

    def new(self) -> Iterator[tuple[Entry, bytes]]:
        """Yield the entries that came since, each with the text that it was decoded from."""
        while True:
            ahead = [
                each
                for each in segments(self._folder)
                if each.part == self._part and each.last > self._done
            ]
            try:
                for name in ahead:
                    yield from self._from(name)
                    if name is not ahead[-1]:  # nothing is appended to it any more
                        yield from self.end()
                        self._done = name.last
            except FileNotFoundError:  # it was thinned just now; another stands for it
                continue
            return

    def end(self) -> Iterator[tuple[Entry, bytes]]:
        """Yield what stands where a line began, and no end of it will come: mostly nothing."""
        rest, self._rest = self._rest, b""
        try:
            if rest.strip(b"\0"):  # a machine that lost its power leaves zeros
                yield decode_entry(rest), rest
        except (ValueError, RecursionError):
            self.damage[TORN] += 1

    def _from(self, name: SegmentName) -> Iterator[tuple[Entry, bytes]]:
        with (self._folder / str(name)).open("rb") as file:
            seen = 0
            if name != self._name:
                # One that stands for the file before, and more, repeats a part of what that held.
                if self._name is not None and name.first <= self._name.first:
                    seen = self._n
                self._name = name
                self._offset, self._rest, self._is_too_long = 0, b"", False
            file.seek(self._offset)
            for text in self._lines(file):
                try:
                    entry = decode_entry(text)
                except (ValueError, RecursionError):
                    self.damage[UNREADABLE] += 1
                    continue
                if entry.n > seen:
                    self._n = entry.n
                    yield entry, text

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while chunk := file.read(CHUNK):
            self._offset += len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if lines and self._is_too_long:
                del lines[0]
                self._is_too_long = False
                self.damage[UNREADABLE] += 1
            if len(self._rest) > LONGEST:
                self._rest, self._is_too_long = b"", True
            yield from lines
