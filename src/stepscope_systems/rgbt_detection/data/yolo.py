"""The layout of YOLO with two modalities, as conversion writes it.

root/images/{visible,infrared}/<split>/NAME.jpg
root/labels/{visible,infrared}/<split>/NAME.txt
root/classes.txt                                  one name a line
"""

from functools import partial
from pathlib import Path

from stepscope_systems.rgbt_detection.data.assembly import Draft, Origin, Sides, assemble
from stepscope_systems.rgbt_detection.data.faults import DataFault, Reading
from stepscope_systems.rgbt_detection.data.folders import count_fault, images
from stepscope_systems.rgbt_detection.data.formats import yolo
from stepscope_systems.rgbt_detection.data.headers import image_size
from stepscope_systems.rgbt_detection.data.matching import LEAST_OVERLAP, aligned
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.people import Rules, Side
from stepscope_systems.rgbt_detection.data.scenes import scene_and_frame


def read_yolo(
    root: Path,
    split: str,
    *,
    people: frozenset[str] = frozenset({"person"}),
    ignored: frozenset[str] = frozenset(),
    repair: bool = False,
) -> PairList:
    """Return the pairs of one split, by name; boxes of both modalities are matched by overlap.

    Raises:
        DataFault: the first thing that cannot be used as it is, and how many more there are.
    """
    return inspect_yolo(root, split, people=people, ignored=ignored, repair=repair).sound()


def inspect_yolo(
    root: Path,
    split: str,
    *,
    people: frozenset[str] = frozenset({"person"}),
    ignored: frozenset[str] = frozenset(),
    repair: bool = False,
) -> Reading:
    """Return the sound pairs, and every fault instead of the first."""
    variant = f"labels of each modality, boxes matched by overlap of {LEAST_OVERLAP} at least"
    origin = Origin(dataset="YOLO tree", variant=variant, split=split)
    try:
        visible, doubled = images(root / "images/visible" / split)
        infrared, doubled_infrared = images(root / "images/infrared" / split)
        classes = _classes(root / "classes.txt")
    except DataFault as fault:
        return assemble(origin, [], Rules(), faults=[fault])
    faults = count_fault(visible, infrared, root / "images/infrared" / split)
    drafts = []
    for number, name in enumerate(sorted(visible.keys() | infrared.keys())):
        scene, frame = scene_and_frame(name) or ("all", number)
        files = [
            files.get(name, root / "images" / modality / split / f"{name}.jpg")
            for modality, files in (("visible", visible), ("infrared", infrared))
        ]
        labels = [root / "labels" / modality / split / name for modality in ("visible", "infrared")]
        drafts.append(
            Draft(
                name=name,
                scene=scene,
                frame=frame,
                condition="unknown",
                visible=files[0],
                infrared=files[1],
                read=partial(_read, files[0], labels[0], labels[1], classes),
            )
        )
    rules = Rules(people=people, ignored=ignored, repair=repair)
    return assemble(origin, drafts, rules, faults=[*faults, *doubled, *doubled_infrared])


def _read(image: Path, visible: Path, infrared: Path, classes: list[str]) -> Sides:
    size = image_size(image)
    # Not with_suffix: a name may have a dot in it.
    files = [path.with_name(f"{path.name}.txt") for path in (visible, infrared)]
    first, second = (yolo.read(path, size, classes).objects for path in files)
    both = aligned(first, second, least=LEAST_OVERLAP)
    return Sides(
        visible=Side(path=files[0], objects=both[0]), infrared=Side(path=files[1], objects=both[1])
    )


def _classes(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataFault(
            path,
            found=f"cannot be read ({type(error).__name__})",
            expected="the names of the classes, one a line, from 0",
            advice="write them there in the order of the label files",
        ) from None
