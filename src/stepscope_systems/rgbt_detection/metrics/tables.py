"""The table that stands beside every result: fusion against its baselines, by condition."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes
from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
from stepscope_systems.rgbt_detection.metrics.miss_rate import miss_rate
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.metrics.subsets import Subset

# Infrared alone beats published fusions on LLVIP: no fusion is shown without what it must beat.
METHODS = ("full", "visible only", "infrared only", "plain sum")
CONDITIONS = ("day", "night", "glare", "fog", "crossover")  # in this order, then any others
EVERY = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a reader needs to get the same numbers again."""

    dataset: str  # PairList.dataset and split: "LLVIP test"
    variant: str  # of the annotations: "annotations of 2023-02-21"
    fingerprint: str  # PairList.fingerprint()
    resolution: tuple[int, int]  # width, height in pixels of what the detector was given
    eval_boxes: EvalBoxes
    seed: int
    checkpoint_rule: str  # "best validation AP, epoch 11 of 12"
    subset: str  # of the miss rate: "reasonable", "all, scaled by 0.25"

    def __str__(self) -> str:
        width, height = self.resolution
        return (
            f"{self.dataset} ({self.variant}), fingerprint {self.fingerprint}; {width}x{height}; "
            f"boxes: {self.eval_boxes}; miss rate: {self.subset}; seed {self.seed}; "
            f"checkpoint: {self.checkpoint_rule}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method under one condition; shares in [0, 1], NaN where nobody is to be found."""

    condition: str
    method: str
    ap: float
    ap50: float
    ap75: float
    miss_rate: float
    pairs: int
    people: int  # to be found by AP
    people_in_subset: int  # to be found by the miss rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows by condition, then method, with what they were measured on."""

    provenance: Provenance
    rows: tuple[Row, ...]
    missing: tuple[str, ...]  # of METHODS, those that were not measured
    compat: bool = False  # the miss rate repeats the reference evaluator's two defects


def condition_table(
    results: Mapping[str, Sequence[Result]],
    provenance: Provenance,
    *,
    subset: Subset,
    compat: bool = False,
) -> Table:
    """Measure each method, named as in METHODS or otherwise, under each condition there is.

    Raises:
        ValueError: two methods were not measured on the same pairs, or the subset is of one
            condition only.
    """
    if subset.condition is not None:
        raise ValueError(
            f"the subset is of {subset.condition!r} only; expected one of every condition: the "
            "table divides them itself"
        )
    _same_pairs(results)
    present = {each.condition for method in results.values() for each in method}
    ordered = [name for name in CONDITIONS if name in present]
    ordered += sorted(present - set(CONDITIONS))
    methods = [name for name in METHODS if name in results]
    methods += [name for name in results if name not in METHODS]
    return Table(
        provenance=provenance,
        rows=tuple(
            _row(condition, method, results[method], subset, compat=compat)
            for condition in (EVERY, *ordered)
            for method in methods
        ),
        missing=tuple(name for name in METHODS if name not in results),
        compat=compat,
    )


def _row(
    condition: str, method: str, results: Sequence[Result], subset: Subset, *, compat: bool
) -> Row:
    only = None if condition == EVERY else condition
    precision = average_precision(results, only)
    missed = miss_rate(results, dataclasses.replace(subset, condition=only), compat=compat)
    return Row(
        condition=condition,
        method=method,
        ap=precision.ap,
        ap50=precision.ap50,
        ap75=precision.ap75,
        miss_rate=missed.log_average,
        pairs=precision.pairs,
        people=precision.people,
        people_in_subset=missed.people,
    )


def _same_pairs(results: Mapping[str, Sequence[Result]]) -> None:
    names = {method: [each.name for each in found] for method, found in results.items()}
    first = next(iter(names))
    for method, found in names.items():
        if found != names[first]:
            differing = sorted(set(found) ^ set(names[first]))[:1] or ["their order"]
            raise ValueError(
                f"{method!r} was measured on {len(found)} pairs and {first!r} on "
                f"{len(names[first])}, differing in {differing[0]}; expected the same pairs in "
                "the same order: run every method on one list"
            )
