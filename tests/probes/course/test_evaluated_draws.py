"""Random numbers that an evaluation draws are blamed on the innermost module that drew them."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as torch_module

from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.random_draws import EvaluationDrew, EvaluationKeptStill
from stepscope.probes.course.evaluations import EvaluationSampler
from stepscope.probes.course.functional_dropout import dropouts_without_mode
from stepscope.probes.course.pulse import Pulse


class Drawing(nn.Module):
    """Calls its child, then draws, then calls it again."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.child = nn.Linear(3, 3)
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.child(self.draw(self.child(x))))


class Always(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5)


class Mode(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5, self.training) + functional.dropout(
            x, 0.5, training=self.training
        )


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = 0.1

    def forward(self, q: Tensor) -> Tensor:
        dropout_p = self.p if self.training else 0.0
        first = functional.scaled_dot_product_attention(q, q, q, dropout_p=dropout_p)
        return functional.scaled_dot_product_attention(first, q, q, dropout_p=self.p)


class OwnDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.dropout(x))


def told(part: nn.Module, evaluations: int = 2, before: Callable[[], object] = int) -> list[Any]:
    lines: list[Line] = []
    pulse = Pulse([EvaluationSampler], line=lines.append, every=1000)
    with pulse:
        net = nn.Sequential(nn.Linear(3, 3), part)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(evaluations):
            for _step in range(4):
                optimizer.zero_grad()
                net(torch.ones(2, 3)).square().mean().backward()
                optimizer.step()
            net.eval()
            before()
            with torch.no_grad():
                net(torch.ones(2, 3))
            net.train()
    assert not pulse.run.faults
    assert not torch_module._has_any_global_hook()
    happened: list[Happening] = [each for line in lines for each in line.happened]
    return [each for each in happened if isinstance(each, EvaluationDrew | EvaluationKeptStill)]


def test_the_module_whose_own_code_drew_is_named_and_not_its_child() -> None:
    first, second = told(Drawing(lambda x: x + torch.randn_like(x)))
    assert (first.module, first.kind, first.generator) == ("1", "Drawing", "torch's CPU generator")
    assert (first.evaluated, second.evaluated) == (4, 8)
    assert first.left != second.left
    assert not first.drops


def test_a_seed_before_each_evaluation_leaves_the_generators_in_one_state() -> None:
    first, second = told(
        Drawing(lambda x: x + torch.randn_like(x)), before=lambda: torch.manual_seed(3)
    )
    assert first.left == second.left


def test_numbers_of_python_are_drawn_by_whoever_was_called() -> None:
    first, _ = told(Drawing(lambda x: x * random.random()))  # noqa: S311
    assert (first.module, first.generator) == ("", "Python's `random`")


def test_the_line_of_a_dropout_that_is_always_on_is_told() -> None:
    first, _ = told(Always())
    assert (first.drops, first.dropped_at.function) == ("functional.dropout", "Always")


@pytest.mark.parametrize("kind", [Mode, OwnDropout, nn.Identity])
def test_what_draws_nothing_is_told_once(kind: type[nn.Module]) -> None:
    (said,) = told(kind())
    assert isinstance(said, EvaluationKeptStill)


def test_a_layer_that_is_left_in_training_mode_may_draw() -> None:
    dropout = nn.Dropout(0.5)
    assert not told(nn.Sequential(dropout), before=dropout.train)


def test_a_forward_that_raises_leaves_no_hook() -> None:
    def fail(x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            raise ValueError
        return x

    with pytest.raises(ValueError, match=r"^$"):
        told(Drawing(fail))
    assert not torch_module._has_any_global_hook()


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        (Always, ["functional.dropout"]),
        (Attending, ["functional.scaled_dot_product_attention"]),
        (Mode, []),
        (OwnDropout, []),
        (nn.Dropout, []),
    ],
)
def test_only_calls_that_no_mode_reaches_are_found(kind: type, calls: list[str]) -> None:
    assert [name for name, _ in dropouts_without_mode(kind)] == calls
