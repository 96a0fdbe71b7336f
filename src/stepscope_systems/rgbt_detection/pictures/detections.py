"""The detections of a pair beside the truth, on both modalities."""

from dataclasses import dataclass

from PIL import Image

from stepscope_systems.rgbt_detection.metrics.results import Floats, Result
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures.figures import Picture, photograph
from stepscope_systems.rgbt_detection.pictures.judgements import Judgement, judge
from stepscope_systems.rgbt_detection.pictures.marks import Mark, Pixels, side_by_side

LEGEND = (  # colour, whether dashed, meaning
    (colours.HIT, False, "hit, with its score"),
    (colours.FALSE_ALARM, False, "false alarm"),
    (colours.FOUND, True, "annotated, found"),
    (colours.MISSED, True, "annotated, missed"),
    (colours.UNJUDGED, True, "ignored: not judged"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A pair with its images, its truth and its detections, in pixels of the original image."""

    result: Result
    visible: Pixels  # (H, W, 3)
    infrared: Pixels  # (H, W) or (H, W, 3)
    boxes_visible: Floats  # (N, 4) of the same people as the result's, where this modality has them
    boxes_infrared: Floats  # (N, 4)


def draw(view: View, *, minimum_score: float, panel_width: int = 560) -> Image.Image:
    """Draw the truth of each modality dashed, and the detections that reach a score."""
    judgement = judge(view.result, minimum_score=minimum_score)
    found = _detections(view.result, judgement)
    return side_by_side(
        view.visible,
        view.infrared,
        [*_truth(view.result, judgement, view.boxes_visible), *found],
        [*_truth(view.result, judgement, view.boxes_infrared), *found],
        panel_width=panel_width,
    )


def detections_picture(view: View, *, minimum_score: float) -> Picture:
    """Return the drawn pair with what there is to count in it."""
    judgement = judge(view.result, minimum_score=minimum_score)
    people = ~view.result.ignored
    hits, wanted = int(judgement.hit.sum()), int(people.sum())
    wrong = int((judgement.shown & ~judgement.hit & ~judgement.excused).sum())
    alarms = f"{wrong} false alarm{'' if wrong == 1 else 's'}"
    counted = f"{hits} of {wanted} people found, {alarms}"
    condition = view.result.condition
    return photograph(
        draw(view, minimum_score=minimum_score),
        description=f"Pair {view.result.name} ({condition}), visible and infrared: {counted}.",
        caption=f"{view.result.name} · {condition} · {counted}",
    )


def _truth(result: Result, judgement: Judgement, boxes: Floats) -> list[Mark]:
    marks = []
    for box, ignored, found in zip(boxes, result.ignored, judgement.found, strict=True):
        state = colours.UNJUDGED if ignored else colours.FOUND if found else colours.MISSED
        marks.append(Mark(box=_sides(box), colour=state, is_dashed=True))
    return marks


def _detections(result: Result, judgement: Judgement) -> list[Mark]:
    """Return the marks of what is shown, the surest last, so that it lies on top."""
    marks = []
    for each in result.scores.argsort(kind="stable"):
        if not judgement.shown[each]:
            continue
        is_excused, is_hit = judgement.excused[each], judgement.hit[each]
        wrong = colours.UNJUDGED if is_excused else colours.FALSE_ALARM
        marks.append(
            Mark(
                box=_sides(result.detected[each]),
                colour=colours.HIT if is_hit else wrong,
                label=f"{result.scores[each]:.2f}",
            )
        )
    return marks


def _sides(box: Floats) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return (x1, y1, x2, y2)
