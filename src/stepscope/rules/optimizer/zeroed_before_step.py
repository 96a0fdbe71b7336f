"""The gradients are zeroed between the backward and the step.

## What it proves
At every recorded step of the optimizer, a backward had reached its parameters since the step
before, `zero_grad` was called after the last of them, and no gradient other than 0 was left.

## Why it matters
The optimizer steps on nothing. Without weight decay no parameter moves at all; with it, or with
momentum, the parameters move, but not because of the loss.

## What to do
Call `zero_grad` before the backward or after the step.

## Limits
A program that zeroes now and then, to leave out a batch with a loss that is not finite, is left
alone: at least one recorded step used a gradient. So are gradients that are set by hand after
`zero_grad`.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#taking-an-optimization-step
"""

from stepscope.core import Finding, Findings, Related, Severity, Watch, rule
from stepscope.evidence.optimizers import Optimizers


@rule("OPT005", Severity.ERROR)
def zeroed_before_step(optimizers: Optimizers) -> Findings:
    for index, optimizer in enumerate(optimizers.optimizers):
        steps = [step for step in optimizers.steps if step.optimizer == index]
        emptied = [step for step in steps if step.backwards and step.zeroed_at is not None]
        if not steps or emptied != steps or any(step.gradients_nonzero for step in steps):
            continue
        assert steps[0].zeroed_at is not None
        yield Finding(
            subject=optimizer.kind,
            message="steps without a gradient, because zero_grad runs between backward and step",
            measured=f"{steps[0].backwards} backward, then zero_grad, then a step with 0 gradients "
            f"other than 0; {len(steps)} of {len(steps)} steps",
            expected="zero_grad before the backward, or after the step",
            at=steps[0].zeroed_at,
            related=(Related("steps on nothing", steps[0].at),),
        )


def fails_when_zero_grad_follows_the_backward(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        model(torch.ones(3, 4)).sum().backward()
        optimizer.zero_grad()
        optimizer.step()


def fails_when_the_model_is_zeroed_and_keeps_zeros(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(3, 4)).sum().backward()
    model.zero_grad(set_to_none=False)
    optimizer.step()


def passes_in_the_usual_order(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_one_batch_is_left_out(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for value in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        loss = model(torch.full((3, 4), value)).sum()
        loss.backward()
        if not loss.isfinite():
            optimizer.zero_grad()
        optimizer.step()


def passes_when_gradients_are_put_back_by_hand(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        model(torch.ones(3, 4)).sum().backward()
        kept = [parameter.grad for parameter in model.parameters()]
        optimizer.zero_grad()
        for parameter, gradient in zip(model.parameters(), kept, strict=True):
            parameter.grad = gradient
        optimizer.step()
