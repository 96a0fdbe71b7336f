"""What ranks noted, laid side by side."""

import pytest

from stepscope.core import Recording
from stepscope.evidence.course.across_ranks import across, shared_part
from stepscope.evidence.course.course import Course
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.rank_marks import RankMarks, mark_name
from stepscope.evidence.course.replicas import Replicas, Replicated

KINDS = (RankMarks, Replicas, Progress)


def wrapper(rank: int, group: tuple[int, ...]) -> Replicated:
    return Replicated(
        number=0,
        kind="DistributedDataParallel",
        module="",
        rank=rank,
        group=group,
        keeps_copies=True,
    )


def recorded(rank: int, group: tuple[int, ...], *counts: int, shift: int = 0) -> Recording:
    """Return what a rank noted after so many steps; `shift` is what its run counts besides."""
    course = Course(KINDS)
    for count in counts:
        numbers = {mark_name(0, "steps"): float(count), mark_name(0, "batch"): 10.0 * count}
        happened = (wrapper(rank, group),) if count == counts[0] else ()
        course.add(
            Line(step=count - 1 + shift, seconds=0.0, numbers={"rank": numbers}, happened=happened)
        )
    return Recording(*course.evidence())


def test_marks_of_the_same_steps_of_an_optimizer_meet_however_runs_count() -> None:
    both = across({0: recorded(0, (0, 1), 1, 2, 3), 1: recorded(1, (0, 1), 2, 3, 4, shift=7)})
    assert both is not None
    (pair,) = both.pairs()
    assert list(pair.moments()) == [
        (1, {}),
        (2, {"batch": (20.0, 20.0)}),
        (3, {"batch": (30.0, 30.0)}),
    ]


def test_ranks_of_different_groups_are_not_compared() -> None:
    groups = {0: (0, 2), 1: (1, 3), 2: (0, 2), 3: (1, 3)}
    both = across({rank: recorded(rank, group, 1) for rank, group in groups.items()})
    assert both is not None
    assert [(pair.first.rank, pair.other.rank) for pair in both.pairs()] == [(0, 2), (1, 3)]


@pytest.mark.parametrize("ranks", [(), (0,)])
def test_one_rank_has_nobody_to_be_compared_with(ranks: tuple[int, ...]) -> None:
    known = {rank: recorded(rank, (0, 1), 1) for rank in ranks}
    assert across({**known, 7: Recording()}) is None


def test_only_what_is_compared_is_handed_on() -> None:
    line = Line(step=3, seconds=1.0, numbers={"rank": {"0/steps": 4.0}, "loss": {"total": 1.0}})
    assert shared_part(line) == Line(step=3, seconds=1.0, numbers={"rank": {"0/steps": 4.0}})
    assert shared_part(Line(step=3, seconds=1.0, numbers={"loss": {"total": 1.0}})) is None
    told = Line(step=0, seconds=0.0, happened=(wrapper(0, (0, 1)),))
    assert shared_part(told) == told
