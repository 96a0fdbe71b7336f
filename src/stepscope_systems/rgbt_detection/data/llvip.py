"""LLVIP: surveillance by night, one person class, one VOC file for both modalities.

    root/visible/{train,test}/010001.jpg
    root/infrared/{train,test}/010001.jpg
    root/Annotations/010001.xml

Source: Jia et al., "LLVIP: A Visible-infrared Paired Dataset for Low-light Vision" (ICCVW 2021).
"""

from functools import partial
from pathlib import Path
from typing import Literal

from stepscope_systems.rgbt_detection.data import sidecar
from stepscope_systems.rgbt_detection.data.assembly import Draft, Origin, Sides, assemble
from stepscope_systems.rgbt_detection.data.counts import completeness
from stepscope_systems.rgbt_detection.data.faults import DataFault, Reading
from stepscope_systems.rgbt_detection.data.folders import count_fault, images
from stepscope_systems.rgbt_detection.data.formats import voc
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.people import Rules, Side
from stepscope_systems.rgbt_detection.data.scenes import scene_and_frame

Annotations = Literal["2021", "2023-02-21", "undeclared"]
Split = Literal["train", "test", "validation"]  # the last where a converter wrote it

PUBLISHED: dict[Split, dict[int, str]] = {
    "train": {12_025: "as published"},
    "test": {3_463: "as published"},
}


def read_llvip(
    root: Path,
    split: Split,
    *,
    annotations: Annotations = "undeclared",
    subset: bool = False,
    repair: bool = False,
) -> PairList:
    """Return the pairs of one split, by name.

    Both versions of the annotations have the same files and the same form: nothing in them tells
    which one it is, so that the caller declares it and the summary says that it was declared.
    There is no validation split: see `splits.by_scene`.

    Args:
        root: the folder that holds visible, infrared and Annotations.
        split: which folder of images.
        annotations: the first ones, or those corrected on 2023-02-21.
        subset: part of the data set is meant to be used; otherwise the summary says that other
            than the published 12,025 and 3,463 pairs were found.
        repair: cut boxes at the border and leave out empty ones and duplicates, counted in the
            summary, instead of refusing them.

    Raises:
        DataFault: the first thing that cannot be used as it is, and how many more there are.
    """
    return inspect_llvip(root, split, annotations=annotations, subset=subset, repair=repair).sound()


def inspect_llvip(
    root: Path,
    split: Split,
    *,
    annotations: Annotations = "undeclared",
    subset: bool = False,
    repair: bool = False,
) -> Reading:
    """Return the sound pairs, and every fault instead of the first."""
    origin = Origin(dataset="LLVIP", variant="", split=split)
    try:
        visible, doubled_visible = images(root / "visible" / split)
        infrared, doubled_infrared = images(root / "infrared" / split)
        notes = sidecar.read(root)
    except DataFault as fault:
        return assemble(origin, [], Rules(), faults=[fault])
    faults = count_fault(visible, infrared, root / "infrared" / split)
    faults += doubled_visible + doubled_infrared
    drafts = []
    for name in sorted(visible.keys() | infrared.keys()):
        if (place := scene_and_frame(name)) is None:
            faults.append(_without_scene(visible.get(name) or infrared[name]))
            continue
        drafts.append(
            Draft(
                name=name,
                scene=place[0],
                frame=place[1],
                condition="unknown",  # 24 scenes are dark and 2 are not; which, is not published
                visible=visible.get(name, root / "visible" / split / f"{name}.jpg"),
                infrared=infrared.get(name, root / "infrared" / split / f"{name}.jpg"),
                read=partial(_read, root, name, notes.get(name)),
            )
        )
    words = completeness(len(drafts), PUBLISHED.get(split, {}), subset=subset)
    declared = {
        "2021": "annotations of 2021, as declared",
        "2023-02-21": "annotations of 2023-02-21, as declared",
        "undeclared": "annotations of an undeclared version",
    }
    origin = Origin(dataset="LLVIP", variant=f"{declared[annotations]}; {words}", split=split)
    return assemble(origin, drafts, Rules(repair=repair), faults=faults)


def _read(root: Path, name: str, note: sidecar.Note | None) -> Sides:
    path = root / "Annotations" / f"{name}.xml"
    annotation = voc.read(path)
    side = Side(path=path, objects=annotation.objects)
    return sidecar.noted(Sides(visible=side, size=annotation.size), note, root, name)


def _without_scene(path: Path) -> DataFault:
    return DataFault(
        path,
        found=f"the name {path.stem}",
        expected="a scene and a frame, as 010001 or scene_00001",
        advice="rename it, so that no split cuts through a scene",
    )
