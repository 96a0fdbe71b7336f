"""Ranks that a wrapper is to keep equal hold different parameters.

## What it proves
After the same number of steps of the same optimizer, fingerprints of the same parameters, below
the same wrapper, differ between two ranks of its group: their bits differ. The wrapper gives all
ranks the same parameters when it is made, and the same gradients at each backward. Hybrid sharding
(FSDP within a node, copies between nodes) gives the gradients; each shard is to begin equal.

## Why it matters
From then on each rank trains a model of its own, the averaged gradients fit none of them, and only
the first rank's is saved. The loss still falls, so that nothing else tells.

## What to do
Look at what differs between the ranks in the steps named: a parameter that is trained although it
required no gradient when the wrapper was made, or was added later; a forward around the wrapper
(DST005); a step within `no_sync()`; a step that one rank skips because of its own loss; a gradient
changed after backward; a checkpoint that one rank alone has loaded; with hybrid sharding another
seed on each rank. Wrap again after thawing.

## Limits
Fingerprints are taken after steps 1 to 8, then four times until the number of steps has doubled,
and hold 48 bits: that different parameters look equal is possible, the opposite is not. Where the
ranks have devices of different kinds, rounding alone can tell them apart: that is a warning.
Parameters of which each rank has its own shard (FSDP), those that the wrapper was told to ignore,
and training that averages parameters now and then (local SGD) are left alone, and so are meshes
that do more than divide and copy. Equal copies made by hand are not known as such.

## Sources
- https://docs.pytorch.org/docs/stable/notes/ddp.html#internal-design
- Li et al., "PyTorch Distributed" (VLDB 2020), section 3: replicas start equal and stay so
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.across_ranks import AcrossRanks, OfRank, Pair
from stepscope.evidence.course.rank_marks import PARAMETERS, RankMarks
from stepscope.evidence.course.replicas import Replicas, Replicated
from stepscope.evidence.course.series import Series

MOST_NAMED = 4  # parts


@rule("DST001", Severity.ERROR)
def ranks_diverge(ranks: AcrossRanks) -> Findings:
    is_compared = False
    told: set[int] = set()
    for pair in ranks.pairs():
        if not pair.first.keeps_copies or pair.first.averages_rarely or pair.first.number in told:
            continue
        alike = [(steps, parts) for steps, parts in _compared(pair) if parts]
        is_compared = is_compared or bool(alike)
        since = next((steps for steps, parts in alike if not all(parts.values())), None)
        if since is None:
            continue
        told.add(pair.first.number)
        parts = dict(alike)[since]
        differing = [name for name, is_equal in parts.items() if not is_equal]
        before = max((steps for steps, _ in alike if steps < since), default=None)
        yield Finding(
            subject=pair.first.module or "the model",
            message=f"is not the same on all ranks of its {pair.first.kind}",
            measured=f"after {_steps(since)}: {_named(differing)} of rank {pair.other.rank} "
            f"differ{'s' if len(differing) == 1 else ''} from rank {pair.first.rank}"
            + ("" if before is None else f"; all equal after {_steps(before)}"),
            expected="the same bits on all ranks after each step",
            at=pair.first.at,
            severity=Severity.WARNING if pair.first.device != pair.other.device else None,
        )
    if not is_compared:
        raise NotJudged("needs marks of two ranks under one DistributedDataParallel")


def _compared(pair: Pair) -> list[tuple[int, dict[str, bool]]]:
    """Return whether the parts of the wrapped model are equal, by steps."""
    lead = f"{PARAMETERS}/{pair.first.number}/"
    return sorted(
        (
            steps,
            {
                name.removeprefix(lead).rpartition("#")[0] or "its parameters": here == there
                for name, (here, there) in named.items()
                if name.startswith(lead)
            },
        )
        for steps, named in pair.moments()
    )


def _named(parts: list[str]) -> str:
    rest = len(parts) - MOST_NAMED
    return ", ".join(parts[:MOST_NAMED]) + (f" and {rest} more parts" if rest > 0 else "")


def _steps(number: int) -> str:
    return f"{number} optimizer step{'' if number == 1 else 's'}"


def _seen(rank: int, body: tuple[float, ...], **facts: object) -> OfRank:
    """Return what a rank may have noted after steps 1, 2 and so on."""
    known = {"kind": "DistributedDataParallel", "keeps_copies": True, "device": "cpu", **facts}
    wrapper = Replicated(number=0, module="", rank=rank, group=(0, 1), **known)  # type: ignore[arg-type]
    steps = tuple(range(len(body)))
    series = {
        "0/steps": Series(steps, tuple(step + 1.0 for step in steps)),
        "0/parameters/0/body#01": Series(steps, body),
        "0/parameters/0/head#02": Series(steps, tuple(7.0 for _ in steps)),
    }
    seen = Replicas(seen=((0, wrapper),), count=1)
    return OfRank(rank=rank, replicas=seen, marks=RankMarks(series=series))


def fails_when_a_part_of_the_model_differs_after_a_step(watch: Watch) -> None:
    watch.saw(AcrossRanks(ranks=(_seen(0, (1.0, 2.0, 3.0)), _seen(1, (1.0, 2.0, 4.0)))))


def fails_with_a_warning_when_the_devices_are_of_different_kinds(watch: Watch) -> None:
    here, there = _seen(0, (1.0,), device="NVIDIA H100"), _seen(1, (2.0,), device="NVIDIA A100")
    watch.saw(AcrossRanks(ranks=(here, there)))


def passes_when_all_bits_are_equal(watch: Watch) -> None:
    watch.saw(AcrossRanks(ranks=(_seen(0, (1.0, 2.0)), _seen(1, (1.0, 2.0)))))


def passes_when_one_rank_is_a_step_behind(watch: Watch) -> None:
    watch.saw(AcrossRanks(ranks=(_seen(0, (1.0, 2.0, 3.0)), _seen(1, (1.0, 2.0)))))


def skips_a_model_whose_parameters_are_sharded(watch: Watch) -> None:
    here = _seen(0, (1.0,), kind="FSDP", keeps_copies=False)
    watch.saw(AcrossRanks(ranks=(here, _seen(1, (2.0,), kind="FSDP", keeps_copies=False))))


def skips_ranks_that_are_averaged_now_and_then(watch: Watch) -> None:
    here, there = _seen(0, (1.0,), averages_rarely=True), _seen(1, (2.0,), averages_rarely=True)
    watch.saw(AcrossRanks(ranks=(here, there)))


def skips_ranks_without_marks_of_the_same_step(watch: Watch) -> None:
    late = OfRank(
        rank=1, replicas=_seen(1, ()).replicas, marks=RankMarks(series={"0/steps": Series((), ())})
    )
    watch.saw(AcrossRanks(ranks=(_seen(0, (1.0,)), late)))
