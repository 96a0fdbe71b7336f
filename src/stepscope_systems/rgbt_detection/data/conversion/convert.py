"""Writes a list of pairs in another layout, and says what that layout cannot hold."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stepscope_systems.rgbt_detection.data import sidecar
from stepscope_systems.rgbt_detection.data.conversion import (
    coco_lists,
    kaist_tree,
    voc_tree,
    yolo_tree,
)
from stepscope_systems.rgbt_detection.data.conversion.plan import Plan
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes, PairList

Form = Literal["voc", "coco", "yolo", "kaist"]
Images = Literal["copy", "link", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What was written."""

    annotations: int  # files
    images: int
    losses: tuple[str, ...]  # what the layout cannot hold, in words


def convert(
    pairs: PairList,
    target: Path,
    form: Form,
    *,
    eval_boxes: EvalBoxes = "visible",
    images: Images = "copy",
) -> Conversion:
    """Write the pairs below a folder; files that are there stay, so that splits can be added.

    Args:
        pairs: what to write.
        target: the folder; made where there is none.
        form: the layout of LLVIP, COCO lists, of YOLO, or of KAIST.
        eval_boxes: which boxes a layout with one annotation for both modalities gets.
        images: copy them, link to them, or write annotations alone.

    Raises:
        DataFault: a file is there already with other content, or the layout has no place for a
            name or label.
    """
    plan = _plan(pairs, form, eval_boxes)
    if len(plan.images) != 2 * len(pairs.pairs):
        raise _same_names(pairs)
    images_to_write = {} if images == "none" else plan.images
    texts = {relative: target / relative for relative in plan.texts}
    for relative, place in texts.items():
        if place.exists() and place.read_text(encoding="utf-8") != plan.texts[relative]:
            raise _occupied(place)
    for relative in images_to_write:
        if (target / relative).exists():
            raise _occupied(target / relative)
    notes = {**sidecar.read(target), **plan.notes}
    for relative, place in texts.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(plan.texts[relative], encoding="utf-8")
    if notes:
        sidecar.write(target, notes)
    for relative, source in images_to_write.items():
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        if images == "copy":
            shutil.copyfile(source, place)
        else:
            place.symlink_to(source.resolve())
    return Conversion(annotations=len(texts), images=len(images_to_write), losses=plan.losses)


def _plan(pairs: PairList, form: Form, eval_boxes: EvalBoxes) -> Plan:
    match form:
        case "voc":
            return voc_tree.plan(pairs, eval_boxes)
        case "coco":
            return coco_lists.plan(pairs)
        case "yolo":
            return yolo_tree.plan(pairs)
        case "kaist":
            return kaist_tree.plan(pairs)


def _same_names(pairs: PairList) -> DataFault:
    return DataFault(
        pairs.dataset,
        found="two pairs whose names give one file",
        expected="names that differ in more than / and _",
        advice="rename one of them",
    )


def _occupied(path: Path) -> DataFault:
    return DataFault(
        path,
        found="it is there already",
        expected="a place for a file of the conversion",
        advice="give a folder of its own to each list",
    )
