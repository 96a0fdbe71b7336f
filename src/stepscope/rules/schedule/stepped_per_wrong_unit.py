"""A scheduler counts in another unit than it is stepped in.

## What it proves
One of these, of a scheduler of torch whose course is known from what it was made with:
- It has run its whole course twice and more, and left a learning rate of 0 to all steps since.
- The run goes over its data again and again, yet the scheduler comes to the end of its course
  within the first pass: a cosine has gone down and up again, the last milestone lies in the first
  half of it, or the rate has dropped below a millionth.
- Its length is, to the step, the number of optimizer steps of the run; but it was stepped at every
  second of them or less often, or twice for each and more.
- Its length is the number of epochs of the run; but it was stepped twice an epoch and more, and is
  beyond twice its length.
- Note, where no `DataLoader` tells what a pass is: a cosine has gone down and up again five times,
  in at most 200 optimizer steps each.

## Why it matters
`T_max=epochs` with a `step()` for every batch makes the rate swing up and down many times an epoch.
`T_max=epochs * len(loader)` with a `step()` for every epoch leaves it nearly constant.

## What to do
Give lengths in calls of `scheduler.step()`: epochs if it is called once an epoch, batches divided
by the accumulation if it is called with the optimizer.

## Limits
Needs 20 optimizer steps, and a second pass over a `DataLoader` of known length or the end of the
run (or the planned steps and epochs). A cycle that takes longer than a pass is left alone, a course
that ends with the first pass of a run with a single one too. All findings are warnings: an equality
may be chance, and a fast course an experiment.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
- Half a cycle takes 2 to 10 passes: Smith, "Cyclical Learning Rates", WACV 2017, section 3.2.
- The smallest factor between two units that are confused is 2: batches of an epoch, backward calls
  of a step.
"""

from collections.abc import Callable
from typing import Any

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.coverage import CoverageCurves, LoaderBeginnings
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.epochs import Epochs
from stepscope.evidence.course.plans import Plans
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.rate_curves import RateCurves
from stepscope.evidence.course.schedules import (
    ScheduleBegan,
    ScheduleBeginnings,
    SchedulePositions,
)
from stepscope.evidence.course.series import Series

APART = 2  # the smallest factor between two units
CYCLES, SHORT = 5, 200  # so many cycles, of so many steps; a pass in use has as many
GONE = 1e-6  # of the largest rate: no schedule in use goes there and on


@rule("SCH002", Severity.WARNING)
def stepped_per_wrong_unit(
    beginnings: ScheduleBeginnings,
    positions: SchedulePositions,
    progress: Progress,
    rates: RateCurves,
    loaders: LoaderBeginnings | None,
    coverage: CoverageCurves | None,
    endings: Endings | None,
    plans: Plans | None,
    epochs: Epochs | None,
    *,
    fewest: int = 20,
) -> Findings:
    begun = [each for _, each in beginnings.seen if positions.knows(each.number)]
    known = [each for each in begun if each.length is not None or each.drops]
    if not known:
        raise NotJudged("the course of no scheduler is known")
    steps = progress.step - progress.first
    if steps < fewest:
        raise NotJudged(f"{steps} steps of the {fewest} it needs")
    ended = endings.steps if endings else None
    whole = plans.steps if plans else ended
    rounds = epochs.seen[-1][1].planned if epochs else None
    if rounds is None and ended is not None and loaders and coverage:
        rounds = _passes(loaders, coverage)
    a_pass = _steps_of_a_pass(loaders, coverage)
    found = False
    for each in known:
        position = positions.of(each.number)
        per_step = positions.per_step(each.number)
        fault = (
            _at_zero(each, position, rates)
            or _within_a_pass(each, position, per_step, a_pass, rates)
            or _of_another_unit(each, position, per_step, whole)
            or _of_epochs(each, position, per_step, a_pass, rounds)
        )
        if fault:
            found = True
            yield _finding(each, fault, position, steps)
        elif loaders is None and _goes_round(each, position, per_step):
            found = True
            fault = "has let the rate go down and up again time after time"
            yield _finding(each, fault, position, steps, Severity.NOTE)
    if not found and whole is None and a_pass is None:
        raise NotJudged("the run goes on: a scheduler may still run its course")


def _steps_of_a_pass(
    loaders: LoaderBeginnings | None, coverage: CoverageCurves | None
) -> float | None:
    """Return the optimizer steps of one pass over the data, once the second has begun."""
    feeding = coverage.feeding(loaders) if loaders and coverage else None
    if coverage is None or feeding is None or feeding.batches is None:
        return None
    number = feeding.number
    if coverage.latest(number, "batches") <= feeding.batches:
        return None
    return feeding.batches * coverage.latest(number, "fed") / coverage.latest(number, "batches")


def _at_zero(each: ScheduleBegan, position: int, rates: RateCurves) -> str:
    ends = [curve.values[-1] for curve in _curves(each, rates)]
    if each.length is None or each.turns or position < APART * each.length or not ends:
        return ""
    return "" if any(ends) else "has run its course, and leaves a learning rate of 0"


def _within_a_pass(
    each: ScheduleBegan, position: int, per_step: float, a_pass: float | None, rates: RateCurves
) -> str:
    if a_pass is None or per_step * a_pass < APART:
        return ""
    own = per_step * a_pass  # steps of the scheduler in one pass
    if each.turns and each.length is not None and APART * each.length <= own:
        return "lets the rate go down and up again within one pass over the data"
    if each.scheduler == "MultiStepLR" and each.drops[-1] <= own / APART <= position:
        return "has made its last drop of the rate within the first pass over the data"
    if each.drops and all(
        any(value < GONE * max(curve.values) for step, value in curve if step <= a_pass)
        for curve in _curves(each, rates)
    ):
        return "has taken the rate to nothing within the first pass over the data"
    return ""


def _goes_round(each: ScheduleBegan, position: int, per_step: float) -> bool:
    if each.length is None or not each.turns or not per_step:
        return False
    cycle = APART * each.length
    return position >= CYCLES * cycle and cycle / per_step <= SHORT


def _of_another_unit(each: ScheduleBegan, position: int, per_step: float, whole: int | None) -> str:
    if each.length is None or each.length != whole or position < APART:
        return ""
    if per_step <= 1 / APART:
        return "is as long as the run has optimizer steps, but is stepped less often"
    if per_step >= APART:
        return "is as long as the run has optimizer steps, but is stepped more often"
    return ""


def _passes(loaders: LoaderBeginnings, coverage: CoverageCurves) -> int | None:
    feeding = coverage.feeding(loaders)
    return None if feeding is None else coverage.latest(feeding.number, "passes")


def _of_epochs(
    each: ScheduleBegan, position: int, per_step: float, a_pass: float | None, rounds: int | None
) -> str:
    if each.length is None or each.length != rounds or a_pass is None:
        return ""
    if per_step * a_pass < APART or position < APART * each.length:
        return ""
    return "is as long as the run has epochs, but is stepped more often"


def _curves(each: ScheduleBegan, rates: RateCurves) -> list[Series]:
    return [
        curve
        for name, curve in rates.series.items()
        if name.startswith(f"{each.optimizer}.") and any(curve.values)
    ]


def _finding(
    each: ScheduleBegan, fault: str, position: int, steps: int, severity: Severity | None = None
) -> Finding:
    return Finding(
        subject=f"{each.scheduler} of optimizer {each.optimizer}",
        message=fault,
        measured=f"{each.settings}; stepped {position} times in {steps} optimizer steps",
        expected="lengths in calls of its own `step`",
        at=each.at,
        severity=severity,
    )


def _without_a_loader(length: int, steps: int) -> None:
    """Step a cosine of this length with the optimizer, on batches that no loader gives."""
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=length)
    for _step in range(steps):
        optimizer.zero_grad()
        weight.sum().backward()
        optimizer.step()
        schedule.step()


def fails_with_a_note_when_a_cosine_goes_round_and_no_loader_tells_of_passes(_: Watch) -> None:
    _without_a_loader(length=3, steps=32)


def passes_when_a_cosine_without_a_loader_has_gone_round_four_times(_: Watch) -> None:
    _without_a_loader(length=3, steps=29)


def passes_when_of_several_trainings_the_last_has_just_begun(watch: Watch) -> None:
    from stepscope.evidence.course.schedules import ScheduleBegan

    began = [
        ScheduleBegan(number=i, scheduler="StepLR", optimizer=i, settings="", drops=(9,))
        for i in range(2)
    ]
    watch.saw(
        ScheduleBeginnings(seen=((0, began[0]), (99, began[1])), count=2),
        SchedulePositions(series={"0": Series((0, 98), (1.0, 1.0))}),
        Progress(first=0, step=100, sampled=2, seconds=1.0),
        RateCurves(series={"0.0": Series((0, 98), (0.1, 0.1))}),
        Endings(seen=((100, RunEnded(finished=True)),), count=1),
    )


def _train(make: Callable[[Any], Any], *, epochs: int, batches: int, by: str = "batch") -> None:
    """Train on so many batches an epoch, and step the scheduler once for each batch or epoch."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = make(optimizer)
    loader = DataLoader(TensorDataset(torch.ones(batches, 4)))
    for _epoch in range(epochs):
        for (x,) in loader:
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
            if by == "batch":
                schedule.step()
        if by == "epoch":
            schedule.step()


def fails_when_a_cosine_of_epochs_goes_by_batches(_: Watch) -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    _train(lambda optimizer: CosineAnnealingLR(optimizer, T_max=3), epochs=3, batches=7)


def fails_when_a_cosine_of_twelve_epochs_goes_by_batches_of_which_an_epoch_has_four(
    _: Watch,
) -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    _train(lambda optimizer: CosineAnnealingLR(optimizer, T_max=12), epochs=12, batches=4)


def fails_when_a_cosine_of_batches_goes_by_epochs(_: Watch) -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    _train(
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=20), epochs=10, batches=2, by="epoch"
    )


def fails_when_a_cosine_of_steps_is_stepped_with_every_micro_batch(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for batch in range(40):
        model(torch.ones(3, 4)).sum().backward()
        if batch % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()


def fails_when_milestones_of_epochs_go_by_batches(_: Watch) -> None:
    from torch.optim.lr_scheduler import MultiStepLR

    _train(lambda optimizer: MultiStepLR(optimizer, milestones=[3, 5]), epochs=2, batches=10)


def fails_when_a_rate_drops_tenfold_with_every_other_batch(_: Watch) -> None:
    from torch.optim.lr_scheduler import StepLR

    _train(lambda optimizer: StepLR(optimizer, step_size=2), epochs=2, batches=16)


def fails_when_a_line_to_zero_ends_after_half_of_the_run(_: Watch) -> None:
    from torch.optim.lr_scheduler import LinearLR

    _train(lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=10), epochs=1, batches=20)


def passes_when_a_line_to_zero_ends_a_step_after_half_of_the_run(_: Watch) -> None:
    from torch.optim.lr_scheduler import LinearLR

    _train(lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=11), epochs=1, batches=20)


def passes_when_a_cosine_goes_down_and_up_in_a_little_more_than_a_pass(_: Watch) -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    _train(lambda optimizer: CosineAnnealingLR(optimizer, T_max=4), epochs=3, batches=7)


def passes_when_a_cosine_of_one_step_more_goes_by_epochs(_: Watch) -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    _train(
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=21), epochs=10, batches=2, by="epoch"
    )


def passes_when_milestones_end_behind_the_middle_of_a_pass(_: Watch) -> None:
    from torch.optim.lr_scheduler import MultiStepLR

    _train(lambda optimizer: MultiStepLR(optimizer, milestones=[3, 6]), epochs=2, batches=10)


def passes_when_a_rate_drops_tenfold_with_every_third_batch(_: Watch) -> None:
    from torch.optim.lr_scheduler import StepLR

    _train(lambda optimizer: StepLR(optimizer, step_size=3), epochs=2, batches=16)


def passes_when_milestones_lie_in_the_only_pass(_: Watch) -> None:
    from torch.optim.lr_scheduler import MultiStepLR

    _train(lambda optimizer: MultiStepLR(optimizer, milestones=[3, 5]), epochs=1, batches=20)


def passes_when_a_cosine_goes_by_the_epochs_of_the_run(_: Watch) -> None:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    _train(lambda optimizer: CosineAnnealingLR(optimizer, T_max=4), epochs=4, batches=5, by="epoch")


def skips_a_run_of_nineteen_steps(_: Watch) -> None:
    from torch.optim.lr_scheduler import LinearLR

    _train(lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=3), epochs=1, batches=19)
