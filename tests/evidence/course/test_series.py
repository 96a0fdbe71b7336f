"""A curve takes bounded room, and keeps its beginning, its end and its shape."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.evidence.course.series import HEAD, MOST, RECENT, Growing, Series


def grown(points: int) -> Series:
    growing = Growing()
    for step in range(points):
        growing.add(step, float(step))
    return growing.series()


def test_few_points_are_all_kept() -> None:
    assert grown(MOST).steps == tuple(range(MOST))


def test_many_points_take_no_more_room_than_the_most() -> None:
    for points in (MOST + 1, 5 * MOST, 20 * MOST):
        assert len(grown(points)) <= MOST


def test_the_first_points_and_the_last_stay() -> None:
    steps = grown(20 * MOST).steps
    assert steps[:HEAD] == tuple(range(HEAD))
    assert steps[-RECENT:] == tuple(range(20 * MOST - RECENT, 20 * MOST))


def test_no_stretch_of_the_run_is_forgotten() -> None:
    points = 20 * MOST
    steps = grown(points).steps
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert max(gaps) < points / 100


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40))
def test_a_step_that_comes_again_puts_what_followed_out_of_force(steps: list[int]) -> None:
    growing = Growing()
    expected: dict[int, float] = {}
    for number, step in enumerate(steps):
        growing.add(step, float(number))
        expected = {known: value for known, value in expected.items() if known < step}
        expected[step] = float(number)
    assert list(growing.series()) == list(expected.items())
