"""A range holds what it says it holds."""

import math
from dataclasses import dataclass

import pytest

from stepscope_systems.rgbt_detection.ranges import POSITIVE, SHARE, Range, at_least, expect_within

HALF_OPEN = Range(least=0, most=1, is_open_above=True)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (at_least(1), (1, 7, math.inf), (0.9, -1), "1 or more"),
        (SHARE, (0, 0.5, 1), (-1e-9, 1.1), "0 to 1"),
        (POSITIVE, (1e-12, 9), (0, -1, math.inf), "above 0"),
        (HALF_OPEN, (0, 0.999), (1, -0.1), "0 or more and below 1"),
        (Range(least=0, most=2**32 - 1), (2**32 - 1,), (2**32,), "0 to 4294967295"),
    ],
)
def test_a_range_holds_its_closed_ends_and_not_its_open_ones(
    allowed: Range, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    assert all(map(allowed.holds, inside))
    assert not any(map(allowed.holds, (*outside, math.nan)))
    assert str(allowed) == words


@dataclass(frozen=True)
class _Options:
    epochs: int = 1
    sizes: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (_Options(epochs=0), r"run.epochs is 0; expected 1 or more"),
        (_Options(sizes=(1, 0)), r"run.sizes is \(1, 0\); expected 1 or more"),
    ],
)
def test_an_option_outside_its_range_is_named_with_what_it_takes(
    options: _Options, said: str
) -> None:
    ranges = {"epochs": at_least(1), "sizes": at_least(1)}
    expect_within("run", _Options(), ranges)
    with pytest.raises(ValueError, match=said):
        expect_within("run", options, ranges)
