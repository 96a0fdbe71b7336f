"""The schedule multiplies the learning rate by its own result.

## What it proves
From step to step the learning rate is multiplied by f(1), f(2), f(3), ... where f is a power
(a to the t) or a straight line (1 + a t, or a t) in the number of the step. A factor that is
itself a schedule, counted from the start, is thus applied to the current learning rate, and not to
the base.

## Why it matters
The factors pile up: `0.95 ** t` becomes `0.95 ** (t (t + 1) / 2)`, which is 5e-12 of the base after
30 steps, where 0.2 was meant. The run stops learning early, and the curve looks like convergence.

## What to do
Multiply the base: `LambdaLR` instead of `MultiplicativeLR`, or `group["lr"] = base_lr * factor(t)`
instead of `group["lr"] *= factor(t)`.

## Limits
Needs at least three changes of the learning rate in a row, each of a tenth of a per cent or more.
Over a run, as where the schedule is stepped once an epoch, it needs four, and between them
stretches of one rate, longer than the distance between two sampled steps: no change is missed then.
A constant factor is an exponential schedule and compounds on purpose. `LambdaLR` multiplies the
base, whatever its function. Other functions f are not recognised.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
"""

import math
from collections.abc import Iterator
from itertools import dropwhile, pairwise, takewhile

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.rate_curves import RateCurves
from stepscope.evidence.course.schedules import ScheduleBeginnings
from stepscope.evidence.course.series import Series
from stepscope.evidence.optimizers import Optimizers, Schedules

FEWEST = 3  # ratios: two do not tell a power from a line, nor either from chance
FEWEST_LEVELS = 5  # over a run: four ratios
LEAST = 1e-3  # |ln ratio|: below it, float32 rates give no reliable ratios
EXACT = 1e-5  # relative; a cosine sampled between its steps comes within 1e-4


@rule("SCH004", Severity.ERROR)
def lr_compounds(
    optimizers: Optimizers | None,
    schedules: Schedules | None,
    rates: RateCurves | None,
    beginnings: ScheduleBeginnings | None,
) -> Findings:
    curves = rates.series if rates is not None else {}
    courses = [each for each in curves.values() if _levels(each)]
    yield from _over_the_run(curves, beginnings)
    windows = _changes(optimizers) if optimizers is not None else {}
    if not courses and not windows:
        raise NotJudged("needs three changes of a learning rate")
    if optimizers is not None:
        yield from _step_by_step(optimizers, schedules, windows)


def _changes(optimizers: Optimizers) -> dict[int, list[float]]:
    """Return the factors of each group that has enough of them, by its place."""
    ratios = {i: _ratios((*each.lrs, each.lr_next)) for i, each in enumerate(optimizers.groups)}
    return {i: each for i, each in ratios.items() if len(each) >= FEWEST}


def _step_by_step(
    optimizers: Optimizers, schedules: Schedules | None, changes: dict[int, list[float]]
) -> Iterator[Finding]:
    blamed: set[int] = set()
    for i, ratios in changes.items():
        group = optimizers.groups[i]
        law = "" if _multiplies_the_base(schedules, group.optimizer) else _law(ratios)
        if law and group.optimizer not in blamed:
            blamed.add(group.optimizer)
            optimizer = optimizers.optimizers[group.optimizer]
            at = _place(optimizers, schedules, group.optimizer)
            yield _finding(f"{optimizer.kind}, group {group.index}", group.lrs[:4], ratios, law, at)


def _over_the_run(
    curves: dict[str, Series], beginnings: ScheduleBeginnings | None
) -> Iterator[Finding]:
    began = [each for _, each in beginnings.seen] if beginnings is not None else []
    blamed: set[str] = set()
    for name, curve in curves.items():
        optimizer, _, group = name.partition(".")
        own = [each for each in began if str(each.optimizer) == optimizer]
        if optimizer in blamed or (own and {each.scheduler for each in own} == {"LambdaLR"}):
            continue
        levels = _levels(curve)
        ratios = _ratios(levels)
        law = _law(ratios) if len(ratios) >= FEWEST_LEVELS - 1 else ""
        if law:
            blamed.add(optimizer)
            at = own[0].at if own else Place()
            yield _finding(f"optimizer {optimizer}, group {group}", levels[:5], ratios, law, at)


def _finding(
    subject: str, rates: tuple[float, ...], ratios: list[float], law: str, at: Place
) -> Finding:
    return Finding(
        subject=subject,
        message="its learning rate is multiplied by a factor of the step number again and again, "
        "instead of the base",
        measured=f"lr {', '.join(f'{each:.4g}' for each in rates)}: factors "
        f"{', '.join(f'{each:.4g}' for each in ratios[:4])} = {law}",
        expected="base learning rate times the factor of the step",
        at=at,
    )


def _levels(curve: Series) -> tuple[float, ...]:
    """Return the first rates of a curve, each of which lasted; () where there are too few.

    A change in every step would show other factors, as sampled steps lie apart; so would one that
    fell between two of them.
    """
    stretches: list[tuple[float, int, int]] = []  # rate, first and last step
    for step, rate in curve:
        if stretches and stretches[-1][0] == rate:
            stretches[-1] = (rate, stretches[-1][1], step)
        else:
            stretches.append((rate, step, step))
    kept = stretches[:1]
    for before, after in pairwise(stretches):
        apart = after[1] - before[2]
        if apart > min(last - first for _, first, last in (before, after)):
            break
        kept.append(after)
    return tuple(rate for rate, _, _ in kept) if len(kept) >= FEWEST_LEVELS else ()


def _ratios(rates: tuple[float, ...]) -> list[float]:
    """Return the factors between the steps that changed the rate; none where one was 0."""
    if not all(math.isfinite(rate) and rate > 0 for rate in rates):
        return []
    ratios = [after / before for before, after in pairwise(rates)]
    begun = dropwhile(lambda ratio: abs(math.log(ratio)) < LEAST, ratios)
    return list(takewhile(lambda ratio: abs(math.log(ratio)) >= LEAST, begun))


def _multiplies_the_base(schedules: Schedules | None, optimizer: int) -> bool:
    """Tell whether only `LambdaLR` set the rates, which knows no current one."""
    steps = schedules.steps if schedules is not None else ()
    kinds = {step.scheduler for step in steps if step.optimizer == optimizer}
    return kinds == {"LambdaLR"}


def _law(ratios: list[float]) -> str:
    """Say what f is, or nothing."""
    first = ratios[0]
    times = range(1, len(ratios) + 1)
    if all(_equal(math.log(r), t * math.log(first)) for t, r in zip(times, ratios, strict=True)):
        return f"{first:.4g} ** t"
    if all(_equal(r - 1, t * (first - 1)) for t, r in zip(times, ratios, strict=True)):
        return f"1 {first - 1:+.4g} t"
    if all(_equal(r, t * first) for t, r in zip(times, ratios, strict=True)):
        return f"{first:.4g} t"
    return ""


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=EXACT)


def _place(optimizers: Optimizers, schedules: Schedules | None, index: int) -> Place:
    for step in schedules.steps if schedules else ():
        if step.optimizer == index:
            return step.at
    return next((s.at for s in optimizers.steps if s.optimizer == index), Place())


def fails_when_multiplicative_lr_is_given_a_power_of_the_step(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda step: 0.95**step)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def fails_when_a_warm_up_multiplies_the_current_rate(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(1, 5):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= step / 100


def fails_when_a_linear_decay_multiplies_the_current_rate(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda step: 1 - step / 100)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_factor_is_applied_to_the_base(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 100)
    for _step in range(4):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_lambda_lr_is_given_a_gaussian(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.99 ** (t * (t + 1) / 2))
    for _step in range(4):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_factor_is_constant(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda _: 0.95)
    for _step in range(4):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def skips_a_learning_rate_that_changes_twice(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda step: 0.95**step)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def _by_epochs(watch: Watch, factors: tuple[float, ...], *, every: int = 1) -> None:
    """Show a rate that is multiplied by these after each 20 steps, of which some are sampled."""
    from itertools import accumulate

    rates = list(accumulate((0.1, *factors), lambda rate, factor: rate * factor))
    steps = tuple(range(0, 20 * len(rates), every))
    values = tuple(rates[step // 20] for step in steps)
    watch.saw(RateCurves(series={"0.0": Series(steps, values)}))


def fails_when_a_power_of_the_epoch_multiplies_the_current_rate(watch: Watch) -> None:
    _by_epochs(watch, (0.5, 0.25, 0.125, 0.0625))


def passes_when_every_epoch_halves_the_rate(watch: Watch) -> None:
    _by_epochs(watch, (0.5,) * 6)


def skips_where_sampled_steps_lie_too_far_apart_to_see_each_epoch(watch: Watch) -> None:
    watch.saw(
        RateCurves(series={"0.0": Series((0, 1, 3, 6, 10), (1.0, 0.5, 0.125, 2**-6, 2**-10))})
    )


def passes_when_the_rate_of_each_epoch_is_given_by_lambda_lr(watch: Watch) -> None:
    from stepscope.evidence.course.schedules import ScheduleBegan

    began = ScheduleBegan(number=0, scheduler="LambdaLR", optimizer=0, settings="")
    watch.saw(ScheduleBeginnings(seen=((20, began),), count=1))
    _by_epochs(watch, (0.5, 0.25, 0.125, 0.0625))
