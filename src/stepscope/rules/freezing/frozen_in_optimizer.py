"""A frozen parameter is still held by an optimizer, and its step moves the parameter.

## What it proves
The parameter required no gradient in the step, and its bits differed right before and right after
`optimizer.step`. Its gradient at that time was zero, or left over from a time when it was still
trained.

## Why it matters
An optimizer looks at `grad`, not at `requires_grad`. A gradient that is zero instead of None still
brings weight decay and momentum to bear, so that a part frozen in mid-training drifts on.

## What to do
Freeze before the optimizer is made and hand it only what is trained, or set the gradients of what
you freeze to None (`zero_grad(set_to_none=True)` is the default).

## Limits
A parameter that never required a gradient and has one that is not zero was given it by the
program: evolution strategies and other training without autograd do so. Frozen parameters whose
gradient is None are skipped by the optimizer and do no harm.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameter, Parameters
from stepscope.evidence.subtrees import subtrees


@rule("FRZ009", Severity.ERROR)
def frozen_in_optimizer(
    parameters: Parameters, optimizers: Optimizers, gradients: Gradients
) -> Findings:
    moved = {each.name: each for each in parameters.parameters if _is_moved_frozen(each, gradients)}
    for tree in subtrees(moved, (each.name for each in parameters.parameters)):
        groups = optimizers.groups_of(tree.members[0])
        made_at = optimizers.optimizers[groups[0].optimizer].made_at if groups else Place()
        settings = "".join(
            f"; group {group.index} of {optimizers.optimizers[group.optimizer].kind}:"
            f" weight decay {group.weight_decay:g}, momentum {group.momentum:g}"
            for group in groups[:1]
        )
        steps = max(sum(moved[name].stepped) for name in tree.members)
        yield Finding(
            subject=tree.subject,
            message="is frozen (requires_grad=False), but its optimizer moves it",
            measured=f"changed inside optimizer.step, in recorded steps: {steps}{settings}",
            expected="no optimizer holds it, or its gradient is None",
            at=Place(
                parameter=tree.place.parameter,
                module=tree.place.module,
                file=made_at.file,
                line=made_at.line,
                function=made_at.function,
            ),
        )


def _is_moved_frozen(parameter: Parameter, gradients: Gradients) -> bool:
    steps = [
        step
        for step, (stepped, requires_grad) in enumerate(
            zip(parameter.stepped, parameter.requires_grad, strict=True)
        )
        if stepped and not requires_grad
    ]
    gradient = gradients.of(parameter.name) if steps else None
    given = gradient is not None and any(gradient.norms[step] for step in steps)
    return bool(steps) and not (given and parameter.frozen)


def fails_when_weight_decay_moves_a_part_frozen_in_mid_training(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.01)
    for step in range(3):
        if step == 1:
            model[0].requires_grad_(False)
        optimizer.zero_grad(set_to_none=False)
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_an_old_gradient_is_applied_again(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        if step == 1:
            model[0].requires_grad_(False)
        model[1].zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_gradient_of_the_frozen_part_is_none(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.01)
    for step in range(3):
        if step == 1:
            model[0].requires_grad_(False)
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_program_supplies_the_gradients_itself(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()


def passes_when_another_optimizer_steps(_: Watch) -> None:
    import torch

    generator, critic = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
    of_generator = torch.optim.Adam(generator.parameters(), lr=0.1)
    of_critic = torch.optim.Adam(critic.parameters(), lr=0.1)
    for _step in range(2):
        critic.requires_grad_(True)
        of_critic.zero_grad()
        critic(generator(torch.ones(3, 4)).detach()).sum().backward()
        of_critic.step()
        critic.requires_grad_(False)
        of_generator.zero_grad()
        (-critic(generator(torch.ones(3, 4)))).sum().backward()
        of_generator.step()
