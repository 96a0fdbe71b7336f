"""VOC files: what is read, what is refused."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats import voc
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation
from tests.stepscope_systems.rgbt_detection.data.drawn import annotations


def read(text: str | bytes, folder: Path) -> Annotation:
    path = folder / "x.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return voc.read(path)


@settings(deadline=None, max_examples=50)
@given(annotation=annotations())
def test_what_is_written_reads_back(
    annotation: Annotation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = voc.text("x.jpg", annotation)
    assert read(text, tmp_path_factory.getbasetemp()) == annotation


@settings(deadline=None, max_examples=50)
@given(annotation=annotations())
def test_the_elements_are_those_of_voc(annotation: Annotation) -> None:
    root = ET.fromstring(voc.text("a & b.jpg", annotation))  # noqa: S314 - our own
    assert root.findtext("filename") == "a & b.jpg"
    edges = [
        tuple(
            float(each.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")
        )
        for each in root.findall("object")
    ]
    assert edges == [stated.box for stated in annotation.objects]
    names = [each.findtext("name") for each in root.findall("object")]
    assert names == [stated.label for stated in annotation.objects]


def test_whole_pixels_are_written_as_whole_numbers() -> None:
    stated = Annotated(box=(1.0, 2.0, 3.0, 4.5), label="person")
    assert "<xmax>3</xmax><ymax>4.5</ymax>" in voc.text("x", Annotation(objects=(stated,)))


def test_a_difficult_object_is_to_be_ignored(tmp_path: Path) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    flags = [f"<object><name>person</name><difficult>{n}</difficult>{box}</object>" for n in "01"]
    stated = read(f"<annotation>{''.join(flags)}</annotation>", tmp_path)
    assert [each.ignore for each in stated.objects] == [False, True]


LAUGHS = '<!DOCTYPE a [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
def test_entities_are_refused_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(DataFault, match=r"entity|cannot be read as XML"):
        read(f'<?xml version="1.0" encoding="{encoding}"?>{LAUGHS}'.encode(encoding), tmp_path)


def test_a_document_type_kept_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="a document type"):
        read('<!DOCTYPE annotation SYSTEM "http://a/b.dtd"><annotation/>', tmp_path)


def test_a_declared_encoding_does_not_hide_an_entity(tmp_path: Path) -> None:
    hidden = LAUGHS.replace("<!", "+ADwAIQ-")  # what UTF-7 reads as <!
    with pytest.raises(DataFault):
        read(f'<?xml version="1.0" encoding="utf-7"?>{hidden}'.encode(), tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<annotation><object>", "cannot be read as XML"),
        ("", "cannot be read as XML"),
        ("<html></html>", "the outermost element is <html>"),
        ("<annotation><object><name>person</name></object></annotation>", "without a box"),
        ("<annotation><object><bndbox/></object></annotation>", "without a name"),
        (
            "<annotation><object><name>person</name><bndbox/></object></annotation>",
            "<bndbox> without <x>",
        ),
        (
            "<annotation><size><width>many</width><height>1</height></size></annotation>",
            "<width> holds 'many', not a number",
        ),
        (
            "<annotation><size><width>1.5</width><height>1</height></size></annotation>",
            "<width> holds 1.5, not a whole number",
        ),
        (
            "<annotation><size><width>inf</width><height>1</height></size></annotation>",
            "<width> holds inf, not a whole number",
        ),
    ],
)
def test_what_is_not_voc_is_told(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(DataFault) as raised:
        read(text, tmp_path)
    assert found in raised.value.found
    assert raised.value.path == tmp_path / "x.xml"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="no such file"):
        voc.read(tmp_path / "x.xml")


@settings(deadline=None, max_examples=50)
@given(noise=st.binary(max_size=60))
def test_nothing_but_a_fault_comes_of_any_bytes(
    noise: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        read(b"<annotation>" + noise + b"</annotation>", tmp_path_factory.getbasetemp())
    except DataFault as fault:
        assert fault.found  # noqa: PT017 - most noise is refused, some is not
