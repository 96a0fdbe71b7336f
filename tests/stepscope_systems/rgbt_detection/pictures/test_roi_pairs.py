"""Crops are cut where the boxes are; ranks are those of a sorted list."""

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.pictures.roi_pairs import crop, roi_pairs, roi_picture

IMAGE = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)


def units(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((2, 3, 5, 7), IMAGE[3:7, 2:5]),
        ((2.9, 3.9, 4.1, 6.1), IMAGE[3:7, 2:5]),  # every pixel that it touches
        ((-4, -4, 3, 2), IMAGE[:2, :3]),
        ((8, 10, 14, 20), IMAGE[10:, 8:]),
        ((50, 50, 60, 60), IMAGE[11:, 9:]),
        ((5, 5, 5, 5), IMAGE[5:6, 5:6]),
    ],
)
def test_a_crop_is_what_of_the_box_lies_in_the_image(
    box: tuple[float, ...], expected: np.ndarray
) -> None:
    assert np.array_equal(crop(IMAGE, box), expected)


def test_ranks_and_similarities_are_those_of_a_sorted_list() -> None:
    count = 9
    z_visible, z_infrared = units(count, 0), units(count, 1)
    crops = [IMAGE] * count
    pairs = roi_pairs([str(each) for each in range(count)], crops, crops, z_visible, z_infrared)
    for row, pair in enumerate(pairs):
        cosines = [float(z_visible[row] @ other) for other in z_infrared]
        assert pair.rank == sorted(cosines, reverse=True).index(cosines[row]) + 1
        assert pair.similarity == pytest.approx(cosines[row])
    assert {pair.rank for pair in pairs} > {1}


def test_an_embedding_that_is_the_same_for_all_ranks_last() -> None:
    z = np.tile([1.0, 0.0], (4, 1))
    assert [each.rank for each in roi_pairs("abcd", [IMAGE] * 4, [IMAGE] * 4, z, z)] == [4] * 4


@pytest.mark.parametrize("shape", [(1, 1), (200, 3), (3, 200)])
def test_a_crop_of_any_shape_has_a_picture_that_says_its_similarity(
    shape: tuple[int, int],
) -> None:
    pixels = np.zeros(shape, np.uint8)
    (pair,) = roi_pairs(
        ["190001"], [np.stack([pixels] * 3, -1)], [pixels], units(1, 0), units(1, 0)
    )
    assert "cos +1.00 · rank 1 of 1" in roi_picture(pair).description
