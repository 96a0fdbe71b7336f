"""A freeze that is undone is dated, and its line is named."""

import inspect
from collections.abc import Callable

import torch

from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.mode_turns import ModeTurned
from stepscope.evidence.course.thaws import Thawed
from stepscope.probes.course.freezes import FreezeSampler
from stepscope.probes.course.pulse import Pulse


def train(before: Callable[[torch.nn.Sequential, int], object]) -> list[tuple[int, Happening]]:
    """Train the last layer of a model whose body is frozen, asleep; `before` each step."""
    lines: list[Line] = []
    body = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(body.requires_grad_(False), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    with Pulse([FreezeSampler], line=lines.append, every=1):
        body.eval()
        for step in range(6):
            before(model, step)
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().sum().backward()
            optimizer.step()
    return [(line.step, each) for line in lines for each in line.happened]


def line_of(function: Callable[..., object], text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


def test_a_freeze_that_is_kept_is_not_mentioned() -> None:
    def keep(model: torch.nn.Sequential, _: int) -> None:
        model.train()
        model[0].eval()

    assert train(keep) == []


def test_the_train_that_undoes_a_freeze_is_named_once() -> None:
    def undo(model: torch.nn.Sequential, step: int) -> None:
        if step >= 4:
            model.train()

    ((step, turned),) = train(undo)
    assert isinstance(turned, ModeTurned)
    assert (step, turned.modules, turned.since, turned.until) == (4, ("0.1",), 3, 4)
    assert turned.at.line == line_of(undo, "model.train()")


def test_a_part_that_is_thawed_may_be_trained() -> None:
    def thaw(model: torch.nn.Sequential, step: int) -> None:
        if step == 4:
            model[0].requires_grad_(True)
            model.train()

    ((step, thawed),) = train(thaw)
    assert isinstance(thawed, Thawed)
    assert step == 4
    assert thawed.parameters == ("0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias")
    assert thawed.at.line == line_of(thaw, "requires_grad_(True)")


def test_a_thaw_by_attribute_has_no_line() -> None:
    def thaw(model: torch.nn.Sequential, step: int) -> None:
        model[0][0].bias.requires_grad = step >= 2

    ((step, thawed),) = train(thaw)
    assert isinstance(thawed, Thawed)
    assert (step, thawed.parameters, thawed.at.line) == (2, ("0.0.bias",), 0)
