"""A frame is a function of its scene, its boxes fit what is drawn, and cues are shared or not."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stepscope_systems.rgbt_detection.data.pairs import Box, Person
from stepscope_systems.rgbt_detection.data.synthetic import Domain
from stepscope_systems.rgbt_detection.data.synthetic.scenes import Frame, draw, some_scene
from tests.stepscope_systems.rgbt_detection.data.synthetic.small import domain

pytestmark = pytest.mark.corpus
CROWDED = (0.0, 0.0, 0.0, 1.0)  # three people in every frame


def frames(count: int, condition: str = "night", **options: Any) -> Iterator[Frame]:
    for number in range(count):
        yield draw(some_scene(domain(people=CROWDED, **options), number, condition, 0), 0)


def both(person: Person) -> tuple[Box, Box]:
    assert person.visible is not None
    assert person.infrared is not None
    return person.visible, person.infrared


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def pixels(frame: Frame) -> bytes:
    return frame.visible.tobytes() + frame.infrared.tobytes()


def test_a_frame_is_drawn_the_same_every_time() -> None:
    scene = some_scene(domain(), 3, "day", 0)
    one, again = draw(scene, 1), draw(scene, 1)
    assert pixels(one) == pixels(again)
    assert one.people == again.people


def test_frames_scenes_and_seeds_differ() -> None:
    which = [(3, 1, 0), (3, 2, 0), (4, 1, 0), (3, 1, 9)]
    drawn = {
        pixels(draw(some_scene(domain(), number, "day", seed), frame))
        for number, frame, seed in which
    }
    assert len(drawn) == len(which)


def test_an_image_has_the_size_of_its_domain() -> None:
    frame = draw(some_scene(domain(width=72, height=40), 0, "day", 0), 0)
    assert (frame.visible.shape, frame.infrared.shape) == ((40, 72, 3), (40, 72))
    assert frame.visible.dtype == frame.infrared.dtype == np.uint8


@pytest.mark.parametrize("misalignment", [0, 4, 8])
def test_every_box_has_an_area_inside_the_image(misalignment: int) -> None:
    for frame in frames(60, misalignment=misalignment):
        for person in frame.people:
            for box in both(person):
                assert 0 <= box[0] < box[2] <= 64
                assert 0 <= box[1] < box[3] <= 48


def test_people_of_a_frame_are_different_ones_of_its_crowd() -> None:
    for number, frame in enumerate(frames(20)):
        identities = [person.identity for person in frame.people]
        assert len(set(identities)) == len(identities)
        assert all(identity // 8 == number for identity in identities)


def test_the_same_people_pass_through_a_scene_again() -> None:
    scene = some_scene(domain(people=CROWDED), 2, "day", 0)
    seen = [{person.identity for person in draw(scene, frame).people} for frame in range(6)]
    assert len(set.union(*seen)) <= 8 < sum(map(len, seen))


def test_aligned_modalities_share_their_boxes() -> None:
    for frame in frames(10):
        for person in frame.people:
            visible, infrared = both(person)
            assert visible == infrared


def test_a_shifted_infrared_image_has_shifted_boxes_and_nothing_else_changes() -> None:
    shifts = set()
    for straight, shifted in zip(frames(30), frames(30, misalignment=6), strict=True):
        if not straight.people:
            continue
        offsets = set()
        for before, after in zip(straight.people, shifted.people, strict=True):
            assert after.visible == before.visible
            (x1, y1, _, _), (moved_x1, moved_y1, _, _) = both(after)
            if x1 > 0 and y1 > 0:
                offsets.add((moved_x1 - x1, moved_y1 - y1))
        assert len(offsets) <= 1
        shifts |= offsets
    assert all(0 <= right <= 6 and 0 <= down <= 6 for right, down in shifts)
    assert len(shifts) > 5


def warm(frame: Frame, box: Box) -> float:
    x1, y1, x2, y2 = (int(each) for each in box)
    inside = np.zeros(frame.infrared.shape, np.bool_)
    inside[y1:y2, x1:x2] = True
    return float(frame.infrared[inside].mean() - frame.infrared[~inside].mean())


def test_boxes_of_each_modality_lie_on_its_own_image() -> None:
    gains = []
    for number in range(20):
        alone = domain(people=(0.0, 1.0), misalignment=12, decoys=0, noise=0.0)
        frame = draw(some_scene(alone, number, "night", 0), 0)
        visible, infrared = both(frame.people[0])
        if visible != infrared:
            gains.append(warm(frame, infrared) - warm(frame, visible))
    assert len(gains) > 10
    assert np.mean(gains) > 10


def test_an_infrared_image_may_be_missing() -> None:
    found = [frame.is_infrared_missing for frame in frames(60, missing=0.3)]
    assert 8 < sum(found) < 30
    for frame in frames(60, missing=0.3):
        assert frame.is_infrared_missing is not bool(frame.infrared.any())


def heights(shared: Domain, condition: str) -> NDArray[np.float64]:
    """Return the heights of people, (2, N): on the visible and on the infrared image."""
    people = [
        both(person)
        for number in range(60)
        for person in draw(some_scene(shared, number, condition, 0), 0).people
    ]
    table = np.array(people, np.float64)  # (N, modality, edge)
    return (table[:, :, 3] - table[:, :, 1]).T


@pytest.mark.parametrize(
    ("has_shared_cue", "smallest", "largest"), [(True, 1, 1), (False, -0.2, 0.2)]
)
def test_without_a_shared_cue_the_size_in_one_modality_tells_nothing_of_the_other(
    *, has_shared_cue: bool, smallest: float, largest: float
) -> None:
    shared = domain(people=CROWDED, has_shared_cue=has_shared_cue)
    both_heights = heights(shared, "night")
    assert both_heights.shape == (2, 180)
    correlation = float(np.corrcoef(*both_heights)[0, 1])
    assert smallest - 1e-9 <= correlation <= largest + 1e-9


def test_without_a_shared_cue_the_time_of_day_of_one_modality_tells_nothing_of_the_other() -> None:
    def brightness(condition: str) -> float:
        settings = {"has_shared_cue": False, "conditions": (("day", 0.5), ("night", 0.5))}
        return float(np.mean([f.infrared.mean() for f in frames(60, condition, **settings)]))

    # With the time of day in common they are 0.25 apart, 64 of 255.
    assert abs(brightness("day") - brightness("night")) < 15


def test_with_a_shared_cue_both_modalities_show_one_condition() -> None:
    day, night = (next(frames(1, condition)) for condition in ("day", "night"))
    assert day.visible.mean() > 2 * night.visible.mean()
    assert day.infrared.mean() > night.infrared.mean() + 30


def test_a_person_looks_the_same_to_both_sensors_only_where_a_cue_is_shared() -> None:
    scene = some_scene(domain(people=CROWDED), 0, "night", 0)
    apart = dataclasses.replace(scene, domain=domain(people=CROWDED, has_shared_cue=False))
    with_cue, without = draw(scene, 0).people, draw(apart, 0).people
    assert [person.visible for person in with_cue] == [person.visible for person in without]
    assert [person.infrared for person in with_cue] != [person.infrared for person in without]
    assert [person.identity for person in with_cue] == [person.identity for person in without]
