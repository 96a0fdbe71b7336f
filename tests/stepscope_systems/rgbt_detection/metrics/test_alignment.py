"""Alignment is what loops compute, chance for noise, and refused where chance is all there is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stepscope_systems.rgbt_detection.metrics.alignment import TooFewPeopleError, alignment

Floats = NDArray[np.float64]
OFFSET = 1.0  # of one modality: retrieval then differs by direction


def noise(rows: int, seed: int, width: int = 16) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, width))


def unit(rows: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


@pytest.mark.parametrize("views", [1, 3])
def test_retrieval_and_cosines_among_all_are_what_plain_loops_compute(views: int) -> None:
    rows = 40 * views
    person = np.arange(rows) // views
    visible = unit(noise(rows, seed=1))
    infrared = unit(visible + 0.9 * noise(rows, seed=2) + OFFSET)
    forth = back = 0
    same: list[float] = []
    different: list[float] = []
    for i in range(rows):
        ahead = [float(visible[i] @ infrared[j]) for j in range(rows)]
        behind = [float(infrared[i] @ visible[j]) for j in range(rows)]
        forth += person[int(np.argmax(ahead))] == person[i]
        back += person[int(np.argmax(behind))] == person[i]
        for j in range(rows):
            (same if person[i] == person[j] else different).append(ahead[j])
    computed = alignment(visible, infrared, person, permutations=9)
    assert 0 < forth < rows
    assert forth != back
    assert computed.everybody.visible_to_infrared == pytest.approx(forth / rows)
    assert computed.everybody.infrared_to_visible == pytest.approx(back / rows)
    assert computed.everybody.chance == pytest.approx(1 / 40)
    assert computed.cosine_positive == pytest.approx(np.mean(same))
    assert computed.cosine_negative == pytest.approx(np.mean(different))


def test_galleries_of_everybody_give_what_retrieval_among_all_gives() -> None:
    visible = noise(32, seed=1)
    computed = alignment(visible, visible + noise(32, seed=2) + OFFSET, permutations=9)
    assert computed.gallery == 32
    assert computed.drawn.visible_to_infrared != computed.drawn.infrared_to_visible
    assert computed.drawn == computed.everybody
    assert computed.draws == pytest.approx([computed.everybody.both] * 5)


def test_smaller_galleries_are_easier_and_their_chance_is_one_in_n() -> None:
    visible = noise(300, seed=1)
    infrared = visible + 1.5 * noise(300, seed=2)
    small = alignment(visible, infrared, permutations=9, gallery=8)
    large = alignment(visible, infrared, permutations=9, gallery=128)
    assert small.drawn.chance == 1 / 8
    assert large.drawn.chance == 1 / 128
    assert small.drawn.both > large.drawn.both > large.everybody.both


def test_equal_embeddings_are_always_found_and_beat_every_shuffle() -> None:
    z = noise(64, seed=0)
    computed = alignment(z, 3 * z, permutations=99)  # lengths do not matter
    assert computed.drawn.both == computed.everybody.both == 1
    assert computed.cosine_positive == pytest.approx(1)
    assert computed.p == 1 / 100
    assert computed.null_mean < computed.null_95 < 0.2


def test_of_noise_retrieval_is_at_chance_and_p_is_rarely_small() -> None:
    many = [
        alignment(noise(64, seed), noise(64, seed + 500), permutations=99, seed=seed)
        for seed in range(30)
    ]
    recall = [each.drawn.both for each in many]
    error = np.std(recall) / np.sqrt(len(recall))
    assert np.mean(recall) == pytest.approx(1 / 32, abs=3 * error)
    assert sum(each.p <= 0.05 for each in many) <= 5  # 1.5 expected, above 5 once in 300
    assert all(abs(each.cosine_positive - each.cosine_negative) < 0.15 for each in many)


def test_many_views_of_one_person_do_not_pass_for_evidence() -> None:
    # Each modality knows its people well, and nothing of the other modality's.
    def clusters(seed: int) -> Floats:
        return np.repeat(noise(40, seed), 6, axis=0) + 0.05 * noise(240, seed + 1)

    person = np.repeat(np.arange(40), 6)
    p = [
        alignment(clusters(seed), clusters(seed + 500), person, permutations=99, seed=seed).p
        for seed in range(20)
    ]
    assert sum(value <= 0.05 for value in p) <= 4  # 1 expected


def test_a_weak_agreement_is_told_from_noise() -> None:
    visible = noise(200, seed=3)
    computed = alignment(visible, visible + 3 * noise(200, seed=4), permutations=199)
    assert computed.drawn.both < 0.3
    assert computed.p <= 0.05
    assert computed.drawn.both > computed.null_95


def test_collapsed_embeddings_score_chance_exactly() -> None:
    same = 1 + 1e-6 * noise(64, seed=0)
    computed = alignment(same, same, permutations=19)
    assert computed.drawn.both == pytest.approx(1 / 32)
    assert computed.everybody.both == pytest.approx(1 / 64)
    assert computed.p == 1


def test_every_view_of_a_person_is_a_right_answer() -> None:
    # Row i is nearest to the next view of the same person, never to itself.
    people = noise(40, seed=0)
    visible, infrared = np.repeat(people, 2, axis=0), np.repeat(people, 2, axis=0)
    visible[0::2, 0] += 0.1
    infrared[1::2, 0] += 0.1
    person = np.repeat(np.arange(40), 2)
    assert alignment(visible, infrared, person, permutations=9).everybody.both == 1
    assert alignment(visible, infrared, permutations=9).everybody.both == 0


def test_unknown_people_are_one_each_whatever_the_known_are_called() -> None:
    visible = noise(40, seed=0)
    infrared = visible + noise(40, seed=1)
    unknown = alignment(visible, infrared, np.full(40, -1), permutations=9)
    assert unknown == alignment(visible, infrared, permutations=9)
    mixed = np.where(np.arange(40) < 4, 7, -1)
    assert alignment(visible, infrared, mixed, permutations=9).people == 37


def test_turning_both_modalities_together_changes_nothing() -> None:
    visible = noise(50, seed=0)
    infrared = visible + noise(50, seed=1)
    turn, _ = np.linalg.qr(noise(16, seed=2))
    straight = alignment(visible, infrared, permutations=19)
    turned = alignment(visible @ turn, infrared @ turn, permutations=19)
    assert straight.drawn == turned.drawn
    assert straight.p == turned.p
    assert straight.cosine_positive == pytest.approx(turned.cosine_positive)


def test_the_seed_draws_the_galleries() -> None:
    visible = noise(100, seed=0)
    infrared = visible + 1.5 * noise(100, seed=1)
    one = alignment(visible, infrared, permutations=9, seed=1)
    assert one == alignment(visible, infrared, permutations=9, seed=1)
    assert one.draws != alignment(visible, infrared, permutations=9, seed=2).draws


def test_thirty_people_are_enough_and_twenty_nine_are_refused_with_the_reason() -> None:
    z = noise(30, seed=0)
    assert alignment(z, z, permutations=9).gallery == 30
    with pytest.raises(TooFewPeopleError, match=r"29 people are too few .* of a mini-batch"):
        alignment(z[:29], z[:29])
    with pytest.raises(TooFewPeopleError, match=r"^0 people"):
        alignment(z[:0], z[:0])


def test_many_rows_of_few_people_are_refused() -> None:
    z = noise(58, seed=0)
    with pytest.raises(TooFewPeopleError, match=r"^29 people"):
        alignment(z, z, np.arange(58) % 29)


@pytest.mark.parametrize(
    ("visible", "infrared", "identities", "reason"),
    [
        (np.ones((40, 8)), np.ones((39, 8)), None, r"\(40, 8\), z_infrared \(39, 8\)"),
        (np.ones(40), np.ones(40), None, r"z_visible has shape \(40,\); expected \(N, D\)"),
        (np.ones((40, 8)), np.zeros((40, 8)), None, "z_infrared row 0 has length 0"),
        (np.full((40, 8), np.nan), np.ones((40, 8)), None, "z_visible row 0 has length nan"),
        (np.ones((40, 8)), np.ones((40, 8)), np.arange(39), r"identities has shape \(39,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(
    visible: Floats, infrared: Floats, identities: NDArray[np.int64] | None, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        alignment(visible, infrared, identities)
