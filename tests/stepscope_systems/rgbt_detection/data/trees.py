"""Small data sets on disk, in the layouts of LLVIP and KAIST."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

SIZE = (64, 48)  # width, height
VocBox = tuple[str, float, float, float, float]  # label, x1, y1, x2, y2
ONE: tuple[VocBox, ...] = (("person", 4, 5, 20, 40),)


def image(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, color=90).save(path)
    return path


def voc_xml(objects: Sequence[VocBox] = ONE, size: tuple[int, int] = SIZE) -> str:
    inner = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in objects
    )
    width, height = size
    stated = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation>{stated}{inner}</annotation>"


def llvip(
    root: Path, pairs: Mapping[str, Sequence[VocBox]] | Sequence[str], split: str = "train"
) -> Path:
    objects = pairs if isinstance(pairs, Mapping) else dict.fromkeys(pairs, ONE)
    for name, stated in objects.items():
        for modality in ("visible", "infrared"):
            image(root / modality / split / f"{name}.jpg")
        path = root / "Annotations" / f"{name}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(voc_xml(stated))
    return root


def bbgt(*lines: str) -> str:
    return "\n".join(["% bbGt version=3", *lines, ""])


def kaist_images(root: Path, *frames: str) -> Path:
    for frame in frames:
        scene, number = frame.rsplit("/", 1)
        for modality in ("visible", "lwir"):
            image(root / "images" / scene / modality / f"{number}.jpg")
    return root


def kaist(root: Path, folder: str, annotations: Mapping[str, str]) -> Path:
    """Write images and one text a frame, with names as they stand in the mapping."""
    kaist_images(root, *(name.replace("_", "/") for name in annotations))
    for name, text in annotations.items():
        path = root / folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def paired(root: Path, frame: str, visible: str, infrared: str) -> Path:
    kaist_images(root, frame)
    scene, number = frame.rsplit("/", 1)
    for modality, text in (("visible", visible), ("lwir", infrared)):
        path = root / "annotations_paired" / scene / modality / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
