"""Loads after the first step are told with the numbers they replaced, and what is in effect."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from stepscope.evidence.course.later_loads import LoadedLater
from stepscope.evidence.course.line import Line
from stepscope.probes.course.later_loads import MOST, LaterLoadSampler
from stepscope.probes.course.pulse import Pulse


class Training:
    def __init__(self, lr: float = 0.1) -> None:
        self.net = nn.Linear(3, 2)
        self.net.logit_scale = nn.Parameter(torch.tensor(2.0))
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=lr, weight_decay=0.0)

    def step(self) -> None:
        self.optimizer.zero_grad()
        (self.net(torch.ones(2, 3)).sum() * self.net.logit_scale).backward()
        self.optimizer.step()

    def load_scale(self, value: float) -> None:
        state = self.net.state_dict()
        self.net.load_state_dict({**state, "logit_scale": torch.tensor(value)})


def told(program: Callable[[], object]) -> list[tuple[int, LoadedLater]]:
    lines: list[Line] = []
    pulse = Pulse([LaterLoadSampler], line=lines.append, every=1000)
    with pulse:
        program()
    assert not pulse.run.faults
    return [
        (line.step, each)
        for line in lines
        for each in line.happened
        if isinstance(each, LoadedLater)
    ]


def test_a_number_is_told_with_what_it_was_before_though_no_step_is_sampled() -> None:
    def program() -> None:
        training = Training(lr=0.001)
        training.step()
        training.step()
        training.load_scale(5.0)
        training.step()

    ((step, said),) = told(program)
    (load,) = said.modules
    (number,) = load.numbers
    assert (step, said.steps, said.optimizers) == (2, 0, ())
    assert number.name == "logit_scale"
    assert number.before == pytest.approx(2.0, abs=0.01)
    assert (number.after, number.at_start) == (5.0, 5.0)
    assert load.at.function.endswith("load_scale")


def test_a_number_that_is_set_back_is_not_in_effect() -> None:
    def program() -> None:
        training = Training(lr=0.001)
        training.step()
        training.load_scale(5.0)
        training.net.logit_scale.data.fill_(2.0)
        training.step()

    ((_, said),) = told(program)
    (number,) = said.modules[0].numbers
    assert number.at_start == pytest.approx(2.0, abs=0.01)


def test_settings_of_an_optimizer_are_told_with_the_steps_of_its_state() -> None:
    before = Training(lr=0.01)
    for _ in range(4):
        before.step()

    def program() -> None:
        training = Training()
        training.step()
        training.optimizer.load_state_dict(copy.deepcopy(before.optimizer.state_dict()))
        training.step()

    ((step, said),) = told(program)
    (load,) = said.optimizers
    assert (step, said.steps, load.optimizer) == (1, 4, "AdamW")
    (lr,) = load.numbers
    assert (lr.name, lr.before, lr.after, lr.at_start) == ("lr of group 0", 0.1, 0.01, 0.01)


def test_loads_before_the_first_step_are_left_to_the_first_window() -> None:
    def program() -> None:
        training = Training()
        training.load_scale(5.0)
        training.step()

    assert told(program) == []


def test_weights_alone_are_not_told() -> None:
    def program() -> None:
        net = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            net(torch.ones(2, 3)).sum().backward()
            optimizer.step()
            net.load_state_dict(copy.deepcopy(net.state_dict()))

    assert told(program) == []


def test_no_more_loads_are_told_than_a_run_may_have() -> None:
    def program() -> None:
        training = Training()
        training.step()
        for _ in range(MOST + 3):
            training.load_scale(5.0)
            training.step()

    assert len(told(program)) == MOST
