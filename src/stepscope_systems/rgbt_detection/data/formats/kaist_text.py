"""The text annotations of KAIST: `% bbGt version=3`, then twelve words an object.

label x y w h occlusion, the visible part x y w h, ignore, angle.
Source: Dollar's Matlab toolbox, bbGt. Its x and y are kept as they stand, without the 1 that Matlab
counts from, as the public evaluation of KAIST does.
"""

from pathlib import Path

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.numbers import extent, far_edge, written
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation

FIRST_LINE = "% bbGt version=3"
WORDS = 12
NOWHERE = "0 0 0 0"  # the box of an object that this modality does not show


def read(path: Path) -> Annotation:
    """Return the objects of a text file.

    Raises:
        DataFault: there is no such file, it is of another version, or a line is not an object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataFault(
            path,
            found="no such file",
            expected="an annotation for each frame of the list",
            advice="restore it; a frame without people needs its first line alone",
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise _not_bbgt(path, f"cannot be read as text ({error})") from None
    first = lines[0].strip() if lines else ""
    if first != FIRST_LINE:
        raise _not_bbgt(path, f"the first line is {first[:40]!r}")
    numbered = enumerate(lines[1:], start=2)
    return Annotation(
        objects=tuple(_object(path, number, line) for number, line in numbered if line.strip())
    )


def text(annotation: Annotation) -> str:
    """Return the lines of the objects of one modality; one without a box gets the box 0 0 0 0."""
    lines = [FIRST_LINE]
    for stated in annotation.objects:
        box = NOWHERE
        if stated.box is not None:
            x1, y1, x2, y2 = stated.box
            box = " ".join(written(number) for number in (x1, y1, extent(x1, x2), extent(y1, y2)))
        lines.append(f"{stated.label} {box} {stated.occlusion} 0 0 0 0 {int(stated.ignore)} 0")
    return "\n".join([*lines, ""])


def _object(path: Path, number: int, line: str) -> Annotated:
    words = line.split()
    if len(words) != WORDS:
        raise _not_bbgt(path, f"line {number} has {len(words)} words")
    try:
        x, y, w, h = (float(word) for word in words[1:5])
        occlusion, ignore = int(words[5]), int(words[10])
    except ValueError:
        raise _not_bbgt(path, f"line {number} is {line.strip()[:60]!r}") from None
    return Annotated(
        box=None if x == y == w == h == 0 else (x, y, far_edge(x, w), far_edge(y, h)),
        label=words[0],
        occlusion=occlusion,
        ignore=ignore != 0,
    )


def _not_bbgt(path: Path, found: str) -> DataFault:
    return DataFault(
        path,
        found=found,
        expected=f"{FIRST_LINE!r}, then label x y w h and seven more numbers a line",
        advice="check which version of the annotations this folder holds",
    )
