"""Reading COCO-style lists."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.coco import CocoSource, inspect_coco, read_coco
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.matching import aligned, overlap
from stepscope_systems.rgbt_detection.data.pairs import Box
from tests.stepscope_systems.rgbt_detection.data.drawn import boxes
from tests.stepscope_systems.rgbt_detection.data.trees import SIZE, image

pytestmark = pytest.mark.corpus
Ids = list[tuple[str | int, str]]


def entry(number: int, image_id: int | str, *bbox: float, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image_id, "category_id": 1, "bbox": bbox, **more}


def content(images: Ids, *annotations: dict[str, Any]) -> str:
    width, height = SIZE
    return json.dumps(
        {
            "images": [
                {"id": one, "file_name": name, "width": width, "height": height}
                for one, name in images
            ],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
        }
    )


def source(
    root: Path, images: Ids, visible: str, infrared: str | None = None, **more: Any
) -> CocoSource:
    for _, name in images:
        for folder in ("v", "i"):
            image(root / folder / name)
    (root / "v.json").write_text(visible)
    if infrared is not None:
        (root / "i.json").write_text(infrared)
    return CocoSource(
        visible_list=root / "v.json",
        infrared_list=None if infrared is None else root / "i.json",
        visible_images=root / "v",
        infrared_images=root / "i",
        **more,
    )


def test_one_list_serves_both_modalities(tmp_path: Path) -> None:
    images: Ids = [(7, "a/FLIR_00001.jpg")]
    (pair,) = read_coco(source(tmp_path, images, content(images, entry(1, 7, 4, 5, 16, 35)))).pairs
    assert (pair.name, pair.scene, pair.frame) == ("a/FLIR_00001", "a/FLIR", 1)
    (person,) = pair.people
    assert person.visible == person.infrared == (4, 5, 20, 40)


def test_scene_frame_and_condition_that_the_list_states_count(tmp_path: Path) -> None:
    listed = json.loads(content([(1, "010001.jpg")]))
    listed["images"][0] |= {"scene": "bridge", "frame": 70, "condition": "glare"}
    (pair,) = read_coco(source(tmp_path, [(1, "010001.jpg")], json.dumps(listed))).pairs
    assert (pair.scene, pair.frame, pair.condition) == ("bridge", 70, "glare")


def test_ids_of_images_may_be_words(tmp_path: Path) -> None:
    images: Ids = [("010001", "010001.jpg")]
    listed = content(images, entry(1, "010001", 4, 5, 16, 35))
    assert len(read_coco(source(tmp_path, images, listed)).pairs[0].people) == 1


def test_the_number_1_is_not_the_word_1(tmp_path: Path) -> None:
    images: Ids = [("1", "010001.jpg")]
    with pytest.raises(DataFault, match="annotation 5 is of image 1 and category 1"):
        read_coco(source(tmp_path, images, content(images, entry(5, 1, 4, 5, 16, 35))))


def test_boxes_of_two_lists_are_matched_by_overlap_and_the_summary_says_so(tmp_path: Path) -> None:
    images: Ids = [(1, "010001.jpg")]
    visible = content(images, entry(1, 1, 4, 5, 16, 35), entry(2, 1, 40, 5, 10, 10))
    infrared = content(images, entry(1, 1, 6, 5, 16, 35))
    read = read_coco(source(tmp_path, images, visible, infrared))
    assert "matched by overlap of 0.5 at least" in read.summary()
    assert [(one.visible, one.infrared) for one in read.pairs[0].people] == [
        ((4, 5, 20, 40), (6, 5, 22, 40)),
        ((40, 5, 50, 15), None),
    ]


def test_pair_ids_match_boxes_that_do_not_overlap(tmp_path: Path) -> None:
    images: Ids = [(1, "010001.jpg")]
    visible = content(
        images, entry(1, 1, 0, 0, 5, 5, pair_id=8), entry(2, 1, 9, 9, 5, 5, pair_id=3)
    )
    infrared = content(images, entry(1, 1, 40, 9, 5, 5, pair_id=3))
    read = read_coco(source(tmp_path, images, visible, infrared))
    assert "matched by pair_id" in read.summary()
    assert [one.infrared for one in read.pairs[0].people] == [None, (40, 9, 45, 14)]


def test_pair_ids_that_are_not_unique_match_nothing(tmp_path: Path) -> None:
    images: Ids = [(1, "010001.jpg")]
    listed = content(images, entry(1, 1, 0, 0, 5, 5, pair_id=3), entry(2, 1, 9, 9, 5, 5, pair_id=3))
    assert "matched by overlap" in read_coco(source(tmp_path, images, listed, listed)).summary()


def test_endings_of_names_tell_modalities_apart(tmp_path: Path) -> None:
    image(tmp_path / "v/FLIR_1_RGB.jpg")
    image(tmp_path / "i/FLIR_1_PreviewData.jpeg")
    lists = (content([(1, "FLIR_1_RGB.jpg")]), content([(1, "FLIR_1_PreviewData.jpeg")]))
    (pair,) = read_coco(source(tmp_path, [], *lists, endings=("_RGB", "_PreviewData"))).pairs
    assert pair.infrared == tmp_path / "i/FLIR_1_PreviewData.jpeg"


@pytest.mark.parametrize(
    ("flag", "is_ignored"), [({}, False), ({"iscrowd": 1}, True), ({"ignore": 1}, True)]
)
def test_crowds_are_ignored(tmp_path: Path, flag: dict[str, int], *, is_ignored: bool) -> None:
    images: Ids = [(1, "010001.jpg")]
    read = read_coco(source(tmp_path, images, content(images, entry(1, 1, 4, 5, 16, 35, **flag))))
    assert read.pairs[0].people[0].ignore == is_ignored


def test_a_class_must_be_named_to_be_found_or_ignored(tmp_path: Path) -> None:
    images: Ids = [(1, "010001.jpg")]
    listed = content(images, entry(1, 1, 4, 5, 16, 35) | {"category_id": 2})
    with pytest.raises(DataFault, match="class 'car'"):
        read_coco(source(tmp_path, images, listed))
    ignoring = source(tmp_path, images, listed, ignored=frozenset({"car"}))
    assert read_coco(ignoring).pairs[0].people[0].ignore


def test_an_image_listed_twice_is_at_fault(tmp_path: Path) -> None:
    images: Ids = [(1, "010001.jpg"), (1, "010001.jpg")]
    faults = inspect_coco(source(tmp_path, images, content(images))).faults
    assert [fault.found for fault in faults] == [
        "the image 010001 is listed 2 times",
        "the image id 1 is listed 2 times",
    ]


def test_images_of_one_list_alone_are_at_fault(tmp_path: Path) -> None:
    images: Ids = [(1, "010001.jpg"), (2, "010002.jpg")]
    read = inspect_coco(source(tmp_path, images, content(images), content(images[:1])))
    assert [fault.found for fault in read.faults] == [
        "1 images, 1 of either list without counterpart"
    ]
    assert [pair.name for pair in read.pairs.pairs] == ["010001"]


NOT_LISTS = (
    "",
    "{}",
    "[]",
    "[" * 100_000,
    "\x00",
    '{"images": [{"id": 1.5}]}',
    '{"images": [], "annotations": [], "categories": 3}',
    content([(1, "a_1.jpg")], entry(1, 1, 2, 3, 4)),  # three numbers are no box
)


@pytest.mark.parametrize("text", NOT_LISTS)
def test_what_is_no_coco_list_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataFault, match="cannot be read as a COCO list"):
        read_coco(source(tmp_path, [], text))


def test_a_list_without_names_of_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="the image 1 has no file_name"):
        read_coco(source(tmp_path, [], content([(1, "")])))


def test_names_without_a_scene_are_one_scene(tmp_path: Path) -> None:
    images: Ids = [(1, "x.jpg"), (2, "y.jpg")]
    read = read_coco(source(tmp_path, images, content(images)))
    assert [(pair.scene, pair.frame) for pair in read.pairs] == [("v", 0), ("v", 1)]


@settings(deadline=None, max_examples=50)
@given(first=boxes(step=1), second=boxes(step=1))
def test_overlap_is_the_share_of_common_pixels(first: Box, second: Box) -> None:
    def pixels(box: Box) -> set[tuple[int, int]]:
        x1, y1, x2, y2 = map(int, box)
        return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}

    common = pixels(first) & pixels(second)
    assert overlap(first, second) == pytest.approx(
        len(common) / len(pixels(first) | pixels(second))
    )


@settings(deadline=None, max_examples=50)
@given(visible=st.lists(boxes(step=8), max_size=5), infrared=st.lists(boxes(step=8), max_size=5))
def test_matching_keeps_everyone_once_and_leaves_no_better_match(
    visible: list[Box], infrared: list[Box]
) -> None:
    sides = [[Annotated(box=box, label="person") for box in side] for side in (visible, infrared)]
    first, second = aligned(sides[0], sides[1], least=0.5)
    assert [one.box for one in first if one.box] == visible
    assert sorted(one.box for one in second if one.box) == sorted(infrared)
    rows = [(a.box, b.box) for a, b in zip(first, second, strict=True)]
    scores = [overlap(a, b) if a and b else 0.0 for a, b in rows]
    assert all(score >= 0.5 for score, (a, b) in zip(scores, rows, strict=True) if a and b)
    for (a, _), mine in zip(rows, scores, strict=True):
        for (_, b), other in zip(rows, scores, strict=True):
            if a and b and overlap(a, b) >= 0.5:
                assert overlap(a, b) <= max(mine, other)


def test_boxes_of_two_classes_are_not_matched() -> None:
    sides = [[Annotated(box=(0, 0, 8, 8), label=label)] for label in ("person", "people")]
    first, second = aligned(sides[0], sides[1], least=0.5)
    assert [(a.box, b.box) for a, b in zip(first, second, strict=True)] == [
        ((0, 0, 8, 8), None),
        (None, (0, 0, 8, 8)),
    ]


@pytest.mark.parametrize(("shift", "is_one"), [(5.3, True), (5.4, False)])
def test_half_of_the_union_is_the_least_overlap(shift: float, *, is_one: bool) -> None:
    # 16 wide: the overlap is (16 - s) / (16 + s), one half at s = 16 / 3.
    sides = [[Annotated(box=(x, 0.0, x + 16, 8.0), label="person")] for x in (0.0, shift)]
    assert len(aligned(sides[0], sides[1], least=0.5)[0]) == (1 if is_one else 2)
