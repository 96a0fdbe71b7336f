"""Which optimizers step, and which only collect gradients, is counted as the loop counts it."""

import torch

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.optimizer_uses import OptimizerMade
from stepscope.probes.course.optimizer_uses import OptimizerUseSampler
from stepscope.probes.course.pulse import Pulse


def test_backwards_and_steps_are_counted_in_steps_that_are_not_sampled_too() -> None:
    noted: list[Line] = []
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    with Pulse([OptimizerUseSampler], line=noted.append, every=7):
        for_first = torch.optim.SGD(first.parameters(), lr=0.1)
        for_second = torch.optim.SGD(second.parameters(), lr=0.1)
        for step in range(20):
            second(first(torch.ones(3, 2))).sum().backward()
            for_first.step()
            if step % 4 == 0:
                for_second.step()
    assert noted[-1].numbers["optimizer use"] == {"backwards": 20, "0.steps": 20, "1.steps": 5}


def test_an_optimizer_that_never_steps_is_told_with_what_it_alone_holds() -> None:
    noted: list[Line] = []
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    with Pulse([OptimizerUseSampler], line=noted.append, every=1):
        for_second = torch.optim.SGD(second.parameters(), lr=0.1)
        idle = torch.optim.SGD([*first.parameters(), second.bias], lr=0.1)
        for _step in range(3):
            idle.zero_grad()
            second(first(torch.ones(3, 2))).sum().backward()
            for_second.step()
    numbers = noted[-2].numbers["optimizer use"]
    assert (numbers["1.parameters"], numbers["1.fed"], numbers["1.steps"]) == (2, 2, 0)


def test_each_optimizer_is_told_with_the_line_that_made_it() -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.zeros(1))
    with Pulse([OptimizerUseSampler], line=noted.append):
        torch.optim.Adam([weight])
        torch.optim.SGD([weight], lr=0.1)
    made = [each for line in noted for each in line.happened if isinstance(each, OptimizerMade)]
    assert [(each.number, each.kind, each.at.file) for each in made] == [
        (0, "Adam", __file__),
        (1, "SGD", __file__),
    ]
    assert made[0].at.line + 1 == made[1].at.line


def test_a_program_that_makes_an_optimizer_for_each_batch_fills_no_recording() -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.zeros(1))
    with Pulse([OptimizerUseSampler], line=noted.append, every=1):
        made = [torch.optim.SGD([weight], lr=0.1) for _ in range(100)]
        for optimizer in made:
            weight.sum().backward()
            optimizer.step()
    assert sum(len(line.happened) for line in noted) <= 32
    assert max(len(line.numbers.get("optimizer use", {})) for line in noted) <= 33 + 2 * 32
