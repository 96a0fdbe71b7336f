"""COCO lists: one JSON file for many images; ids may be numbers or words.

LLVIP's own converter writes image ids as words, KAIST_annotation.json names its images `im_name`.
"""

from pathlib import Path

import msgspec

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.numbers import far_edge
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.pairs import Box


class CocoImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of `images`."""

    id: int | str
    width: int
    height: int
    file_name: str = ""
    im_name: str = ""
    scene: str = ""
    frame: int = -1
    condition: str = "unknown"

    @property
    def name(self) -> str:
        """The file's name, as the list has it."""
        return self.file_name or self.im_name


class CocoObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of `annotations`; boxes are x y w h in pixels."""

    id: int | str
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float = -1.0  # evaluators take it for the size of the object
    iscrowd: int = -1
    ignore: int = 0
    occlusion: int = 0
    identity: int = -1
    pair_id: int = -1  # the same object in the list of the other modality

    @property
    def box(self) -> Box:
        """The edges x1 y1 x2 y2."""
        x, y, w, h = self.bbox
        return (x, y, far_edge(x, w), far_edge(y, h))


class CocoCategory(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `categories`."""

    id: int
    name: str


class CocoList(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file."""

    images: list[CocoImage]
    annotations: list[CocoObject]
    categories: list[CocoCategory]


def read(path: Path) -> CocoList:
    """Return the list that a JSON file holds.

    Raises:
        DataFault: there is no such file, or it is not a COCO list.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=CocoList)
    except FileNotFoundError:
        raise DataFault(
            path,
            found="no such file",
            expected="a COCO list in JSON",
            advice="give the path of the list",
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise DataFault(
            path,
            found=f"cannot be read as a COCO list ({error})",
            expected="images, annotations with bbox, and categories",
            advice="check that the file is whole and in COCO format",
        ) from None


def text(content: CocoList) -> str:
    """Return a list as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode()


def annotated(stated: CocoObject, label: str) -> Annotated:
    """Return an entry as an object of any format."""
    return Annotated(
        box=stated.box,
        label=label,
        occlusion=stated.occlusion,
        ignore=stated.iscrowd == 1 or stated.ignore != 0,
        identity=stated.identity,
    )
