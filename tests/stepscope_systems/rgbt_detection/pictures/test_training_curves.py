"""Charts of a training show what was logged, and say what is not finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.pictures.training_curves import (
    Panel,
    panels_of,
    running_mean,
    training_picture,
)

STEPS = np.arange(3.0)
VALUE = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([np.nan, np.inf, -np.inf]))


@given(st.lists(VALUE, min_size=12, max_size=30), st.sampled_from([1, 3, 5, 11]))
def test_a_running_mean_is_the_mean_of_the_numbers_around_each_value(
    values: list[float], width: int
) -> None:
    means = running_mean(np.array(values), width)
    for place, mean in enumerate(means):
        around = values[max(place - width // 2, 0) : place + width // 2 + 1]
        numbers = [each for each in around if np.isfinite(each)]
        expected = np.mean(numbers) if numbers else np.nan
        assert mean == pytest.approx(expected, nan_ok=True, abs=1e-9)


def test_what_the_system_logs_is_sorted_into_charts() -> None:
    names = ["raw/loss_cls", "raw/loss_macl", "weighted/loss_macl", "loss/total", "lr-AdamW/pg1",
             "validation/ap", "macl/recall_at_1", "msp/alpha", "epoch"]  # fmt: skip
    panels = panels_of(dict.fromkeys(names, (STEPS, STEPS)))
    assert [(panel.title, list(panel.names.values())) for panel in panels] == [
        ("Losses, unweighted", ["cls", "macl"]),
        ("Losses, as they are summed", ["macl", "total"]),
        ("Learning rate", ["AdamW/pg1"]),
        ("Validation", ["ap"]),
        ("Alignment, per training batch", ["recall at 1"]),
        ("Learnt scalars", ["alpha"]),
    ]


def test_a_chart_of_nothing_is_left_out_and_no_chart_at_all_is_refused() -> None:
    assert panels_of({"epoch": (STEPS, STEPS)}) == ()
    with pytest.raises(ValueError, match=r"no chart to draw of epoch; expected columns such as"):
        training_picture({"epoch": (STEPS, STEPS)}, ())


def test_a_column_that_was_not_logged_is_said_by_name() -> None:
    panel = Panel(title="Losses", unit="loss", names={"raw/loss_dhn": "dhn"})
    with pytest.raises(ValueError, match=r"no 'raw/loss_dhn' for the chart 'Losses'; it has lr"):
        training_picture({"lr": (STEPS, STEPS)}, [panel])


@pytest.mark.parametrize("count", [1, 80, 81, 500])
def test_a_record_of_any_length_is_drawn_the_same_way_twice(count: int) -> None:
    steps = np.arange(float(count))
    record = {"raw/loss_cls": (steps, np.where(steps % 7 == 3, np.nan, 1 / (1 + steps)))}
    first, second = (training_picture(record, panels_of(record)) for _ in range(2))
    assert first == second
