"""Reading the layout of YOLO with two modalities."""

from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.yolo import inspect_yolo, read_yolo
from tests.stepscope_systems.rgbt_detection.data.trees import image

pytestmark = pytest.mark.corpus


def tree(root: Path, name: str, visible: str, infrared: str) -> Path:
    for modality, text in (("visible", visible), ("infrared", infrared)):
        image(root / "images" / modality / "train" / f"{name}.jpg")
        path = root / "labels" / modality / "train" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "classes.txt").write_text("person\ncar\n")
    return root


def test_boxes_of_both_modalities_are_matched_by_overlap(tmp_path: Path) -> None:
    root = tree(tmp_path, "010001", "0 .5 .5 .25 .5\n", "0 .5 .5 .3125 .5\n0 .125 .5 .25 .5\n")
    (pair,) = read_yolo(root, "train").pairs
    assert (pair.scene, pair.frame) == ("01", 1)
    assert [(one.visible, one.infrared) for one in pair.people] == [
        ((24, 12, 40, 36), (22, 12, 42, 36)),
        (None, (0, 12, 16, 36)),
    ]


def test_a_dot_in_a_name_is_part_of_it(tmp_path: Path) -> None:
    (pair,) = read_yolo(tree(tmp_path, "cam.2_00007", "", ""), "train").pairs
    assert (pair.name, pair.scene, pair.frame) == ("cam.2_00007", "cam.2", 7)


def test_a_class_that_is_neither_to_be_found_nor_ignored_is_at_fault(tmp_path: Path) -> None:
    root = tree(tmp_path, "010001", "1 .5 .5 .25 .5\n", "")
    with pytest.raises(DataFault, match="class 'car'"):
        read_yolo(root, "train")
    assert read_yolo(root, "train", ignored=frozenset({"car"})).pairs[0].people[0].ignore


def test_the_names_of_the_classes_are_asked_for(tmp_path: Path) -> None:
    root = tree(tmp_path, "010001", "", "")
    (root / "classes.txt").unlink()
    with pytest.raises(DataFault, match=r"classes.txt: cannot be read \(FileNotFoundError\)"):
        read_yolo(root, "train")


def test_a_missing_infrared_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = tree(tree(tmp_path, "010001", "", ""), "010002", "", "")
    missing = root / "images/infrared/train/010002.jpg"
    missing.unlink()
    count, fault = inspect_yolo(root, "train").faults
    assert count.found == "1 infrared images"
    assert (fault.path, fault.found) == (missing, "no such file")
