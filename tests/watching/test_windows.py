"""A window opens when it is due, whatever it costs, and else when the run can afford it."""

import pytest

from stepscope.watching.windows import MOST, SHARE, Windows


def test_each_declared_step_opens_one_window_in_any_order() -> None:
    windows = Windows([9, 4, 4])
    assert [step for step in range(12) if windows.due(step)] == [4, 9]


def test_declared_steps_that_were_passed_over_are_one_window() -> None:
    windows = Windows([3, 5, 20])
    assert windows.due(10)
    assert not windows.due(11)
    assert windows.due(20)


def test_what_the_first_window_costs_is_not_counted() -> None:
    windows = Windows()
    windows.opened()
    windows.closed(cost_s=1000.0)
    assert windows.may_open(seconds=0.0)


@pytest.mark.parametrize(("seconds", "may"), [(99.9, False), (100.0, True)])
def test_later_windows_take_a_hundredth_of_the_time(seconds: float, *, may: bool) -> None:
    windows = Windows()
    for _ in range(2):
        windows.opened()
        windows.closed(cost_s=100.0 * SHARE)
    assert windows.may_open(seconds) is may


def test_a_window_that_took_less_time_than_its_steps_gives_nothing_back() -> None:
    windows = Windows()
    for cost_s in (0.0, -5.0, 1.0):
        windows.opened()
        windows.closed(cost_s)
    assert not windows.may_open(seconds=1.0 / SHARE - 1)


def test_of_turning_points_there_are_so_many_windows_and_no_more() -> None:
    windows = Windows([5000])
    for _ in range(MOST - 1):
        windows.opened()
    assert windows.may_open(seconds=0.0)
    windows.opened()
    assert not windows.may_open(seconds=1e9)
    assert windows.due(5000)  # what was asked for opens all the same
