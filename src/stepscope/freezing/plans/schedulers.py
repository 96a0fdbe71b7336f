"""Teaches a schedule a group that its optimizer was given after the schedule had begun."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

CLOSED = (  # torch says their rate as a function of the base rate and of the epoch
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)


def follow(optimizer: Optimizer, schedulers: Iterable[LRScheduler]) -> None:
    """Give the last group of an optimizer the rate that its schedules would have given it by now.

    From then on they step it as all others. Its own `lr` is its base rate.

    Raises:
        TypeError: a schedule whose rate follows from more than base rate and epoch.
    """
    group = optimizer.param_groups[-1]
    base = group["lr"]
    for scheduler in schedulers:
        _expect_known(scheduler)
        group["initial_lr"] = base
        group["lr"] = _joined(scheduler, base)


def expect_extensible(schedulers: Iterable[LRScheduler]) -> None:
    """Refuse schedules that cannot take another group.

    Raises:
        TypeError: one of them keeps more of each group than `follow` can give it.
    """
    for scheduler in schedulers:
        _expect_known(scheduler)


def peaks(optimizer: Optimizer, schedulers: Iterable[LRScheduler]) -> Iterator[list[float | None]]:
    """Yield the `max_lr` of each group by each schedule that has one, None where it has not."""
    yield [group.get("max_lr") for group in optimizer.param_groups]  # of OneCycleLR
    for scheduler in schedulers:
        if isinstance(scheduler, SequentialLR):
            yield from peaks(optimizer, scheduler._schedulers)
        elif isinstance(scheduler, CyclicLR):
            yield [*scheduler.max_lrs]


def _joined(scheduler: LRScheduler, base: float) -> float:
    """Add a base rate to a schedule, and return what it makes of it now."""
    if isinstance(scheduler, SequentialLR):
        rates = [_joined(each, base) for each in scheduler._schedulers]
        now = rates[bisect_right(scheduler._milestones, scheduler.last_epoch)]
    elif isinstance(scheduler, LambdaLR):
        scheduler.base_lrs.append(base)
        scheduler.lr_lambdas.append(scheduler.lr_lambdas[0])
        now = base * scheduler.lr_lambdas[0](scheduler.last_epoch)
    else:
        scheduler.base_lrs.append(base)
        now = scheduler._get_closed_form_lr()[-1]  # type: ignore[attr-defined] # all of CLOSED
    scheduler._last_lr.append(now)
    return now


def _expect_known(scheduler: LRScheduler) -> None:
    if isinstance(scheduler, SequentialLR):
        for each in scheduler._schedulers:
            _expect_known(each)
        return
    if isinstance(scheduler, LambdaLR):
        if all(each is scheduler.lr_lambdas[0] for each in scheduler.lr_lambdas):
            return
        what = "has a function for each group, and none for a new one"
    elif type(scheduler) in CLOSED:
        return
    else:
        what = "keeps more of each group than its base rate"
    raise TypeError(
        f"{type(scheduler).__name__} {what}: make the optimizer of "
        "`parameter_groups()`, whose groups are there from the beginning, empty until their stage"
    )
