"""No healthy schedule is found fault with over a whole run; stepped in the wrong unit, it is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import Optimizer, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from stepscope.core import Recording, Status, judge
from stepscope.evidence.course.course import Course
from stepscope.evidence.kinds import every_kind
from stepscope.probes.course.coverage import CoverageSampler
from stepscope.probes.course.endings import EndingSampler
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.rates import RateSampler
from stepscope.probes.course.schedules import ScheduleSampler
from stepscope.rules.schedule.stepped_per_wrong_unit import stepped_per_wrong_unit
from stepscope.rules.schedule.warmup_longer_than_run import warmup_longer_than_run

EPOCHS, BATCHES = 6, 10
STEPS = EPOCHS * BATCHES
SAMPLERS = [ScheduleSampler, RateSampler, CoverageSampler, EndingSampler]
Make = Callable[[Optimizer], Any]


def sequence(warm: int, rest: int) -> Make:
    return lambda made: lr_scheduler.SequentialLR(
        made,
        [
            lr_scheduler.LinearLR(made, 0.01, total_iters=warm),
            lr_scheduler.CosineAnnealingLR(made, T_max=rest),
        ],
        milestones=[warm],
    )


PER_STEP: dict[str, Make] = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS),
    "cosine that ends early": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS - BATCHES),
    "line to zero": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=STEPS),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=STEPS),
    "warm-up and cosine": sequence(6, STEPS - 6),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, milestones=[30, 45]),
    "steps": lambda o: lr_scheduler.StepLR(o, step_size=20),
    "slow decay": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.95),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=20),
    "cycles": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=5),
    "inverse root": lambda o: lr_scheduler.LambdaLR(o, lambda t: min(1, t / 8) / max(8, t) ** 0.5),
}
PER_EPOCH: dict[str, Make] = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS),
    "cosine of a longer run": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=90),
    "cycles of two epochs": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=1),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, milestones=[3, 5]),
    "milestones of a longer run": lambda o: lr_scheduler.MultiStepLR(o, milestones=[30, 60]),
    "steps": lambda o: lr_scheduler.StepLR(o, step_size=2),
    "warm-up and cosine": sequence(2, EPOCHS - 2),
    "plateau": lr_scheduler.ReduceLROnPlateau,
}
WRONG_PER_STEP = [PER_EPOCH[name] for name in ("cosine", "cycles of two epochs")]
WRONG_PER_EPOCH = [PER_STEP["cosine"], PER_STEP["line to zero"], sequence(3, STEPS - 3)]


def over_a_run(make: Make, *, per_step: bool) -> Recording:
    """Take all steps, but for gradients: a scheduler does not see them."""
    course = Course(every_kind())
    with Pulse(SAMPLERS, line=course.add, every=1):
        weight = torch.nn.Parameter(torch.zeros(1))
        made = torch.optim.SGD([weight], lr=0.1)
        schedule = make(made)
        loader = DataLoader(TensorDataset(torch.zeros(BATCHES, 1)), 1, shuffle=True)
        arguments = (1.0,) if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else ()
        for _epoch in range(EPOCHS):
            for batch, _ in enumerate(loader):
                made.step()
                if per_step and batch < BATCHES - 1:
                    schedule.step(*arguments)
            if not (per_step and _epoch == EPOCHS - 1):  # as many steps as a cycle allows
                schedule.step(*arguments)
    return Recording(*course.evidence())


def statuses(recording: Recording) -> set[Status]:
    return {
        outcome.status
        for outcome in judge([stepped_per_wrong_unit, warmup_longer_than_run], recording)
    }


@pytest.mark.parametrize("name", PER_STEP)
def test_a_schedule_of_steps_is_left_alone(name: str) -> None:
    assert statuses(over_a_run(PER_STEP[name], per_step=True)) <= {Status.PASSED, Status.SKIPPED}


@pytest.mark.parametrize("name", PER_EPOCH)
def test_a_schedule_of_epochs_is_left_alone(name: str) -> None:
    assert statuses(over_a_run(PER_EPOCH[name], per_step=False)) <= {Status.PASSED, Status.SKIPPED}


@pytest.mark.parametrize("make", WRONG_PER_STEP)
def test_a_schedule_of_epochs_that_is_stepped_with_every_batch_is_not(make: Make) -> None:
    assert Status.FAILED in statuses(over_a_run(make, per_step=True))


@pytest.mark.parametrize("make", WRONG_PER_EPOCH)
def test_a_schedule_of_steps_that_is_stepped_once_an_epoch_is_not(make: Make) -> None:
    assert Status.FAILED in statuses(over_a_run(make, per_step=False))
