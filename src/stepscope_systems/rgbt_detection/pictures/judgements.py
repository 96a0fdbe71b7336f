"""Which detections of one pair hit a person, as its picture marks them."""

from dataclasses import dataclass

import numpy as np

from stepscope_systems.rgbt_detection.metrics.results import Bools, Floats, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of each detection and of each annotated box of a pair."""

    shown: Bools  # (M,) the detection's score reaches the threshold
    hit: Bools  # (M,) it has a person of its own
    excused: Bools  # (M,) it lies in an ignored box: neither right nor wrong
    found: Bools  # (N,) the box has a detection


def judge(result: Result, *, minimum_score: float, minimum_iou: float = 0.5) -> Judgement:
    """Give each detection, the surest first, the free person whom it overlaps most.

    IoU .5 is what AP50 and the miss rate ask for. A detection without a person is excused when
    at least as much of its own area lies in an ignored box.
    Source: Dollar et al., "Pedestrian Detection: An Evaluation of the State of the Art" (PAMI
    2012), section 3.1.
    """
    count = len(result.detected)
    shown = result.scores >= minimum_score
    hit, excused = np.zeros((2, count), dtype=np.bool_)
    found = np.zeros(len(result.boxes), dtype=np.bool_)
    for each in np.argsort(-result.scores, kind="stable"):
        if not shown[each] or not found.size:
            continue
        intersection, own, others = _areas(result.detected[each], result.boxes)
        iou = intersection / (own + others - intersection)
        free = np.where(result.ignored | found, -1.0, iou)
        best = int(free.argmax())
        if free[best] >= minimum_iou:
            hit[each] = found[best] = True
        else:
            covered = np.where(result.ignored, intersection / own, 0)
            excused[each] = covered.max() >= minimum_iou
    return Judgement(shown=shown, hit=hit, excused=excused, found=found)


def _areas(box: Floats, boxes: Floats) -> tuple[Floats, float, Floats]:
    """Return intersections (N,), the area of the box, and the areas of the boxes (N,)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    intersection: Floats = sides.clip(0).prod(axis=1)
    others: Floats = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return intersection, float((box[2:] - box[:2]).prod()), others
