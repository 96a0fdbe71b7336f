"""Numbers come in the order in which they were asked for; looks are few."""

import torch

from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.rarely import Rarely


def test_numbers_that_are_here_are_told_at_once() -> None:
    heard: list[list[float]] = []
    arrivals = Arrivals()
    arrivals.ask([torch.tensor(True), torch.tensor([2.5])], heard.append)
    arrivals.ask([], heard.append)
    assert heard == [[1.0, 2.5], []]
    assert not arrivals.is_waiting


def test_a_number_may_change_once_it_was_asked_for() -> None:
    heard: list[list[float]] = []
    number = torch.tensor(1.0)
    Arrivals().ask([number], heard.append)
    number.add_(1)
    assert heard == [[1.0]]


def test_three_of_the_first_ten_steps_are_looked_at_and_then_one_in_ten() -> None:
    rarely = Rarely()
    assert [step for step in range(41) if rarely.is_due()] == [0, 1, 2, 10, 20, 30, 40]
