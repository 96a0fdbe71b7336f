"""A picture of detections counts what it shows, in colours that say what became of each."""

import numpy as np
import pytest
from PIL import ImageColor

from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures.detections import detections_picture, draw
from tests.stepscope_systems.rgbt_detection.pictures.sample import view


@pytest.mark.parametrize(
    ("minimum_score", "counted"),
    [
        (0.5, "1 of 2 people found, 1 false alarm"),
        (0.1, "2 of 2 people found, 1 false alarm"),
        (0.85, "1 of 2 people found, 0 false alarms"),
        (0.95, "0 of 2 people found, 0 false alarms"),
    ],
)
def test_the_caption_counts_what_reaches_the_score(minimum_score: float, counted: str) -> None:
    picture = detections_picture(view(), minimum_score=minimum_score)
    assert picture.caption == f"190001 · night · {counted}"
    assert counted in picture.description


@pytest.mark.parametrize(
    ("minimum_score", "expected"),
    [
        (0.5, {colours.HIT, colours.FALSE_ALARM, colours.FOUND, colours.MISSED}),
        (0.95, {colours.MISSED}),
    ],
)
def test_colours_say_hit_false_found_and_missed(minimum_score: float, expected: set[str]) -> None:
    drawn = np.asarray(draw(view(), minimum_score=minimum_score))
    every = (colours.HIT, colours.FALSE_ALARM, colours.FOUND, colours.MISSED, colours.UNJUDGED)
    seen = {each for each in every if (drawn == ImageColor.getrgb(each)).all(axis=-1).any()}
    assert seen == expected


def test_each_image_shows_the_boxes_of_its_own_modality() -> None:
    drawn = np.asarray(draw(view(), minimum_score=0.95, panel_width=400))
    lines = (drawn == ImageColor.getrgb(colours.MISSED)).all(axis=-1)
    left, right = lines[:, :400].nonzero()[1].min(), lines[:, -400:].nonzero()[1].min()
    assert right - left == pytest.approx(10, abs=1)  # one pixel of 40, ten times enlarged
