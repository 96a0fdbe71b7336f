"""The limits of every subset, one pixel inside and one outside."""

import pytest

from stepscope_systems.rgbt_detection.metrics.subsets import REASONABLE, SUBSETS, Subset
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import result


def is_ignored(
    subset: Subset,
    *,
    height: float = 60,
    occlusion: int = 0,
    x: float = 100,
    y: float = 100,
    label: str = "person",
    ignore: bool = False,
    size: tuple[int, int] = (640, 512),
) -> bool:
    pair = result(
        [(x, y, x + 20, y + height)],
        [],
        occlusion=[occlusion],
        label=[label],
        ignore=[ignore],
        size=size,
    )
    return bool(subset.ignored(pair)[0])


@pytest.mark.parametrize(
    ("name", "shortest", "tallest"),
    [
        ("reasonable", 55, None),
        ("reasonable-day", 55, None),
        ("reasonable-night", 55, None),
        ("small", 50, 75),
        ("heavy", 50, None),
        ("all", 20, None),
        ("near", 115, None),
        ("medium", 45, 115),
        ("far", 1, 45),
        ("occlusion-none", 1, None),
        ("occlusion-partial", 1, None),
        ("occlusion-heavy", 1, None),
    ],
)
def test_both_ends_of_the_heights_count(name: str, shortest: int, tallest: int | None) -> None:
    subset = SUBSETS[name]
    occlusion = subset.occlusion[0]
    assert not is_ignored(subset, height=shortest, occlusion=occlusion)
    assert is_ignored(subset, height=shortest - 0.5, occlusion=occlusion)
    tall = 400 if tallest is None else tallest
    assert not is_ignored(subset, height=tall, occlusion=occlusion)
    if tallest is not None:
        assert is_ignored(subset, height=tallest + 1, occlusion=occlusion)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("reasonable", {0, 1}),
        ("small", {0, 1}),
        ("heavy", {2}),
        ("all", {0, 1, 2}),
        ("medium", {0}),
        ("occlusion-partial", {1}),
        ("occlusion-heavy", {2}),
    ],
)
def test_other_occlusions_are_ignored(name: str, wanted: set[int]) -> None:
    kept = {level for level in range(3) if not is_ignored(SUBSETS[name], occlusion=level)}
    assert kept == wanted


def test_a_box_nearer_than_five_pixels_to_the_border_is_ignored() -> None:
    assert not is_ignored(REASONABLE, x=5, y=5)
    assert is_ignored(REASONABLE, x=4, y=5)
    assert is_ignored(REASONABLE, x=5, y=4)
    assert not is_ignored(REASONABLE, x=635 - 20, y=507 - 60)
    assert is_ignored(REASONABLE, x=636 - 20, y=507 - 60)
    assert is_ignored(REASONABLE, x=635 - 20, y=508 - 60)


@pytest.mark.parametrize("label", ["people", "person?", "cyclist"])
def test_other_labels_and_marked_boxes_are_ignored(label: str) -> None:
    assert is_ignored(REASONABLE, label=label)
    assert is_ignored(REASONABLE, ignore=True)


def test_scaled_limits_judge_a_scaled_image_as_the_original() -> None:
    quarter = REASONABLE.scaled(0.25)
    small = (160, 128)
    assert not is_ignored(quarter, height=13.75, x=1.25, y=1.25, size=small)
    assert is_ignored(quarter, height=13.5, x=1.25, y=1.25, size=small)
    assert is_ignored(quarter, height=13.75, x=1, y=1.25, size=small)
    right, bottom = 160 - 1.25 - 20, 128 - 1.25 - 13.75  # the box is 20 pixels wide
    assert not is_ignored(quarter, height=13.75, x=right, y=bottom, size=small)
    assert is_ignored(quarter, height=13.75, x=right + 0.25, y=bottom, size=small)
    assert is_ignored(quarter, height=13.75, x=right, y=bottom + 0.25, size=small)
