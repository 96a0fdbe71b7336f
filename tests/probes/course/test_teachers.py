"""Teachers are found by what they began as, and their way is measured exactly."""

import copy

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.teachers import TeacherFound
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.teachers import TeacherSampler


def train(model: torch.nn.ModuleDict, momentum: float) -> list[Line]:
    lines: list[Line] = []
    optimizer = torch.optim.SGD(model["student"].parameters(), lr=0.1)
    with Pulse([TeacherSampler], line=lines.append, every=1):
        for _ in range(3):
            optimizer.zero_grad()
            model["student"](torch.randn(4, 6)).square().sum().backward()
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(
                    model["teacher"].parameters(), model["student"].parameters(), strict=True
                ):
                    slow.lerp_(fast, 1 - momentum)
    return lines


def test_gap_and_ways_are_those_of_the_weights() -> None:
    student = torch.nn.Linear(6, 6)
    teacher = copy.deepcopy(student).requires_grad_(False)
    model = torch.nn.ModuleDict({"student": student, "teacher": teacher})
    began, lines = student.weight.detach().clone(), train(model, momentum=0.5)
    assert TeacherFound(name="teacher", student="student", gap=0.0) in lines[0].happened
    assert set(lines[1].numbers["teacher"]) == {"teacher gap", "teacher walk", "teacher followed"}
    first = lines[1].numbers["teacher"]
    assert first["teacher gap"] == pytest.approx(first["teacher walk"] / 2)
    assert first["teacher followed"] == pytest.approx(first["teacher walk"] / 2)
    assert not torch.equal(began, student.weight)


def test_a_frozen_layer_that_began_elsewhere_is_no_teacher() -> None:
    pair = {"student": torch.nn.Linear(6, 6), "teacher": torch.nn.Linear(6, 6)}
    model = torch.nn.ModuleDict(pair)
    model["teacher"].requires_grad_(False)
    assert [each for line in train(model, momentum=1.0) for each in line.happened] == []


def test_a_teacher_inside_of_another_frozen_module_is_found() -> None:
    student = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.LayerNorm(6))
    holder = torch.nn.ModuleDict({"key_net": copy.deepcopy(student)}).requires_grad_(False)
    model = torch.nn.ModuleDict({"student": student, "teacher": holder})
    (found,) = (each for line in train(model, momentum=0.9) for each in line.happened)
    assert found == TeacherFound(name="teacher.key_net", student="student", gap=0.0)


def test_of_two_students_that_are_alike_the_one_that_was_copied_is_taken() -> None:
    towers = [torch.nn.Sequential(torch.nn.Linear(6, 6)) for _ in range(3)]
    student = torch.nn.ModuleList(towers)
    model = torch.nn.ModuleDict({"student": student, "teacher": copy.deepcopy(towers[1])})
    model["teacher"].requires_grad_(False)
    lines: list[Line] = []
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with Pulse([TeacherSampler], line=lines.append, every=1):
        sum(tower(torch.ones(2, 6)).sum() for tower in towers).backward()
        optimizer.step()
    assert lines[0].happened == (TeacherFound(name="teacher", student="student.1", gap=0.0),)
