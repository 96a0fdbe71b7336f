"""Running statistics differ between ranks, and those of one rank are evaluated or saved.

## What it proves
The wrapper does not hand the first rank's buffers out (`broadcast_buffers=False`, which newer
versions of torch call `forward_sync_buffers`), the running means and variances of its normalisation
layers differ between ranks after the last steps that were compared, and an evaluation or a
checkpoint uses them as training left them: nothing was written into them since the last step.

## Why it matters
Each rank's statistics are of its own share of the data. What is saved fits a fraction of what the
model was trained on; ranks that evaluate together evaluate different models, and the score changes
with the number of ranks.

## What to do
Convert the layers: `torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)` before wrapping. Or
leave buffers to the first rank, as is the default, or average them over the ranks before each
evaluation and checkpoint, as timm's `distribute_bn` does.

## Limits
A warning: shares that were drawn at random give similar statistics, and the harm may be small.
Where the first rank hands its buffers out, its statistics count everywhere: left alone. An
evaluation is known by `eval()`, a checkpoint by `torch.save` of the tensors themselves: copies of
them are not known. Whether something was written is read off one layer that was in training.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html
- https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.across_ranks import AcrossRanks, OfRank, Pair
from stepscope.evidence.course.rank_marks import STATISTICS, RankMarks
from stepscope.evidence.course.replicas import Replicas, Replicated, StatisticsUsed, StatisticsUses
from stepscope.evidence.course.series import Series


@rule("DST004", Severity.WARNING)
def statistics_not_synchronised(ranks: AcrossRanks) -> Findings:
    compared = [
        (pair, moments[-1])
        for pair in ranks.pairs()
        if not pair.first.first_gives_buffers and (moments := _compared(pair))
    ]
    if not compared:
        raise NotJudged("needs running statistics that each rank keeps for itself")
    used = [
        use
        for each in ranks.ranks
        if each.uses is not None
        for _, use in each.uses.seen
        if use.as_trained
    ]
    told: set[tuple[int, str]] = set()
    for pair, (steps, parts) in compared:
        differing = sum(not is_equal for is_equal in parts)
        for use in used:
            key = use.wrapper, use.what
            if not differing or use.wrapper != pair.first.number or key in told:
                continue
            told.add(key)
            yield Finding(
                subject=pair.first.module or "the model",
                message=f"is {use.what} with the running statistics of one rank, and the ranks' "
                "differ",
                measured=f"after {steps} optimizer steps those of {differing} of {len(parts)} "
                f"parts differ between ranks {pair.first.rank} and {pair.other.rank}; {use.what} "
                f"on rank {use.rank} as the last step left them",
                expected="SyncBatchNorm, or statistics averaged over the ranks before",
                at=pair.first.at,
            )


def _compared(pair: Pair) -> list[tuple[int, list[bool]]]:
    """Return whether the statistics of the parts are equal, by steps, in order."""
    lead = f"{STATISTICS}/{pair.first.number}/"
    moments = (
        (steps, [here == there for name, (here, there) in named.items() if name.startswith(lead)])
        for steps, named in pair.moments()
    )
    return sorted((steps, parts) for steps, parts in moments if parts)


def _seen(rank: int, norm: float, *, as_trained: bool = True, follows: bool = False) -> OfRank:
    """Return what a rank may have noted after two steps, and at an evaluation."""
    wrapper = Replicated(
        number=0,
        kind="DistributedDataParallel",
        module="",
        rank=rank,
        group=(0, 1),
        keeps_copies=True,
        first_gives_buffers=follows,
    )
    series = {
        "0/steps": Series((0, 1), (1.0, 2.0)),
        "0/statistics/0/norm#01": Series((0, 1), (1.0, norm)),
    }
    use = StatisticsUsed(wrapper=0, rank=rank, what="evaluated", as_trained=as_trained)
    return OfRank(
        rank=rank,
        replicas=Replicas(seen=((0, wrapper),), count=1),
        marks=RankMarks(series=series),
        uses=StatisticsUses(seen=((2, use),), count=1),
    )


def fails_when_an_evaluation_uses_what_differs(watch: Watch) -> None:
    watch.saw(AcrossRanks(ranks=(_seen(0, 2.0), _seen(1, 3.0))))


def passes_when_the_statistics_are_averaged_before(watch: Watch) -> None:
    here, there = _seen(0, 2.0, as_trained=False), _seen(1, 3.0, as_trained=False)
    watch.saw(AcrossRanks(ranks=(here, there)))


def passes_when_the_statistics_are_equal(watch: Watch) -> None:
    watch.saw(AcrossRanks(ranks=(_seen(0, 2.0), _seen(1, 2.0))))


def skips_a_wrapper_that_hands_the_first_rank_s_buffers_out(watch: Watch) -> None:
    here, there = _seen(0, 2.0, follows=True), _seen(1, 3.0, follows=True)
    watch.saw(AcrossRanks(ranks=(here, there)))
