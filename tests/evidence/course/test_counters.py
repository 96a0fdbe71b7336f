"""When a counter is due follows from how it rose."""

import pytest

from stepscope.evidence.course.counters import Count, CounterFound, count_of
from stepscope.evidence.course.series import Series


def due(
    values: tuple[float, ...], *, limit: float = 100, is_inclusive: bool = False
) -> Count | None:
    found = CounterFound(
        name="c", threshold="t", limit=limit, is_inclusive=is_inclusive, of_bank=False
    )
    return count_of(found, Series(tuple(range(0, 10 * len(values), 10)), values))


def test_a_counter_of_micro_batches_is_due_earlier() -> None:
    assert due((4, 44, 84)) == Count(84, 4, 21 + 17 / 4)  # 101 is above the threshold
    assert due((4, 44, 84), is_inclusive=True) == Count(84, 4, 21 + 16 / 4)


@pytest.mark.parametrize(
    "values",
    [(1, 11), (1, 1, 1), (30, 20, 10), (1, 11, 31), (1, 61, 121)],
    ids=["short", "still", "falling", "uneven", "reached"],
)
def test_nothing_is_said_of_a_counter_that(values: tuple[float, ...]) -> None:
    assert due(values) is None
