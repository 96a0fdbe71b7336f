"""How long a schedule takes is what torch's own schedulers do."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch.optim import lr_scheduler as made_by_torch

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.schedules import ScheduleBegan
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.schedule_shapes import shape_of
from stepscope.probes.course.schedules import ScheduleSampler

STEPS = 60


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def rates(made: Optimizer, schedule: Any, steps: int = STEPS) -> list[float]:
    """Return the rate at the start and after each step of the schedule."""
    found = [float(made.param_groups[0]["lr"])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(steps):
            schedule.step()
            found.append(float(made.param_groups[0]["lr"]))
    return found


def warm_then_cosine(made: Optimizer) -> Any:
    warm = made_by_torch.LinearLR(made, 0.01, total_iters=10)
    cosine = made_by_torch.CosineAnnealingLR(made, T_max=30)
    return made_by_torch.SequentialLR(made, [warm, cosine], milestones=[10])


def two_warm_ups(made: Optimizer) -> Any:
    low = made_by_torch.ConstantLR(made, 0.01, total_iters=50)
    high = made_by_torch.LinearLR(made, 0.1, total_iters=7)
    return made_by_torch.SequentialLR(made, [low, high], milestones=[5])


WARMING: dict[str, Callable[[Optimizer], Any]] = {
    "linear": lambda o: made_by_torch.LinearLR(o, 0.1, total_iters=7),
    "constant": lambda o: made_by_torch.ConstantLR(o, 0.1, total_iters=7),
    "one cycle": lambda o: made_by_torch.OneCycleLR(o, max_lr=1.0, total_steps=70),
    "warm-up and cosine": warm_then_cosine,
    "two warm-ups": two_warm_ups,
    "chain": lambda o: made_by_torch.ChainedScheduler(
        [made_by_torch.LinearLR(o, 0.1, total_iters=7), made_by_torch.ConstantLR(o, 0.5, 3)]
    ),
}


@pytest.mark.parametrize("name", WARMING)
def test_a_warm_up_takes_until_the_rate_is_highest(name: str) -> None:
    made = optimizer()
    schedule = WARMING[name](made)
    shape = shape_of(schedule)
    seen = rates(made, schedule)
    highest = next(step for step, rate in enumerate(seen) if rate > max(seen) * (1 - 1e-9))
    assert shape.rising == highest


FALLING: dict[str, Callable[[Optimizer], Any]] = {
    "cosine": lambda o: made_by_torch.CosineAnnealingLR(o, T_max=12),
    "polynomial": lambda o: made_by_torch.PolynomialLR(o, total_iters=12, power=2.0),
    "linear": lambda o: made_by_torch.LinearLR(o, 1.0, 0.0, total_iters=12),
    "warm-up and cosine": warm_then_cosine,
}


@pytest.mark.parametrize("name", FALLING)
def test_a_schedule_is_as_long_as_it_takes_to_its_lowest_rate(name: str) -> None:
    made = optimizer()
    schedule = FALLING[name](made)
    shape = shape_of(schedule)
    seen = rates(made, schedule)
    top = next(step for step, rate in enumerate(seen) if rate > max(seen) * (1 - 1e-9))
    lowest = next(step for step in range(top, len(seen)) if seen[step] < min(seen[top:]) + 1e-9)
    assert shape.length == lowest
    assert shape.turns == (seen[lowest + 5] > 1e-9)


DROPPING: dict[str, Callable[[Optimizer], Any]] = {
    "steps": lambda o: made_by_torch.StepLR(o, step_size=6),
    "milestones": lambda o: made_by_torch.MultiStepLR(o, milestones=[3, 11, 40]),
    "exponential": lambda o: made_by_torch.ExponentialLR(o, gamma=0.9),
}


@pytest.mark.parametrize("name", DROPPING)
def test_drops_are_where_the_rate_falls(name: str) -> None:
    made = optimizer()
    schedule = DROPPING[name](made)
    shape = shape_of(schedule)
    seen = rates(made, schedule)
    falls = [step for step in range(1, len(seen)) if seen[step] < seen[step - 1] * 0.99]
    assert shape.drops == tuple(falls[: len(shape.drops)])


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    """Let schedules be followed, at every step, and give what is noted."""
    noted: list[Line] = []
    with Pulse([ScheduleSampler], line=noted.append, every=1):
        yield noted


def test_a_scheduler_is_followed_to_its_end_though_it_dies_before_the_run() -> None:
    noted: list[Line] = []
    with Pulse([ScheduleSampler], line=noted.append, every=100):
        made = optimizer()
        schedule = made_by_torch.StepLR(made, step_size=6)
        for _ in range(7):
            made.step()
            schedule.step()
        del schedule, made
    (began,) = [each for line in noted for each in line.happened]
    assert isinstance(began, ScheduleBegan)
    assert (began.scheduler, began.settings, began.at.file) == ("StepLR", "step_size=6", __file__)
    assert noted[-1].numbers["schedule"] == {"0": 7}


def test_a_scheduler_inside_another_is_a_part_of_it(lines: list[Line]) -> None:
    made = optimizer()
    schedule = warm_then_cosine(made)
    for _ in range(12):
        made.step()
        schedule.step()
    made.step()
    happened = [each for line in lines for each in line.happened]
    assert [each.scheduler for each in happened if isinstance(each, ScheduleBegan)] == [
        "SequentialLR"
    ]
    assert lines[-1].numbers["schedule"] == {"0": 12}


def test_rates_are_the_same_with_and_without_a_pulse(lines: list[Line]) -> None:
    made = optimizer()
    with_pulse = rates(made, warm_then_cosine(made))
    other = optimizer()
    assert lines is not None
    schedule = warm_then_cosine(other)
    assert rates(other, schedule) == with_pulse
