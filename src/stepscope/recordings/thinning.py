"""Makes entries take less room, and says in them what is gone."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from stepscope.evidence.course.line import NUMBERS
from stepscope.recordings.entries import Entry, decode_entry

PUNCTUATION = 4  # bytes beside the name and the value of a part: "":,


def thin(texts: Iterable[bytes], most: int) -> list[bytes]:
    """Return these entries again, in about so many bytes if that can be.

    Of what takes the most room, the numbers of one subject, every second piece goes, again and
    again: so what is noted rarely outlives what is noted often. Happenings go only where all
    numbers together were not enough; findings, windows' names and the end never do. The first
    piece of each subject and of each kind of happening stays. What is no entry is left out.
    """
    entries = [_Kept(text, entry) for text in texts if (entry := _decoded(text))]
    size = sum(each.size for each in entries)
    for parts in (_numbers, _happenings):
        size = _halve(_tracks(entries, parts), size, most)
    return [msgspec.json.encode(each) for each in _without_empty(entries)]


def _decoded(text: bytes) -> Entry | None:
    try:
        return decode_entry(text)
    except (ValueError, RecursionError):  # somebody else, or the disk, has changed the file
        return None


class _Kept:
    """An entry, and how much of it is still there."""

    def __init__(self, text: bytes, entry: Entry) -> None:
        self.entry = entry
        self.size = len(text) + 1  # with the line's end
        self.parts = len(self.entry.numbers) + len(self.entry.happened)


class _Part:
    """The numbers of one subject in one entry, or one happening."""

    def __init__(self, kept: _Kept, holder: dict[str, msgspec.Raw], name: str) -> None:
        self.size = len(bytes(holder[name])) + len(name) + PUNCTUATION
        self._kept = kept
        self._holder = holder
        self.name = name

    def remove(self) -> int:
        """Take it out, note that, and return how many bytes that saves."""
        kept, entry = self._kept, self._kept.entry
        del self._holder[self.name]
        kept.parts -= 1
        if self._holder is not entry.numbers:
            _count(entry, self.name, 1)
        elif not entry.numbers:
            _count(entry, NUMBERS, 1)
        saved = self.size if kept.parts or not entry.is_line else kept.size
        kept.size -= saved
        return saved


def _numbers(kept: _Kept) -> Iterator[_Part]:
    for subject in kept.entry.numbers:
        yield _Part(kept, kept.entry.numbers, subject)


def _happenings(kept: _Kept) -> Iterator[_Part]:
    for happening in kept.entry.happened:
        for kind in happening:
            yield _Part(kept, happening, kind)


def _tracks(
    entries: Iterable[_Kept], parts: Callable[[_Kept], Iterator[_Part]]
) -> dict[str, list[_Part]]:
    tracks: dict[str, list[_Part]] = {}
    for kept in entries:
        for part in parts(kept):
            tracks.setdefault(part.name, []).append(part)
    return tracks


def _halve(tracks: dict[str, list[_Part]], size: int, most: int) -> int:
    """Take every second part of the heaviest track, until all fits; return the size then."""
    rooms = {name: sum(part.size for part in track) for name, track in tracks.items()}
    while size > most:
        rooms = {name: room for name, room in rooms.items() if len(tracks[name]) > 1}
        if not rooms:
            return size
        heaviest = max(rooms, key=rooms.__getitem__)
        size -= sum(part.remove() for part in tracks[heaviest][1::2])
        tracks[heaviest] = tracks[heaviest][::2]
        rooms[heaviest] = sum(part.size for part in tracks[heaviest])
    return size


def _without_empty(entries: Iterable[_Kept]) -> list[Entry]:
    """Return what is left; what a line that goes had left out is said by the line before it."""
    left: list[Entry] = []
    line: Entry | None = None
    for kept in entries:
        entry = kept.entry
        entry.happened = [each for each in entry.happened if each]
        if line is not None and entry.is_line and not kept.parts:
            for name, count in entry.left_out.items():
                _count(line, name, count)
            continue
        if entry.is_line:
            line = entry
        left.append(entry)
    return left


def _count(entry: Entry, name: str, more: int) -> None:
    entry.left_out[name] = entry.left_out.get(name, 0) + more
