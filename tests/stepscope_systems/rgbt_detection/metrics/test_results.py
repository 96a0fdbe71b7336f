"""A result holds together, or says what does not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.data.pairs import Pair, Person
from stepscope_systems.rgbt_detection.metrics.results import result_of
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import result

PERSON = (100.0, 100.0, 140.0, 200.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("boxes", np.zeros((2, 5))),
        ("ignore", np.zeros(2, dtype=np.bool_)),
        ("occlusion", np.zeros(2, dtype=np.int64)),
        ("label", ("person", "person")),
        ("detected", np.zeros((1, 5))),
        ("scores", np.zeros(2)),
    ],
)
def test_arrays_of_unequal_length_are_refused_by_name(field: str, value: object) -> None:
    whole = result([PERSON], [(PERSON, 0.5)])
    with pytest.raises(
        ValueError, match=rf"^1: {'(boxes|ignore)' if field == 'boxes' else field} "
    ):
        dataclasses.replace(whole, **{field: value})  # type: ignore[arg-type]


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="a score is not a finite number"):
        result([PERSON], [(PERSON, float("nan"))])


def test_a_pair_is_judged_by_the_boxes_asked_for() -> None:
    shifted = (108.0, 100.0, 148.0, 200.0)
    pair = Pair(
        name="a",
        visible=Path("v"),
        infrared=Path("i"),
        width=640,
        height=512,
        people=(
            Person(visible=PERSON, infrared=shifted),
            Person(visible=None, infrared=PERSON, label="people", occlusion=2, ignore=True),
        ),
        scene="s",
        frame=0,
        condition="night",
    )
    none = np.zeros((0, 4)), np.zeros(0)
    visible = result_of(pair, *none, eval_boxes="visible")
    assert visible.boxes.tolist() == [list(PERSON), list(PERSON)]
    assert visible.ignore.tolist() == [False, True]
    assert visible.occlusion.tolist() == [0, 2]
    assert visible.label == ("person", "people")
    assert (visible.condition, visible.width, visible.height) == ("night", 640, 512)
    assert result_of(pair, *none, eval_boxes="infrared").boxes[0].tolist() == list(shifted)
    union = result_of(pair, *none, eval_boxes="union")
    assert union.boxes[0].tolist() == [100, 100, 148, 200]


def test_a_pair_without_people_has_no_boxes() -> None:
    empty = result([], [])
    assert empty.boxes.shape == (0, 4)
    assert empty.ignored.shape == (0,)
