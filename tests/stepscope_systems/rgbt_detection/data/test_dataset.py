"""Samples: what is in them, and that an augmentation is a function of seed, epoch and pair."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from stepscope_systems.rgbt_detection.config import DataConfig
from stepscope_systems.rgbt_detection.data.dataset import EpochSampler, PairedDataset, collate
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.pairs import Box, EvalBoxes, Pair, PairList, Person
from stepscope_systems.rgbt_detection.data.transforms import PairedAugmentation

pytestmark = pytest.mark.corpus
WIDTH, HEIGHT = 32, 24
ONE, OTHER = (2.0, 3.0, 10.0, 20.0), (4.0, 2.0, 14.0, 18.0)


def listed(folder: Path, *people: Sequence[Person], dataset: str = "drawn") -> PairList:
    """Write a pair for each group of people, in scenes of two frames."""
    random = np.random.default_rng(0)
    pairs = []
    for number, each in enumerate(people):
        paths = {key: folder / f"{key}{number}.png" for key in ("visible", "infrared")}
        colours = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(colours).save(paths["visible"])
        Image.fromarray(colours[..., 0]).save(paths["infrared"])
        pairs.append(
            Pair(
                name=f"{number:03}",
                **paths,
                width=WIDTH,
                height=HEIGHT,
                people=tuple(each),
                scene=f"{number // 2:02}",
                frame=number % 2,
                condition="night",
            )
        )
    return PairList(dataset=dataset, variant="v", split="train", pairs=tuple(pairs))


def person(visible: Box | None = ONE, infrared: Box | None = OTHER, **others: Any) -> Person:
    return Person(visible=visible, infrared=infrared, **others)


def test_a_sample_holds_the_pixels_and_all_that_is_known(tmp_path: Path) -> None:
    people = (person(identity=7, occlusion=2), person(ignore=True))
    pairs = listed(tmp_path, people)
    sample = PairedDataset(pairs)[0]
    pixels = np.asarray(Image.open(pairs.pairs[0].visible), np.float32) / 255
    np.testing.assert_allclose(sample["visible"].permute(1, 2, 0), pixels)
    for channel in sample["infrared"]:
        np.testing.assert_allclose(channel, pixels[..., 0])
    assert sample["boxes_visible"].tolist() == [list(ONE)] * 2
    assert sample["boxes_infrared"].tolist() == [list(OTHER)] * 2
    assert sample["labels"].tolist() == [1, 1]
    assert sample["ignore"].tolist() == [False, True]
    assert sample["occlusion"].tolist() == [2, 0]
    assert sample["identities"].tolist() == [7, -1]
    assert (sample["name"], sample["condition"], sample["index"]) == ("000", "night", 0)
    assert sample["original_size"] == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("eval_boxes", "expected"),
    [("visible", ONE), ("infrared", OTHER), ("union", (2.0, 2.0, 14.0, 20.0))],
)
def test_the_truth_is_the_box_that_was_asked_for(
    tmp_path: Path, eval_boxes: EvalBoxes, expected: Box
) -> None:
    sample = PairedDataset(listed(tmp_path, [person()]), eval_boxes=eval_boxes)[0]
    assert sample["boxes"].tolist() == [list(expected)]
    assert sample["boxes_infrared"].tolist() == [list(OTHER)]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [(person(infrared=None), ONE), (person(visible=None), OTHER)],
    ids=["visible alone", "infrared alone"],
)
def test_a_box_of_one_modality_stands_for_both(
    tmp_path: Path, shown: Person, expected: Box
) -> None:
    sample = PairedDataset(listed(tmp_path, [shown]))[0]
    for key in ("boxes", "boxes_visible", "boxes_infrared"):
        assert sample[key].tolist() == [list(expected)]


def test_a_pair_without_people_has_empty_tables(tmp_path: Path) -> None:
    data = PairedDataset(listed(tmp_path, []), augmentation=PairedAugmentation(DataConfig()))
    for sample in (PairedDataset(data.pairs)[0], data[0]):
        assert sample["boxes"].shape == sample["boxes_infrared"].shape == (0, 4)
        for key in ("labels", "ignore", "occlusion", "identities"):
            assert len(sample[key]) == 0


def test_sixteen_bits_are_read_by_their_own_range(tmp_path: Path) -> None:
    pairs = listed(tmp_path, [])
    deep = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 85
    for path in (pairs.pairs[0].visible, pairs.pairs[0].infrared):
        Image.fromarray(deep).save(path)
    sample = PairedDataset(pairs)[0]
    expected = torch.from_numpy(deep.astype(np.float32) / 65535).expand(3, -1, -1)
    torch.testing.assert_close(sample["infrared"].as_subclass(Tensor), expected)
    torch.testing.assert_close(sample["visible"].as_subclass(Tensor), expected)


@pytest.mark.parametrize(("missing", "kept"), [("visible", "infrared"), ("infrared", "visible")])
def test_a_missing_modality_is_blank_and_the_other_is_whole(
    tmp_path: Path, missing: Any, kept: str
) -> None:
    pairs = listed(tmp_path, [person()])
    sample, whole = PairedDataset(pairs, missing=missing)[0], PairedDataset(pairs)[0]
    assert not sample[missing].any()
    assert torch.equal(sample[kept], whole[kept])


def test_a_scene_has_one_number_in_every_list_and_another_in_another_set(tmp_path: Path) -> None:
    three: list[list[Person]] = [[], [], []]
    first, again = (PairedDataset(listed(tmp_path, *three)) for _ in range(2))
    other = PairedDataset(listed(tmp_path, *three, dataset="other"))
    numbers = [int(first[index]["scene"]) for index in range(3)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert [int(again[index]["scene"]) for index in range(3)] == numbers
    assert int(other[0]["scene"]) != numbers[0]
    assert [int(first[index]["frame"]) for index in range(3)] == [0, 1, 0]


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_an_image_that_cannot_be_decoded_is_at_fault(tmp_path: Path, modality: str) -> None:
    pairs = listed(tmp_path, [])
    path: Path = getattr(pairs.pairs[0], modality)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(
        DataFault, match=rf"{modality}0\.png: cannot be decoded .*the {modality} im"
    ):
        PairedDataset(pairs)[0]


def test_an_image_of_another_size_than_listed_is_at_fault(tmp_path: Path) -> None:
    pairs = listed(tmp_path, [])
    Image.new("L", (WIDTH + 1, HEIGHT)).save(pairs.pairs[0].infrared)
    with pytest.raises(DataFault, match=r"infrared0\.png: 33x24 pixels; expected 32x24"):
        PairedDataset(pairs)[0]


Augmented = Callable[[int], PairedDataset]


@pytest.fixture
def augmented(tmp_path: Path) -> Augmented:
    pairs = listed(tmp_path, *[[person()]] * 6)
    return lambda seed: PairedDataset(
        pairs, augmentation=PairedAugmentation(DataConfig()), seed=seed
    )


def test_an_augmentation_does_not_depend_on_what_was_drawn_before(augmented: Augmented) -> None:
    data = augmented(0)
    draws = [(epoch, index) for epoch in range(2) for index in range(6)]
    forwards = {draw: data[draw]["visible"] for draw in draws}
    torch.rand(11)
    for draw in reversed(draws):
        assert torch.equal(data[draw]["visible"], forwards[draw])


def test_epochs_pairs_and_seeds_are_augmented_differently(augmented: Augmented) -> None:
    data, other = augmented(0), augmented(1)
    drawn = [data[0, 0], data[1, 0], other[0, 0]]
    pictures = {each["visible"].numpy().tobytes() for each in drawn}
    assert len(pictures) == 3


def test_loading_a_sample_leaves_the_random_state_alone(augmented: Augmented) -> None:
    before = torch.get_rng_state()
    augmented(0)[3, 2]
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_draw_what_the_process_itself_draws(augmented: Augmented) -> None:
    data = augmented(0)
    sampler = EpochSampler(len(data), seed=0)
    sampler.set_epoch(4)

    def loaded(workers: int) -> list[dict[str, Any]]:
        loader = DataLoader(
            data, batch_size=2, sampler=sampler, num_workers=workers, collate_fn=collate
        )
        return [sample for batch in loader for sample in batch]

    alone, shared = loaded(0), loaded(min(2, os.cpu_count() or 1))
    assert len(alone) == 6
    for one, other in zip(alone, shared, strict=True):
        assert one["index"] == other["index"]
        assert torch.equal(one["infrared"], other["infrared"])
        assert torch.equal(one["boxes"], other["boxes"])


@given(size=st.integers(1, 40), world=st.integers(1, 5), epoch=st.integers(0, 3))
def test_ranks_share_an_epoch_evenly_and_nobody_twice(size: int, world: int, epoch: int) -> None:
    shares = []
    for rank in range(world):
        sampler = EpochSampler(size, seed=3, rank=rank, world=world)
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler) == size // world
    indices = [index for share in shares for _, index in share]
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(size))
    assert {each for share in shares for each, _ in share} <= {epoch}


def test_an_order_belongs_to_its_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = EpochSampler(20, seed=seed)
        sampler.set_epoch(epoch)
        return [(0, index) for _, index in sampler]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(*which)) for which in ((0, 0), (0, 1), (1, 0))}) == 3
