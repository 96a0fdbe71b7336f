"""The scheduler steps before the optimizer does.

## What it proves
A scheduler was stepped once before the first step of its optimizer, and never more than once
between two of them: its `step()` stands before that of the optimizer. The first learning rate of
the schedule was never used.

## Why it matters
Everything comes a step early; an epoch early where the scheduler is stepped once an epoch. A
warm-up then begins with a larger step than it was given for the fresh model.

## What to do
Call `scheduler.step()` after `optimizer.step()`; once an epoch, at its end.

## Limits
Needs the first two steps of the optimizer. Left alone is a scheduler that is stepped for every
micro-batch or player (SCH002), one whose first learning rate is 0, a step that `GradScaler` leaves
out, and a scheduler that is wound forward: by several steps, or in another line.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate: "If you use the
  learning rate scheduler (calling scheduler.step()) before the optimizer's update [...], this will
  skip the first value of the learning rate schedule."
"""

from collections import Counter

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.optimizers import Optimizers, Schedules, ScheduleStep

FEWEST = 2  # steps of an optimizer: one does not tell a micro-batch from a step


@rule("SCH005", Severity.WARNING)
def scheduler_before_optimizer(
    schedules: Schedules, optimizers: Optimizers, _: Beginning
) -> Findings:
    calls: dict[tuple[int, str, str, int], list[ScheduleStep]] = {}
    for call in schedules.steps:
        optimizer = optimizers.optimizers[call.optimizer]
        if optimizer.stepped >= FEWEST and not optimizer.skipped_by_scaler:
            key = call.optimizer, call.scheduler, call.at.file, call.at.line
            calls.setdefault(key, []).append(call)
    if not calls:
        raise NotJudged("needs a step of a scheduler, and two of its optimizer")
    for (index, scheduler, _file, _line), own in calls.items():
        first = own[0]
        often = max(Counter(call.after_step for call in own).values()) > 1
        lines = sum(key[:2] == (index, scheduler) for key in calls)
        if first.after_step or often or lines > 1 or not any(first.lrs_before):
            continue
        used = [group.lrs[0] for group in optimizers.groups if group.optimizer == index]
        yield Finding(
            subject=f"{scheduler} of {optimizers.optimizers[index].kind}",
            message="takes its first step before its optimizer does",
            measured=f"lr {_listed(first.lrs_before)} before the call, "
            f"lr {_listed(used)} in the first step of the optimizer",
            expected="`scheduler.step()` after `optimizer.step()`",
            at=first.at,
        )


def _listed(rates: tuple[float, ...] | list[float]) -> str:
    return ", ".join(f"{rate:.4g}" for rate in rates[:4])


def fails_when_the_scheduler_steps_first(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says so too, once
            schedule.step()
        optimizer.step()


def fails_when_an_epoch_begins_with_a_step_of_the_scheduler(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3)
    for _epoch in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule.step()
        for _batch in range(3):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()


def passes_when_the_scheduler_steps_second(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_a_first_rate_of_zero_is_skipped(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule.step()
        optimizer.step()


def passes_when_the_scheduler_steps_with_every_micro_batch(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    for batch in range(4):
        model(torch.ones(3, 4)).sum().backward()
        if batch % 2:
            optimizer.step()
            optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule.step()


def passes_when_the_scheduler_is_wound_forward(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule.step()  # for the epoch that the continued run had done
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def skips_the_only_step_of_an_optimizer(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    model(torch.ones(3, 4)).sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule.step()
    optimizer.step()
