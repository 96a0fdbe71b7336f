"""Every learning rate is 0.

## What it proves
Each optimizer was made with a learning rate of 0, used 0 in all its groups at every recorded step,
would use 0 at the next, and no scheduler has another base for it.

## Why it matters
No parameter moves, and no schedule that multiplies the base will ever change that.

## What to do
Give the optimizer the learning rate that was meant. The value may have been lost on its way: an
integer division, an argument that was read as 0, a multiplier of 0 for all modules.

## Limits
A learning rate of 0 that a schedule, or the program itself, has put in place of another may be the
start of a warm-up: that is skipped. Needs two steps. One group at 0 among others is a matter of
freezing, not of the schedule.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.optimizers import Optimizers

SEEN = 2  # steps that it takes to tell a start from a standstill


@rule("SCH001", Severity.ERROR)
def lr_zero_throughout(optimizers: Optimizers, _: Beginning) -> Findings:
    stepped = [each for each in optimizers.optimizers if each.stepped]
    groups = [group for group in optimizers.groups if group.lrs]
    if any(lr != 0 for group in groups for lr in (*group.lrs, group.lr_next)):
        return
    if any(group.initial_lr or group.made_lr for group in groups):
        raise NotJudged("the learning rate was 0 at every recorded step, as a warm-up begins")
    if max((len(group.lrs) for group in groups), default=0) < SEEN:
        raise NotJudged("needs two optimizer steps")
    if groups:
        yield Finding(
            subject=", ".join(optimizer.kind for optimizer in stepped),
            message="trains nothing: every learning rate is 0, and has no other base",
            measured=f"lr 0 in {len(groups)} of {len(groups)} groups, at {len(groups[0].lrs)} "
            "steps and for the next",
            expected="a learning rate above 0",
            at=stepped[0].made_at,
        )


def fails_when_the_learning_rate_is_lost_in_a_division(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=32 // 256)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_a_schedule_multiplies_zero(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_one_group_is_at_zero(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    optimizer.add_param_group({"params": model[0].parameters(), "lr": 0.0})
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_a_warm_up_starts_at_zero(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 100))
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def skips_when_a_warm_up_moves_once_an_epoch(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(1):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * epoch / 10
        for _step in range(3):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()


def skips_a_single_step(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
