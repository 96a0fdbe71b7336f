"""Reading LLVIP."""

from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.llvip import inspect_llvip, read_llvip
from tests.stepscope_systems.rgbt_detection.data.trees import ONE, SIZE, image, llvip, voc_xml

pytestmark = pytest.mark.corpus


def only_fault(root: Path) -> DataFault:
    (fault,) = inspect_llvip(root, "train").faults
    with pytest.raises(DataFault) as raised:
        read_llvip(root, "train")
    assert str(raised.value) == str(fault)
    return fault


def test_a_pair_has_the_boxes_of_its_xml_in_both_modalities(tmp_path: Path) -> None:
    objects = {"010001": (*ONE, ("person", 30, 1, 40, 20)), "260007": ()}
    first, second = read_llvip(llvip(tmp_path, objects), "train").pairs
    assert [person.visible for person in first.people] == [(4, 5, 20, 40), (30, 1, 40, 20)]
    assert all(person.visible == person.infrared for person in first.people)
    assert (first.width, first.height) == SIZE
    assert (first.name, first.scene, first.frame, first.condition) == ("010001", "01", 1, "unknown")
    assert (second.people, second.scene, second.frame) == ((), "26", 7)
    assert first.infrared == tmp_path / "infrared/train/010001.jpg"


def test_the_version_of_the_annotations_is_told_as_declared(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    declared = read_llvip(root, "train", annotations="2023-02-21")
    assert "annotations of 2023-02-21, as declared" in declared.summary()
    assert "undeclared version" in read_llvip(root, "train").summary()


def test_another_number_of_pairs_than_published_is_told_unless_a_subset_is_declared(
    tmp_path: Path,
) -> None:
    root = llvip(tmp_path, ["010001"])
    assert "NOT COMPLETE: 1 pairs, not 12,025" in read_llvip(root, "train").summary()
    assert "subset of 1 pairs, as declared" in read_llvip(root, "train", subset=True).summary()


def test_a_missing_infrared_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001", "010002"])
    missing = root / "infrared/train/010002.jpg"
    missing.unlink()
    count, fault = inspect_llvip(root, "train").faults
    assert (count.found, "010002" in count.advice) == ("1 infrared images", True)
    assert (fault.path, fault.found) == (missing, "no such file")
    with pytest.raises(DataFault, match=r"infrared.train: 1 infrared images.*1 more"):
        read_llvip(root, "train")


def test_as_many_images_of_other_names_are_two_missing_files(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    (root / "infrared/train/010001.jpg").rename(root / "infrared/train/010002.jpg")
    (root / "Annotations/010002.xml").write_text(voc_xml())
    missing = [
        fault.path.relative_to(root).as_posix() for fault in inspect_llvip(root, "train").faults
    ]
    assert missing == ["infrared/train/010001.jpg", "visible/train/010002.jpg"]


def test_a_missing_image_and_a_missing_annotation_of_one_pair_are_both_told(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001", "010002"])
    missing = [root / "infrared/train/010001.jpg", root / "Annotations/010001.xml"]
    for path in missing:
        path.unlink()
    assert [fault.path for fault in inspect_llvip(root, "train").faults[1:]] == missing


def test_what_macos_leaves_beside_an_image_is_no_image(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    (root / "visible/train/._010001.jpg").write_bytes(b"attributes")
    assert len(read_llvip(root, "train").pairs) == 1


def test_sizes_that_differ_between_modalities_are_at_fault(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    image(root / "infrared/train/010001.jpg", (64, 47))
    fault = only_fault(root)
    assert (fault.path.parent.parent.name, fault.found) == ("infrared", "64 x 47 pixels")
    assert fault.expected.startswith("64 x 48")


def test_an_annotation_of_another_size_than_the_image_is_at_fault(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    (root / "Annotations/010001.xml").write_text(voc_xml(size=(1280, 1024)))
    assert only_fault(root).found == "it is of an image of 1280 x 1024 pixels"


def test_a_file_that_is_no_image_is_at_fault(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    (root / "visible/train/010001.jpg").write_text("<html>404</html>")
    assert only_fault(root).found.startswith("cannot be read as an image")


def test_a_class_for_which_the_head_has_no_output_is_at_fault(tmp_path: Path) -> None:
    root = llvip(tmp_path, {"010001": (("car", 1, 1, 9, 9),)})
    fault = only_fault(root)
    assert fault.path == root / "Annotations/010001.xml"
    assert "'car'" in fault.found
    assert fault.expected == "person"


def test_a_second_image_of_one_name_is_at_fault(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001"])
    image(root / "visible/train/010001.png")
    assert only_fault(root).found == "a second image of the name 010001, beside 010001.jpg"


def test_a_name_without_a_scene_is_at_fault(tmp_path: Path) -> None:
    assert only_fault(llvip(tmp_path, ["street"])).found == "the name street"


def test_a_folder_without_images_is_at_fault(tmp_path: Path) -> None:
    for modality in ("visible", "infrared"):
        (tmp_path / modality / "train").mkdir(parents=True)
    assert only_fault(tmp_path).found == "no pair of the split train"


def test_a_folder_that_is_not_there_is_at_fault(tmp_path: Path) -> None:
    assert only_fault(tmp_path).path == tmp_path / "visible/train"


def test_all_faults_are_listed_at_once_and_the_sound_pairs_kept(tmp_path: Path) -> None:
    objects = {
        "010001": ONE,
        "010002": (("person", 9, 9, 9, 20),),
        "010003": (("person", 20, 9, 9, 20), ("person", 1, 1, 65, 20)),
    }
    root = llvip(tmp_path, objects)
    (root / "Annotations/010001.xml").rename(root / "Annotations/010009.xml")
    llvip(root, ["010004"])
    reading = inspect_llvip(root, "train")
    assert [fault.path.stem for fault in reading.faults] == ["010001", "010002", "010003", "010003"]
    assert [pair.name for pair in reading.pairs.pairs] == ["010004"]


def test_repair_cuts_and_leaves_out_and_says_so(tmp_path: Path) -> None:
    boxes = (("person", 60, 1, 70, 20), ("person", 9, 9, 9, 20), *ONE, *ONE)
    read = read_llvip(llvip(tmp_path, {"010001": boxes}), "train", repair=True)
    assert [person.visible for person in read.pairs[0].people] == [(60, 1, 64, 20), (4, 5, 20, 40)]
    assert "1 cut at the border, 1 duplicate, left out, 1 empty, left out" in read.summary()


def test_repair_does_not_guess_at_an_inverted_box(tmp_path: Path) -> None:
    root = llvip(tmp_path, {"010001": (("person", 20, 9, 9, 20),)})
    with pytest.raises(DataFault, match="inverted"):
        read_llvip(root, "train", repair=True)
