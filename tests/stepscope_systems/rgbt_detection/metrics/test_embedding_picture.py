"""A layout for the eye; and why the score that two reports took from one says nothing."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from stepscope_systems.rgbt_detection.metrics.alignment import TooFewPeopleError, alignment
from stepscope_systems.rgbt_detection.metrics.embedding_picture import (
    PictureCoordinates,
    picture_coordinates,
)

pytestmark = pytest.mark.corpus

Floats = NDArray[np.float64]


def noise(rows: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, 64))


def score_of_the_reports(visible: Floats, infrared: Floats) -> float:
    """Return inter / (intra + intra) in a t-SNE plane, the zero self-distances included."""
    from sklearn.manifold import TSNE  # type: ignore[import-untyped]

    both = np.concatenate([visible, infrared])
    points = TSNE(2, perplexity=min(30, len(both) - 1), random_state=0).fit_transform(both)
    v, i = points[: len(visible)], points[len(visible) :]

    def mean_distance(a: Floats, b: Floats) -> float:
        return float(np.linalg.norm(a[:, None] - b[None], axis=2).mean())

    return mean_distance(v, i) / (mean_distance(v, v) + mean_distance(i, i))


def test_of_four_random_points_the_old_score_takes_one_of_two_values() -> None:
    # t-SNE lays four points out as a square: a modality is a diagonal of it, or a side.
    diagonal, side = 1 / np.sqrt(2), (1 + np.sqrt(2)) / 2
    scores = [score_of_the_reports(noise(2, seed), noise(2, seed + 100)) for seed in range(12)]
    near_diagonal = [abs(score - diagonal) < 0.005 for score in scores]
    near_side = [abs(score - side) < 0.005 for score in scores]
    assert all(a or b for a, b in zip(near_diagonal, near_side, strict=True))
    assert any(near_diagonal)
    assert any(near_side)
    published = [0.7071, 1.2063, 1.2065, 1.2049, 0.7071, 0.7071]
    assert all(min(abs(each - diagonal), abs(each - side)) < 0.005 for each in published)


def test_the_old_score_falls_with_the_number_of_points_alone() -> None:
    assert score_of_the_reports(noise(64, 0), noise(64, 1)) == pytest.approx(0.5, abs=0.02)


def test_alignment_refuses_the_points_of_the_reports_and_calls_more_of_them_chance() -> None:
    with pytest.raises(TooFewPeopleError, match=r"^2 people"):
        alignment(noise(2, 0), noise(2, 1))
    of_noise = alignment(noise(64, 0), noise(64, 1), permutations=199)
    assert of_noise.p > 0.05
    assert of_noise.drawn.both <= of_noise.null_95


def test_thirty_points_are_laid_out_and_twenty_nine_refused() -> None:
    coordinates = picture_coordinates(noise(30, 0), noise(30, 1), seed=7)
    assert coordinates.visible.shape == coordinates.infrared.shape == (30, 2)
    assert np.isfinite(coordinates.visible).all()
    assert coordinates.method == "t-SNE, perplexity 30, seed 7"
    with pytest.raises(TooFewPeopleError, match=r"^29 people"):
        picture_coordinates(noise(30, 0), noise(29, 1))


def test_equal_embeddings_lie_together_and_the_seed_decides_the_layout() -> None:
    z = noise(40, 0)
    one, again = picture_coordinates(z, z), picture_coordinates(z, z)
    np.testing.assert_array_equal(one.visible, again.visible)
    apart = np.linalg.norm(one.visible - one.infrared, axis=1)
    neighbours = np.linalg.norm(one.visible - np.roll(one.infrared, 1, axis=0), axis=1)
    assert apart.mean() < neighbours.mean() / 5
    other = picture_coordinates(z, z, seed=1)
    assert not np.allclose(one.visible, other.visible)


def test_a_picture_bears_no_score() -> None:
    names = {field.name for field in dataclasses.fields(PictureCoordinates)}
    assert names == {"visible", "infrared", "method"}
