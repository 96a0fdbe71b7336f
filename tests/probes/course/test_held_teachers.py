"""Averages that an optimizer holds are told from what it trains alone, and measured exactly."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from stepscope.evidence.course.held_teachers import HeldTeacherFound
from stepscope.evidence.course.line import Line
from stepscope.probes.course.held_teachers import STEPS, HeldTeacherSampler
from stepscope.probes.course.pulse import Pulse

Between = Callable[[nn.Module, nn.Module], None]


def average(share: float) -> Between:
    @torch.no_grad()
    def lerp(teacher: nn.Module, student: nn.Module) -> None:
        for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
            slow.lerp_(fast, share)

    return lerp


def train(model: nn.ModuleDict, between: Between, steps: int = 4) -> list[Line]:
    lines: list[Line] = []
    with Pulse([HeldTeacherSampler], line=lines.append, every=1):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            outputs = [each(torch.randn(4, 6)) for each in model.values()]
            sum(each.square().sum() for each in outputs).backward()
            optimizer.step()
            between(model["teacher"], model["student"])
    return lines


def copied() -> nn.ModuleDict:
    student = nn.Linear(6, 6)
    return nn.ModuleDict({"student": student, "teacher": copy.deepcopy(student)})


def test_ways_are_those_of_the_weights() -> None:
    model, ways = copied(), []

    def between(teacher: nn.Module, student: nn.Module) -> None:
        before = teacher.weight.detach().clone()
        average(0.25)(teacher, student)
        now = teacher.weight.detach()
        ways.append(float((now - before).norm() / now.norm()))

    lines = train(model, between)
    assert lines[0].happened == (
        HeldTeacherFound(name="teacher", student="student", optimizer=0, kind="SGD"),
    )
    for line, way in zip(lines, ways, strict=False):
        measured = line.numbers["held teacher"]
        assert measured["teacher outside"] == pytest.approx(way, rel=1e-4)
        assert measured["teacher aligned"] == pytest.approx(1.0, abs=1e-4)
        assert measured["teacher student outside"] == 0
        assert measured["teacher inside"] > 0


def test_what_only_the_optimizer_moves_is_not_told() -> None:
    assert train(copied(), lambda _, __: None) == []


def test_what_began_elsewhere_is_no_copy() -> None:
    model = nn.ModuleDict({"student": nn.Linear(6, 6), "teacher": nn.Linear(6, 6)})
    assert train(model, average(0.1)) == []


def test_layers_of_one_stack_are_no_teachers() -> None:
    first = nn.Linear(6, 6)
    model = nn.ModuleDict({str(i): copy.deepcopy(first) for i in range(3)})
    model.update({"teacher": copy.deepcopy(first), "student": first})
    assert train(model, average(0.1)) == []


def test_after_the_first_steps_nothing_is_read() -> None:
    lines = train(copied(), average(0.1), steps=STEPS + 3)
    assert max(line.step for line in lines) < STEPS
