"""The folder of a run, made by its first process and found by the others."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stepscope.adapters.company.meeting import PATIENCE_S, Meeting
from stepscope.adapters.own_words import say
from stepscope.adapters.ranks import Ranks
from stepscope.recordings.folder import RunFolder, begin, join


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Where a process records, and what it is in the run."""

    folder: RunFolder | None  # None where nothing can be written
    reports: bool  # for itself, and for the others where there are any
    has_others: bool = False
    numbers: Callable[[], Iterable[int]] = tuple  # the others that have come so far
    greet: Callable[[], bool] = lambda: True  # to be called until it says that all know the folder


def begun(home: Path, program: str, arguments: Sequence[str], ranks: Ranks) -> Begun:
    """Make the folder of a run, or find it where another process makes it."""
    is_first = ranks.rank == 0
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not is_first:
            name = Meeting(home, ranks).ask()
            if name is not None:
                return Begun(folder=join(home, name), reports=False, has_others=True)
            say(
                f"rank {ranks.rank} found no first rank within {PATIENCE_S:.0f} s: it is on its own"
            )
        folder = begin(home, program, arguments, ranks=ranks.world_size if is_first else 1)
    except OSError as why:
        if is_first:
            say(f"no recording is kept: {why}")
        return Begun(folder=None, reports=is_first)
    if ranks.world_size == 1 or not is_first:
        return Begun(folder=folder, reports=True)
    meeting = Meeting(home, ranks)
    return Begun(
        folder=folder,
        reports=True,
        has_others=True,
        numbers=meeting.present,
        greet=lambda: meeting.answer(folder.name),
    )
