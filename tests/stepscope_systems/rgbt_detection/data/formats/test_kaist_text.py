"""The text of KAIST."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats import kaist_text
from stepscope_systems.rgbt_detection.data.formats.numbers import far_edge
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation
from tests.stepscope_systems.rgbt_detection.data.drawn import annotations


def read(text: str, folder: Path) -> Annotation:
    path = folder / "I00001.txt"
    path.write_text(text)
    return kaist_text.read(path)


def test_a_line_published_with_the_paired_annotations_is_read(tmp_path: Path) -> None:
    (stated,) = read("% bbGt version=3\nperson 600 217 28 75 1 0 0 0 0 0 0\n", tmp_path).objects
    assert stated == Annotated(box=(600, 217, 628, 292), label="person", occlusion=1)


@settings(deadline=None, max_examples=50)
@given(annotation=annotations())
def test_what_is_written_reads_back_but_for_size_and_identity(
    annotation: Annotation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    back = read(kaist_text.text(annotation), tmp_path_factory.getbasetemp()).objects
    kept = [(each.box, each.label, each.occlusion, each.ignore) for each in annotation.objects]
    assert [(each.box, each.label, each.occlusion, each.ignore) for each in back] == kept


@settings(deadline=None, max_examples=50)
@given(annotation=annotations())
def test_a_naive_reader_of_columns_finds_the_same(annotation: Annotation) -> None:
    first, *lines = kaist_text.text(annotation).splitlines()
    assert first == "% bbGt version=3"
    rows = [line.split(" ") for line in lines]
    assert {len(row) for row in rows} <= {12}
    edges = [
        (float(x), float(y), float(x) + float(w), float(y) + float(h)) for _, x, y, w, h, *_ in rows
    ]
    assert edges == [stated.box for stated in annotation.objects]
    assert [int(row[5]) for row in rows] == [stated.occlusion for stated in annotation.objects]
    assert [row[10] == "1" for row in rows] == [stated.ignore for stated in annotation.objects]


def test_an_object_that_a_modality_does_not_show_is_written_with_the_box_0_0_0_0(
    tmp_path: Path,
) -> None:
    unseen = Annotated(box=None, label="person")
    text = kaist_text.text(Annotation(objects=(unseen,)))
    assert "person 0 0 0 0 0 " in text
    assert read(text, tmp_path).objects == (unseen,)


@settings(deadline=None, max_examples=50)
@given(near=st.floats(0, 639), far=st.floats(0, 640))
@example(near=159.72355220273636, far=640.0)  # cut at six decimals alone, it would end beyond
def test_a_box_that_ends_at_the_border_does_not_reach_beyond_it(near: float, far: float) -> None:
    stated = Annotated(box=(near, 0.0, max(near + 1, far), 512.0), label="person")
    words = kaist_text.text(Annotation(objects=(stated,))).split()
    assert stated.box is not None
    end = far_edge(float(words[4]), float(words[6]))
    assert end == pytest.approx(stated.box[2], abs=2e-6)
    if stated.box[2] == 640:
        assert end <= 640


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the first line is ''"),
        ("person 1 2 3 4 0 0 0 0 0 0 0", "the first line is 'person"),
        ("% bbGt version=2\n", "the first line is '% bbGt version=2'"),
        ("% bbGt version=3\nperson 1 2 3 4 0 0 0 0 0 0", "line 2 has 11 words"),
        ("% bbGt version=3\n\nperson 1 2 3 4 0 0 0 0 0 0 0 0", "line 3 has 13 words"),
        ("% bbGt version=3\nperson 1 2 3 four 0 0 0 0 0 0 0", "line 2 is 'person 1 2 3 four"),
        ("% bbGt version=3\nperson 1 2 3 4 0.5 0 0 0 0 0 0", "line 2 is 'person"),
    ],
)
def test_another_version_is_told(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(DataFault) as raised:
        read(text, tmp_path)
    assert raised.value.found.startswith(found)
    assert "% bbGt version=3" in raised.value.expected


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataFault, match="cannot be read as text"):
        kaist_text.read(tmp_path / "x.txt")
