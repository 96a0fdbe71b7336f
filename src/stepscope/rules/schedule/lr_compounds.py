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
Needs at least three changes of the learning rate in a row, each of a tenth of a per cent or more. A
constant factor is an exponential schedule and compounds on purpose. `LambdaLR` multiplies the base,
whatever its function. Other functions f are not recognised.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
"""

import math
from itertools import dropwhile, pairwise, takewhile

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.optimizers import Optimizers, Schedules

FEWEST = 3  # ratios: two do not tell a power from a line, nor either from chance
LEAST = 1e-3  # |ln ratio|: below it, float32 rates give no reliable ratios
EXACT = 1e-5  # relative; a cosine sampled between its steps comes within 1e-4


@rule("SCH004", Severity.ERROR)
def lr_compounds(optimizers: Optimizers, schedules: Schedules | None) -> Findings:
    judged = 0
    blamed: set[int] = set()
    for group in optimizers.groups:
        ratios = _ratios((*group.lrs, group.lr_next))
        if len(ratios) < FEWEST:
            continue
        judged += 1
        law = "" if _multiplies_the_base(schedules, group.optimizer) else _law(ratios)
        if law and group.optimizer not in blamed:
            blamed.add(group.optimizer)
            optimizer = optimizers.optimizers[group.optimizer]
            rates = ", ".join(f"{lr:.4g}" for lr in group.lrs[:4])
            yield Finding(
                subject=f"{optimizer.kind}, group {group.index}",
                message="its learning rate is multiplied by a factor of the step number again and "
                "again, instead of the base",
                measured=f"lr {rates}: factors {', '.join(f'{r:.4g}' for r in ratios[:4])} = {law}",
                expected="base learning rate times the factor of the step",
                at=_place(optimizers, schedules, group.optimizer),
            )
    if not judged:
        raise NotJudged("needs three changes of a learning rate")


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
