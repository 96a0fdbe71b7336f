"""Features gathered from all processes enter a contrastive loss without any gradient.

## What it proves
Features that carry gradient were gathered by a collective of `torch.distributed`, which cuts the
graph. The gathered rows became the columns of a contrastive loss, and the process did not put its
own rows, which have gradient, back in their place.

## Why it matters
Only the side that was not gathered learns from this product. The loss looks right, as its value is
the same; the gradient lacks the terms in which this process's features are a candidate.

## What to do
Put the own rows back (`gathered[rank] = features`), or gather with
`torch.distributed.nn.functional.all_gather`, whose backward sends the gradient home.

## Limits
Judged with more than one process. Gathers whose results enter no product that feeds a
`cross_entropy` are not looked at, nor those of features without gradient (a queue, a teacher).

## Sources
- https://docs.pytorch.org/docs/stable/distributed.html#torch.distributed.all_gather
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.losses import Gather, Gathers


@rule("CON009", Severity.WARNING)
def gather_without_gradient(gathers: Gathers) -> Findings:
    if all(gather.world_size < 2 for gather in gathers.gathers):  # noqa: PLR2004 - a process alone
        raise NotJudged("one process: a gather returns what it was given")
    lines: dict[Place, Gather] = {}
    for gather in gathers.gathers:
        if not gather.differentiable and not gather.own_part_restored and gather.world_size > 1:
            lines.setdefault(gather.at, gather)
    for at, gather in lines.items():
        yield Finding(
            subject=gather.operation,
            message="features enter the loss without gradient, the process's own rows included",
            measured=f"gathered from {gather.world_size} processes; 0 rows with gradient",
            expected="the process's own rows with gradient",
            at=at,
        )


def fails_when_the_own_rows_are_not_put_back(watch: Watch) -> None:
    line = Place(file="loss.py", line=12)
    gather = Gather(
        operation="all_gather", world_size=2, differentiable=False, own_part_restored=False, at=line
    )
    watch.saw(Gathers(gathers=(gather,)))


def passes_when_the_own_rows_are_put_back(watch: Watch) -> None:
    line = Place(file="loss.py", line=12)
    gather = Gather(
        operation="all_gather", world_size=2, differentiable=False, own_part_restored=True, at=line
    )
    watch.saw(Gathers(gathers=(gather,)))


def passes_when_the_gather_carries_gradient(watch: Watch) -> None:
    line = Place(file="loss.py", line=12)
    gather = Gather(
        operation="all_gather", world_size=2, differentiable=True, own_part_restored=False, at=line
    )
    watch.saw(Gathers(gathers=(gather,)))


def skips_when_there_is_one_process(watch: Watch) -> None:
    line = Place(file="loss.py", line=12)
    gather = Gather(
        operation="all_gather", world_size=1, differentiable=False, own_part_restored=False, at=line
    )
    watch.saw(Gathers(gathers=(gather,)))
