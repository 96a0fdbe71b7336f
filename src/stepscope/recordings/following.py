"""Follows a run while it goes on, from the files that it writes."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from stepscope.evidence.course.line import Happening, Line
from stepscope.recordings import files
from stepscope.recordings.entries import Ended, Found
from stepscope.recordings.reader import read_header
from stepscope.recordings.tail import Tail, understood


def follow(
    run: Path,
    kinds: Iterable[type[Happening]],
    *,
    every: float = 0.5,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Line | Found | Ended]]:
    """Yield what there is, then what comes: the rank, and what it wrote.

    Ends when all ranks have ended, when the folder is deleted, or when `stop` says so; that is
    asked `every` so many seconds. A process that was killed has no end: it is waited for.

    Raises:
        ValueError: this is no folder of a run that this version can read.
    """
    world = read_header(run).ranks
    named = tuple(kinds)
    tails: dict[tuple[int, int], Tail] = {}  # by rank, and process of that rank
    ended: set[tuple[int, int]] = set()
    while True:
        is_last = stop()
        try:
            for rank in files.ranks(run):
                folder = run / f"rank-{rank}"
                for part in files.parts(folder):
                    tail = tails.setdefault((rank, part), Tail(folder, part))
                    for entry, text in tail.new():
                        said = understood(entry, text, named, tail.damage)
                        if isinstance(said, Ended):
                            ended.add((rank, part))
                        if said is not None:
                            yield rank, said
        except FileNotFoundError:
            return
        newest = dict(sorted(tails))  # the last process of each rank
        if is_last or (len(newest) >= world and ended.issuperset(newest.items())):
            return
        time.sleep(every)
