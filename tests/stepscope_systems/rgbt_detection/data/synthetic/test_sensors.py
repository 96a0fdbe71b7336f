"""What each sensor sees of a person lies in the person's box, and depends on the condition."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stepscope_systems.rgbt_detection.data.synthetic import sensors
from stepscope_systems.rgbt_detection.data.synthetic.figures import Figure, place
from stepscope_systems.rgbt_detection.data.synthetic.people import some_build
from tests.stepscope_systems.rgbt_detection.data.synthetic.small import domain

pytestmark = pytest.mark.corpus
SMALL = domain(decoys=2)
Seen = NDArray[np.float32]
Sensor = Callable[..., Seen]


def figures(seed: int, count: int = 2) -> list[Figure]:
    random = np.random.default_rng(seed)
    crowd = tuple(some_build(random, each) for each in range(4))
    return place(SMALL, crowd, random, count)


def seen(sensor: Sensor, condition: str, people: Sequence[Figure], seed: int = 0) -> Seen:
    ground, random = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1))
    image = sensor(SMALL, condition, people, ground, random)
    return image if image.ndim == 3 else image[..., None]


def difference(sensor: Sensor, condition: str, people: Sequence[Figure], seed: int) -> Seen:
    """Return by how much each pixel differs from the same scene without people. (H, W)."""
    change = seen(sensor, condition, people, seed) - seen(sensor, condition, [], seed)
    largest: Seen = np.abs(change).max(-1)
    return largest


def inside(people: Sequence[Figure], share: float = 1.0) -> NDArray[np.bool_]:
    mask = np.zeros((SMALL.height, SMALL.width), np.bool_)
    for each in people:
        x1, y1, x2, y2 = (max(round(edge), 0) for edge in each.box)
        mask[y1 : y1 + round((y2 - y1) * share), x1:x2] = True
    return mask


@pytest.mark.parametrize("sensor", [sensors.visible, sensors.infrared])
@pytest.mark.parametrize("seed", range(10))
def test_people_are_drawn_inside_their_boxes_and_fill_them(sensor: Sensor, seed: int) -> None:
    people = [dataclasses.replace(each, hidden=0.0) for each in figures(seed)]
    changed = difference(sensor, "night", people, seed) > 1e-3
    assert not changed[~inside(people)].any()
    rows, columns = changed.nonzero()
    whole = inside(people).nonzero()
    assert rows.min() - whole[0].min() <= 2
    assert whole[0].max() - rows.max() <= 2
    assert columns.max() - columns.min() > 0.5 * (whole[1].max() - whole[1].min())


@pytest.mark.parametrize("sensor", [sensors.visible, sensors.infrared])
def test_what_a_post_hides_is_not_drawn(sensor: Sensor) -> None:
    (person,) = figures(3, count=1)
    person = dataclasses.replace(person, box=(20.0, 10.0, 32.0, 40.0))
    whole = difference(sensor, "night", [dataclasses.replace(person, hidden=0.0)], 0)
    half = difference(sensor, "night", [dataclasses.replace(person, hidden=0.5)], 0)
    assert whole[26:40].any()
    assert not half[25:40].any()
    np.testing.assert_array_equal(half[:25], whole[:25])


def contrast(sensor: Sensor, condition: str) -> float:
    """Return how much people stand out, mean over scenes."""
    values = []
    for seed in range(12):
        people = figures(seed)
        change = difference(sensor, condition, people, seed)
        values.append(change[inside(people)].mean())
    return float(np.mean(values))


def test_the_camera_sees_people_by_day_and_the_thermal_camera_by_night() -> None:
    assert contrast(sensors.visible, "day") > 3 * contrast(sensors.visible, "night")
    assert contrast(sensors.infrared, "night") > 3 * contrast(sensors.infrared, "day")


def test_at_crossover_people_are_hardly_warmer_than_what_is_around() -> None:
    assert contrast(sensors.infrared, "crossover") < 0.5 * contrast(sensors.infrared, "night")


def test_glare_is_light_that_the_thermal_camera_does_not_see() -> None:
    glaring = seen(sensors.visible, "glare", []).mean() - seen(sensors.visible, "day", []).mean()
    assert glaring > 0.05
    assert seen(sensors.infrared, "glare", []).mean() == pytest.approx(
        seen(sensors.infrared, "night", []).mean(), abs=0.02
    )


@pytest.mark.parametrize(
    ("field", "shown_by"), [("colours", "visible"), ("temperature", "infrared")]
)
def test_clothes_show_in_colour_only_and_warmth_in_infrared_only(field: str, shown_by: str) -> None:
    (person,) = figures(1, count=1)
    value: Any = {"colours": 1 - person.build.colours, "temperature": 2.0}[field]
    other = dataclasses.replace(person, build=dataclasses.replace(person.build, **{field: value}))
    for name, sensor in (("visible", sensors.visible), ("infrared", sensors.infrared)):
        is_same = np.array_equal(seen(sensor, "day", [person]), seen(sensor, "day", [other]))
        assert is_same is (name != shown_by)


@pytest.mark.parametrize(
    ("field", "value"), [("stride", 0.9), ("girth", 0.76), ("load", "bag"), ("phase", 3.0)]
)
def test_a_build_shows_in_both_modalities(field: str, value: Any) -> None:
    (person,) = figures(1, count=1)
    usual = dataclasses.replace(person.build, stride=0.5, girth=1.1, load="backpack", phase=0.5)
    first = dataclasses.replace(person, build=usual)
    other = dataclasses.replace(person, build=dataclasses.replace(usual, **{field: value}))
    for sensor in (sensors.visible, sensors.infrared):
        assert not np.array_equal(seen(sensor, "day", [first]), seen(sensor, "day", [other]))


@pytest.mark.parametrize("sensor", [sensors.visible, sensors.infrared])
def test_things_that_are_nobody_are_seen_as_well(sensor: Sensor) -> None:
    bare = dataclasses.replace(SMALL, decoys=0)
    ground = [np.random.default_rng(0) for _ in range(2)]
    random = [np.random.default_rng(5) for _ in range(2)]
    with_decoys = sensor(SMALL, "day", [], ground[0], random[0])
    without = sensor(bare, "day", [], ground[1], random[1])
    assert (np.abs(with_decoys - without) > 0.1).any()
