"""YOLO: one text file an image; a line is class, centre, width and height, as shares of it."""

from collections.abc import Sequence
from pathlib import Path

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation

WORDS = 5
# Usual tools write six decimals: 0.001 pixels of 1280. Hundredths give whole pixels back.
DECIMALS_OF_A_PIXEL = 2


def read(path: Path, size: tuple[int, int], classes: Sequence[str]) -> Annotation:
    """Return the objects of a text file, for an image of this width and height.

    Raises:
        DataFault: there is no such file, or a line is not an object of these classes.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataFault(
            path,
            found="no such file",
            expected="a label file for each image",
            advice="restore it; an image without people needs an empty file",
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise _not_yolo(path, f"cannot be read as text ({error})") from None
    numbered = enumerate(lines, start=1)
    stated = tuple(
        _object(path, number, line, size, classes) for number, line in numbered if line.strip()
    )
    return Annotation(objects=stated, size=size)


def text(annotation: Annotation, classes: Sequence[str]) -> str:
    """Return the lines of the objects, which all have a box and one of these classes."""
    assert annotation.size is not None, "shares need the size of the image"
    width, height = annotation.size
    lines = []
    for stated in annotation.objects:
        assert stated.box is not None, "the converter leaves objects without a box out"
        x1, y1, x2, y2 = stated.box
        centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
        extent = ((x2 - x1) / width, (y2 - y1) / height)
        numbers = " ".join(f"{share:.9f}" for share in (*centre, *extent))
        lines.append(f"{classes.index(stated.label)} {numbers}\n")
    return "".join(lines)


def _object(
    path: Path, number: int, line: str, size: tuple[int, int], classes: Sequence[str]
) -> Annotated:
    words = line.split()
    if len(words) != WORDS:
        raise _not_yolo(path, f"line {number} has {len(words)} words")
    try:
        kind = int(words[0])
        x, y, w, h = (float(word) for word in words[1:])
    except ValueError:
        raise _not_yolo(path, f"line {number} is {line.strip()[:60]!r}") from None
    if not 0 <= kind < len(classes):
        raise DataFault(
            path,
            found=f"line {number} is of class {kind}",
            expected=", ".join(f"{index} ({name})" for index, name in enumerate(classes)),
            advice="name all classes of the label files in their order",
        )
    width, height = size
    edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    x1, y1, x2, y2 = (round(edge, DECIMALS_OF_A_PIXEL) for edge in edges)
    return Annotated(box=(x1, y1, x2, y2), label=classes[kind])


def _not_yolo(path: Path, found: str) -> DataFault:
    return DataFault(
        path,
        found=found,
        expected="class and the shares x y w h on each line",
        advice="check that the file is in YOLO format and for boxes, not for outlines",
    )
