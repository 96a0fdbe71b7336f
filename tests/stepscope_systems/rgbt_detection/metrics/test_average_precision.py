"""COCO's average precision against plain loops, and what it makes of ignored boxes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from stepscope_systems.rgbt_detection.metrics.average_precision import (
    OVERLAPS,
    average_precision,
)
from stepscope_systems.rgbt_detection.metrics.results import Result
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import DATA_SETS, result
from tests.stepscope_systems.rgbt_detection.metrics.naive_loops import coco_average_precision

pytestmark = pytest.mark.corpus

PERSON = (100.0, 100.0, 140.0, 200.0)
ELSEWHERE = (400.0, 100.0, 440.0, 200.0)


@settings(max_examples=20, deadline=None)
@given(DATA_SETS)
def test_it_is_what_plain_loops_compute(results: list[Result]) -> None:
    computed = average_precision(results)
    if computed.people == 0:
        assert math.isnan(computed.ap)
        assert math.isnan(computed.ap50)
        return
    every = [coco_average_precision(results, threshold) for threshold in OVERLAPS.tolist()]
    assert computed.ap == pytest.approx(np.mean(every), abs=1e-6)
    assert computed.ap50 == pytest.approx(every[0], abs=1e-6)
    assert computed.ap75 == pytest.approx(every[5], abs=1e-6)
    assert computed.precision.mean() == pytest.approx(every[0], abs=1e-6)


def test_one_of_two_found_gives_precision_one_up_to_recall_one_half() -> None:
    computed = average_precision([result([PERSON, ELSEWHERE], [(PERSON, 0.9)])])
    assert computed.ap50 == pytest.approx(51 / 101)
    assert computed.precision.tolist() == [1.0] * 51 + [0.0] * 50
    assert computed.recall[50] == 0.5


def test_an_overlap_of_exactly_a_threshold_passes_it() -> None:
    # 40 of 50 columns: an overlap of .8, which 7 of the 10 thresholds allow.
    wide = (100.0, 100.0, 150.0, 200.0)
    assert average_precision([result([PERSON], [(wide, 0.9)])]).ap == pytest.approx(0.7)


def test_a_recall_of_exactly_three_fifths_counts_at_that_recall() -> None:
    boxes = [(x, 100.0, x + 40, 200.0) for x in (10.0, 100.0, 200.0, 300.0, 400.0)]
    three = [(box, 0.9) for box in boxes[:3]]
    assert average_precision([result(boxes, three)]).ap50 == pytest.approx(61 / 101)


def test_ignored_boxes_count_neither_as_missed_nor_as_found() -> None:
    crowd = (300.0, 100.0, 500.0, 300.0)
    inside = [((x, 100.0, x + 40, 200.0), 0.95) for x in (300.0, 350.0, 400.0)]
    pair = result([PERSON, crowd], [*inside, (PERSON, 0.5)], ignore=[False, True])
    assert average_precision([pair]).ap == pytest.approx(1)
    other_label = result([PERSON, crowd], [*inside, (PERSON, 0.5)], label=["person", "people"])
    assert average_precision([other_label]).ap == pytest.approx(1)
    assert average_precision([pair]).people == 1


def test_a_condition_is_computed_from_its_pairs_alone() -> None:
    day = result([PERSON], [(PERSON, 0.5)], condition="day")
    night = result([PERSON], [(ELSEWHERE, 0.9)], condition="night")
    assert average_precision([day, night], "day").ap50 == pytest.approx(1)
    assert average_precision([day, night], "night").ap50 == 0
    assert 0 < average_precision([day, night]).ap50 < 1


def test_a_condition_that_no_pair_has_is_refused() -> None:
    with pytest.raises(ValueError, match="the condition 'fog'; there are: day"):
        average_precision([result([PERSON], [])], "fog")


def test_pairs_without_people_give_no_number_but_their_false_positives_count() -> None:
    empty = result([], [(PERSON, 0.9)])
    assert math.isnan(average_precision([empty]).ap)
    found = result([PERSON], [(PERSON, 0.5)])
    assert average_precision([empty, found]).ap50 == pytest.approx(0.5)
