"""What the processes of a run noted alike, side by side."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Recording
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.rank_marks import RankMarks
from stepscope.evidence.course.replicas import Replicas, Replicated, StatisticsUsed, StatisticsUses

SHARED = (Replicated, StatisticsUsed)  # kinds of happenings that are compared


class OfRank(msgspec.Struct, frozen=True, kw_only=True):
    """What one process noted."""

    rank: int
    replicas: Replicas | None = None
    marks: RankMarks | None = None
    uses: StatisticsUses | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A wrapper on the first rank of its group, and on another one."""

    first: Replicated
    other: Replicated
    marks: tuple[RankMarks, RankMarks]

    def moments(self) -> Iterator[tuple[int, dict[str, tuple[float, float]]]]:
        """Yield what both noted: the steps of the optimizer, and both numbers by name."""
        here, there = (marks.by_moment() for marks in self.marks)
        for (optimizer, steps), named in here.items():
            others = there.get((optimizer, steps), {})
            yield steps, {name: (named[name], others[name]) for name in named if name in others}


class AcrossRanks(Evidence, frozen=True, kw_only=True):
    """Made where recordings of several processes are joined; one process alone has none."""

    obtained_by: ClassVar[str] = "recordings of several ranks (`stepscope run`)"
    ranks: tuple[OfRank, ...]

    def pairs(self) -> Iterator[Pair]:
        """Yield each wrapper of the first rank of a group with that of each other rank."""
        by_rank = {each.rank: each for each in self.ranks}
        for here in self.ranks:
            for first in here.replicas.wrappers.values() if here.replicas else ():
                if here.rank != first.group[0] or here.marks is None:
                    continue
                for there in (by_rank[rank] for rank in first.group[1:] if rank in by_rank):
                    other = there.replicas and there.replicas.wrappers.get(first.number)
                    if other and other.group == first.group and there.marks is not None:
                        yield Pair(first=first, other=other, marks=(here.marks, there.marks))


def across(recordings: Mapping[int, Recording]) -> AcrossRanks | None:
    """Lay the recordings of several ranks side by side; None where fewer than two noted any."""
    ranks = tuple(
        OfRank(
            rank=rank,
            replicas=recording.get(Replicas),
            marks=recording.get(RankMarks),
            uses=recording.get(StatisticsUses),
        )
        for rank, recording in sorted(recordings.items())
        if recording.get(Replicas) is not None
    )
    return AcrossRanks(ranks=ranks) if len(ranks) > 1 else None


def shared_part(line: Line) -> Line | None:
    """Return what of a line is compared between ranks; None where nothing is."""
    numbers = {name: each for name, each in line.numbers.items() if name == RankMarks.subject}
    happened = tuple(each for each in line.happened if isinstance(each, SHARED))
    if not numbers and not happened:
        return None
    return msgspec.structs.replace(line, numbers=numbers, happened=happened)
