"""COCO-style lists: one JSON file for both modalities, or one for each.

Source of the format: cocodataset.org, "Data format". FLIR-aligned and M3FD circulate in it.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from stepscope_systems.rgbt_detection.data.assembly import Draft, Origin, Sides, assemble
from stepscope_systems.rgbt_detection.data.coco_index import Index, load
from stepscope_systems.rgbt_detection.data.faults import DataFault, Reading
from stepscope_systems.rgbt_detection.data.matching import LEAST_OVERLAP, aligned, in_one_order
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.people import Rules, Side
from stepscope_systems.rgbt_detection.data.scenes import scene_and_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoSource:
    """Where the lists and the images are, and what their classes mean."""

    visible_list: Path
    visible_images: Path  # folders to which file_name is relative
    infrared_images: Path
    infrared_list: Path | None = None  # None: the visible list serves both modalities
    endings: tuple[str, str] = ("", "")  # of the stems: ("_RGB", "_PreviewData") in FLIR
    people: frozenset[str] = frozenset({"person"})
    ignored: frozenset[str] = frozenset()
    dataset: str = "COCO list"
    split: str = "train"
    repair: bool = False


def read_coco(source: CocoSource) -> PairList:
    """Return the pairs in the order of the visible list.

    Boxes of two lists belong together by their `pair_id`; without, by overlap, which the summary
    then says.

    Raises:
        DataFault: the first thing that cannot be used as it is, and how many more there are.
    """
    return inspect_coco(source).sound()


def inspect_coco(source: CocoSource) -> Reading:
    """Return the sound pairs, and every fault instead of the first."""
    faults: list[DataFault] = []
    origin = Origin(dataset=source.dataset, variant="", split=source.split)
    try:
        visible = load(source.visible_list, source.endings[0], faults)
        infrared = None
        if source.infrared_list is not None:
            infrared = load(source.infrared_list, source.endings[1], faults)
            faults += _unequal(visible, infrared)
    except DataFault as fault:
        return assemble(origin, [], Rules(), faults=[*faults, fault])
    variant, by_id = "one list for both modalities", False
    if infrared is not None:
        by_id = visible.is_paired() and infrared.is_paired()
        how = "pair_id" if by_id else f"overlap of {LEAST_OVERLAP} at least"
        variant = f"a list for each modality, boxes matched by {how}"
    drafts = [
        _draft(source, visible, infrared, name, number, by_id=by_id)
        for number, name in enumerate(visible.images)
        if infrared is None or name in infrared.images
    ]
    rules = Rules(people=source.people, ignored=source.ignored, repair=source.repair)
    origin = Origin(dataset=source.dataset, variant=variant, split=source.split)
    return assemble(origin, drafts, rules, faults=faults)


def _draft(
    source: CocoSource,
    visible: Index,
    infrared: Index | None,
    name: str,
    number: int,
    *,
    by_id: bool,
) -> Draft:
    image = visible.images[name]
    scene, frame = scene_and_frame(name) or (visible.path.stem, number)
    if infrared is not None:
        infrared_file = infrared.images[name].name
    else:
        stem, suffix = name + source.endings[1], PurePosixPath(image.name).suffix
        infrared_file = stem + suffix
    return Draft(
        name=name,
        scene=image.scene or scene,
        frame=image.frame if image.frame >= 0 else frame,
        condition=image.condition,
        visible=source.visible_images / image.name,
        infrared=source.infrared_images / infrared_file,
        read=partial(_sides, visible, infrared, name, by_id=by_id),
    )


def _sides(visible: Index, infrared: Index | None, name: str, *, by_id: bool) -> Sides:
    size = visible.size(name)
    first = visible.annotated(name)
    if infrared is None:
        return Sides(visible=Side(path=visible.path, objects=first), size=size)
    second = infrared.annotated(name)
    if by_id:
        places = {one.pair_id: j for j, one in enumerate(infrared.stated(name))}
        ids = [one.pair_id for one in visible.stated(name)]
        partner = {i: places[one] for i, one in enumerate(ids) if one in places}
        first, second = in_one_order(first, second, partner)
    else:
        first, second = aligned(first, second, least=LEAST_OVERLAP)
    return Sides(
        visible=Side(path=visible.path, objects=first),
        infrared=Side(path=infrared.path, objects=second),
        size=size,
    )


def _unequal(visible: Index, infrared: Index) -> list[DataFault]:
    alone = sorted(set(visible.images) ^ set(infrared.images))
    if not alone:
        return []
    return [
        DataFault(
            infrared.path,
            found=f"{len(infrared.images):,} images, "
            f"{len(alone):,} of either list without counterpart",
            expected=f"the {len(visible.images):,} of the visible list",
            advice="name the endings that tell modalities apart, or complete the lists",
        )
    ]
