"""Ranks that should divide the data see the same, or see it in the same order every epoch.

## What it proves
Either all batches that were compared on two ranks of one wrapper were equal, at least four of them
and not all the same: fingerprints of their tensors, as the `DataLoader` handed them over. Or a
`DistributedSampler` that shuffles drew two passes of training with the same epoch number, and so
in the same order.

## Why it matters
With the same batches, averaging over N ranks averages N equal gradients: N devices do the work of
one, and the batch is not N times as large. Without `set_epoch` each epoch is composed of the same
batches in the same order, which is not what shuffling is asked for.

## What to do
Give the loader `sampler=DistributedSampler(dataset)`, or divide a stream by rank and worker; seed
what shuffles differently on each rank where nothing divides the data. Call
`sampler.set_epoch(epoch)` before each epoch; Lightning, Transformers and Accelerate do so.

## Limits
Batches are compared at a few steps (1 to 8, then ever rarer), by up to 4096 elements of each
tensor: equal ones were equal in these. Batches of which all values are the same say nothing, and
neither does a run that sees one batch again and again. What is changed after the loader, as by
augmentation on the device, is not seen. Ranks that work on one sample together (tensor, context or
pipeline parallel) are left alone where their mesh says so; a `DistributedDataParallel` around such
a group is not told apart: that is one reason why this is a warning. Only torch's own
`DistributedSampler`, and what keeps its `__iter__`, is known.

## Sources
- https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler
"""

from collections.abc import Iterator

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.core.joining import say_ranks
from stepscope.evidence.course.across_ranks import AcrossRanks, OfRank, Pair
from stepscope.evidence.course.rank_marks import BATCH, RankMarks
from stepscope.evidence.course.replicas import Replicas, Replicated
from stepscope.evidence.course.series import Series
from stepscope.evidence.course.shard_passes import ShardPass, ShardPasses

FEWEST = 4  # batches: two ranks that draw from a small data set may meet once or twice


@rule("DST002", Severity.WARNING)
def same_data_on_ranks(ranks: AcrossRanks | None, passes: ShardPasses | None) -> Findings:
    compared = [
        (pair, batches)
        for pair in (ranks.pairs() if ranks else ())
        if len(batches := _batches(pair)) >= FEWEST and len(set(batches)) > 1
    ]
    again = list(_drawn_again(passes)) if passes else None
    if not compared and again is None:
        raise NotJudged(f"needs {FEWEST} batches of a DataLoader on two ranks of one wrapper")
    equal = {
        pair.other.rank: (pair.first, len(batches))
        for pair, batches in compared
        if all(here == there for here, there in batches)
    }
    if equal:
        first, number = next(iter(equal.values()))
        yield Finding(
            subject="the training data",
            message=f"is the same on several ranks of one {first.kind}",
            measured=f"{number} of {number} batches that were compared are equal on "
            f"{say_ranks((first.rank, *equal))}",
            expected="a share of the data for each rank",
        )
    for earlier, later, step in again or ():
        yield Finding(
            subject="the DistributedSampler",
            message="gives the same order again: set_epoch() was not called between two passes",
            measured=f"two passes drawn with seed {later.seed} and epoch {earlier.epoch}; "
            f"the second began at step {step}",
            expected="another epoch number for each pass",
            at=later.at,
        )


def _batches(pair: Pair) -> list[tuple[float, float]]:
    named = (named.get(BATCH) for _, named in pair.moments())
    return [both for both in named if both is not None and -1 not in both]


def _drawn_again(passes: ShardPasses) -> Iterator[tuple[ShardPass, ShardPass, int]]:
    """Yield the first pass of each sampler that repeats the one before it."""
    last: dict[int, ShardPass] = {}
    told: set[int] = set()
    for step, each in passes.seen:
        before = last.get(each.sampler)
        last[each.sampler] = each
        if before is None or not each.shuffled or each.sampler in told:
            continue
        if (before.epoch, before.seed) == (each.epoch, each.seed):
            told.add(each.sampler)
            yield before, each, step


def _seen(rank: int, batches: tuple[float, ...]) -> OfRank:
    """Return what a rank may have noted at steps 1, 2 and so on."""
    wrapper = Replicated(
        number=0, kind="FSDP", module="", rank=rank, group=(0, 1), keeps_copies=False
    )
    steps = tuple(range(len(batches)))
    series = {
        "0/steps": Series(steps, tuple(step + 1.0 for step in steps)),
        "0/batch": Series(steps, batches),
    }
    seen = Replicas(seen=((0, wrapper),), count=1)
    return OfRank(rank=rank, replicas=seen, marks=RankMarks(series=series))


def fails_when_four_batches_are_equal(watch: Watch) -> None:
    batches = (1.0, 2.0, 3.0, 4.0)
    watch.saw(AcrossRanks(ranks=(_seen(0, batches), _seen(1, batches))))


def fails_when_set_epoch_is_not_called(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from torch.utils.data.distributed import DistributedSampler

    data = TensorDataset(torch.arange(8.0).unsqueeze(1))
    loader = DataLoader(data, 2, sampler=DistributedSampler(data, num_replicas=2, rank=0))
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _epoch in range(2):
        for (values,) in loader:
            optimizer.zero_grad()
            model(values).sum().backward()
            optimizer.step()


def passes_when_set_epoch_is_called(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from torch.utils.data.distributed import DistributedSampler

    data = TensorDataset(torch.arange(8.0).unsqueeze(1))
    sampler: DistributedSampler[object] = DistributedSampler(data, num_replicas=2, rank=0)
    loader = DataLoader(data, 2, sampler=sampler)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for (values,) in loader:
            optimizer.zero_grad()
            model(values).sum().backward()
            optimizer.step()


def passes_when_an_evaluation_is_drawn_alike_each_time(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from torch.utils.data.distributed import DistributedSampler

    data = TensorDataset(torch.arange(8.0).unsqueeze(1))
    sampler: DistributedSampler[object] = DistributedSampler(data, num_replicas=2, rank=0)
    held_out = DataLoader(data, 2, sampler=DistributedSampler(data, num_replicas=2, rank=0))
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for (values,) in DataLoader(data, 2, sampler=sampler):
            optimizer.zero_grad()
            model(values).sum().backward()
            optimizer.step()
        with torch.no_grad():
            for (values,) in held_out:
                model(values)


def passes_when_one_of_the_batches_differs(watch: Watch) -> None:
    here, there = _seen(0, (1.0, 2.0, 3.0, 4.0)), _seen(1, (1.0, 2.0, 3.0, 5.0))
    watch.saw(AcrossRanks(ranks=(here, there)))


def skips_three_batches(watch: Watch) -> None:
    batches = (1.0, 2.0, 3.0)
    watch.saw(AcrossRanks(ranks=(_seen(0, batches), _seen(1, batches))))


def skips_batches_of_one_value(watch: Watch) -> None:
    batches = (-1.0, -1.0, -1.0, -1.0, -1.0)
    watch.saw(AcrossRanks(ranks=(_seen(0, batches), _seen(1, batches))))


def skips_a_run_that_sees_one_batch_again_and_again(watch: Watch) -> None:
    batches = (1.0, 1.0, 1.0, 1.0, 1.0)
    watch.saw(AcrossRanks(ranks=(_seen(0, batches), _seen(1, batches))))
