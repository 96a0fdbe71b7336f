"""The log-average miss rate of pedestrian detection, as KAIST's evaluation defines it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepscope_systems.rgbt_detection.metrics.results import Bools, Floats, Result, of_condition
from stepscope_systems.rgbt_detection.metrics.subsets import REASONABLE, Subset

# False positives per image at which the miss rate is read: 10^-2 to 10^0, rounded as there.
# Source: Dollar et al., "Pedestrian Detection: An Evaluation" (PAMI 2012), and MLPD's script.
FPPI_POINTS = np.array([0.0100, 0.0178, 0.0316, 0.0562, 0.1000, 0.1778, 0.3162, 0.5623, 1.0000])
OVERLAP = 0.5  # intersection over union from which a person counts as found
MOST_DETECTIONS = 1000  # of one pair, the best by score


@dataclass(frozen=True, slots=True, kw_only=True)
class MissRate:
    """The curve of D counted detections, best score first, and its average.

    `log_average` is the geometric mean of `at_points`, so it is 0 as soon as one of them is;
    NaN when nobody is to be found.
    """

    log_average: float  # in [0, 1], lower is better
    at_points: Floats  # (9,) miss rate at each of FPPI_POINTS
    fppi: Floats  # (D,) false positives per pair, rising
    rate: Floats  # (D,) share of people missed, falling
    people: int  # boxes that were to be found
    pairs: int


def miss_rate(
    results: Sequence[Result], subset: Subset = REASONABLE, *, compat: bool = False
) -> MissRate:
    """Compute MR^-2 over the pairs of a subset, in the order of the data set (it breaks ties).

    `compat` repeats two defects of the reference evaluator, for comparing with its numbers: the
    people of a pair without any detection are not counted as missed; and where even the best
    detection has more false positives than a point allows, the *last* recall of the curve is
    taken there, not none.

    Raises:
        ValueError: no pair has the condition of the subset.
    """
    chosen = of_condition(results, subset.condition)
    judged = [each for each in chosen if len(each.detected)] if compat else chosen
    ignored = [subset.ignored(each) for each in judged]
    people = sum(int((~flags).sum()) for flags in ignored)
    if people == 0:
        nan, empty = float("nan"), np.empty(0)
        return MissRate(
            log_average=nan,
            at_points=np.full(len(FPPI_POINTS), nan),
            fppi=empty,
            rate=empty,
            people=0,
            pairs=len(chosen),
        )
    matches = [_match(each, flags) for each, flags in zip(judged, ignored, strict=True)]
    scores = np.concatenate([scores for scores, _ in matches])
    found = np.concatenate([found for _, found in matches])
    found = found[np.argsort(-scores, kind="stable")]
    fppi = np.cumsum(~found) / len(chosen)
    recall = np.cumsum(found) / people
    at_points = 1 - _recall_at_points(fppi, recall, compat=compat)
    with np.errstate(divide="ignore"):  # nobody missed at a point: log 0, and an average of 0
        log_average = float(np.exp(np.log(at_points).mean()))
    return MissRate(
        log_average=log_average,
        at_points=at_points,
        fppi=fppi,
        rate=1 - recall,
        people=people,
        pairs=len(chosen),
    )


def _recall_at_points(fppi: Floats, recall: Floats, *, compat: bool) -> Floats:
    """Read the recall of the last detection that a point still allows; none allowed gives 0."""
    if not len(fppi):
        return np.zeros(len(FPPI_POINTS))
    last_allowed = np.searchsorted(fppi, FPPI_POINTS, side="right") - 1
    at_points: Floats = recall[last_allowed]
    return at_points if compat else np.where(last_allowed < 0, 0.0, at_points)


def _match(result: Result, ignored: Bools) -> tuple[Floats, Bools]:
    """Return score and fate (True: found somebody) of the detections that count, best first.

    A detection takes the best free person from OVERLAP on; failing that, an ignored box, which
    may take many detections and removes them from the count.
    """
    order = np.argsort(-result.scores, kind="stable")[:MOST_DETECTIONS]
    detected, scores = result.detected[order], result.scores[order]
    intersection, area, areas = _intersections(detected, result.boxes)
    union = area[:, None] + areas[None, :] - intersection
    overlap = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    share = np.divide(
        intersection, area[:, None], out=np.zeros_like(union), where=area[:, None] > 0
    )
    excused = (share[:, ignored] >= OVERLAP).any(axis=1)
    overlap = overlap[:, ~ignored]
    found = np.zeros(len(detected), dtype=np.bool_)
    for row, overlaps in enumerate(overlap):
        candidates = np.flatnonzero(overlaps >= OVERLAP)
        if not len(candidates):
            continue
        found[row] = True
        # Of equal overlaps the reference takes the last.
        taken = candidates[::-1][np.argmax(overlaps[candidates[::-1]])]
        overlap[:, taken] = 0
    counted = found | ~excused
    return scores[counted], found[counted]


def _intersections(detected: Floats, boxes: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the areas (M, N) shared by M detections and N boxes, and those of each, (M,), (N,)."""
    corner = np.maximum(detected[:, None, :2], boxes[None, :, :2])
    opposite = np.minimum(detected[:, None, 2:], boxes[None, :, 2:])
    sides = np.clip(opposite - corner, 0, None)
    return (
        sides.prod(axis=2),
        (detected[:, 2:] - detected[:, :2]).prod(axis=1),
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
    )
