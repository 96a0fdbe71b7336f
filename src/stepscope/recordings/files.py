"""The names of a recording's files.

`lines-1-000004.jsonl` is the fourth file of entries of the first process that wrote as this rank
(a process that is started again is the second); `lines-1-000004-000007.jsonl` stands for four of
them, thinned. `window-1-000002.json` is the second window.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from stepscope.recordings.entries import Header

_SEGMENT = re.compile(r"lines-(\d{1,9})-(\d{1,9})(?:-(\d{1,9}))?\.jsonl")
_WINDOW = re.compile(r"window-(\d{1,9})-(\d{1,9})\.json")
_RANK = re.compile(r"rank-(\d{1,9})")


class SegmentName(NamedTuple):
    """A file of entries, and the first and last of the numbers that it stands for."""

    part: int
    first: int
    last: int

    def __str__(self) -> str:
        """Return the file's name."""
        numbers = f"{self.first:06}" + (f"-{self.last:06}" if self.last > self.first else "")
        return f"lines-{self.part}-{numbers}.jsonl"


class WindowName(NamedTuple):
    """A file with one window."""

    part: int
    number: int

    def __str__(self) -> str:
        """Return the file's name."""
        return f"window-{self.part}-{self.number:06}.json"


def segments(folder: Path) -> list[SegmentName]:
    """Return the files of entries in the order to read them, without those that others replace."""
    found = (
        SegmentName(int(part), int(first), int(last or first))
        for part, first, last in _named(folder, _SEGMENT)
    )
    kept: list[SegmentName] = []
    for each in sorted(found, key=lambda each: (each.part, each.first, -each.last)):
        # A process that was killed while it thinned leaves the files that it had joined.
        if not kept or kept[-1].part != each.part or each.last > kept[-1].last:
            kept.append(each)
    return kept


def parts(folder: Path) -> list[int]:
    """Return the numbers of the processes that wrote here as this rank, in their order."""
    return sorted({each.part for each in segments(folder)})


def windows(folder: Path) -> list[WindowName]:
    """Return the files of windows, in order."""
    return sorted(WindowName(*map(int, numbers)) for numbers in _named(folder, _WINDOW))


def ranks(run: Path) -> list[int]:
    """Return the ranks that left something, in order."""
    matches = (_RANK.fullmatch(each.name) for each in run.iterdir() if each.is_dir())
    return sorted(int(match[1]) for match in matches if match)


def is_of_recording(name: str) -> bool:
    """Tell whether a path below the folder of a run names a file of its recording."""
    if name == Header.FILE:
        return True
    rank, _, file = name.partition("/")
    return bool(_RANK.fullmatch(rank) and (_SEGMENT.fullmatch(file) or _WINDOW.fullmatch(file)))


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterable[tuple[str, ...]]:
    """Match the names of regular files: a pipe would be waited for, and a device has no end."""
    for each in folder.iterdir():
        if (match := pattern.fullmatch(each.name)) and each.is_file():
            yield match.groups()
