"""YOLO label files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats import yolo
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation
from tests.stepscope_systems.rgbt_detection.data.drawn import LABELS, annotations


def read(text: str, folder: Path, size: tuple[int, int] = (64, 48)) -> Annotation:
    path = folder / "x.txt"
    path.write_text(text)
    return yolo.read(path, size, LABELS)


@settings(deadline=None, max_examples=50)
@given(annotation=annotations())
def test_boxes_and_classes_read_back(
    annotation: Annotation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    back = read(yolo.text(annotation, LABELS), tmp_path_factory.getbasetemp())
    kept = [Annotated(box=each.box, label=each.label) for each in annotation.objects]
    assert list(back.objects) == kept


def test_centre_and_size_are_shares_of_the_image() -> None:
    stated = Annotated(box=(16, 12, 48, 36), label="people")
    line = yolo.text(Annotation(objects=(stated,), size=(64, 48)), LABELS)
    assert [float(word) for word in line.split()] == [1, 0.5, 0.5, 0.5, 0.5]


@settings(deadline=None, max_examples=50)
@given(
    size=st.tuples(st.integers(16, 2000), st.integers(16, 2000)),
    shares=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_whole_pixels_come_back_from_the_six_decimals_of_usual_tools(
    size: tuple[int, int], shares: tuple[float, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    (width, height), (a, b, c, d) = size, shares
    x1, y1 = int(a * (width - 1)), int(b * (height - 1))
    x2, y2 = x1 + 1 + int(c * (width - x1 - 1)), y1 + 1 + int(d * (height - y1 - 1))
    centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
    numbers = (*centre, (x2 - x1) / width, (y2 - y1) / height)
    line = "0 " + " ".join(f"{number:.6f}" for number in numbers)
    (stated,) = read(line, tmp_path_factory.getbasetemp(), size).objects
    assert stated.box == (x1, y1, x2, y2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0 .5 .5 .5", "line 1 has 4 words"),
        ("0 .1 .1 .2 .1 .2 .2 .1 .2", "line 1 has 9 words"),  # an outline
        ("person .5 .5 .5 .5", "line 1 is 'person"),
        ("4 .5 .5 .5 .5", "line 1 is of class 4"),
        ("-1 .5 .5 .5 .5", "line 1 is of class -1"),
    ],
)
def test_what_is_no_box_of_a_known_class_is_told(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(DataFault) as raised:
        read(text, tmp_path)
    assert raised.value.found.startswith(found)


def test_the_last_class_is_known(tmp_path: Path) -> None:
    assert read("3 .5 .5 .5 .5", tmp_path).objects[0].label == LABELS[3]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="no such file"):
        yolo.read(tmp_path / "x.txt", (64, 48), LABELS)
