"""Gradients carry over from one step to the next.

## What it proves
At every recorded step after the first, the first backward since the previous step found exactly
the gradients which that step had used, and no later backward found them cleared: nobody zeroed
them in between. Over a whole run: so it was at each of the last five steps that were sampled.

## Why it matters
Each step uses the sum of all gradients since the start. It acts like momentum without decay: the
effective learning rate grows with the number of steps, and old batches never lose their weight.

## What to do
Call `optimizer.zero_grad()` once for each `optimizer.step()`, after it or before the next backward.

## Limits
Needs two steps of the same optimizer. Gradients that are scaled down between the steps, as
eligibility traces are, and gradients that only accumulate up to a step, are left alone. Up to 8
parameters of each optimizer are looked at.

## Sources
- https://docs.pytorch.org/tutorials/recipes/recipes/zeroing_out_gradients.html
- https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
"""

from collections.abc import Iterable
from itertools import takewhile

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.carried_gradients import CarriedGradients
from stepscope.evidence.optimizers import Optimizers, Step

IN_A_ROW = 5  # sampled steps of a run; one that is meant to carry something over is not repeated


@rule("OPT004", Severity.ERROR)
def gradients_not_zeroed(
    optimizers: Optimizers | None, carried: CarriedGradients | None
) -> Findings:
    known = optimizers if optimizers is not None and _later(optimizers) else None
    lengths = map(len, carried.series.values()) if carried is not None else ()
    if known is None and max(lengths, default=0) < IN_A_ROW:
        raise NotJudged("needs two steps of the same optimizer")
    found = list(_over_the_run(carried, known)) if carried is not None else []
    if not found and known is not None:
        found = list(_at_the_recorded_steps(known))
    yield from found


def _over_the_run(carried: CarriedGradients, optimizers: Optimizers | None) -> Iterable[Finding]:
    for name, curve in carried.series.items():
        last = list(takewhile(lambda each: each[1] == 1, reversed(list(curve))))
        if len(last) < IN_A_ROW:
            continue
        kinds = [each.kind for each in optimizers.optimizers] if optimizers is not None else []
        yield Finding(
            subject=kinds[int(name)] if int(name) < len(kinds) else f"optimizer {name}",
            message="steps on gradients that still hold those of all steps before",
            measured=f"gradients of the step before found unchanged at each of the last "
            f"{len(last)} sampled steps, from step {last[-1][0]} on",
            expected="gradients None or 0 at the first backward after a step",
            at=_place(optimizers, int(name)),
        )


def _place(optimizers: Optimizers | None, index: int) -> Place:
    steps = optimizers.steps if optimizers is not None else ()
    return next((step.at for step in steps if step.optimizer == index), Place())


def _at_the_recorded_steps(optimizers: Optimizers) -> Iterable[Finding]:
    for optimizer, steps in zip(optimizers.optimizers, _later(optimizers), strict=True):
        if steps and all(_carries(step) for step in steps):
            norms = ", ".join(f"{step.gradient_norm:.3g}" for step in steps[:4])
            yield Finding(
                subject=optimizer.kind,
                message="steps on gradients that still hold those of all steps before",
                measured=f"gradients of the step before found unchanged at {len(steps)} of "
                f"{len(steps)} steps; gradient norm there {norms}",
                expected="gradients None or 0 at the first backward after a step",
                at=steps[0].at,
            )


def _later(optimizers: Optimizers) -> list[list[Step]]:
    """Return the steps of each optimizer but its first; nothing where none has a second."""
    later = [
        [step for step in optimizers.steps if step.optimizer == index and step.within is None][1:]
        for index in range(len(optimizers.optimizers))
    ]
    return later if any(later) else []


def _carries(step: Step) -> bool:
    return step.carried and bool(step.entering_nonzero) and all(step.entering_nonzero)


def fails_when_nobody_zeroes(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_nobody_zeroes_any_more(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for forgets in [False] * 4 + [True] * 5:
        if not forgets:
            optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_last_four_steps_were_not_zeroed(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for forgets in [False] * 5 + [True] * 4:
        if not forgets:
            optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_another_optimizer_is_zeroed(_: Watch) -> None:
    import torch

    generator, critic = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
    for_generator = torch.optim.Adam(generator.parameters())
    for_critic = torch.optim.Adam(critic.parameters())
    for _step in range(3):
        for_generator.zero_grad()
        critic(generator(torch.ones(3, 2)).detach()).mean().backward()
        for_critic.step()
        critic(generator(torch.ones(3, 2))).mean().backward()
        for_generator.step()


def passes_when_gradients_accumulate_up_to_a_step(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in range(6):
        model(torch.ones(3, 4)).sum().backward()
        if batch in (2, 5):
            optimizer.step()
            optimizer.zero_grad()


def passes_when_each_player_of_a_game_is_zeroed_in_its_turn(_: Watch) -> None:
    import torch

    generator, critic = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
    for_generator = torch.optim.Adam(generator.parameters())
    for_critic = torch.optim.Adam(critic.parameters())
    for _step in range(3):
        for_critic.zero_grad()
        critic(generator(torch.ones(3, 2)).detach()).mean().backward()
        for_critic.step()
        for_generator.zero_grad()
        critic(generator(torch.ones(3, 2))).mean().backward()
        for_generator.step()


def passes_when_the_gradients_are_set_to_none_by_hand(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        for parameter in model.parameters():
            parameter.grad = None
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_old_gradients_decay(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(3):
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad *= 0.9  # an eligibility trace


def skips_a_single_step(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
