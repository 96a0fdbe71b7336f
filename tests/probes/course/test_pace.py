"""How seldom steps are sampled follows from what sampling costs."""

from itertools import pairwise

import pytest

from stepscope.probes.course.pace import ALLOWED_S, EVERY, FIRST, SHARE, Pace


class Clock:
    """Time that passes when the test says so."""

    now = 100.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sampled(pace: Pace, clock: Clock, steps: int, *, step_s: float, looked_s: float) -> list[int]:
    """Take steps, of which the sampled ones take longer; return those."""
    seen = []
    looks = True
    for step in range(steps):
        seen += [step] * looks
        clock.now += step_s + looks * looked_s
        looks = pace.stepped(step, clock.now, looks * looked_s)
    return seen


def test_cheap_looks_come_at_the_least_distance(clock: Clock) -> None:
    seen = sampled(Pace(), clock, 200, step_s=10.0, looked_s=10.0 * SHARE * EVERY)
    assert seen[:FIRST] == list(range(FIRST))
    assert {after - before for before, after in pairwise(seen[FIRST:])} == {EVERY}


def test_dear_looks_take_no_more_than_their_share(clock: Clock) -> None:
    steps, looked_s = 20_000, 0.4
    seen = sampled(Pace(), clock, steps, step_s=0.1, looked_s=looked_s)
    later = len(seen) - FIRST
    assert later > 5
    assert later * looked_s <= SHARE * steps * 0.1


def test_a_run_of_a_second_is_sampled_to_its_end_and_not_at_its_beginning_only(
    clock: Clock,
) -> None:
    seen = sampled(Pace(), clock, 1000, step_s=0.001, looked_s=0.001)
    later = [step for step in seen if step >= FIRST]
    assert all(after <= 1.1 * before + 1 for before, after in pairwise(later))
    assert later[-1] > 900


def test_what_is_allowed_besides_the_share_is_given_once(clock: Clock) -> None:
    steps, step_s, looked_s = 1_000_000, 1e-4, 2e-3
    seen = sampled(Pace(), clock, steps, step_s=step_s, looked_s=looked_s)
    later = len(seen) - FIRST
    assert later * looked_s <= SHARE * steps * step_s + ALLOWED_S


@pytest.mark.parametrize("pause_s", [30.0, 3000.0])
def test_pauses_for_imports_or_evaluations_are_no_steps(clock: Clock, pause_s: float) -> None:
    pace = Pace()
    clock.now += pause_s
    sampled(pace, clock, 30, step_s=0.1, looked_s=0.0)
    assert pace.step_s == pytest.approx(0.1)
    clock.now += pause_s
    pace.stepped(30, clock.now, 0.0)
    assert pace.step_s == pytest.approx(0.11)


def test_steps_that_become_slower_for_good_are_believed(clock: Clock) -> None:
    pace = Pace()
    sampled(pace, clock, 30, step_s=0.1, looked_s=0.0)
    for step in range(30, 130):
        clock.now += 1.0
        pace.stepped(step, clock.now, 0.0)
    assert pace.step_s == pytest.approx(1.0, rel=0.01)


def test_a_distance_that_is_given_is_kept_whatever_it_costs(clock: Clock) -> None:
    assert sampled(Pace(every=7), clock, 30, step_s=0.1, looked_s=9.0) == [0, 7, 14, 21, 28]


@pytest.mark.parametrize("drift_s", [0.0, -5.0])
def test_a_clock_that_stands_or_goes_back_stops_nothing(clock: Clock, drift_s: float) -> None:
    seen = sampled(Pace(), clock, 300, step_s=drift_s, looked_s=0.0)
    assert max(after - before for before, after in pairwise(seen)) == EVERY
    assert seen[-1] >= 300 - EVERY
