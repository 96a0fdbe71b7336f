"""Terms of a loss are heard wherever they have a name: in outputs, and around the backward."""

from collections.abc import Callable

import torch
from torch import nn

from stepscope.evidence.course.line import Line
from stepscope.probes.course.losses import LossSampler
from stepscope.probes.course.pulse import Pulse

Points = dict[str, list[tuple[int, float]]]


def heard(step: Callable[[nn.Module, int], None], *, steps: int = 3) -> Points:
    """Take steps with a layer whose output is 2, and return what was heard of losses, by name."""
    lines: list[Line] = []
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Pulse([LossSampler], line=lines.append, every=1) as pulse:
        for number in range(steps):
            optimizer.zero_grad()
            step(model, number)
            optimizer.step()
        assert not pulse.run.faults
    points: Points = {}
    for line in lines:
        for name, value in line.numbers.get("loss", {}).items():
            points.setdefault(name, []).append((line.step, value))
    return points


def test_a_term_that_the_loop_adds_later_is_heard_from_then_on() -> None:
    def step(model: nn.Module, number: int) -> None:
        losses = {"loss_region": model(torch.ones(1, 2)).sum()}
        if number >= 1:
            losses["loss_bank"] = 3 * model(torch.ones(1, 2)).sum()
        torch.stack(list(losses.values())).sum().backward()

    assert heard(step) == {
        "loss_region": [(0, 2.0), (1, 2.0), (2, 2.0)],
        "loss_bank": [(1, 6.0), (2, 6.0)],
        "total": [(0, 2.0), (1, 8.0), (2, 8.0)],
    }


def test_a_variable_is_a_term_and_a_sum_or_a_number_without_gradient_is_none() -> None:
    def step(model: nn.Module, number: int) -> None:
        loss_cls = model(torch.ones(1, 2)).sum()
        accuracy = torch.tensor(0.5)
        total_loss = loss_cls + accuracy
        total_loss.backward()

    assert heard(step, steps=1) == {"loss_cls": [(0, 2.0)], "total": [(0, 2.5)]}


def test_of_several_backwards_in_a_step_the_total_is_the_mean() -> None:
    def step(model: nn.Module, number: int) -> None:
        for factor in (1.0, 3.0):
            (factor * model(torch.ones(1, 2)).sum()).backward()

    assert heard(step, steps=2) == {"total": [(0, 4.0), (1, 4.0)]}


def test_terms_that_a_model_hands_out_are_heard_without_their_dictionary_being_kept() -> None:
    class Detector(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.model(x).sum()
            return {"loss_box": out, "loss_mask": 2 * out, "score": out}

    def step(model: nn.Module, number: int) -> None:
        sum(Detector(model)(torch.ones(1, 2)).values()).backward()  # type: ignore[union-attr]

    assert heard(step, steps=1) == {
        "loss_box": [(0, 2.0)],
        "loss_mask": [(0, 4.0)],
        "total": [(0, 8.0)],
    }
