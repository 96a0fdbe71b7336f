"""COCO average precision of person boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepscope_systems.rgbt_detection.metrics.results import Floats, Result, of_condition

PERSON = 1  # the label of the only class
# torchmetrics' own are of single precision, so that an overlap of exactly .6 fails its .6.
OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePrecision:
    """Average precision in [0, 1]; NaN everywhere when there is nobody to be found."""

    ap: float  # mean over IoU .50, .55 ... .95
    ap50: float
    ap75: float
    recall: Floats  # (101,) 0, .01 ... 1
    precision: Floats  # (101,) at IoU .5: the best precision at this recall or a higher one
    people: int  # boxes that were to be found
    pairs: int


def average_precision(results: Sequence[Result], condition: str | None = None) -> AveragePrecision:
    """Compute COCO's AP over the pairs of one condition (None: all), 100 detections a pair.

    Ignored boxes are COCO's `iscrowd`: they take any number of detections by the share of the
    detection that they cover, and count neither as found nor as missed.
    Source: Lin et al., "Microsoft COCO" (ECCV 2014), and its evaluation code.

    Raises:
        ValueError: no pair has this condition.
    """
    # Both take seconds to import, and the other metrics need neither.
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    chosen = of_condition(results, condition)
    people = sum(int((~each.ignored).sum()) for each in chosen)
    if people == 0:
        nan = float("nan")
        nothing = np.full(len(RECALLS), nan)
        return AveragePrecision(
            ap=nan,
            ap50=nan,
            ap75=nan,
            recall=RECALLS,
            precision=nothing,
            people=0,
            pairs=len(chosen),
        )
    metric = MeanAveragePrecision(
        iou_thresholds=OVERLAPS.tolist(),
        rec_thresholds=RECALLS.tolist(),
        extended_summary=True,
        backend="faster_coco_eval",
        sync_on_compute=False,  # these are all results, on whatever rank this runs
    )
    for each in chosen:
        found = {
            "boxes": torch.from_numpy(each.detected),
            "scores": torch.from_numpy(each.scores),
            "labels": torch.full((len(each.detected),), PERSON),
        }
        wanted = {
            "boxes": torch.from_numpy(each.boxes),
            "labels": torch.full((len(each.boxes),), PERSON),
            "iscrowd": torch.from_numpy(each.ignored).long(),
        }
        metric.update([found], [wanted])
    computed = metric.compute()
    every_area, hundred_detections = 0, -1
    precision = computed["precision"][0, :, 0, every_area, hundred_detections]
    return AveragePrecision(
        ap=float(computed["map"]),
        ap50=float(computed["map_50"]),
        ap75=float(computed["map_75"]),
        recall=RECALLS,
        precision=precision.numpy().astype(np.float64),
        people=people,
        pairs=len(chosen),
    )
