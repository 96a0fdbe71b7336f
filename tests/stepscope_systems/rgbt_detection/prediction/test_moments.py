"""Two images become a pair, and what was done for it is said."""

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.prediction.moments import paired, without

VISIBLE = np.full((40, 60, 3), 0.25, np.float32)


def test_a_pair_of_one_size_is_left_as_it_is() -> None:
    infrared = np.random.default_rng(0).random((40, 60), np.float32)
    moment = paired("1", VISIBLE, infrared)
    assert moment.notes == ()
    assert moment.infrared is infrared
    assert moment.size == (60, 40)


def test_a_smaller_infrared_image_is_enlarged_without_moving_what_it_shows() -> None:
    infrared = np.zeros((20, 30), np.float32)
    infrared[5:15, 10:20] = 1
    moment = paired("1", VISIBLE, infrared)
    rows, columns = np.nonzero(moment.infrared > 0.5)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (10, 30, 20, 40)
    assert moment.notes == ("infrared resized from 30 x 20 to 60 x 40 pixels, as the visible",)


@pytest.mark.parametrize(("columns", "is_stretched"), [(30, False), (31, True)])
def test_another_aspect_is_said(columns: int, *, is_stretched: bool) -> None:
    (note,) = paired("1", VISIBLE, np.zeros((20, columns), np.float32)).notes
    assert ("stretched" in note) == is_stretched


def test_what_stands_for_a_missing_modality_is_black_and_said() -> None:
    moment = without("infrared", "1", VISIBLE)
    assert moment.infrared.shape == (40, 60)
    assert not moment.infrared.any()
    assert moment.visible is VISIBLE
    assert moment.notes == ("infrared is missing: 0 (black) stands for each of its pixels",)
    other = without("visible", "1", VISIBLE[..., 0])
    assert other.visible.shape == (40, 60, 3)
    assert not other.visible.any()
