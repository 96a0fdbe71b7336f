"""Reading the variants of KAIST."""

import json
from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.data.counts import boxes
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.kaist import inspect_kaist, read_kaist
from stepscope_systems.rgbt_detection.data.kaist_layout import Split
from tests.stepscope_systems.rgbt_detection.data.trees import (
    SIZE,
    bbgt,
    image,
    kaist,
    kaist_images,
    paired,
)

pytestmark = pytest.mark.corpus
PERSON = "person 4 5 16 35 0 0 0 0 0 0 0"
SHIFTED = "person 6 5 16 35 0 0 0 0 0 0 0"


def test_raw_annotations_give_both_modalities_one_box(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations", {"set00/V000/I00001": bbgt(PERSON)})
    (pair,) = read_kaist(root, "raw").pairs
    (person,) = pair.people
    assert person.visible == person.infrared == (4, 5, 20, 40)
    assert (pair.scene, pair.frame) == ("set00/V000", 1)
    assert pair.infrared == root / "images/set00/V000/lwir/I00001.jpg"


@pytest.mark.parametrize("number", range(12))
def test_the_number_of_the_set_says_light_and_split(tmp_path: Path, number: int) -> None:
    root = kaist(tmp_path, "annotations", {f"set{number:02}/V000/I00001": bbgt()})
    split: Split = "train" if number < 6 else "test"
    read = read_kaist(root, "raw", split)
    assert read.pairs[0].condition == ("night" if number in {3, 4, 5, 9, 10, 11} else "day")
    assert read.split == split


def test_a_split_has_the_frames_of_its_sets_alone(tmp_path: Path) -> None:
    names = ("set05/V000/I00001", "set06/V000/I00001")
    root = kaist(tmp_path, "annotations", dict.fromkeys(names, bbgt(PERSON)))
    assert [pair.name for pair in read_kaist(root, "raw", "train").pairs] == ["set05/V000/I00001"]
    assert [pair.name for pair in read_kaist(root, "raw", "test").pairs] == ["set06/V000/I00001"]


@pytest.mark.parametrize(
    ("line", "is_ignored", "occlusion"),
    [
        (PERSON, False, 0),
        ("person 4 5 16 35 2 0 0 0 0 0 0", False, 2),
        ("person 4 5 16 35 0 0 0 0 0 1 0", True, 0),
        ("people 4 5 16 35 1 0 0 0 0 0 0", True, 1),
        ("person? 4 5 16 35 0 0 0 0 0 0 0", True, 0),
        ("cyclist 4 5 16 35 0 0 0 0 0 0 0", True, 0),
    ],
)
def test_only_a_person_without_ignore_flag_is_to_be_found(
    tmp_path: Path, line: str, *, is_ignored: bool, occlusion: int
) -> None:
    root = kaist(tmp_path, "annotations", {"set00/V000/I00001": bbgt(line)})
    (person,) = read_kaist(root, "raw").pairs[0].people
    assert (person.label, person.ignore, person.occlusion) == (
        line.split(maxsplit=1)[0],
        is_ignored,
        occlusion,
    )


def test_paired_annotations_keep_a_box_for_each_modality(tmp_path: Path) -> None:
    root = paired(tmp_path, "set03/V001/I00007", bbgt(PERSON), bbgt(SHIFTED))
    (person,) = read_kaist(root, "paired").pairs[0].people
    assert (person.visible, person.infrared) == ((4, 5, 20, 40), (6, 5, 22, 40))


def test_the_box_0_0_0_0_says_that_a_modality_does_not_show_the_person(tmp_path: Path) -> None:
    nowhere = "person 0 0 0 0 0 0 0 0 0 0 0"
    root = paired(tmp_path, "set03/V001/I00007", bbgt(nowhere), bbgt(SHIFTED))
    (person,) = read_kaist(root, "paired").pairs[0].people
    assert (person.visible, person.infrared) == (None, (6, 5, 22, 40))


def test_an_object_with_a_box_in_neither_modality_is_at_fault(tmp_path: Path) -> None:
    nowhere = bbgt("person 0 0 0 0 0 0 0 0 0 0 0")
    with pytest.raises(DataFault, match="a box in neither modality"):
        read_kaist(paired(tmp_path, "set03/V001/I00007", nowhere, nowhere), "paired")


def test_paired_files_of_unequal_length_are_at_fault(tmp_path: Path) -> None:
    root = paired(tmp_path, "set00/V000/I00001", bbgt(PERSON, SHIFTED), bbgt(PERSON))
    with pytest.raises(DataFault, match=r"lwir.I00001.txt: 1 objects; expected 2"):
        read_kaist(root, "paired")


def test_paired_files_whose_labels_differ_are_at_fault(tmp_path: Path) -> None:
    root = paired(
        tmp_path, "set00/V000/I00001", bbgt(PERSON), bbgt(SHIFTED.replace("person", "people"))
    )
    with pytest.raises(DataFault, match="object 1 is 'people'; expected 'person'"):
        read_kaist(root, "paired")


def test_a_paired_frame_without_its_infrared_annotation_is_at_fault(tmp_path: Path) -> None:
    root = paired(tmp_path, "set00/V000/I00001", bbgt(PERSON), bbgt(PERSON))
    missing = root / "annotations_paired/set00/V000/lwir/I00001.txt"
    missing.unlink()
    (fault,) = inspect_kaist(root, "paired").faults
    assert (fault.path, fault.found) == (missing, "no such file")


def test_the_improved_test_is_read_from_its_flat_folder(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations_KAIST_test_set", {"set06_V000_I00019": bbgt(PERSON)})
    read = read_kaist(root, "improved-test")
    assert [pair.name for pair in read.pairs] == ["set06/V000/I00019"]
    assert "NOT COMPLETE: 1 pairs, not 2,252 (Liu et al.)" in read.summary()


@pytest.mark.parametrize(("frame", "is_taken"), [("I00039", True), ("I00040", False)])
def test_the_improved_test_takes_every_twentieth_frame(
    tmp_path: Path, frame: str, *, is_taken: bool
) -> None:
    root = kaist(tmp_path, "annotations_KAIST_test_set", {f"set06_V000_{frame}": bbgt(PERSON)})
    faults = inspect_kaist(root, "improved-test").faults
    assert [fault.expected[:21] for fault in faults] == (
        [] if is_taken else ["every twentieth frame"]
    )


def test_frames_for_training_are_not_the_improved_test(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations_KAIST_test_set", {"set00_V000_I00019": bbgt(PERSON)})
    with pytest.raises(DataFault, match="1 frames that improved-test has not"):
        read_kaist(root, "improved-test")


def test_the_improved_test_is_read_from_the_json_of_the_public_evaluation(tmp_path: Path) -> None:
    root = kaist_images(tmp_path, "set06/V000/I00019", "set09/V000/I00019")
    width, height = SIZE
    names = ("set06/V000/I00019", "set09/V000/I00019")
    size = {"height": height, "width": width}
    content = {
        "info": {"publish": "CVPR 2015"},
        "images": [{"id": i, "im_name": name, **size} for i, name in enumerate(names)],
        "annotations": [
            {"id": 0, "image_id": 1, "category_id": 1, "bbox": [4, 5, 16, 35]}
            | {"height": 35, "occlusion": 2, "ignore": 1}
        ],
        "categories": [{"id": 0, "name": "__ignore__"}, {"id": 1, "name": "person"}],
    }
    (root / "KAIST_annotation.json").write_text(json.dumps(content))
    day, night = read_kaist(root, "improved-test").pairs
    assert (day.condition, day.people) == ("day", ())
    (person,) = night.people
    assert (person.visible, person.occlusion, person.ignore) == ((4, 5, 20, 40), 2, True)


def test_the_whole_improved_test_is_known_by_its_pairs_and_boxes(tmp_path: Path) -> None:
    names = [f"set06/V000/I{20 * number + 19:05}" for number in range(2_252)]
    one = image(tmp_path / "one.jpg")
    for modality in ("visible", "lwir"):
        folder = tmp_path / "images/set06/V000" / modality
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name.rsplit('/', 1)[1]}.jpg").hardlink_to(one)
    width, height = SIZE
    content = {
        "images": [
            {"id": i, "im_name": name, "height": height, "width": width}
            for i, name in enumerate(names)
        ],
        "annotations": [
            {"id": i, "image_id": i // 2, "category_id": 1, "bbox": [i % 2, 5, 16, 35]}
            for i in range(4_254)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "KAIST_annotation.json").write_text(json.dumps(content))
    summary = read_kaist(tmp_path, "improved-test").summary()
    assert "complete: 2,252 pairs, Liu et al.; boxes as published)" in summary
    assert boxes(4_253, 4_254) == "NOT THE PUBLISHED BOXES: 4,253, not 4,254"


def test_the_sanitized_train_is_read_from_xml_with_x_y_w_h(tmp_path: Path) -> None:
    root = kaist_images(tmp_path, "set00/V000/I00001")
    path = root / "annotations-xml-new-sanitized/set00/V000/I00001.xml"
    path.parent.mkdir(parents=True)
    box = "<bndbox><x>4</x><y>5</y><w>16</w><h>35</h></bndbox>"
    path.write_text(
        f"<annotation><object><name>person</name>{box}<occlusion>1</occlusion></object></annotation>"
    )
    (person,) = read_kaist(root, "sanitized-train").pairs[0].people
    assert (person.visible, person.occlusion) == ((4, 5, 20, 40), 1)


def test_annotations_of_one_modality_are_refused_where_one_serves_both(tmp_path: Path) -> None:
    root = paired(tmp_path, "set00/V000/I00001", bbgt(PERSON), bbgt(PERSON))
    with pytest.raises(DataFault, match="read the variant paired"):
        read_kaist(root, "raw", annotations=root / "annotations_paired")


def test_a_wrong_first_line_is_told_as_another_version(tmp_path: Path) -> None:
    text = bbgt(PERSON).replace("3", "2", 1)
    root = kaist(tmp_path, "annotations", {"set00/V000/I00001": text})
    with pytest.raises(DataFault, match=r"'% bbGt version=2'; expected '% bbGt version=3'"):
        read_kaist(root, "raw")


def test_a_list_of_frames_chooses_among_the_annotated_ones(tmp_path: Path) -> None:
    names = ("set00/V000/I00001", "set00/V000/I00003", "set01/V000/I00001")
    root = kaist(tmp_path, "annotations", dict.fromkeys(names, bbgt(PERSON)))
    (root / "list.txt").write_text("set01/V000/I00001\nset00/V000/I00003\n")
    read = read_kaist(root, "raw", frames=root / "list.txt")
    assert [pair.name for pair in read.pairs] == ["set01/V000/I00001", "set00/V000/I00003"]


def test_a_frame_listed_twice_or_without_annotation_is_at_fault(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations", {"set00/V000/I00001": bbgt(PERSON)})
    kaist_images(root, "set00/V000/I00002")
    (root / "list.txt").write_text("set00/V000/I00001\nset00/V000/I00001\nset00/V000/I00002\n")
    faults = inspect_kaist(root, "raw", frames=root / "list.txt").faults
    assert [fault.found for fault in faults] == [
        "the pair set00/V000/I00001 is listed twice",
        "no such file",
    ]


@pytest.mark.parametrize("name", ["set12/V000/I00001", "set00/V000/00001", "notes"])
def test_an_annotation_of_no_frame_is_at_fault(tmp_path: Path, name: str) -> None:
    root = kaist(tmp_path, "annotations", {"set11/V000/I00001": bbgt(PERSON)})
    (root / "annotations" / name).parent.mkdir(parents=True, exist_ok=True)
    (root / "annotations" / f"{name}.txt").write_text(bbgt(PERSON))
    reading = inspect_kaist(root, "raw", "test")
    assert [fault.found for fault in reading.faults] == [f"the name {name}"]
    assert len(reading.pairs.pairs) == 1


def test_a_missing_infrared_image_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations", {"set00/V000/I00001": bbgt(PERSON)})
    missing = root / "images/set00/V000/lwir/I00001.jpg"
    missing.unlink()
    (fault,) = inspect_kaist(root, "raw").faults
    assert (fault.path, fault.found) == (missing, "no such file")


def test_images_may_lie_without_the_folder_images(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations", {"set00/V000/I00001": bbgt(PERSON)})
    (root / "images/set00").rename(root / "set00")
    (root / "images").rmdir()
    assert read_kaist(root, "raw").pairs[0].visible == root / "set00/V000/visible/I00001.jpg"


def test_annotations_that_are_not_in_a_usual_place_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"no annotations of the variant sanitized-train"):
        read_kaist(tmp_path, "sanitized-train")


def test_annotations_that_are_not_where_they_were_said_to_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match=r"elsewhere: no such folder or file"):
        read_kaist(tmp_path, "raw", annotations=tmp_path / "elsewhere")


def test_a_split_that_a_variant_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split is 'train'; improved-test of KAIST has test"):
        read_kaist(tmp_path, "improved-test", "train")
