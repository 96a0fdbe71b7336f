"""Reads a recording, whatever became of the run and of the files."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stepscope.core import Evidence, Recording
from stepscope.evidence.course.line import Happening, Line
from stepscope.recordings import files
from stepscope.recordings.entries import FORMAT, Ended, Entry, Found, Header, Window
from stepscope.recordings.tail import TORN, UNREADABLE, Tail, understood
from stepscope.version import __version__

LARGEST_HEADER = 2**20  # bytes
LARGEST_WINDOW = 2**28
WINDOW = "window"  # a kind of damage
SAID = {
    TORN: "{} of its files end in the middle of an entry, as after a kill",
    UNREADABLE: "{} of its entries cannot be read, and are left out",
    WINDOW: "{} of its windows cannot be read, and are left out",
}


class _WrittenWindow(msgspec.Struct, frozen=True):
    step: int
    seconds: float
    evidence: msgspec.Raw


class _Format(msgspec.Struct, frozen=True):
    format: int
    stepscope: str = "a newer version"


@dataclass(frozen=True, slots=True)
class RankRecorded:
    """What one process of a run has left. Each method reads the files anew."""

    rank: int
    folder: Path
    _damage: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def damage(self) -> tuple[str, ...]:
        """What could not be read so far, a sentence each."""
        return tuple(
            f"{self.folder}: {SAID[kind].format(count)}" for kind, count in self._damage.items()
        )

    def entries(
        self, kinds: Iterable[type[Happening]]
    ) -> Iterator[tuple[Entry, Line | Found | Ended]]:
        """Yield all that it wrote but windows, in order, with happenings that are of these kinds.

        A process that was started again comes after the one before it.
        """
        named = tuple(kinds)
        for entry, text in self._texts():
            if (said := understood(entry, text, named, self._damage)) is not None:
                yield entry, said

    def lines(self, kinds: Iterable[type[Happening]]) -> Iterator[Line]:
        """Yield the lines of the course, with happenings that are of these kinds."""
        return (said for _, said in self.entries(kinds) if isinstance(said, Line))

    def findings(self) -> tuple[Found, ...]:
        """Return what was found while the run went on, in that order."""
        return tuple(said for _, said in self.entries(()) if isinstance(said, Found))

    def windows(self, kinds: Iterable[type[Evidence]]) -> Iterator[Window]:
        """Yield the windows, with the evidence that is of these kinds."""
        named = tuple(kinds)
        self._damage.pop(WINDOW, None)
        for name in files.windows(self.folder):
            try:
                yield _window(self.folder / str(name), named)
            except FileNotFoundError:  # removed just now, to make room
                continue
            except (ValueError, RecursionError):
                self._damage[WINDOW] += 1

    @property
    def ended(self) -> Ended | None:
        """How its last process ended; None where that was killed, or goes on."""
        last = deque(self._texts(), maxlen=1)
        said = [understood(entry, text, (), self._damage) for entry, text in last]
        return next((each for each in said if isinstance(each, Ended)), None)

    def _texts(self) -> Iterator[tuple[Entry, bytes]]:
        self._damage.pop(TORN, None)
        self._damage.pop(UNREADABLE, None)
        for part in files.parts(self.folder):
            tail = Tail(self.folder, part)
            yield from tail.new()
            yield from tail.end()
            self._damage.update(tail.damage)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that was recorded, or is being recorded."""

    folder: Path
    header: Header
    ranks: tuple[RankRecorded, ...]  # that left something, by number

    @property
    def missing(self) -> tuple[int, ...]:
        """The ranks of the run that left nothing."""
        there = {each.rank for each in self.ranks}
        return tuple(rank for rank in range(self.header.ranks) if rank not in there)


def read(folder: Path) -> Recorded:
    """Open the recording of a run.

    Raises:
        ValueError: there is none, or it is none that this version can read.
    """
    header = read_header(folder)
    ranks = (RankRecorded(rank, folder / f"rank-{rank}") for rank in files.ranks(folder))
    return Recorded(folder, header, tuple(ranks))


def read_header(folder: Path) -> Header:
    """Read what is known of a run from its beginning.

    Raises:
        ValueError: there is no header, or none that this version can read.
    """
    path = folder / Header.FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no {Header.FILE}; expected the folder of a run that was recorded, "
            f"such as .stepscope/2026-11-21T09-12-33-train"
        )
    with path.open("rb") as file:
        text = file.read(LARGEST_HEADER)
    try:
        found = msgspec.json.decode(text, type=_Format)
        if found.format <= FORMAT:
            return msgspec.json.decode(text, type=Header)
    except (ValueError, RecursionError) as why:
        raise ValueError(
            f"{path} is not the header of a recording: {why}; its entries may still be read as "
            f"JSON Lines"
        ) from None
    raise ValueError(
        f"{path} is of format {found.format}, written by stepscope {found.stepscope}; stepscope "
        f"{__version__} reads formats up to {FORMAT}: install that version or a later one"
    )


def _window(path: Path, kinds: Iterable[type[Evidence]]) -> Window:
    """Raise a ValueError where the file holds no window."""
    if path.stat().st_size > LARGEST_WINDOW:
        raise ValueError(f"{path} is larger than any window")
    read = msgspec.json.decode(path.read_bytes(), type=_WrittenWindow)
    return Window(
        step=read.step, seconds=read.seconds, seen=Recording.from_json(read.evidence, kinds)
    )
