"""A trainable parameter that receives a gradient is in no optimizer.

## What it proves
The parameter requires a gradient, a backward gave it one that is not zero, no optimizer of the
program holds it, and its bits did not change over the recorded steps.

## Why it matters
The parameter keeps its initial values for the whole run. Its gradient is computed and thrown
away, nothing is logged, and the loss still falls, because the rest of the model learns around it.
The usual cause is a layer that was added or replaced after the optimizer was made.

## What to do
Make the optimizer after the model is complete, or freeze the parameter on purpose with
`requires_grad_(False)`.

## Limits
A parameter that the program itself moves, without an optimizer, is left alone.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#constructing-it
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters


@rule("OPT001", Severity.ERROR)
def not_in_optimizer(
    parameters: Parameters, optimizers: Optimizers, gradients: Gradients
) -> Findings:
    held = {name for group in optimizers.groups for name in group.parameters}
    for parameter in parameters.parameters:
        if parameter.name in held or not parameter.trainable or parameter.ever_changed:
            continue
        gradient = gradients.of(parameter.name)
        largest = max((norm or 0.0 for norm in gradient.norms), default=0.0) if gradient else 0.0
        if largest > 0:
            yield Finding(
                subject=parameter.name,
                message="receives a gradient, but no optimizer updates it",
                measured=f"gradient norm up to {largest:.3g}; in 0 parameter groups",
                expected="in 1 parameter group, or requires_grad=False",
                at=Place(parameter=parameter.name),
            )


def fails_when_the_head_is_added_after_the_optimizer(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.append(torch.nn.Linear(4, 2))
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_optimizer_is_made_last(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    model.append(torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_program_moves_the_parameter_itself(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    for _step in range(2):
        model.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in model[1].parameters():
                parameter -= 0.1 * parameter.grad  # type: ignore[operator]  # it has one
