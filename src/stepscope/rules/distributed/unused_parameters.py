"""`DistributedDataParallel` waits for parameters that no backward reaches.

## What it proves
The wrapper reduces the gradients of these parameters, and no backward reached them in any recorded
step. Without `find_unused_parameters`, the next forward then raises "Expected to have finished
reduction in the prior iteration", which names no parameter: that is an error. With it, the program
goes on, and the parameters are not trained: a warning where their module ran and its result was
lost, a note where it did not run.

## Why it matters
`find_unused_parameters=True` is often added to silence the exception. It hides a branch that is
computed and never reaches the loss, and costs a walk through the graph at each step.

## What to do
Freeze or remove what is not used, before wrapping; bring the branch's result into the loss; keep
`find_unused_parameters=True` only where parameters are left out on purpose, now and then.

## Limits
Sees the recorded steps of this process only: an expert that no token was sent to, or a layer that
was dropped, may be used later. That is why a module that did not run is only a note.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.distributed import Distributed, Wrapper
from stepscope.evidence.gradients import Gradient, Gradients
from stepscope.evidence.modules import Modules
from stepscope.evidence.subtrees import subtrees


@rule("DST003", Severity.ERROR)
def unused_parameters(
    distributed: Distributed, gradients: Gradients, modules: Modules | None
) -> Findings:
    if not distributed.wrappers:
        raise NotJudged("needs a DistributedDataParallel wrapper")
    ran = {module.name for module in modules.modules if module.calls} if modules else set()
    for wrapper in distributed.wrappers:
        seen = {g.parameter: g for g in gradients.gradients if g.parameter in wrapper.parameters}
        unused = [name for name, gradient in seen.items() if not any(gradient.reached)]
        for tree in subtrees(unused, wrapper.parameters):
            owners = {name.rpartition(".")[0] for name in tree.members}
            held = [seen[name] for name in tree.members]
            yield Finding(
                subject=tree.subject,
                message=f"is reduced by {wrapper.kind}, but no backward reaches it",
                measured=f"reached in 0 of {len(held[0].reached)} steps; find_unused_parameters="
                f"{wrapper.find_unused_parameters}",
                expected="every wrapped parameter reached, or frozen before wrapping",
                at=tree.place,
                severity=_severity(wrapper, held, is_run=not owners.isdisjoint(ran)),
            )


def _severity(wrapper: Wrapper, unused: list[Gradient], *, is_run: bool) -> Severity:
    never_held = all(norm is None for gradient in unused for norm in gradient.norms)
    if not wrapper.find_unused_parameters and never_held:
        return Severity.ERROR
    return Severity.WARNING if is_run else Severity.NOTE


def fails_when_a_branch_does_not_reach_the_loss(watch: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"main": torch.nn.Linear(4, 2), "extra": torch.nn.Linear(4, 2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images = torch.ones(3, 4)
    model["extra"](images)
    model["main"](images).sum().backward()
    optimizer.step()
    names = ("main.weight", "main.bias", "extra.weight", "extra.bias")
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=names)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def passes_when_everything_is_reached(watch: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=("weight", "bias"))
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def passes_when_the_branch_is_frozen_before_wrapping(watch: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"main": torch.nn.Linear(4, 2), "extra": torch.nn.Linear(4, 2)})
    model["extra"].requires_grad_(False)
    optimizer = torch.optim.SGD(model["main"].parameters(), lr=0.1)
    model["main"](torch.ones(3, 4)).sum().backward()
    optimizer.step()
    names = ("main.weight", "main.bias")
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=names)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def skips_a_program_without_a_wrapper(watch: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    watch.saw(Distributed(world_size=1, rank=0))
