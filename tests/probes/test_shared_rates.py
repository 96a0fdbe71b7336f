"""The closed form of a group made with lr 0 is what its scheduler does to it."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler, swa_utils

from stepscope.core import Recording
from stepscope.evidence.optimizers import Schedules, SharedRate
from stepscope.probes.observation import Observation
from stepscope.probes.optimizers import OptimizersProbe

Make = Callable[[Optimizer], Any]


def schedule(make: Make, steps: int) -> tuple[list[float], list[SharedRate]]:
    """Return the rates of the group at 0, the first as it was made, and the evidence."""
    observation = Observation([OptimizersProbe], steps=1000)
    with observation:
        body, head = nn.Linear(2, 2), nn.Linear(2, 2)
        optimizer = torch.optim.SGD(
            [
                {"params": body.parameters(), "lr": 0.0},
                {"params": head.parameters(), "lr": 0.1},
            ],
            momentum=0.9,
        )
        scheduler = make(optimizer)
        seen = [optimizer.param_groups[0]["lr"]]
        head(body(torch.ones(2))).sum().backward()
        for step in range(1, steps + 1):
            optimizer.step()
            scheduler.step(*([step] if hasattr(scheduler, "t_in_epochs") else []))
            seen.append(optimizer.param_groups[0]["lr"])
    assert observation.run.faults == []
    found = Recording(*observation.evidence).get(Schedules)
    assert found is not None
    return seen, [*found.shared_rates]


@pytest.mark.parametrize(
    "make",
    [
        lambda made: lr_scheduler.CosineAnnealingLR(made, 8, eta_min=1e-3),
        lambda made: lr_scheduler.CosineAnnealingWarmRestarts(made, T_0=8, eta_min=1e-3),
    ],
)
def test_a_cosine_comes_up_to_its_floor(make: Make) -> None:
    seen, (shared,) = schedule(make, 7)
    assert shared.law == "0.001 (1 - cos(pi t / 8)) / 2"
    assert seen == pytest.approx([1e-3 * (1 - math.cos(math.pi * t / 8)) / 2 for t in range(8)])
    assert (shared.setting, shared.rate, shared.lrs) == ("eta_min", 1e-3, (0.0, 0.1))
    assert shared.at.file == __file__


@pytest.mark.parametrize(
    ("make", "peak"),
    [
        (lambda made: lr_scheduler.OneCycleLR(made, max_lr=0.5, total_steps=20), 5),
        (lambda made: lr_scheduler.OneCycleLR(made, 0.5, epochs=4, steps_per_epoch=5), 5),
        (lambda made: lr_scheduler.CyclicLR(made, base_lr=0.01, max_lr=0.5, step_size_up=6), 6),
        (lambda made: swa_utils.SWALR(made, swa_lr=0.5, anneal_epochs=7), 7),
    ],
)
def test_one_peak_for_all_is_reached_when_it_is_said_to_be(make: Make, peak: int) -> None:
    seen, (shared,) = schedule(make, 10)
    assert shared.law == f"a rise to 0.5 at t = {peak}"
    assert max(seen) == pytest.approx(0.5)
    assert seen.index(max(seen)) == peak


@pytest.mark.parametrize(
    "make",
    [
        lambda made: lr_scheduler.OneCycleLR(made, max_lr=[0.0, 0.5], total_steps=20),
        lambda made: lr_scheduler.StepLR(made, 3),
        lambda made: lr_scheduler.LambdaLR(made, lambda step: step / 10),
        lr_scheduler.LinearLR,
    ],
)
def test_a_schedule_that_keeps_a_zero_shares_no_rate(make: Make) -> None:
    seen, shared = schedule(make, 3)
    assert shared == []
    assert set(seen) == {0.0}


@pytest.mark.corpus
def test_the_schedules_of_mmengine_are_known() -> None:
    from mmengine.optim import scheduler

    seen, (shared,) = schedule(
        lambda made: scheduler.CosineAnnealingLR(made, T_max=8, eta_min=1e-3), 7
    )
    assert shared.law == "0.001 (1 - cos(pi t / 8)) / 2"
    assert seen == pytest.approx([1e-3 * (1 - math.cos(math.pi * t / 8)) / 2 for t in range(8)])
    seen, (shared,) = schedule(
        lambda made: scheduler.OneCycleLR(made, eta_max=0.5, total_steps=20), 10
    )
    assert (seen.index(max(seen)), shared.law) == (5, "a rise to 0.5 at t = 5")
    seen, (shared,) = schedule(lambda made: scheduler.PolyLR(made, eta_min=1e-3, end=10), 10)
    assert (seen.index(max(seen)), shared.law) == (9, "a rise to 0.001 at t = 9")
    assert max(seen) == pytest.approx(1e-3)

    for make in (
        lambda made: scheduler.CosineAnnealingLR(made, 8, eta_min_ratio=0.1),
        lambda made: scheduler.CosineAnnealingMomentum(made, 8, eta_min=0.1),
    ):
        assert schedule(make, 3)[1] == []


@pytest.mark.corpus
def test_the_cosine_of_timm_is_known() -> None:
    from timm.scheduler import CosineLRScheduler

    seen, (shared,) = schedule(lambda made: CosineLRScheduler(made, 8, lr_min=1e-3), 7)
    assert shared.law == "0.001 (1 - cos(pi t / 8)) / 2"
    assert seen == pytest.approx([1e-3 * (1 - math.cos(math.pi * t / 8)) / 2 for t in range(8)])
