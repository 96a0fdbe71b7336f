"""Where the variants of KAIST keep their files, and what set numbers say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.folders import SUFFIXES
from stepscope_systems.rgbt_detection.data.pairs import Modality

Variant = Literal["raw", "improved-test", "sanitized-train", "paired"]
Split = Literal["train", "test"]

FOLDERS: dict[Modality, str] = {"visible": "visible", "infrared": "lwir"}
# Source: Hwang et al., "Multispectral Pedestrian Detection" (CVPR 2015), table 2: campus, road and
# downtown by day, then the same by night; first for training, then for testing.
DAY = frozenset({0, 1, 2, 6, 7, 8})
TRAIN = frozenset(range(6))
SETS = frozenset(range(12))

# In order of preference, below the root of the data set.
ANNOTATIONS: dict[Variant, tuple[str, ...]] = {
    "raw": ("annotations", "annotations-xml", "annotations-xml-new"),
    "improved-test": (
        "annotations_KAIST_test_set",
        "KAIST_annotation.json",
        "kaist_annotations_test20.json",
    ),
    "sanitized-train": ("sanitized_annotations", "annotations-xml-new-sanitized"),
    "paired": ("annotations_paired", "annotations"),
}
SPLITS: dict[Variant, tuple[Split, ...]] = {
    "raw": ("train", "test"),
    "improved-test": ("test",),
    "sanitized-train": ("train",),
    "paired": ("train", "test"),
}
PUBLISHED: dict[tuple[Variant, Split], dict[int, str]] = {
    ("raw", "train"): {50_187: "all frames", 25_086: "train-all-02"},
    ("raw", "test"): {45_141: "all frames", 2_252: "test-all-20"},
    ("improved-test", "test"): {2_252: "Liu et al."},
    ("sanitized-train", "train"): {7_601: "Li et al."},
    ("paired", "train"): {25_086: "train-all-02", 8_892: "trainval of AR-CNN"},
    ("paired", "test"): {2_252: "test-all-20"},
}
# Of KAIST_annotation.json, by which the public evaluation counts; 864 of them are ignored.
PUBLISHED_BOXES: dict[Variant, int] = {"improved-test": 4_254}
EVERY = 20  # the test list takes I00019, I00039 and so on
FRAME = re.compile(r"set(\d{2})[/_]V(\d{3})[/_](?:(?:visible|lwir)[/_])?I(\d{5})")


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """One moment: set06/V000/I00019."""

    part: int
    video: int
    number: int

    @property
    def scene(self) -> str:
        """The video, which a split must not cut through."""
        return f"set{self.part:02}/V{self.video:03}"

    @property
    def name(self) -> str:
        """The name that lists and results use."""
        return f"{self.scene}/I{self.number:05}"

    @property
    def split(self) -> Split:
        """Whether its set is for training."""
        return "train" if self.part in TRAIN else "test"

    @property
    def condition(self) -> str:
        """The light, by the number of the set."""
        return "day" if self.part in DAY else "night"


def frame(name: str, path: Path) -> Frame:
    """Return the frame that a name states; `path` is where the name stands.

    >>> frame("set06_V000_I00019", Path()).name
    'set06/V000/I00019'

    Raises:
        DataFault: it states none.
    """
    match = FRAME.fullmatch(name)
    if match is None or int(match[1]) not in SETS:
        raise DataFault(
            path,
            found=f"the name {name}",
            expected="set00 to set11, a video and a frame, as set06/V000/I00019",
            advice="take it away, or name it after its frame",
        )
    return Frame(int(match[1]), int(match[2]), int(match[3]))


def place(root: Path, variant: Variant, named: Path | None) -> Path:
    """Return the folder or file of the annotations of a variant, the named one if there is one.

    Raises:
        DataFault: there is none where it was named, or where they usually are.
    """
    if named is not None:
        if named.exists():
            return named
        raise DataFault(
            named,
            found="no such folder or file",
            expected=f"the annotations of the variant {variant}",
            advice="correct the path",
        )
    for name in ANNOTATIONS[variant]:
        if (root / name).exists():
            return root / name
    raise DataFault(
        root,
        found=f"no annotations of the variant {variant}",
        expected=f"one of {', '.join(ANNOTATIONS[variant])} in this folder",
        advice="give the folder that name, or choose the variant that is there",
    )


def annotation_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each annotation, as "set06/V000/I00019", and its file, in order."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".txt", ".xml"} and not path.name.startswith("."):
            yield path.relative_to(folder).with_suffix("").as_posix(), path


@dataclass(frozen=True, slots=True)
class ImageFolders:
    """Finds image files; each folder is listed once, since asking for 50,000 files is slow."""

    root: Path  # images/set00/... or set00/... below it
    listed: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def image(self, frame: Frame, modality: Modality) -> Path:
        """Return the image of a frame; the usual name when there is none."""
        images = self.root / "images"
        above = images if images.is_dir() else self.root
        folder = above / frame.scene / FOLDERS[modality]
        if folder not in self.listed:
            files = folder.iterdir() if folder.is_dir() else ()
            self.listed[folder] = {
                path.stem: path for path in files if path.suffix.lower() in SUFFIXES
            }
        stem = f"I{frame.number:05}"
        return self.listed[folder].get(stem, folder / f"{stem}.jpg")
