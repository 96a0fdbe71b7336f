"""Intervals against closed forms, and how often they hold the truth."""

from collections.abc import Sequence

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.metrics.intervals import bootstrap_over_images, over_seeds
from stepscope_systems.rgbt_detection.metrics.miss_rate import miss_rate
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import result

PERSON = (100.0, 100.0, 140.0, 200.0)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def test_three_seeds_take_the_quantile_of_the_printed_table() -> None:
    computed = over_seeds([0.80, 0.82, 0.84])
    half = 4.302653 * 0.02 / np.sqrt(3)  # t, 2 degrees of freedom, .975
    assert computed.value == pytest.approx(0.82)
    assert (computed.low, computed.high) == pytest.approx((0.82 - half, 0.82 + half), abs=1e-7)
    assert computed.method == "t over seeds"


def test_intervals_over_seeds_hold_the_truth_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(0)
    drawn = [over_seeds(random.normal(0.5, 0.1, 3).tolist()) for _ in range(1000)]
    share = np.mean([each.low <= 0.5 <= each.high for each in drawn])
    assert share == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_of_a_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400).tolist()
    computed = bootstrap_over_images(values, mean, seed=0)
    half = 1.96 * np.std(values) / 20
    assert computed.value == pytest.approx(np.mean(values))
    assert computed.low == pytest.approx(np.mean(values) - half, abs=0.1 * half)
    assert computed.high == pytest.approx(np.mean(values) + half, abs=0.1 * half)
    assert computed.count == 400


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    values = np.random.default_rng(1).normal(size=50).tolist()
    for wide, narrow in (
        (
            bootstrap_over_images(values, mean, seed=0, confidence=0.99),
            bootstrap_over_images(values, mean, seed=0, confidence=0.9),
        ),
        (over_seeds(values, confidence=0.99), over_seeds(values, confidence=0.9)),
    ):
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_the_seed_decides_the_resamples() -> None:
    values = np.random.default_rng(1).normal(size=50).tolist()
    one = bootstrap_over_images(values, mean, seed=0, resamples=50)
    assert one == bootstrap_over_images(values, mean, seed=0, resamples=50)
    assert one.low != bootstrap_over_images(values, mean, seed=1, resamples=50).low


def test_a_difference_on_the_same_images_is_surer_than_the_two_figures() -> None:
    random = np.random.default_rng(0)
    hardness = random.normal(0.5, 0.2, 100)
    pairs = list(zip(hardness, hardness + random.normal(0.05, 0.02, 100), strict=True))
    difference = bootstrap_over_images(pairs, lambda drawn: mean([b - a for a, b in drawn]), seed=0)
    alone = bootstrap_over_images(pairs, lambda drawn: mean([a for a, _ in drawn]), seed=0)
    assert difference.low > 0
    assert difference.high - difference.low < (alone.high - alone.low) / 5


def test_resamples_without_people_are_counted_not_hidden() -> None:
    found = result([PERSON], [(PERSON, 0.9)])
    empty = [result([], [(PERSON, 0.5)]) for _ in range(3)]
    computed = bootstrap_over_images(
        [found, *empty], lambda drawn: miss_rate(drawn).at_points[-1], seed=0, resamples=400
    )
    assert computed.undefined / 400 == pytest.approx(0.75**4, abs=0.06)
    assert computed.low == computed.high == 0


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="metric of all 1 images is nan"):
        bootstrap_over_images([result([], [])], lambda all_: miss_rate(all_).log_average, seed=0)
    with pytest.raises(ValueError, match=r"values are \[0.5\]; expected two or more"):
        over_seeds([0.5])
    with pytest.raises(ValueError, match="expected two or more finite numbers"):
        over_seeds([0.5, float("nan")])


def test_an_interval_reads_as_a_line() -> None:
    assert str(over_seeds([0.5, 0.5])) == "0.500 [0.500, 0.500] (2 seeds)"
    text = str(bootstrap_over_images([0.25, 0.25], mean, seed=0, resamples=3))
    assert text == "0.250 [0.250, 0.250] (2 images)"
