"""Norms are those of the gradients that the step finds, of what is trained."""

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.probes.course.gradients import GradientSampler
from stepscope.probes.course.pulse import Pulse


def test_the_norm_of_a_module_is_that_of_all_its_gradients() -> None:
    lines: list[Line] = []
    with Pulse([GradientSampler], line=lines.append, every=1):
        model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(4, 3)).sum().backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        expected = [
            float(torch.cat([each.flatten() for each in gradients[i : i + 2]]).norm())
            for i in (0, 2)
        ]
        optimizer.step()
    (line,) = lines
    assert list(line.numbers["gradient"]) == ["0", "1"]
    assert list(line.numbers["gradient"].values()) == pytest.approx(expected)


def test_zeros_that_a_frozen_module_is_left_with_are_no_gradient() -> None:
    lines: list[Line] = []
    with Pulse([GradientSampler], line=lines.append, every=1):
        model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=False)
            model(torch.ones(4, 3)).sum().backward()
            optimizer.step()
            model[0].requires_grad_(False)
    assert [set(line.numbers["gradient"]) for line in lines] == [{"0", "1"}, {"1"}]
