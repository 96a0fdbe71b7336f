"""One parameter is moved twice by the same gradient.

## What it proves
Either one optimizer holds the parameter more than once and steps; or two optimizers hold it, and
both stepped on the same gradient: no backward lies between the two steps, and the second found the
gradient that the first had used.

## Why it matters
The parameter is moved twice for each gradient, with two states that know nothing of each other: its
effective learning rate is not the one that is written down.

## What to do
Build the groups so that each parameter is in one of them. Where two optimizers share a parameter
on purpose, call `zero_grad` and a new backward before the second step.

## Limits
Two optimizers that share a parameter and are each fed by a backward of their own are left alone,
and so is an optimizer that calls another one inside its own step, as SAM and Lookahead do. Two
optimizers on one gradient are a warning, not an error: it can be meant.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
- Foret et al., "Sharpness-Aware Minimization", ICLR 2021 (two optimizers over the same parameters)
"""

from collections import Counter
from itertools import pairwise

from stepscope.core import Finding, Findings, Related, Severity, Watch, rule
from stepscope.evidence.gradients import BackwardRoots, Gradients
from stepscope.evidence.optimizers import Optimizers, Step
from stepscope.evidence.subtrees import subtrees


@rule("OPT003", Severity.ERROR)
def in_two_groups(
    optimizers: Optimizers, gradients: Gradients, backwards: BackwardRoots | None
) -> Findings:
    everything = [name for group in optimizers.groups for name in group.parameters]
    for index, optimizer in enumerate(optimizers.optimizers):
        counts = Counter(
            name
            for group in optimizers.groups
            if group.optimizer == index
            for name in group.parameters
        )
        twice = [name for name, count in counts.items() if count > 1]
        for tree in subtrees(twice, everything) if optimizer.stepped else ():
            yield Finding(
                subject=tree.subject,
                message=f"is held more than once by one {optimizer.kind}, which moves it each time",
                measured=f"{counts[tree.members[0]]} entries in its parameter groups",
                expected="1 entry",
                at=tree.place,
                related=(Related("the optimizer is made", optimizer.made_at),),
            )
    fed = {root.step for root in backwards.roots} if backwards else set()
    seen: set[frozenset[int]] = set()
    for first, second in pairwise(step for step in optimizers.steps if step.within is None):
        pair = frozenset((first.optimizer, second.optimizer))
        between = any(step in fed for step in range(first.step + 1, second.step + 1))
        if len(pair) == 1 or between or pair in seen:
            continue
        both = [name for name in _held(optimizers, first) if name in set(_held(optimizers, second))]
        same = [name for name in both if _same_gradient(gradients, name, first.step, second.step)]
        for tree in subtrees(same, everything):
            seen.add(pair)
            kinds = [optimizers.optimizers[step.optimizer].kind for step in (first, second)]
            yield Finding(
                subject=tree.subject,
                message=f"is moved by two optimizers ({kinds[0]}, {kinds[1]}) on the same gradient",
                measured=f"steps {first.step} and {second.step}, without a backward between them",
                expected="1 optimizer for each parameter, or a backward for each optimizer",
                at=tree.place,
                related=(Related("first step", first.at), Related("second step", second.at)),
                severity=Severity.WARNING,
            )


def _held(optimizers: Optimizers, step: Step) -> list[str]:
    groups = (group for group in optimizers.groups if group.optimizer == step.optimizer)
    return [name for group in groups for name in group.parameters]


def _same_gradient(gradients: Gradients, name: str, first: int, second: int) -> bool:
    gradient = gradients.of(name)
    return gradient is not None and bool(
        gradient.norms[first] and gradient.norms[first] == gradient.norms[second]
    )


def fails_when_two_optimizers_use_one_gradient(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    for_all = torch.optim.SGD(model.parameters(), lr=0.1)
    for_head = torch.optim.Adam(model[1].parameters())
    for _step in range(2):
        model.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        for_all.step()
        for_head.step()


def fails_when_one_group_holds_a_parameter_twice(_: Watch) -> None:
    import warnings

    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    with warnings.catch_warnings(action="ignore"):  # torch warns of it
        optimizer = torch.optim.SGD([*model.parameters(), *model[1].parameters()], lr=0.1)
    optimizer.zero_grad()
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_each_optimizer_has_a_backward_of_its_own(_: Watch) -> None:
    import torch

    encoder, first, second = (torch.nn.Linear(2, 2) for _part in range(3))
    for_first = torch.optim.Adam([*encoder.parameters(), *first.parameters()])
    for_second = torch.optim.Adam([*encoder.parameters(), *second.parameters()])
    for _step in range(2):
        for head, optimizer in ((first, for_first), (second, for_second)):
            optimizer.zero_grad()
            head(encoder(torch.ones(3, 2))).sum().backward()
            optimizer.step()


def passes_when_an_optimizer_steps_inside_another(_: Watch) -> None:
    from collections.abc import Callable

    import torch

    class Outer(torch.optim.Optimizer):
        def __init__(self, inner: torch.optim.Optimizer) -> None:
            super().__init__(inner.param_groups, {})
            self.inner = inner

        def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
            self.inner.step(closure)

    model = torch.nn.Linear(4, 2)
    optimizer = Outer(torch.optim.SGD(model.parameters(), lr=0.1))
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
