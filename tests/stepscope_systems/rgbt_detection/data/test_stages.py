"""Each stage gets three lists that share no pair, or a refusal."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from stepscope_systems.rgbt_detection.config import DataConfig, Stage
from stepscope_systems.rgbt_detection.data.stages import Lists, lists_of, pairs_to_test
from tests.stepscope_systems.rgbt_detection.data.trees import bbgt, image, kaist, llvip, paired

pytestmark = pytest.mark.corpus
TINY = DataConfig(train_pairs=24, test_pairs=3)
LINE = bbgt("person 4 5 16 35 0 0 0 0 0 0 0")


def names(lists: Lists) -> list[set[str]]:
    return [
        {str(pair.visible) for pair in each.pairs}
        for each in (lists.train, lists.validation, lists.test)
    ]


@pytest.mark.parametrize(
    ("stage", "domain"), [("stage1", "synthetic-a"), ("stage2", "synthetic-b")]
)
def test_each_stage_has_its_domain_in_three_lists(
    tmp_path: Path, stage: Stage, domain: str
) -> None:
    lists = lists_of(TINY, stage, tmp_path)
    assert [len(each) for each in names(lists)] == [12, 12, 3]
    assert len(set.union(*names(lists))) == 27
    assert {each.dataset for each in (lists.train, lists.validation, lists.test)} == {domain}
    assert lists.summary().count("fingerprint") == 3


def test_synthetic_pairs_are_written_once(tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    first, again = (
        lists_of(TINY, "stage1", tmp_path, lambda *progress: told.append(progress))
        for _ in range(2)
    )
    assert told == [(done, 27) for done in range(1, 28)]
    assert again == first


def test_what_an_interrupted_writer_left_is_not_taken_for_whole(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lists_of(TINY, "stage1", tmp_path, interrupt)
    assert len(lists_of(TINY, "stage1", tmp_path).test.pairs) == 3


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"misalignment": 4}, {"has_shared_cue": False}, {"test_pairs": 4}]
)
def test_other_options_of_the_synthetic_set_are_another_set(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    usual = lists_of(TINY, "stage1", tmp_path)
    other = lists_of(dataclasses.replace(TINY, **options), "stage1", tmp_path)
    assert not names(usual)[2] & names(other)[2]


@pytest.mark.parametrize("options", [{"misalignment": 6}, {"has_shared_cue": False}])
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_modalities_that_differ_keep_a_box_each(
    tmp_path: Path, stage: Stage, options: dict[str, Any]
) -> None:
    lists = lists_of(dataclasses.replace(TINY, **options), stage, tmp_path)
    people = [person for pair in lists.train.pairs for person in pair.people]
    assert sum(person.visible != person.infrared for person in people) > len(people) / 2


def real_llvip(root: Path) -> Path:
    llvip(root, ["010001", "010002", "020001", "030001"])
    return llvip(root, ["190001"], split="test")


def test_llvip_gives_its_own_test_split_and_whole_scenes_for_validation(tmp_path: Path) -> None:
    config = DataConfig(source=f"llvip:{real_llvip(tmp_path)}", is_subset=True)
    lists = lists_of(config, "stage1", tmp_path)
    assert [pair.name for pair in lists.test.pairs] == ["190001"]
    scenes = [{pair.scene for pair in each.pairs} for each in (lists.train, lists.validation)]
    assert scenes[0] | scenes[1] == {"01", "02", "03"}
    assert not scenes[0] & scenes[1]


def test_kaist_is_trained_on_its_paired_annotations(tmp_path: Path) -> None:
    for frame in ("set00/V000/I00001", "set01/V000/I00001", "set06/V000/I00019"):
        paired(tmp_path, frame, LINE, LINE)
    config = DataConfig(source=f"kaist:{tmp_path}", is_subset=True)
    lists = lists_of(config, "stage2", tmp_path)
    assert len(lists.train.pairs) == len(lists.validation.pairs) == 1
    assert [pair.name for pair in lists.test.pairs] == ["set06/V000/I00019"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "kasit:PATH"}, "did you mean kaist:PATH"),
        ({"source": "kaist:PATH", "variant": "pared"}, "data.variant is 'pared'; expected one of"),
        (
            {"source": "llvip:PATH", "variant": "paired"},
            "data.variant is 'paired'; expected one of",
        ),
        ({"source": "coco:PATH", "variant": "raw"}, "data.variant is 'raw'; coco has none"),
        ({"variant": "paired"}, "data.variant is 'paired'; the synthetic set has none"),
        ({"source": "llvip:PATH", "misalignment": 2}, "are of the synthetic set, and the source"),
        ({"source": "kaist:PATH", "has_shared_cue": False}, "are of the synthetic set, and the"),
        (
            {"source": "kaist:PATH", "ignored": ("car",)},
            "data.ignored is car, and kaist has classes of its own",
        ),
    ],
)
def test_a_source_or_variant_that_is_not_known_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        lists_of(DataConfig(**options), "stage1", tmp_path)


def test_images_that_are_in_both_lists_are_refused(tmp_path: Path) -> None:
    listed = {
        "images": [
            {"id": number, "file_name": f"{scene}_0001.png", "width": 64, "height": 48}
            for number, scene in enumerate(("a", "b", "c"))
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}],
    }
    for scene in ("a", "b", "c"):
        for modality in ("visible", "infrared"):
            image(tmp_path / modality / f"{scene}_0001.png")
    for split in ("train", "test"):
        (tmp_path / f"visible_{split}.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match="3 images are in the training and in the test list, firs"):
        lists_of(DataConfig(source=f"coco:{tmp_path}"), "stage1", tmp_path)


def test_annotations_of_test_frames_are_not_trained_on(tmp_path: Path) -> None:
    kaist(tmp_path, "annotations_improved", {"set06_V000_I00019": LINE})
    config = DataConfig(source=f"kaist:{tmp_path}", variant="improved-test", is_subset=True)
    with pytest.raises(ValueError, match="split is 'train'; improved-test of KAIST has test"):
        lists_of(config, "stage1", tmp_path)


def test_the_test_pairs_are_read_without_any_to_train_on(tmp_path: Path) -> None:
    kaist(tmp_path, "annotations_KAIST_test_set", {"set06_V000_I00019": LINE})
    for variant in ("improved-test", "sanitized-train"):
        config = DataConfig(source=f"kaist:{tmp_path}", variant=variant, is_subset=True)
        pairs = pairs_to_test(config, "stage1", tmp_path)
        assert [pair.name for pair in pairs.pairs] == ["set06/V000/I00019"]


def test_classes_to_be_ignored_are_read_as_such(tmp_path: Path) -> None:
    listed = {
        "images": [{"id": 1, "file_name": "a_0001.png", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 1, 8, 9]}],
        "categories": [{"id": 2, "name": "car"}],
    }
    for modality in ("visible", "infrared"):
        image(tmp_path / modality / "a_0001.png")
    (tmp_path / "visible_test.json").write_text(json.dumps(listed))
    config = DataConfig(source=f"coco:{tmp_path}")
    with pytest.raises(ValueError, match=r"class 'car'.*ignore the class \(data.ignored"):
        pairs_to_test(config, "stage1", tmp_path)
    config = dataclasses.replace(config, ignored=("car",))
    (pair,) = pairs_to_test(config, "stage1", tmp_path).pairs
    assert [person.ignore for person in pair.people] == [True]
