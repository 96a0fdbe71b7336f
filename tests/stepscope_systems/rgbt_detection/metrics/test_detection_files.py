"""What is written is read again, and a wrong line is named."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from stepscope_systems.rgbt_detection.metrics.detection_files import (
    read_detections,
    write_detections,
)
from stepscope_systems.rgbt_detection.metrics.miss_rate import miss_rate
from stepscope_systems.rgbt_detection.metrics.results import Result
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import DATA_SETS, result

PERSON = (100.0, 100.0, 140.0, 200.0)
PAIRS = [result([PERSON], []), result([PERSON], [(PERSON, 0.25)])]


@settings(deadline=None, max_examples=30)
@given(DATA_SETS)
def test_detections_survive_the_file(
    results: list[Result],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "detections.txt")
        write_detections(path, results)
        again = read_detections(path, results)
    for before, after in zip(results, again, strict=True):
        np.testing.assert_array_equal(before.detected, after.detected)
        np.testing.assert_array_equal(before.scores, after.scores)
        np.testing.assert_array_equal(before.boxes, after.boxes)


def test_the_first_image_is_number_one_and_boxes_are_corner_and_size(tmp_path: Path) -> None:
    path = tmp_path / "detections.txt"
    write_detections(path, PAIRS)
    assert path.read_text() == "2,100.0,100.0,40.0,100.0,0.25\n"


def test_a_file_of_the_reference_is_read_whatever_its_spaces_and_blank_lines(
    tmp_path: Path,
) -> None:
    path = tmp_path / "detections.txt"
    path.write_text("1, 100, 100, 40, 100, 0.9000\n\n2,100,100,40,100,1e-3\n")
    assert miss_rate(read_detections(path, PAIRS)).log_average == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1,2,3,4,5", r":2 is '1,2,3,4,5'; expected six finite numbers: image_id,x,y,w,h,score"),
        ("1,2,3,4,5,nan", "expected six finite numbers"),
        ("1,2,3,4,5,high", "expected six finite numbers"),
        ("0,2,3,4,5,1", ":2 names image 0; expected 1 to 2"),
        ("3,2,3,4,5,1", ":2 names image 3; expected 1 to 2"),
        ("1.5,2,3,4,5,1", ":2 names image 1.5; expected 1 to 2"),
        ("1,2,3,-1,5,1", "-1 wide and 5 high; expected x,y,w,h, not corners"),
        ("1,2,3,4,-5,1", "4 wide and -5 high"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str, found: str) -> None:
    path = tmp_path / "detections.txt"
    path.write_text(f"1,2,3,4,5,1\n{line}\n")
    with pytest.raises(ValueError, match=found):
        read_detections(path, PAIRS)
