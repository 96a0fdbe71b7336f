"""Writes made-up scenes as LLVIP and KAIST are laid out, so that the real readers read them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from stepscope_systems.rgbt_detection.data import sidecar
from stepscope_systems.rgbt_detection.data.pairs import Person
from stepscope_systems.rgbt_detection.data.synthetic.domains import Domain
from stepscope_systems.rgbt_detection.data.synthetic.scenes import Frame, Scene, draw, some_scene

Layout = Literal["llvip", "kaist"]
_FIRST_TEST = 71  # number of the first test scene in file names
_APART = 1000  # between the numbers of training and test scenes: nobody is in both
# Two digits in LLVIP, those of the training scenes first; three in each set of KAIST.
_SCENES = {
    "llvip": {"train": _FIRST_TEST - 1, "test": 100 - _FIRST_TEST},
    "kaist": {"train": _APART, "test": _APART},
}


def synthesise(
    folder: Path,
    domain: Domain,
    *,
    layout: Layout,
    train: int,
    test: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a data set of so many training and test pairs, and return its folder.

    Images are JPEG of quality 95, as in the real sets. The sidecar holds what neither layout has
    room for: conditions and identities. The same arguments write the same bytes.

    Raises:
        ValueError: the layout's names have no room for so many scenes.
    """
    for split, pairs in (("train", train), ("test", test)):
        most = domain.frames * _SCENES[layout][split]
        if pairs > most:
            raise ValueError(
                f"{pairs:,} {split} pairs of {domain.frames} frames a scene; the names of {layout} "
                f"have room for {most:,}"
            )
    scenes = [
        *_scenes(domain, "train", train, seed),
        *_scenes(domain, "test", test, seed + 1_000_003),
    ]
    total, done = train + test, 0
    notes: dict[str, sidecar.Note] = {}
    for split, scene, frames in scenes:
        for frame in range(frames):
            drawn = draw(scene, frame)
            write = _llvip if layout == "llvip" else _kaist
            name = write(folder, split, scene, frame, drawn)
            notes[name] = sidecar.Note(
                condition=scene.condition,
                identities=tuple(person.identity for person in drawn.people),
            )
            done += 1
            if progress is not None:
                progress(done, total)
    sidecar.write(folder, notes)
    return folder


def _scenes(domain: Domain, split: str, pairs: int, seed: int) -> list[tuple[str, Scene, int]]:
    """Divide pairs over scenes whose conditions have the domain's shares."""
    count = max(1, -(-pairs // domain.frames))
    first = 0 if split == "train" else _APART
    names, shares = zip(*domain.conditions, strict=True)
    borders = np.cumsum(shares) * count
    scenes = []
    for number in range(count):
        condition = names[int(np.searchsorted(borders, number + 0.5))]
        frames = min(domain.frames, pairs - number * domain.frames)
        scenes.append((split, some_scene(domain, first + number, condition, seed), frames))
    return scenes


def _llvip(folder: Path, split: str, scene: Scene, frame: int, drawn: Frame) -> str:
    """Write one pair as LLVIP does: `visible/train/010001.jpg`, `Annotations/010001.xml`."""
    number = scene.number % _APART + (_FIRST_TEST if split == "test" else 1)
    name = f"{number:02d}{frame:04d}"
    for modality, image in (("visible", drawn.visible), ("infrared", drawn.infrared)):
        _save(folder / modality / split / f"{name}.jpg", image)
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = f"{name}.jpg"
    size = ET.SubElement(root, "size")
    height, width, depth = drawn.visible.shape
    for key, value in (("width", width), ("height", height), ("depth", depth)):
        ET.SubElement(size, key).text = str(value)
    for person in drawn.people:
        assert person.visible is not None, "every made-up person has both boxes"
        each = ET.SubElement(root, "object")
        ET.SubElement(each, "name").text = "person"
        box = ET.SubElement(each, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), person.visible, strict=True):
            ET.SubElement(box, key).text = str(int(value))
    path = folder / "Annotations" / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path)
    return name


def _kaist(folder: Path, split: str, scene: Scene, frame: int, drawn: Frame) -> str:
    """Write one pair as the paired KAIST does: images, and a text of boxes a modality."""
    is_dark = scene.condition == "night"
    first = (9 if is_dark else 6) if split == "test" else (3 if is_dark else 0)
    name = f"set{first:02d}/V{scene.number % _APART:03d}/I{frame:05d}"
    place, image_name = name.rsplit("/", 1)
    for modality, image in (("visible", drawn.visible), ("lwir", drawn.infrared)):
        _save(folder / "images" / place / modality / f"{image_name}.jpg", image)
    for modality, boxes in (
        ("visible", [person.visible for person in drawn.people]),
        ("lwir", [person.infrared for person in drawn.people]),
    ):
        lines = ["% bbGt version=3"]
        for person, box in zip(drawn.people, boxes, strict=True):
            assert box is not None, "every made-up person has both boxes"
            x1, y1, x2, y2 = (int(each) for each in box)
            lines.append(_bounding_box(person, x1, y1, x2 - x1, y2 - y1))
        path = folder / "annotations_paired" / place / modality / f"{image_name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return name


def _bounding_box(person: Person, x: int, y: int, width: int, height: int) -> str:
    """Return a line of Piotr Dollar's bbGt version 3: label, box, occlusion, visible box, flags."""
    return f"{person.label} {x} {y} {width} {height} {person.occlusion} 0 0 0 0 0 0"


def _save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95)
