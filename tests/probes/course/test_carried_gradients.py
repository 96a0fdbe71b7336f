"""Whether gradients are carried over is told as a look at every one of them would."""

from collections.abc import Callable

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.probes.course.carried_gradients import CarriedGradientsSampler
from stepscope.probes.course.pulse import Pulse

Zero = Callable[[torch.nn.Module, int], None]


def never(model: torch.nn.Module, step: int) -> None:
    """Leave the gradients."""


def always(model: torch.nn.Module, step: int) -> None:
    model.zero_grad()


def to_zero(model: torch.nn.Module, step: int) -> None:
    model.zero_grad(set_to_none=False)


def decayed(model: torch.nn.Module, step: int) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad *= 0.9


def until_twenty(model: torch.nn.Module, step: int) -> None:
    if step < 20:
        model.zero_grad()


@pytest.mark.parametrize(
    ("zero", "carried"),
    [
        (never, {1.0}),
        (always, {0.0}),
        (to_zero, {0.0}),
        (decayed, {0.0}),
        (until_twenty, {0.0, 1.0}),
    ],
)
@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("backwards", [1, 2])
def test_a_step_carries_over_what_nobody_has_cleared(
    zero: Zero, carried: set[float], every: int, backwards: int
) -> None:
    noted: list[Line] = []
    model = torch.nn.Linear(3, 2)
    with Pulse([CarriedGradientsSampler], line=noted.append, every=every):
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for step in range(40):
            zero(model, step)
            for _ in range(backwards):
                model(torch.randn(4, 3)).square().mean().backward()
            optimizer.step()
    found = {value for line in noted for value in line.numbers["carried gradients"].values()}
    assert found == carried


def test_the_players_of_a_game_carry_nothing_over() -> None:
    noted: list[Line] = []
    generator, critic = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
    with Pulse([CarriedGradientsSampler], line=noted.append, every=1):
        for_critic = torch.optim.SGD(critic.parameters(), lr=1e-3)
        for_generator = torch.optim.SGD(generator.parameters(), lr=1e-3)
        for _step in range(10):
            for_critic.zero_grad()
            critic(generator(torch.randn(3, 2)).detach()).mean().backward()
            for_critic.step()
            for_generator.zero_grad()
            critic(generator(torch.randn(3, 2))).mean().backward()
            for_generator.step()
    found = {value for line in noted for value in line.numbers["carried gradients"].values()}
    assert found == {0.0}
