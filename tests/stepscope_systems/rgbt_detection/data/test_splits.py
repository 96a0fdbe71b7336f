"""Splits by scene."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.pairs import Pair, PairList
from stepscope_systems.rgbt_detection.data.splits import by_scene


def listed(sizes: dict[str, int]) -> PairList:
    pairs = tuple(
        Pair(
            name=f"{scene}{frame:04}",
            visible=Path(),
            infrared=Path(),
            width=1,
            height=1,
            people=(),
            scene=scene,
            frame=frame,
        )
        for frame in range(max(sizes.values(), default=0))
        for scene, size in sizes.items()
        if frame < size
    )
    return PairList(dataset="LLVIP", variant="v", split="train", pairs=pairs)


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.dictionaries(st.text("0123456789", min_size=1), st.integers(1, 30), min_size=2),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_each_pair_is_on_one_side_and_no_scene_on_both(
    sizes: dict[str, int], share: float, seed: int
) -> None:
    pairs = listed(sizes)
    train, validation = by_scene(pairs, share=share, seed=seed)
    order = {pair.name: place for place, pair in enumerate(pairs.pairs)}
    both = [order[pair.name] for pair in (*train.pairs, *validation.pairs)]
    assert sorted(both) == list(range(len(pairs.pairs)))
    for side in (train, validation):
        places = [order[pair.name] for pair in side.pairs]
        assert places == sorted(places)
        assert places
    scenes = [{pair.scene for pair in side.pairs} for side in (train, validation)]
    assert not scenes[0] & scenes[1]


@settings(deadline=None, max_examples=50)
@given(scenes=st.integers(10, 40), share=st.floats(0.1, 0.9), seed=st.integers(0, 5))
def test_the_share_is_met_within_half_a_scene_when_scenes_are_alike(
    scenes: int, share: float, seed: int
) -> None:
    pairs = listed({f"{number:02}": 4 for number in range(scenes)})
    _, validation = by_scene(pairs, share=share, seed=seed)
    assert abs(len(validation.pairs) - share * len(pairs.pairs)) <= 4 / 2 + 1e-9


def test_a_seed_gives_the_same_split_always_and_another_seed_another_one() -> None:
    pairs = listed({f"{number:02}": 3 for number in range(12)})
    chosen = {
        seed: {pair.scene for pair in by_scene(pairs, share=0.25, seed=seed)[1].pairs}
        for seed in range(4)
    }
    assert chosen[0] == {"01", "04", "07"}  # printf 0:01 | sha256sum, and so on: the least three
    assert len({frozenset(scenes) for scenes in chosen.values()}) > 1


def test_the_summary_names_the_scenes_and_the_seed() -> None:
    train, validation = by_scene(listed({"01": 9, "02": 1}), share=0.1, seed=3)
    for side in (train, validation):
        assert "split by scene, seed 3: 02 for validation" in side.summary()
    assert (train.split, validation.split) == ("train", "validation")


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.99, 9)])
def test_a_share_below_or_above_all_scenes_sets_the_smallest_one_apart(
    share: float, count: int
) -> None:
    assert len(by_scene(listed({"01": 9, "02": 1}), share=share)[1].pairs) == count


def test_one_scene_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="pairs of 1 scenes"):
        by_scene(listed({"01": 100}), share=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_must_leave_pairs_on_both_sides(share: float) -> None:
    with pytest.raises(ValueError, match="expected between 0 and 1"):
        by_scene(listed({"01": 5, "02": 5}), share=share)
