"""Pascal VOC: one XML file an image, as LLVIP has them; also the dialect of KAIST.

Boxes are edges in pixels, x1 y1 x2 y2, taken as they stand: the tools of LLVIP and KAIST do not
count the last pixel in addition, as the original VOC of 2007 did.
"""

from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.numbers import far_edge, written
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation
from stepscope_systems.rgbt_detection.data.pairs import Box

ADVICE = "check that this is an annotation in VOC format, whole"


def read(path: Path) -> Annotation:
    """Return the objects of an XML file; `difficult` ones are to be ignored.

    Raises:
        DataFault: there is no such file, or it is not an annotation in VOC format.
    """
    root = _root(path)
    size = root.find("size")
    return Annotation(
        objects=tuple(_object(path, element) for element in root.iter("object")),
        size=None if size is None else (_whole(path, size, "width"), _whole(path, size, "height")),
    )


def text(file_name: str, annotation: Annotation) -> str:
    """Return the XML of the objects, which all have a box; the name is that of the image.

    Occlusion and identity stand in elements of their own where they say something.
    """
    lines = ["<annotation>", f"  <filename>{escape(file_name)}</filename>"]
    if annotation.size is not None:
        width, height = annotation.size
        lines.append(f"  <size><width>{width}</width><height>{height}</height></size>")
    for stated in annotation.objects:
        lines += ["  <object>", f"    <name>{escape(stated.label)}</name>"]
        lines.append(f"    <difficult>{int(stated.ignore)}</difficult>")
        if stated.occlusion:
            lines.append(f"    <occlusion>{stated.occlusion}</occlusion>")
        if stated.identity >= 0:
            lines.append(f"    <identity>{stated.identity}</identity>")
        assert stated.box is not None, "one XML file serves both modalities"
        edges = zip(("xmin", "ymin", "xmax", "ymax"), stated.box, strict=True)
        inner = "".join(f"<{name}>{written(edge)}</{name}>" for name, edge in edges)
        lines += [f"    <bndbox>{inner}</bndbox>", "  </object>"]
    return "\n".join([*lines, "</annotation>", ""])


def _root(path: Path) -> ET.Element:
    try:
        # Decoded here, so that no declared encoding hides what the next lines look for.
        content = path.read_bytes().decode("utf-8-sig")
        if "<!DOCTYPE" in content or "<!ENTITY" in content or "\0" in content:
            raise DataFault(
                path,
                found="a document type or an entity, which can grow without bound when read",
                expected="plain elements, as annotation tools write them",
                advice="do not use this file before you know where it comes from",
            )
        root = ET.fromstring(content)  # noqa: S314 - no entities are left that could expand
    except FileNotFoundError:
        raise DataFault(
            path,
            found="no such file",
            expected="one annotation for each pair",
            advice="restore it; a pair without people needs a file without objects",
        ) from None
    except (ET.ParseError, UnicodeDecodeError, OSError) as error:
        raise _not_voc(path, f"cannot be read as XML ({error})") from None
    if root.tag != "annotation":
        raise _not_voc(path, f"the outermost element is <{root.tag}>")
    return root


def _object(path: Path, element: ET.Element) -> Annotated:
    box = element.find("bndbox")
    label = element.findtext("name", "").strip()
    if box is None or not label:
        raise _not_voc(path, f"an object without {'a name' if box is not None else 'a box'}")
    return Annotated(
        box=_box(path, box),
        label=label,
        occlusion=_optional(path, element, "occlusion", 0),
        ignore=_optional(path, element, "difficult", 0) != 0,
        identity=_optional(path, element, "identity", -1),
    )


def _box(path: Path, box: ET.Element) -> Box:
    if box.find("xmin") is not None:
        x1, y1, x2, y2 = (_number(path, box, name) for name in ("xmin", "ymin", "xmax", "ymax"))
        return (x1, y1, x2, y2)
    x, y, w, h = (_number(path, box, name) for name in "xywh")  # KAIST
    return (x, y, far_edge(x, w), far_edge(y, h))


def _number(path: Path, element: ET.Element, name: str) -> float:
    word = element.findtext(name)
    if word is None:
        raise _not_voc(path, f"<{element.tag}> without <{name}>")
    try:
        return float(word)
    except ValueError:
        raise _not_voc(path, f"<{name}> holds {word!r}, not a number") from None


def _whole(path: Path, element: ET.Element, name: str) -> int:
    number = _number(path, element, name)
    if not number.is_integer():
        raise _not_voc(path, f"<{name}> holds {number}, not a whole number")
    return int(number)


def _optional(path: Path, element: ET.Element, name: str, otherwise: int) -> int:
    return otherwise if element.find(name) is None else _whole(path, element, name)


def _not_voc(path: Path, found: str) -> DataFault:
    return DataFault(path, found=found, expected="an annotation in VOC format", advice=ADVICE)
