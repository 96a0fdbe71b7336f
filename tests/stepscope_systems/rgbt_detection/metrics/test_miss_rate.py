"""The miss rate against plain loops, and the two defects of the reference, one at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from stepscope_systems.rgbt_detection.metrics.miss_rate import FPPI_POINTS, miss_rate
from stepscope_systems.rgbt_detection.metrics.results import Result, detecting
from stepscope_systems.rgbt_detection.metrics.subsets import SUBSETS
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import DATA_SETS, result
from tests.stepscope_systems.rgbt_detection.metrics.naive_loops import log_average_miss_rate

PERSON = (100.0, 100.0, 140.0, 200.0)
ELSEWHERE = (400.0, 100.0, 440.0, 200.0)
EVERY_SIZE = SUBSETS["all"]


@settings(deadline=None)
@given(DATA_SETS)
def test_it_is_what_plain_loops_compute_in_every_subset(results: list[Result]) -> None:
    for name, subset in SUBSETS.items():
        chosen = [each for each in results if subset.condition in (None, each.condition)]
        if not chosen:
            continue
        for compat in (False, True):
            expected = log_average_miss_rate(
                chosen,
                heights=(subset.shortest, subset.tallest),
                occlusion=subset.occlusion,
                compat=compat,
            )
            computed = miss_rate(results, subset, compat=compat).log_average
            assert computed == pytest.approx(expected, rel=1e-12, nan_ok=True), name


def test_nobody_found_is_one_and_everybody_found_at_once_is_zero() -> None:
    missed = result([PERSON], [])
    assert miss_rate([missed]).log_average == 1
    assert miss_rate([result([PERSON], [(PERSON, 0.5)])]).log_average == 0


def test_half_found_without_a_false_positive_is_one_half_at_every_point() -> None:
    half = result([PERSON, ELSEWHERE], [(PERSON, 0.5)])
    computed = miss_rate([half])
    assert computed.at_points.tolist() == [0.5] * 9
    assert computed.log_average == pytest.approx(0.5)
    assert (computed.people, computed.pairs) == (2, 1)


def test_the_average_is_the_geometric_mean_of_the_nine_points() -> None:
    # One false positive in ten pairs, then the second of two people: .1 is the fifth point.
    first = result([PERSON, ELSEWHERE], [(PERSON, 0.9), ((5, 5, 20, 90), 0.8), (ELSEWHERE, 0.7)])
    others = [result([PERSON], []) for _ in range(9)]
    computed = miss_rate([first, *others])
    assert computed.at_points == pytest.approx([10 / 11] * 4 + [9 / 11] * 5)
    assert computed.log_average == pytest.approx((10 / 11) ** (4 / 9) * (9 / 11) ** (5 / 9))
    assert computed.fppi.tolist() == [0, 0.1, 0.1]
    assert computed.rate == pytest.approx([10 / 11, 10 / 11, 9 / 11])


def test_people_of_a_pair_without_detections_are_missed_but_the_reference_forgets_them() -> None:
    found, silent = result([PERSON], [(PERSON, 0.9)]), result([PERSON], [])
    assert miss_rate([found, silent]).log_average == pytest.approx(0.5)
    assert miss_rate([found, silent], compat=True).log_average == 0
    assert miss_rate([found, silent], compat=True).people == 1


def test_a_point_that_allows_no_detection_misses_all_but_the_reference_takes_the_last_recall() -> (
    None
):
    # The best detection is wrong: with fewer than 100 pairs its rate exceeds the first point.
    wrong_first = [(ELSEWHERE, 0.9), (PERSON, 0.8)]
    results = [result([PERSON, (200, 100, 240, 200)], wrong_first)]
    assert miss_rate(results).at_points.tolist() == [1] * 8 + [0.5]
    assert miss_rate(results, compat=True).at_points.tolist() == [0.5] * 9


def test_compat_still_divides_false_positives_by_all_pairs() -> None:
    wrong, silent = result([PERSON], [(PERSON, 0.9), (ELSEWHERE, 0.8)]), result([PERSON], [])
    assert miss_rate([wrong, silent], compat=True).fppi.tolist() == [0, 0.5]


def test_of_two_people_equally_well_covered_the_later_is_taken() -> None:
    people = [(100.0, 100.0, 140.0, 200.0), (120.0, 100.0, 160.0, 200.0)]
    between = ((110.0, 100.0, 150.0, 200.0), 0.9)  # .6 of the union with either
    assert miss_rate([result(people, [between, (people[0], 0.8)])]).rate[-1] == 0
    assert miss_rate([result(people, [between, (people[1], 0.8)])]).rate[-1] == 0.5


def test_with_a_hundred_pairs_that_all_detect_something_compat_changes_nothing() -> None:
    results = [result([PERSON], [(ELSEWHERE, 0.9)])]
    results += [result([PERSON], [(PERSON, 0.5)]) for _ in range(99)]
    assert miss_rate(results).log_average == miss_rate(results, compat=True).log_average
    assert FPPI_POINTS[0] == 1 / 100


@pytest.mark.parametrize(("right", "found"), [(180.0, True), (181.0, False)])
def test_half_of_the_union_is_enough(right: float, found: bool) -> None:  # noqa: FBT001
    wide = (100.0, 100.0, right, 200.0)
    assert miss_rate([result([PERSON], [(wide, 0.9)])]).log_average == (0 if found else 1)


def test_an_ignored_box_absorbs_many_detections_by_their_share_inside_it() -> None:
    crowd = (300.0, 100.0, 500.0, 300.0)
    inside = [((x, 100.0, x + 40, 200.0), 0.9) for x in (300.0, 350.0, 400.0, 480.0)]
    mostly_outside = ((481.0, 100.0, 521.0, 200.0), 0.9)  # 19 of 40 pixels inside
    flags = [False, True]
    absorbed = result([PERSON, crowd], [*inside, (PERSON, 0.5)], ignore=flags)
    assert miss_rate([absorbed]).fppi.tolist() == [0]
    counted = result([PERSON, crowd], [mostly_outside, (PERSON, 0.5)], ignore=flags)
    assert miss_rate([counted]).fppi.tolist() == [1, 1]


def test_a_second_detection_of_a_found_person_is_a_false_positive() -> None:
    twice = result([PERSON, ELSEWHERE], [(PERSON, 0.9), (PERSON, 0.8)])
    assert miss_rate([twice]).fppi.tolist() == [0, 1]


def test_only_the_thousand_best_detections_of_a_pair_count() -> None:
    box = (400.0, 100.0, 440.0, 200.0)
    wrong = [(box, 1 - number / 2000) for number in range(1000)]
    last = result([PERSON], [*wrong, (PERSON, 0.1)])
    assert len(miss_rate([last]).fppi) == 1000
    first_counts = result([PERSON], [*wrong[1:], (PERSON, 0.1)])
    assert miss_rate([first_counts]).rate[-1] == 0


def test_scores_matter_only_by_their_order() -> None:
    pair = result([PERSON, ELSEWHERE], [(PERSON, 0.2), ((5, 5, 20, 90), 0.1)])
    logits = detecting(pair, pair.detected, np.log(pair.scores))
    assert miss_rate([pair]).log_average == miss_rate([logits]).log_average


def test_nobody_to_be_found_is_not_a_number() -> None:
    assert math.isnan(miss_rate([result([], [(PERSON, 0.9)])], EVERY_SIZE).log_average)


def test_a_condition_that_no_pair_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'night'; there are: day"):
        miss_rate([result([PERSON], [])], SUBSETS["reasonable-night"])
