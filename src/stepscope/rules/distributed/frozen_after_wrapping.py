"""`DistributedDataParallel` still reduces the gradients of parameters that were frozen later.

## What it proves
The parameters required a gradient when the wrapper was made, so that they are in the list that it
reduces, and they required none at any recorded step. Without `find_unused_parameters` the wrapper
waits for gradients that never come, and the next forward raises "Expected to have finished
reduction in the prior iteration": that is an error. With it, the wrapper sends zeros: a warning,
with the bytes a step.

## Why it matters
The wrapper reads `requires_grad` once, when it is made. A hook that freezes when training begins
comes too late: every process goes on sending the full gradients of the frozen part over the
network, and `find_unused_parameters=True`, added against the exception, costs a walk through the
graph at each step as well.

## What to do
Freeze first, then wrap. In a framework, freeze where the model is made, or in the hook that comes
before the strategy sets the model up. To freeze in mid-training, make a new wrapper.

## Limits
Parameters that are frozen only in some of the recorded steps, as in adversarial training, are left
alone. Parameters that stand still at lr 0 are reduced as well: that is a note with their bytes.
What a communication hook compresses is not taken off. Sees one process; in a single one nothing
goes over a network.

## Sources
- https://docs.pytorch.org/docs/stable/notes/ddp.html#internal-design
- https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.distributed import Distributed, Wrapper
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameter, Parameters
from stepscope.evidence.subtrees import Subtree, subtrees


@rule("DST006", Severity.WARNING)
def frozen_after_wrapping(
    distributed: Distributed, parameters: Parameters, optimizers: Optimizers | None
) -> Findings:
    if not distributed.wrappers:
        raise NotJudged("needs a DistributedDataParallel wrapper")
    for wrapper in distributed.wrappers:
        reduced = [known for n in wrapper.parameters if (known := parameters.named(n)) is not None]
        frozen = [each.name for each in reduced if each.requires_grad and each.frozen]
        for tree in subtrees(frozen, wrapper.parameters):
            yield Finding(
                subject=tree.subject,
                message=f"is frozen, but {wrapper.kind} was made before, and still reduces its "
                "gradients",
                measured=f"requires_grad=False at all {len(_first(tree, reduced).after)} recorded "
                f"steps; {_share(tree, reduced)}; find_unused_parameters="
                f"{wrapper.find_unused_parameters}",
                expected="frozen before wrapping, and 0 bytes a step",
                at=_place(tree, wrapper),
                severity=None if wrapper.find_unused_parameters else Severity.ERROR,
            )
        still = [
            each.name
            for each in reduced
            if optimizers is not None and each.trainable and not each.ever_changed
            if optimizers.stands_still(each.name)
        ]
        for tree in subtrees(still, wrapper.parameters):
            yield Finding(
                subject=tree.subject,
                message=f"has a learning rate of 0, and {wrapper.kind} reduces its gradients",
                measured=_share(tree, reduced),
                expected="requires_grad=False before wrapping, and 0 bytes a step",
                at=_place(tree, wrapper),
                severity=Severity.NOTE,
            )


def _first(tree: Subtree, reduced: list[Parameter]) -> Parameter:
    return next(each for each in reduced if each.name in tree.members)


def _share(tree: Subtree, reduced: list[Parameter]) -> str:
    members = set(tree.members)
    held = sum(each.nbytes for each in reduced if each.name in members)
    return f"{held:,} of {sum(each.nbytes for each in reduced):,} bytes that it reduces at a step"


def _place(tree: Subtree, wrapper: Wrapper) -> Place:
    at = wrapper.made_at
    return Place(
        parameter=tree.place.parameter,
        module=tree.place.module,
        file=at.file,
        line=at.line,
        function=at.function,
    )


def fails_with_a_warning_when_the_wrapper_sends_zeros(watch: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"body": torch.nn.Linear(4, 4), "head": torch.nn.Linear(4, 2)})
    names = tuple(name for name, _ in model.named_parameters())  # as the wrapper takes them
    model["body"].requires_grad_(False)
    optimizer = torch.optim.SGD(model["head"].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model["head"](model["body"](torch.ones(3, 4))).sum().backward()
        optimizer.step()
    ddp = Wrapper(
        kind="DistributedDataParallel", module="", parameters=names, find_unused_parameters=True
    )
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def fails_with_an_error_when_the_wrapper_waits_for_a_single_parameter(watch: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    names = tuple(name for name, _ in model.named_parameters())
    model[0].bias.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=names)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def fails_as_a_note_when_a_part_at_lr_0_is_reduced(watch: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(body, head)
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    names = tuple(name for name, _ in model.named_parameters())
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=names)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def passes_when_the_part_is_frozen_before_wrapping(watch: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    names = tuple(name for name, each in model.named_parameters() if each.requires_grad)
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=names)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def passes_when_the_critic_is_frozen_only_while_the_generator_steps(watch: Watch) -> None:
    import torch

    generator, critic = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
    for_generator = torch.optim.SGD(generator.parameters(), lr=0.1)
    for_critic = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _step in range(2):
        critic.requires_grad_(True)
        for_critic.zero_grad()
        critic(generator(torch.ones(3, 2)).detach()).mean().backward()
        for_critic.step()
        critic.requires_grad_(False)
        for_generator.zero_grad()
        critic(generator(torch.ones(3, 2))).mean().backward()
        for_generator.step()
    names = ("critic.weight", "critic.bias")
    ddp = Wrapper(kind="DistributedDataParallel", module="critic", parameters=names)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def skips_a_program_without_a_wrapper(watch: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    watch.saw(Distributed(world_size=1, rank=0))
