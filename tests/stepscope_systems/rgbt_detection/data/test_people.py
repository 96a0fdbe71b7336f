"""What makes an annotated object a person, and what is said of the others."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.boxes import REPAIRS, flaw, mended
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.pairs import Box
from stepscope_systems.rgbt_detection.data.people import Crowd, Rules, Side

SIZE = (64, 48)
EDGES = st.floats(-20, 80) | st.integers(-20, 80).map(float)


def crowd(
    *objects: Annotated, infrared: list[Annotated] | None = None, repair: bool = False
) -> Crowd:
    gathered = Crowd(size=SIZE, rules=Rules(ignored=frozenset({"people"}), repair=repair))
    other = None if infrared is None else Side(path=Path("i"), objects=infrared)
    gathered.add(Side(path=Path("v"), objects=objects), other)
    return gathered


@pytest.mark.parametrize(
    ("box", "wrong"),
    [
        ((0, 0, 64, 48), ""),
        ((0, 0, 64.01, 48), "reaches out of the image"),
        ((0, 0, 64, 48.01), "reaches out of the image"),
        ((-0.01, 0, 64, 48), "reaches out of the image"),
        ((0, -0.01, 64, 48), "reaches out of the image"),
        ((63.99, 0, 70, 48), "reaches out of the image"),
        ((64, 0, 70, 48), "lies outside the image"),
        ((-9, 0, 0, 48), "lies outside the image"),
        ((5, 5, 5, 9), "is empty"),
        ((5, 5, 5.01, 9), ""),
        ((5, 9, 9, 9), "is empty"),
        ((5, 5, 4.99, 9), "is inverted"),
        ((5, 9, 9, 5), "is inverted"),
        ((float("nan"), 5, 9, 9), "is not finite"),
        ((5, 5, float("inf"), 9), "is not finite"),
    ],
)
def test_a_flaw_is_named(box: Box, wrong: str) -> None:
    assert flaw(box, SIZE) == wrong


@settings(deadline=None, max_examples=50)
@given(box=st.tuples(EDGES, EDGES, EDGES, EDGES))
def test_a_box_is_sound_exactly_when_all_its_edges_are_in_order_and_in_the_image(box: Box) -> None:
    x1, y1, x2, y2 = box
    assert (flaw(box, SIZE) == "") == (0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 48)


@settings(deadline=None, max_examples=50)
@given(box=st.tuples(EDGES, EDGES, EDGES, EDGES))
def test_what_is_mended_is_sound_and_holds_what_was_in_the_image(box: Box) -> None:
    whole = mended(box, SIZE)
    if whole is None:
        return
    assert flaw(whole, SIZE) == ""
    for x, y in ((0.5, 0.5), (30.0, 20.0), (63.5, 47.5)):
        was_in = box[0] <= x <= box[2] and box[1] <= y <= box[3]
        assert was_in == (whole[0] <= x <= whole[2] and whole[1] <= y <= whole[3])


@pytest.mark.parametrize("wrong", REPAIRS)
def test_what_can_be_repaired_is_repaired_only_when_asked(wrong: str) -> None:
    box = {"is empty": (5, 5, 5, 9), "lies outside the image": (64, 0, 70, 48)}.get(
        wrong, (60, 0, 70, 48)
    )
    stated = Annotated(box=box, label="person")
    assert wrong in crowd(stated).faults[0].found
    assert "read with repair" in crowd(stated).faults[0].advice
    repaired = crowd(stated, repair=True)
    assert (repaired.faults, sum(repaired.repairs.values())) == ([], 1)


def test_a_box_repaired_away_in_one_modality_leaves_the_other() -> None:
    outside = Annotated(box=(64, 0, 70, 48), label="person")
    inside = Annotated(box=(50, 0, 60, 48), label="person")
    (person,) = crowd(outside, infrared=[inside], repair=True).people
    assert (person.visible, person.infrared) == (None, (50, 0, 60, 48))


@pytest.mark.parametrize(("occlusion", "is_known"), [(-1, False), (0, True), (2, True), (3, False)])
def test_occlusion_has_three_levels(occlusion: int, *, is_known: bool) -> None:
    found = crowd(Annotated(box=(1, 1, 2, 2), label="person", occlusion=occlusion))
    assert [fault.found for fault in found.faults] == (
        [] if is_known else [f"object 1 has occlusion {occlusion}"]
    )


def test_the_heavier_occlusion_of_both_modalities_counts() -> None:
    sides = [Annotated(box=(1, 1, 2, 2), label="person", occlusion=level) for level in (0, 2)]
    for first, second in (sides, sides[::-1]):
        assert crowd(first, infrared=[second]).people[0].occlusion == 2


def test_an_ignore_flag_in_one_modality_is_enough() -> None:
    sides = [Annotated(box=(1, 1, 2, 2), label="person", ignore=flag) for flag in (False, True)]
    for first, second in (sides, sides[::-1]):
        assert crowd(first, infrared=[second]).people[0].ignore


def test_a_duplicate_has_the_same_boxes_in_both_modalities_and_the_same_label() -> None:
    one, other = (
        Annotated(box=(1, 1, 2, 2), label="person"),
        Annotated(box=(1, 1, 3, 2), label="person"),
    )
    group = Annotated(box=(1, 1, 2, 2), label="people")
    assert len(crowd(one, other, group).people) == 3
    assert len(crowd(one, one, infrared=[one, other]).people) == 2
    assert crowd(one, other, one).faults[0].found == "object 3 repeats an earlier one"
    assert len(crowd(one, one, infrared=[other, other]).faults) == 1


def test_both_a_bad_label_and_a_bad_box_of_one_object_are_told() -> None:
    found = crowd(Annotated(box=(5, 5, 5, 9), label="car", occlusion=7))
    assert len(found.faults) == 3
    assert found.people == []
