"""A cross-entropy is held against ln N of its own logits, and is left as it was found."""

import math

import pytest
import torch
from torch.nn import functional

from stepscope.evidence.course.line import Line
from stepscope.probes.course.chance import ChanceSampler
from stepscope.probes.course.pulse import Pulse

ORIGINAL = functional.cross_entropy


def step_on(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_the_ratio_follows_a_change_of_the_number_of_candidates() -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.randn(6))
    sizes = (3, 6, 6, 4)
    with Pulse([ChanceSampler], line=noted.append, every=1):
        optimizer = torch.optim.SGD([weight], lr=0.1)
        values = [
            step_on(
                optimizer, functional.cross_entropy(weight[:n].repeat(5, 1), torch.arange(5) % n)
            )
            for n in sizes
        ]
    ratios = [line.numbers["chance"]["0.ratio"] for line in noted]
    expected = [value / math.log(n) for value, n in zip(values, sizes, strict=True)]
    assert torch.allclose(torch.tensor(ratios), torch.tensor(expected))
    assert [line.numbers["chance"]["0.candidates"] for line in noted] == list(sizes)


def test_masked_candidates_do_not_count() -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.randn(6))
    mask = torch.tensor([0.0, 0, 0, 0, -torch.inf, -torch.inf])
    with Pulse([ChanceSampler], line=noted.append, every=1):
        optimizer = torch.optim.SGD([weight], lr=0.1)
        step_on(optimizer, functional.cross_entropy((weight + mask)[None], torch.tensor([1])))
    assert noted[0].numbers["chance"]["0.candidates"] == 4


def test_soft_targets_say_nothing_of_chance() -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.randn(6))
    with Pulse([ChanceSampler], line=noted.append, every=1):
        optimizer = torch.optim.SGD([weight], lr=0.1)
        step_on(optimizer, functional.cross_entropy(weight[None], target=torch.ones(1, 6) / 6))
    assert not noted


def test_losses_of_an_evaluation_are_not_noted() -> None:
    noted: list[Line] = []
    with Pulse([ChanceSampler], line=noted.append, every=1), torch.no_grad():
        functional.cross_entropy(torch.randn(2, 3), torch.tensor([0, 1]))
    assert not noted


def test_the_function_is_put_back_before_anything_is_compiled() -> None:
    with Pulse([ChanceSampler], line=lambda _: None):
        assert functional.cross_entropy is not ORIGINAL
        torch.compile(torch.nn.Linear(1, 1))
        assert functional.cross_entropy is ORIGINAL
    assert functional.cross_entropy is ORIGINAL


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_losses_and_classes_can_be_scripted_under_watch() -> None:
    class Pair:
        def __init__(self, first: torch.Tensor) -> None:
            self.first = first

        def both(self, second: torch.Tensor) -> torch.Tensor:
            return positive(self.first + second)

    positive = functional.relu  # a name of the frame that asks for the scripting
    with Pulse([ChanceSampler], line=lambda _: None):
        torch.jit.script(Pair)
        scripted = torch.jit.script(torch.nn.CrossEntropyLoss())
    assert math.isclose(
        scripted(torch.zeros(1, 3), torch.tensor([0])).item(), math.log(3), rel_tol=1e-6
    )
