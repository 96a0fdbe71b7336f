"""What the recording of a watched run holds, read back from the disk."""

from dataclasses import dataclass
from pathlib import Path

from stepscope.core import Evidence
from stepscope.evidence.course.course import Course
from stepscope.evidence.kinds import every_kind
from stepscope.recordings.folder import latest
from stepscope.recordings.reader import read


@dataclass(frozen=True)
class Kept:
    """One process of it."""

    evidence: dict[type[Evidence], Evidence]
    codes: tuple[str, ...]  # of the findings, in the order in which they became true
    steps: tuple[int, ...]  # at which they did
    how: str  # it ended


def kept(home: Path, rank: int = 0) -> Kept:
    """Read the run that began last below a folder."""
    course = Course(every_kind())
    process = next(each for each in read(latest(home).path).ranks if each.rank == rank)
    for line in process.lines(course.happenings):
        course.add(line)
    found = process.findings()
    assert process.ended is not None
    return Kept(
        {type(each): each for each in course.evidence()},
        tuple(each.code for each in found),
        tuple(each.step for each in found),
        process.ended.how,
    )
