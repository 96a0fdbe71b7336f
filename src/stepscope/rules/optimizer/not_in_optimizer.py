"""A trainable parameter that receives a gradient is in no optimizer.

## What it proves
The parameter requires a gradient, a backward gave it one that is not zero, no optimizer of the
program holds it, and its bits did not change over the recorded steps.

## Why it matters
The parameter keeps its initial values for the whole run. Its gradient is computed and thrown
away, nothing is logged, and the loss still falls, because the rest of the model learns around it.
The usual cause is a layer that was added or replaced after the optimizer was made, or one that a
forward makes and keeps in a plain dictionary or list.

## What to do
Make the optimizer after the model is complete, or freeze the parameter on purpose with
`requires_grad_(False)`.

## Limits
A parameter that the program itself moves, without an optimizer, is left alone. Where no optimizer
holds any parameter of the same root module, the omission may be meant: a loss network is used like
that, and so is a model under attack. That is a warning, and a note where the model's values came
from a checkpoint, or where the optimizers hold no module's parameters at all.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#constructing-it
"""

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.checkpoints import Checkpoints
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import subtrees


@rule("OPT001", Severity.ERROR)
def not_in_optimizer(
    parameters: Parameters,
    optimizers: Optimizers,
    gradients: Gradients,
    checkpoints: Checkpoints | None,
) -> Findings:
    held = {name for group in optimizers.groups for name in group.parameters}
    left_out = {
        parameter.name: gradient
        for parameter in parameters.parameters
        if parameter.in_module and parameter.trainable and not parameter.ever_changed
        if held.isdisjoint((parameter.name, *parameter.aliases))
        if (gradient := gradients.of(parameter.name)) and gradient.ever_brought
    }
    trains_modules = any(p.in_module and p.name in held for p in parameters.parameters)
    loaded = {load.module for load in checkpoints.loads} if checkpoints else set()
    for tree in subtrees(left_out, (p.name for p in parameters.parameters if p.in_module)):
        norms = [n for name in tree.members for n in left_out[name].norms if n is not None]
        severity = None
        if not any(left_out[name].in_trained_root for name in tree.members):
            is_loaded = any(f"{tree.name}.".startswith(f"{module}.") for module in loaded)
            severity = Severity.NOTE if is_loaded or not trains_modules else Severity.WARNING
        yield Finding(
            subject=tree.subject,
            message="receives a gradient, but no optimizer updates it",
            measured=f"gradient norm up to {max(norms):.3g}; in 0 parameter groups",
            expected="in 1 parameter group, or requires_grad=False",
            at=tree.place,
            severity=severity,
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


def fails_when_a_part_that_is_a_model_of_its_own_is_forgotten(_: Watch) -> None:
    import torch

    encoder, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        head(encoder(torch.ones(3, 4))).sum().backward()
        optimizer.step()


def fails_when_a_forward_makes_its_own_layer(_: Watch) -> None:
    import torch

    class Lazy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)
            self.projectors: dict[str, torch.nn.Module] = {}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.projectors:
                self.projectors["high"] = torch.nn.Linear(4, 4)
            out: torch.Tensor = self.head(self.projectors["high"](x))
            return out

    model = Lazy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
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


def passes_when_another_optimizer_holds_it(_: Watch) -> None:
    import torch

    generator, critic = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
    for_generator = torch.optim.Adam(generator.parameters())
    for_critic = torch.optim.Adam(critic.parameters())
    for _step in range(2):
        for_critic.zero_grad()
        critic(generator(torch.ones(3, 2)).detach()).mean().backward()
        for_critic.step()
        for_generator.zero_grad()
        critic(generator(torch.ones(3, 2))).mean().backward()
        for_generator.step()


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
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=0.1)
