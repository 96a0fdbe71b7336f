"""The course of a run folds lines into evidence, kind by kind."""

from collections.abc import Iterable
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.core import Evidence
from stepscope.evidence.course.course import FIRST, LAST, Course
from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series


class Losses(Evidence, frozen=True, kw_only=True):
    subject: ClassVar[str] = "loss"
    series: dict[str, Series]


class Skipped(Happening, frozen=True, kw_only=True):
    number: int = 0


class Skips(Evidence, frozen=True, kw_only=True):
    happening: ClassVar[type[Happening]] = Skipped
    seen: tuple[tuple[int, Skipped], ...]
    count: int


KINDS: tuple[type[Evidence], ...] = (Losses, Skips)


def fold(lines: Iterable[Line]) -> dict[type[Evidence], Evidence]:
    course = Course(KINDS)
    for each in lines:
        course.add(each)
    return {type(each): each for each in course.evidence()}


def test_nothing_is_known_of_a_run_without_lines() -> None:
    assert fold([]) == {}


def test_numbers_are_joined_by_subject_and_name() -> None:
    known = fold(
        [
            Line(step=0, seconds=0.0, numbers={"loss": {"a": 1.0}, "unheard": {"a": 9.0}}),
            Line(step=2, seconds=0.5, numbers={"loss": {"a": 2.0, "b": 3.0}}),
        ]
    )
    assert known == {
        Losses: Losses(series={"a": Series((0, 2), (1.0, 2.0)), "b": Series((2,), (3.0,))}),
        Progress: Progress(first=0, step=2, sampled=2, seconds=0.5),
    }


def test_the_first_and_the_last_happenings_are_kept_and_all_are_counted() -> None:
    total = FIRST + LAST + 50
    known = fold(Line(step=n, seconds=0.0, happened=(Skipped(number=n),)) for n in range(total))
    skips = known[Skips]
    assert isinstance(skips, Skips)
    assert skips.count == total
    expected = [*range(FIRST), *range(total - LAST, total)]
    assert [step for step, _ in skips.seen] == expected
    assert [each.number for _, each in skips.seen] == expected


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(
            Line,
            step=st.integers(0, 50),
            seconds=st.integers(0, 99).map(float),
            numbers=st.dictionaries(
                st.sampled_from(["loss", "unheard"]),
                st.dictionaries(st.sampled_from("ab"), st.floats(allow_nan=False)),
            ),
            happened=st.lists(st.builds(Skipped, number=st.integers(0, 9)), max_size=2).map(tuple),
        ),
        max_size=20,
    )
)
def test_what_is_read_back_gives_the_same_evidence(lines: list[Line]) -> None:
    assert fold(Line.from_json(each.to_json(), [Skipped]) for each in lines) == fold(lines)


def test_what_a_thinned_recording_left_out_is_counted() -> None:
    known = fold(
        [
            Line(step=0, seconds=0.0, numbers={"loss": {"a": 1.0}}, happened=(Skipped(),)),
            Line(step=9, seconds=0.9, left_out={"numbers": 8, "Skipped": 5, "Unheard": 1}),
        ]
    )
    progress, skips = known[Progress], known[Skips]
    assert isinstance(progress, Progress)
    assert isinstance(skips, Skips)
    assert (progress.sampled, skips.count, len(skips.seen)) == (9, 6, 1)
