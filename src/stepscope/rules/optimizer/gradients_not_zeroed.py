"""Gradients carry over from one step to the next.

## What it proves
At every recorded step after the first, the first backward since the previous step found exactly
the gradients which that step had used, and no later backward found them cleared: nobody zeroed
them in between.

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

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.optimizers import Optimizers, Step


@rule("OPT004", Severity.ERROR)
def gradients_not_zeroed(optimizers: Optimizers) -> Findings:
    later = [
        [step for step in optimizers.steps if step.optimizer == index and step.within is None][1:]
        for index in range(len(optimizers.optimizers))
    ]
    if not any(later):
        raise NotJudged("needs two steps of the same optimizer")
    for optimizer, steps in zip(optimizers.optimizers, later, strict=True):
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


def _carries(step: Step) -> bool:
    return step.carried and bool(step.entering_nonzero) and all(step.entering_nonzero)


def fails_when_nobody_zeroes(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
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
