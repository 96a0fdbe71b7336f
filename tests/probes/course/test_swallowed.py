"""Exceptions that are caught are counted by steps, and those that end the run are not told."""

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.swallowed import Swallowed
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.swallowed import SwallowedSampler


class Picky(torch.nn.Module):
    """Raises in the calls that it is told to."""

    def __init__(self, raising: set[int]) -> None:
        super().__init__()
        self.head = torch.nn.Linear(2, 2)
        self.raising = raising
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls in self.raising:
            raise ValueError("no")
        result: torch.Tensor = self.head(x)
        return result


class Model(torch.nn.Module):
    def __init__(self, raising: set[int], tries: int = 1) -> None:
        super().__init__()
        self.body = torch.nn.Linear(2, 2)
        self.picky = Picky(raising)
        self.tries = tries

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        for _ in range(self.tries):
            try:
                return x + self.picky(x)
            except ValueError:
                continue
        return x


def train(model: torch.nn.Module, steps: int = 6) -> list[Line]:
    lines: list[Line] = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pulse([SwallowedSampler], line=lines.append, every=1):
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    return lines


def told(lines: list[Line]) -> list[tuple[int, Swallowed]]:
    return [
        (line.step, each) for line in lines for each in line.happened if isinstance(each, Swallowed)
    ]


def test_steps_are_counted_from_the_first_one_on() -> None:
    lines = train(Model({2, 4, 5}))
    ((step, first),) = told(lines)
    assert (step, first.exception.module, first.exception.kind) == (1, "picky", "ValueError")
    assert first.exception.trained
    assert not first.exception.retried
    assert [line.numbers["swallowed"] for line in lines] == [
        {"looked": 2, "0": 1},
        {"looked": 3, "0": 1},
        {"looked": 4, "0": 2},
        {"looked": 5, "0": 3},
        {"looked": 6, "0": 3},
    ]


def test_a_second_attempt_that_succeeds_is_told_apart() -> None:
    ((step, first),) = told(train(Model({3}, tries=2)))
    assert step == 2
    assert first.exception.retried


def test_two_attempts_that_both_fail_count_one_step() -> None:
    lines = train(Model({1, 2}, tries=2), steps=2)
    assert len(told(lines)) == 1
    assert lines[-1].numbers["swallowed"] == {"looked": 2, "0": 1}


def test_an_exception_that_ends_the_run_is_not_told() -> None:
    model = Model({2})
    lines: list[Line] = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def program() -> None:
        with Pulse([SwallowedSampler], line=lines.append):
            for _ in range(3):
                (model.picky(torch.ones(1, 2)).sum() + model.body.weight.sum()).backward()
                optimizer.step()

    with pytest.raises(ValueError, match="no"):
        program()
    assert lines == []


def test_without_an_exception_nothing_is_noted() -> None:
    assert train(Model(set())) == []
