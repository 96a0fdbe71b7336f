"""The optimizer holds tensors that no model owns any more.

## What it proves
The optimizer holds parameters that belong to no live module and that received no gradient in any
recorded step, while trainable parameters of the model received gradients, are in no optimizer and
did not move.

## Why it matters
The model was rebuilt, replaced or copied after the optimizer was made: the optimizer updates the
old tensors, and the new ones keep their initial values. Nothing is raised, and a learning rate
schedule, the optimizer's state and its checkpoints all look healthy.

## What to do
Make the optimizer from the parameters of the final model. Load weights with `load_state_dict`
into the model that the optimizer already holds, instead of replacing it.

## Limits
Tensors that are optimised without a module, such as a picture in style transfer, are what they
should be. So are master copies in another precision: they receive their gradients by hand, and the
model's own parameters move with them.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#constructing-it
"""

from stepscope.core import Finding, Findings, Place, Related, Severity, Watch, rule
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import subtrees


@rule("OPT002", Severity.ERROR)
def stale_optimizer(
    parameters: Parameters, optimizers: Optimizers, gradients: Gradients
) -> Findings:
    fed = {each.parameter for each in gradients.gradients if each.ever_nonzero}
    brought = {each.parameter for each in gradients.gradients if each.ever_brought}
    held = {name for group in optimizers.groups for name in group.parameters}
    left_out = [
        parameter.name
        for parameter in parameters.parameters
        if parameter.in_module and parameter.trainable and not parameter.ever_changed
        if parameter.name in brought and held.isdisjoint((parameter.name, *parameter.aliases))
    ]
    if not left_out:
        return
    trees = subtrees(left_out, (p.name for p in parameters.parameters if p.in_module))
    for index, optimizer in enumerate(optimizers.optimizers):
        stale = [name for name in optimizer.unknown if name not in fed]
        total = sum(len(g.parameters) for g in optimizers.groups if g.optimizer == index)
        if optimizer.stepped and stale:
            yield Finding(
                subject=f"{optimizer.kind} ({len(stale)} of {total} parameters)",
                message=f"holds tensors that no module owns, and not {trees[0].subject}",
                measured=f"{len(stale)} tensors without module and gradient, such as {stale[0]}; "
                f"{len(left_out)} parameters of the model with a gradient and in no optimizer",
                expected="the optimizer made from the parameters of the model that is trained",
                at=optimizer.made_at,
                related=tuple(
                    Related(
                        "in no optimizer", Place(module=t.place.module, parameter=t.place.parameter)
                    )
                    for t in trees
                ),
            )


def fails_when_the_model_is_made_again_after_the_optimizer(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = torch.nn.Linear(4, 2)
    for _step in range(2):
        model.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_a_layer_is_replaced_after_the_optimizer(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 10))
    optimizer = torch.optim.Adam(model.parameters())
    model[1] = torch.nn.Linear(4, 2)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_optimizer_is_made_again_too(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 10))
    model[1] = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_a_picture_is_optimised_through_a_model(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    picture = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([picture], lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(picture).sum().backward()
        optimizer.step()


def passes_when_the_optimizer_holds_master_copies(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2).to(torch.bfloat16)
    masters = [p.detach().float().requires_grad_() for p in model.parameters()]
    optimizer = torch.optim.SGD(masters, lr=0.5)
    for _step in range(2):
        model.zero_grad()
        model(torch.ones(3, 4, dtype=torch.bfloat16)).sum().backward()
        for master, parameter in zip(masters, model.parameters(), strict=True):
            assert parameter.grad is not None
            master.grad = parameter.grad.float()
        optimizer.step()
        with torch.no_grad():
            for master, parameter in zip(masters, model.parameters(), strict=True):
                parameter.copy_(master)
