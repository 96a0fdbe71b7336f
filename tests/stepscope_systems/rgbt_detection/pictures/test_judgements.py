"""What a picture marks as hit, missed or false is what the miss rate counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.metrics.miss_rate import miss_rate
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.metrics.subsets import Subset
from stepscope_systems.rgbt_detection.pictures.judgements import judge

XYXY = tuple[float, float, float, float]
EVERYBODY = Subset(shortest=0, tallest=math.inf, occlusion=(0, 1, 2), margin=-math.inf)


def result(boxes: list[XYXY], found: list[tuple[XYXY, float]], ignore: list[bool]) -> Result:
    return Result(
        name="190001",
        condition="night",
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        ignore=np.array(ignore, np.bool_),
        occlusion=np.zeros(len(boxes), np.int64),
        label=("person",) * len(boxes),
        detected=np.array([box for box, _ in found], np.float64).reshape(-1, 4),
        scores=np.array([score for _, score in found], np.float64),
        width=640,
        height=512,
    )


@st.composite
def results(draw: st.DrawFn) -> Result:
    place = st.sampled_from([0.0, 5.0, 10.0, 15.0, 20.0])
    box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), place, place,
                    st.sampled_from([10.0, 20.0]), st.sampled_from([20.0, 40.0]))  # fmt: skip
    # The evaluator breaks ties of overlap by its reference's order; no two boxes are the same.
    boxes = draw(st.lists(box, max_size=3, unique=True))
    found = draw(st.lists(box, max_size=6, unique=True))
    ignore = draw(st.lists(st.booleans(), min_size=len(boxes), max_size=len(boxes)))
    scores = [1 - each / 10 for each in range(len(found))]
    return result(boxes, list(zip(found, draw(st.permutations(scores)), strict=True)), ignore)


def _has_ties(drawn: Result) -> bool:
    """Say whether some detection overlaps two people by as much."""
    for x1, y1, x2, y2 in drawn.detected:
        overlaps = []
        for a1, b1, a2, b2 in drawn.boxes[~drawn.ignored]:
            shared = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
            both = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared
            overlaps.append(shared / both)
        if len(set(overlaps)) < len(overlaps):
            return True
    return False


@settings(max_examples=40, deadline=None)
@given(results().filter(lambda each: not _has_ties(each) and (~each.ignored).any()))
def test_hits_and_false_alarms_are_those_of_the_miss_rate(drawn: Result) -> None:
    judgement = judge(drawn, minimum_score=-1)
    curve = miss_rate([drawn], EVERYBODY)
    false_alarms = int((~judgement.hit & ~judgement.excused).sum())
    hits = int(judgement.hit.sum())
    assert hits == int(judgement.found.sum())
    assert len(curve.fppi) == hits + false_alarms
    if len(curve.fppi):
        assert curve.fppi[-1] == false_alarms
        assert curve.rate[-1] == pytest.approx(1 - hits / curve.people)


@pytest.mark.parametrize(("height", "hits"), [(50.0, 1), (49.9, 0)])
def test_a_detection_of_half_the_person_is_a_hit_and_of_less_is_none(
    height: float, hits: int
) -> None:
    judged = judge(result([(0, 0, 40, 100)], [((0, 0, 40, height), 0.9)], [False]), minimum_score=0)
    assert judged.hit.sum() == judged.found.sum() == hits


@pytest.mark.parametrize(("x", "excused"), [(20.0, True), (20.1, False)])
def test_a_detection_is_excused_when_half_of_it_lies_in_an_ignored_box(
    x: float, *, excused: bool
) -> None:
    judged = judge(result([(0, 0, 40, 400)], [((x, 0, x + 40, 100), 0.9)], [True]), minimum_score=0)
    assert not judged.hit[0]
    assert judged.excused[0] == excused


def test_the_surer_detection_takes_the_person() -> None:
    person = (0.0, 0.0, 40.0, 100.0)
    judged = judge(result([person], [(person, 0.6), ((1, 0, 40, 100), 0.7)], [False]),
                   minimum_score=0)  # fmt: skip
    assert judged.hit.tolist() == [False, True]


@pytest.mark.parametrize(("threshold", "found"), [(0.5, True), (0.51, False)])
def test_a_detection_below_the_score_finds_nobody(threshold: float, *, found: bool) -> None:
    person = (0.0, 0.0, 40.0, 100.0)
    judged = judge(result([person], [(person, 0.5)], [False]), minimum_score=threshold)
    assert judged.shown[0] == judged.found[0] == found
