"""The run ends before its learning rate has warmed up.

## What it proves
A scheduler of torch needs more steps for its warm-up than it was asked for in the whole run,
counted in its own steps; or, with the number of planned steps known, than it will be asked for.
Without such a scheduler (as a warning): the learning rate rose in a straight line from the first
step of the run to the last.

## Why it matters
The learning rate never reaches its base. A linear warm-up of 500 steps in a run of 48 trains on a
twentieth of the rate on average, and the run looks as if the model could not learn.

## What to do
Make the warm-up a share of the run, not a number of steps: a few per cent of
`epochs * len(loader)`. Check its unit: a warm-up given in batches, and stepped once an epoch, is
too long by the number of batches.

## Limits
Judged when the run has come to its own end after at least 20 steps, or earlier where the planned
steps are known and the scheduler is stepped with the optimizer. Read are `LinearLR`, `ConstantLR`,
`OneCycleLR`, the warm-ups of Transformers, and what `SequentialLR` and `ChainedScheduler` make of
them. A rise that another class of scheduler makes may be a search for the best rate.

## Sources
- Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2: 5 of 90 epochs.
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html
- Search for a rate by a linear rise: Smith, "Cyclical Learning Rates", WACV 2017, section 3.3.
"""

from collections.abc import Iterable

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.plans import Plans
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.rate_curves import RateCurves
from stepscope.evidence.course.schedules import (
    ScheduleBegan,
    ScheduleBeginnings,
    SchedulePositions,
)
from stepscope.evidence.course.series import Series

WITH_THE_OPTIMIZER = 0.9  # steps of a scheduler for each step of the run
STRAIGHT = 0.01  # of the whole rise; a parabola is away from its chord by a quarter


@rule("SCH003", Severity.ERROR)
def warmup_longer_than_run(
    rates: RateCurves,
    progress: Progress,
    beginnings: ScheduleBeginnings | None,
    positions: SchedulePositions | None,
    endings: Endings | None,
    plans: Plans | None,
    *,
    fewest: int = 20,
) -> Findings:
    begun = [each for _, each in beginnings.seen] if beginnings else []
    made = [each for each in begun if positions and positions.knows(each.number)]
    now = {each.number: positions.of(each.number) for each in made} if positions else {}
    warming = [each for each in made if now[each.number] < (each.rising or 0)]
    steps = endings.steps if endings else None
    planned = plans.steps if plans else None
    if progress.step < fewest:
        raise NotJudged(f"{progress.step} steps of the {fewest} it needs")
    if steps is not None:
        yield from _never_warm(warming, now, steps)
        yield from _straight_up(rates, made)
    elif positions is not None and planned is not None and _all_follow(warming, positions):
        left = planned - progress.step
        for each in warming:
            by_then = now[each.number] + positions.per_step(each.number) * left
            if by_then < (each.rising or 0):
                yield _too_long(each, now[each.number], by_then, progress, planned)
    elif warming or not made:
        raise NotJudged("the run goes on: its warm-up may still end")


def _never_warm(
    warming: Iterable[ScheduleBegan], now: dict[int, int], steps: int
) -> Iterable[Finding]:
    for each in warming:
        yield Finding(
            subject=_subject(each),
            message="had not warmed up when the run ended",
            measured=f"warm-up of {each.rising} steps ({each.settings}); it was stepped "
            f"{now[each.number]} times in a run of {steps} optimizer steps",
            expected=f"a warm-up of less than {now[each.number]} steps",
            at=each.at,
        )


def _too_long(
    each: ScheduleBegan, now: int, by_then: float, progress: Progress, planned: int
) -> Finding:
    return Finding(
        subject=_subject(each),
        message="will not have warmed up when the planned steps are over",
        measured=f"warm-up of {each.rising} steps ({each.settings}); it was stepped {now} times in "
        f"{progress.step} of {planned} optimizer steps",
        expected=f"a warm-up of less than {by_then:.0f} steps",
        at=each.at,
    )


def _straight_up(rates: RateCurves, made: list[ScheduleBegan]) -> Iterable[Finding]:
    by_torch = {each.optimizer for each in made if each.scheduler != "LambdaLR"}
    known = by_torch | {each.optimizer for each in made if each.rising is not None}
    for name, curve in rates.series.items():
        optimizer, _, group = name.partition(".")
        if int(optimizer) in known or not _is_rising_line(curve):
            continue
        yield Finding(
            subject=f"optimizer {optimizer}, group {group}",
            message="its learning rate rose in a straight line to the end of the run",
            measured=f"lr {curve.values[0]:.3g} at step {curve.steps[0]}, "
            f"{curve.values[-1]:.3g} at step {curve.steps[-1]}",
            expected="a warm-up that ends",
            at=next((each.at for each in made if each.optimizer == int(optimizer)), Place()),
            severity=Severity.WARNING,
        )


def _is_rising_line(curve: Series) -> bool:
    first, last = curve.steps[0], curve.steps[-1]
    low, high = curve.values[0], curve.values[-1]
    if last == first or not low < high:
        return False
    slope = (high - low) / (last - first)
    return all(abs(low + slope * (s - first) - v) <= STRAIGHT * (high - low) for s, v in curve)


def _subject(each: ScheduleBegan) -> str:
    return f"{each.scheduler} of optimizer {each.optimizer}"


def _all_follow(warming: Iterable[ScheduleBegan], positions: SchedulePositions) -> bool:
    """Tell whether they are stepped with the optimizer: an epoch's steps are too few to count."""
    return all(positions.per_step(each.number) >= WITH_THE_OPTIMIZER for each in warming)


def fails_when_the_warm_up_takes_one_step_more_than_the_run(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=21)
    for _step in range(20):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def fails_when_a_warm_up_in_batches_is_stepped_once_an_epoch(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=10)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[10])
    for _epoch in range(4):
        for _batch in range(10):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()
        schedule.step()


def fails_when_the_planned_steps_end_before_the_warm_up(watch: Watch) -> None:
    import torch

    from stepscope.evidence.course.endings import Endings, RunEnded
    from stepscope.evidence.course.plans import Planned, Plans

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=102)
    for _step in range(20):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    watch.saw(Plans(seen=((0, Planned(steps=100)),), count=1))
    watch.saw(Endings(seen=((20, RunEnded(finished=False)),), count=1))


def fails_with_a_warning_when_a_rate_set_by_hand_only_rises(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(20):
        optimizer.param_groups[0]["lr"] = 0.1 * min(1.0, (step + 1) / 20)
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_a_rate_set_by_hand_rises_for_nineteen_of_twenty_steps(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(20):
        optimizer.param_groups[0]["lr"] = 0.1 * min(1.0, (step + 1) / 19)
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_warm_up_takes_as_many_steps_as_the_run(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=20)
    for _step in range(20):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_planned_steps_suffice(watch: Watch) -> None:
    import torch

    from stepscope.evidence.course.endings import Endings, RunEnded
    from stepscope.evidence.course.plans import Planned, Plans

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=100)
    for _step in range(20):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    watch.saw(Plans(seen=((0, Planned(steps=100)),), count=1))
    watch.saw(Endings(seen=((20, RunEnded(finished=False)),), count=1))


def passes_where_no_sampled_step_has_come_since_a_schedule_began(watch: Watch) -> None:
    from stepscope.evidence.course.endings import RunEnded

    began = ScheduleBegan(number=1, scheduler="OneCycleLR", optimizer=1, settings="", rising=9)
    watch.saw(
        ScheduleBeginnings(seen=((99, began),), count=1),
        SchedulePositions(series={"0": Series((0, 98), (1.0, 1.0))}),
        Progress(first=0, step=100, sampled=2, seconds=1.0),
        RateCurves(series={"0.0": Series((0, 98), (0.1, 0.1))}),
        Endings(seen=((100, RunEnded(finished=True)),), count=1),
    )


def passes_when_another_kind_of_scheduler_searches_for_a_rate(_: Watch) -> None:
    import torch

    class Search(torch.optim.lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float | torch.Tensor]:
            return [0.1 * (1 + self.last_epoch) for _ in self.base_lrs]

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    search = Search(optimizer)
    for _step in range(20):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        search.step()


def skips_a_run_of_nineteen_steps(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=500)
    for _step in range(19):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def skips_a_run_that_was_interrupted(watch: Watch) -> None:
    import torch

    from stepscope.evidence.course.endings import Endings, RunEnded

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=500)
    for _step in range(20):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    watch.saw(Endings(seen=((20, RunEnded(finished=False)),), count=1))
