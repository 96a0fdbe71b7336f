"""No healthy learning-rate schedule looks like a defect, at its start or later on."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import Optimizer, lr_scheduler

from stepscope.core import Recording, Status, judge
from stepscope.evidence.optimizers import Group, Optimizers
from stepscope.evidence.optimizers import Optimizer as OptimizerFact
from stepscope.rules.schedule.lr_compounds import lr_compounds
from stepscope.rules.schedule.lr_zero_throughout import lr_zero_throughout

STEPS = 100
Rates = Callable[[Optimizer], Any]


def by(factor: Callable[[int], float]) -> Rates:
    return lambda optimizer: lr_scheduler.LambdaLR(optimizer, factor)


def warm_then_cosine(optimizer: Optimizer) -> lr_scheduler.SequentialLR:
    warm = lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=10)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
    return lr_scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[10])


SCHEDULES: dict[str, Rates] = {
    "constant": by(lambda _: 1.0),
    "constant then full": lambda o: lr_scheduler.ConstantLR(o, factor=0.3, total_iters=5),
    "step": lambda o: lr_scheduler.StepLR(o, step_size=1, gamma=0.5),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, milestones=[1, 2, 3], gamma=0.1),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    "linear": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=STEPS),
    "short linear": lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, total_iters=5),
    "polynomial": lambda o: lr_scheduler.PolynomialLR(o, total_iters=STEPS, power=2.0),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS),
    "short cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=5),
    "warm restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=10),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=STEPS + 1),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=7),
    "multiplicative": lambda o: lr_scheduler.MultiplicativeLR(o, lambda _: 0.95),
    "warm-up and cosine": warm_then_cosine,
    "power of the step": by(lambda step: 0.95**step),
    "line": by(lambda step: 1 - step / (STEPS + 1)),
    "warm-up from zero": by(lambda step: step / 10),
    "warm-up from one": by(lambda step: (step + 1) / 10),
    "quadratic warm-up": by(lambda step: ((step + 1) / 10) ** 2),
    "inverse root": by(lambda step: (step + 1) ** -0.5),
    "noam": by(lambda step: min((step + 1) ** -0.5, (step + 1) * 20**-1.5)),
    "inverse time": by(lambda step: 1 / (1 + 0.1 * step)),
    "gaussian": by(lambda step: math.exp(-((step / 30) ** 2))),
    "cosine between the steps": by(lambda step: math.cos(math.pi * (step + 0.5) / 240)),
    "short cosine between the steps": by(lambda step: 1 + math.cos(math.pi * (step + 0.5) / 120)),
    "parabola between the steps": by(lambda step: 1 - ((step + 0.5) / 120) ** 2),
}


def recording(rates: list[float], seen: int) -> Recording:
    group = Group(
        optimizer=0, index=0, parameters=("w",), lrs=tuple(rates[:seen]), lr_next=rates[seen],
        initial_lr=0.1,
    )  # fmt: skip
    made = OptimizerFact(kind="SGD", stepped=seen, adaptive=False)
    return Recording(Optimizers(optimizers=(made,), groups=(group,), steps=()))


@pytest.mark.filterwarnings("ignore:The epoch parameter in")  # SequentialLR of torch 2.8 itself
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("seen", [3, 10, 50])
def test_a_healthy_schedule_is_left_alone(name: str, seen: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = SCHEDULES[name](optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    for start in (0, 1, 2, 9, 25):
        window = recording(rates[start:], seen)
        for outcome in judge([lr_compounds, lr_zero_throughout], window):
            assert outcome.status in (Status.PASSED, Status.SKIPPED), (start, outcome)


@pytest.mark.parametrize("seen", [3, 10])
def test_a_compounding_schedule_is_not(seen: int) -> None:
    rates = [0.1]
    for step in range(1, STEPS):
        rates.append(rates[-1] * 0.99**step)
    (outcome,) = judge([lr_compounds], recording(rates, seen))
    assert outcome.status is Status.FAILED
