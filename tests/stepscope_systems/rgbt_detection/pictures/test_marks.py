"""Boxes are drawn where they are, on both images."""

import numpy as np
import pytest
from PIL import ImageColor

from stepscope_systems.rgbt_detection.pictures.marks import Mark, side_by_side

RED = "#ff5c5c"
BLANK = np.zeros((20, 40, 3), np.uint8)


def of_colour(picture: np.ndarray, colour: str = RED) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of a colour."""
    return np.nonzero((picture == ImageColor.getrgb(colour)).all(axis=-1))


def test_both_images_stand_side_by_side_enlarged_by_repeating_their_pixels() -> None:
    visible = np.zeros((2, 4, 3), np.uint8)
    visible[1, 3] = (10, 20, 30)
    infrared = np.zeros((2, 4), np.uint8)
    infrared[1, 0] = 200
    drawn = np.asarray(side_by_side(visible, infrared, [], [], panel_width=400))
    left, right = drawn[:, :400], drawn[:, -400:]
    assert (left[100:, 300:] == (10, 20, 30)).all()
    assert (right[100:, :100] == 200).all()
    assert (right[100:, 100:] == 0).all()


@pytest.mark.parametrize("is_dashed", [False, True])
def test_a_box_of_original_pixels_is_drawn_at_the_scale_of_the_picture(*, is_dashed: bool) -> None:
    mark = Mark(box=(10, 5, 30, 15), colour=RED, is_dashed=is_dashed)
    drawn = np.asarray(side_by_side(BLANK, BLANK, [mark], [], panel_width=400))
    rows, columns = of_colour(drawn)
    assert (abs(rows.min() - 50), abs(rows.max() - 150)) <= (1, 1)
    assert (abs(columns.min() - 100), abs(columns.max() - 300)) <= (1, 1)
    inside = (rows > 53) & (rows < 147) & (columns > 103) & (columns < 297)
    assert not inside.any()


def test_marks_of_one_modality_stay_on_its_image() -> None:
    mark = Mark(box=(10, 5, 30, 15), colour=RED)
    _, columns = of_colour(np.asarray(side_by_side(BLANK, BLANK, [], [mark], panel_width=400)))
    assert columns.min() >= 400 + 100


def test_dashes_leave_gaps() -> None:
    pictures = [
        np.asarray(side_by_side(BLANK, BLANK, [Mark(box=(10, 5, 30, 15), colour=RED,
                   is_dashed=is_dashed)], [], panel_width=400))
        for is_dashed in (False, True)
    ]  # fmt: skip
    whole, dashed = (len(of_colour(each)[0]) for each in pictures)
    assert 0.3 * whole < dashed < 0.7 * whole


@pytest.mark.parametrize("corner", [(0.0, 0.0), (38.0, 0.0), (0.0, 18.0), (38.0, 18.0)])
def test_a_label_lies_wholly_within_its_image(corner: tuple[float, float]) -> None:
    x, y = corner
    boxes = [(x, y, x + 2, y + 2), (15.0, 10.0, 17.0, 12.0)]  # the second has room on each side
    areas = []
    for box in boxes:
        mark = Mark(box=box, colour=RED, label="0.87")
        drawn = np.asarray(side_by_side(BLANK, BLANK, [mark], [], panel_width=400))
        rows, columns = of_colour(drawn)
        border = 20 * 4 * 2  # the box's own lines
        areas.append(len(rows) - border)
        assert columns.max() < 400
    assert areas[0] > 0.6 * areas[1]


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"infrared image is 30 x 20 pixels; expected 40 x 20"):
        side_by_side(BLANK, BLANK[:, :30], [], [])
