"""Calls of an evaluated model are compared where they differ in a selector, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils.data import DataLoader, TensorDataset

from stepscope.evidence.course.compared_calls import CallsCompared
from stepscope.evidence.course.line import Line
from stepscope.probes.course.evaluated_calls import TIMES
from stepscope.probes.course.evaluations import EvaluationSampler
from stepscope.probes.course.pulse import Pulse


class Branches(nn.Module):
    """Heeds `head`, ignores `tail`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)
        self.held = "first"
        self.calls = 0

    def forward(self, x: Tensor, head: str | int = "first", *, tail: bool = False) -> Any:
        self.calls += 1
        features = (self.first if head == "first" else self.second)(x)
        return {"features": features, "tail": [features]} if tail is None else features


def told(
    evaluate: Callable[[Branches, DataLoader[Any]], object], epochs: int = 1
) -> list[CallsCompared]:
    lines: list[Line] = []
    pulse = Pulse([EvaluationSampler], line=lines.append, every=1000)
    with pulse:
        net = Branches()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        train = DataLoader(TensorDataset(torch.randn(4, 3)), batch_size=2)
        valid = DataLoader(TensorDataset(torch.randn(4, 3)), batch_size=2)
        for _ in range(epochs):
            for (batch,) in train:
                optimizer.zero_grad()
                (net(batch) + net(batch, "second")).square().mean().backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                evaluate(net, valid)
            net.train()
    assert not pulse.run.faults
    assert not torch_module._has_any_global_hook()
    return [each for line in lines for each in line.happened if isinstance(each, CallsCompared)]


def with_each(*calls: dict[str, Any]) -> Callable[[Branches, DataLoader[Any]], object]:
    return lambda net, valid: [net(batch, **call) for (batch,) in valid for call in calls]


@pytest.mark.parametrize(
    ("calls", "selector", "same"),
    [
        (({"head": "first"}, {"head": "second"}), "head", False),
        (({"tail": True}, {"tail": False}), "tail", True),
        (({"head": 1, "tail": True}, {"head": 2, "tail": False}), "head, tail", True),
    ],
)
def test_two_calls_are_compared_by_what_differs(
    calls: tuple[dict[str, Any], ...], selector: str, *, same: bool
) -> None:
    (said,) = told(with_each(*calls))
    assert (said.selector, said.same, said.kind, said.evaluated) == (selector, same, "Branches", 2)
    assert said.at.function.startswith("with_each")


def test_positional_arguments_select_too() -> None:
    (said,) = told(lambda net, valid: [net(batch, i) for (batch,) in valid for i in (1, 2)])
    assert (said.selector, said.values, said.same) == ("argument 1", ("1", "2"), True)


def test_passes_over_the_same_data_are_compared() -> None:
    def by_pass(net: Branches, valid: DataLoader[Any]) -> None:
        for net.held in ("first", "second"):
            for (batch,) in valid:
                net(batch)

    (said,) = told(by_pass)
    assert (said.selector, said.values, said.same) == ("held", ("'first'", "'second'"), True)


@pytest.mark.parametrize(
    "calls",
    [({},), ({"tail": True}, {"tail": True}), ({}, {"tail": True})],
    ids=["one", "the same", "a selector that is not always given"],
)
def test_other_calls_are_not_compared(calls: tuple[dict[str, Any], ...]) -> None:
    assert not told(with_each(*calls))


def test_calls_on_other_data_are_not_compared() -> None:
    def other(net: Branches, valid: DataLoader[Any]) -> None:
        for tail in (True, False):
            for (batch,) in valid:
                net(batch + tail, tail=tail)

    assert not told(other)


def test_a_pair_is_told_once_in_an_evaluation_and_a_few_times_in_a_run() -> None:
    found = told(with_each({"tail": True}, {"tail": False}), epochs=TIMES + 2)
    assert len({each.evaluated for each in found}) == len(found) <= TIMES


def test_where_a_fault_ends_the_watching_within_an_evaluation_no_hook_stays() -> None:
    net = Branches()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    train, valid = (DataLoader(TensorDataset(torch.randn(4, 3)), batch_size=2) for _ in range(2))
    with Pulse([EvaluationSampler], line=lambda _: None, every=1000) as pulse:
        for (batch,) in train:
            net(batch).square().mean().backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for (batch,) in valid:
                net(batch)
                assert bool(torch_module._has_any_global_hook()) is not pulse.run.over
                pulse.run.unpatch()  # nobody is told of an end then
                assert not torch_module._has_any_global_hook()
