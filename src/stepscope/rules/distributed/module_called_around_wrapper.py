"""The training forward goes around `DistributedDataParallel`.

## What it proves
A module below the wrapper ran in training mode while the wrapper's own forward was not running, a
backward then reached its parameters, and the wrapper had not run at all since the backward before.
There is more than one process.

## Why it matters
The wrapper prepares the reduction of gradients in its forward. When `model.module(x)`, or a method
of the wrapped module, is called instead, gradients are not averaged: each process trains a model
of its own, on its own share of the data, and only one of them is saved.

## What to do
Call the wrapper. Give the wrapped module a `forward` that dispatches, where several entry points
are needed.

## Limits
A single process averages with nobody. A forward around the wrapper without a backward, as for
evaluation, is left alone, and so is one beside a forward through it.

## Sources
- https://docs.pytorch.org/docs/stable/notes/ddp.html#internal-design
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.distributed import Distributed, Wrapper


@rule("DST005", Severity.ERROR)
def module_called_around_wrapper(distributed: Distributed) -> Findings:
    if not distributed.wrappers:
        raise NotJudged("needs a DistributedDataParallel wrapper")
    if distributed.world_size == 1:
        raise NotJudged("needs more than one process")
    for wrapper in distributed.wrappers:
        if wrapper.bypassed_at is not None:
            yield Finding(
                subject=wrapper.bypassed or wrapper.module or "the model",
                message=f"is trained around its {wrapper.kind}: its gradients are not averaged",
                measured="0 forwards of the wrapper before a backward that reaches its parameters; "
                f"{distributed.world_size} processes",
                expected="the wrapper called, not what it wraps",
                at=wrapper.bypassed_at,
            )


def fails_when_the_wrapped_module_is_called(watch: Watch) -> None:
    at = Place(file="train.py", line=8)
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=("weight",), bypassed_at=at)
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def passes_when_the_wrapper_is_called(watch: Watch) -> None:
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=("weight",))
    watch.saw(Distributed(world_size=2, rank=0, wrappers=(ddp,)))


def skips_a_single_process(watch: Watch) -> None:
    at = Place(file="train.py", line=8)
    ddp = Wrapper(kind="DistributedDataParallel", module="", parameters=("weight",), bypassed_at=at)
    watch.saw(Distributed(world_size=1, rank=0, wrappers=(ddp,)))
