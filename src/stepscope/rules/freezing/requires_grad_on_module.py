"""`module.requires_grad = False` froze nothing: the parameters below still train.

## What it proves
The module carries a plain attribute `requires_grad` that is False. Parameters below it required
a gradient at every recorded step, and their bits changed.

## Why it matters
`nn.Module` has no `requires_grad`. The assignment makes an attribute that nobody reads, raises
nothing, and reads back as False, so that a print of it confirms the mistake.

## What to do
Call `module.requires_grad_(False)`, or set `requires_grad` on each parameter.

## Limits
An attribute that is True does no harm. Where the parameters do not move, for whatever reason,
the module may be frozen in another way, and is left alone.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.requires_grad_
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.modules import Modules
from stepscope.evidence.parameters import Parameters


@rule("FRZ008", Severity.ERROR)
def requires_grad_on_module(modules: Modules, parameters: Parameters) -> Findings:
    for module in modules.modules:
        if "requires_grad=False" not in module.shadowing:
            continue
        below = parameters.below(module.name)
        moved = [each for each in below if each.trainable and each.ever_changed]
        if moved:
            elements = sum(each.numel for each in moved)
            yield Finding(
                subject=module.name or module.kind,
                message=(
                    "has a plain attribute requires_grad=False, which freezes nothing:"
                    " its parameters train"
                ),
                measured=(
                    f"{len(moved)} of {len(below)} parameters ({elements:,} elements)"
                    f" require gradients and moved"
                ),
                expected="requires_grad_(False) on the module, and parameters that stay",
                at=Place(module=module.name, parameter="" if module.name else moved[0].name),
            )


def fails_when_the_attribute_is_set_on_a_module(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad = False  # type: ignore[assignment]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_the_method_is_called(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_the_attribute_is_true(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad = True  # type: ignore[assignment]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_the_parameters_are_not_moved(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad = False  # type: ignore[assignment]
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
