"""KAIST: driving by day and night, in the four variants of annotations that papers use.

    root/images/set00/V000/visible/I00001.jpg      (or without images/)
    root/images/set00/V000/lwir/I00001.jpg
    root/<annotations of the variant>              (see kaist_layout.ANNOTATIONS)

Source: Hwang et al., "Multispectral Pedestrian Detection: Benchmark Dataset and Baseline" (CVPR
2015); improved test: Liu et al. (BMVC 2016); sanitized train: Li et al. (BMVC 2018); paired: Zhang
et al., "Weakly Aligned Cross-Modal Learning" (ICCV 2019).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from stepscope_systems.rgbt_detection.data import counts, sidecar
from stepscope_systems.rgbt_detection.data.assembly import Draft, Origin, Sides, assemble
from stepscope_systems.rgbt_detection.data.coco_index import load
from stepscope_systems.rgbt_detection.data.faults import DataFault, Reading
from stepscope_systems.rgbt_detection.data.formats import kaist_text, voc
from stepscope_systems.rgbt_detection.data.formats.objects import Annotation
from stepscope_systems.rgbt_detection.data.kaist_layout import (
    EVERY,
    FOLDERS,
    PUBLISHED,
    PUBLISHED_BOXES,
    SPLITS,
    Frame,
    ImageFolders,
    Split,
    Variant,
    annotation_files,
    frame,
    place,
)
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.people import Rules, Side

# A group, a doubtful one, a rider: neither to be found nor a mistake when found. person?a is a
# slip in the original files; __ignore__ and ignore mark regions.
IGNORED = frozenset({"people", "person?", "person?a", "cyclist", "ignore", "ignored", "__ignore__"})
Reader = Callable[[], Sides]


def read_kaist(
    root: Path,
    variant: Variant,
    split: Split | None = None,
    *,
    annotations: Path | None = None,
    frames: Path | None = None,
    subset: bool = False,
    repair: bool = False,
) -> PairList:
    """Return the pairs of one variant, by set, video and frame.

    Boxes are per modality in the paired variant; in the others one box serves both.

    Args:
        root: the folder that holds the images.
        variant: which annotations.
        split: raw and paired have both, by the number of the set; the others have one.
        annotations: their folder or JSON file, where it is not in its usual place.
        frames: a list such as imageSets/train-all-02.txt; otherwise all frames with annotation.
        subset: part of the variant is meant to be used; otherwise the summary says that other
            than a published number of pairs was found.
        repair: cut boxes at the border and leave out empty ones and duplicates, counted in the
            summary, instead of refusing them.

    Raises:
        DataFault: the first thing that cannot be used as it is, and how many more there are.
        ValueError: the variant has no such split.
    """
    return inspect_kaist(
        root,
        variant,
        split,
        annotations=annotations,
        frames=frames,
        subset=subset,
        repair=repair,
    ).sound()


def inspect_kaist(
    root: Path,
    variant: Variant,
    split: Split | None = None,
    *,
    annotations: Path | None = None,
    frames: Path | None = None,
    subset: bool = False,
    repair: bool = False,
) -> Reading:
    """Return the sound pairs, and every fault instead of the first."""
    wanted = split or SPLITS[variant][0]
    if wanted not in SPLITS[variant]:
        raise ValueError(
            f"split is {wanted!r}; {variant} of KAIST has {' and '.join(SPLITS[variant])}"
        )
    origin = Origin(dataset="KAIST", variant=variant, split=wanted)
    faults: list[DataFault] = []
    try:
        where = place(root, variant, annotations)
        readers = _readers(where, variant, faults)
        listed = readers.keys() if frames is None else _listed(frames, faults)
        notes = sidecar.read(root)
    except DataFault as fault:
        return assemble(origin, [], Rules(), faults=[*faults, fault])
    faults += _wrong_variant(where, variant, wanted, readers)
    image_folders = ImageFolders(root)
    drafts = [
        Draft(
            name=one.name,
            scene=one.scene,
            frame=one.number,
            condition=one.condition,
            visible=image_folders.image(one, "visible"),
            infrared=image_folders.image(one, "infrared"),
            read=partial(_noted, readers.get(one) or _unannotated(where, one), notes, root, one),
        )
        for one in listed
        if one.split == wanted
    ]
    published = PUBLISHED[variant, wanted]
    words = f"{variant}; {counts.completeness(len(drafts), published, subset=subset)}"
    origin = Origin(dataset="KAIST", variant=words, split=wanted)
    reading = assemble(origin, drafts, Rules(ignored=IGNORED, repair=repair), faults=faults)
    if len(drafts) not in published or variant not in PUBLISHED_BOXES:
        return reading
    count = sum(len(pair.people) for pair in reading.pairs.pairs)
    words = f"{reading.pairs.variant}; {counts.boxes(count, PUBLISHED_BOXES[variant])}"
    return replace(reading, pairs=replace(reading.pairs, variant=words))


def _readers(where: Path, variant: Variant, faults: list[DataFault]) -> dict[Frame, Reader]:
    """Return what reads the annotation of each frame, in order of frames."""
    if where.suffix == ".json":
        return _readers_of_list(where, faults)
    files: dict[Frame, dict[str, Path]] = {}
    for name, path in annotation_files(where):
        try:
            one = frame(name, path)
        except DataFault as fault:
            faults.append(fault)
            continue
        side = next((folder for folder in FOLDERS.values() if f"/{folder}/" in name), "")
        files.setdefault(one, {})[side] = path
    readers: dict[Frame, Reader] = {}
    for one, sides in sorted(files.items()):
        if variant == "paired":
            both = [_of_modality(where, one, sides, folder) for folder in FOLDERS.values()]
            readers[one] = partial(_read_paired, *both)
        elif "" in sides:
            readers[one] = partial(_read_single, sides[""])
        else:
            readers[one] = partial(_refuse_paired, next(iter(sides.values())), variant)
    return readers


def _of_modality(where: Path, one: Frame, sides: dict[str, Path], folder: str) -> Path:
    """Return the file of one modality; where it is missing, reading it will say so."""
    return sides.get(folder, where / one.scene / folder / f"I{one.number:05}.txt")


def _read_paired(visible: Path, infrared: Path) -> Sides:
    first, second = _annotation(visible), _annotation(infrared)
    return Sides(
        visible=Side(path=visible, objects=first.objects),
        infrared=Side(path=infrared, objects=second.objects),
        size=first.size,
    )


def _read_single(path: Path) -> Sides:
    annotation = _annotation(path)
    return Sides(visible=Side(path=path, objects=annotation.objects), size=annotation.size)


def _annotation(path: Path) -> Annotation:
    return voc.read(path) if path.suffix == ".xml" else kaist_text.read(path)


def _refuse_paired(path: Path, variant: Variant) -> Sides:
    raise DataFault(
        path,
        found="an annotation of one modality",
        expected=f"one annotation for both, as {variant} has them",
        advice="read the variant paired, or move the annotations of both elsewhere",
    )


def _readers_of_list(path: Path, faults: list[DataFault]) -> dict[Frame, Reader]:
    index = load(path, "", faults)
    readers: dict[Frame, Reader] = {}
    for name in index.images:
        try:
            one = frame(name, path)
        except DataFault as fault:
            faults.append(fault)
            continue
        side = Side(path=path, objects=index.annotated(name))
        readers[one] = partial(Sides, visible=side, size=index.size(name))
    return readers


def _listed(path: Path, faults: list[DataFault]) -> Sequence[Frame]:
    """Return the frames of a list in its order, those listed twice too."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataFault(
            path,
            found=f"cannot be read ({error})",
            expected="a list of frames, one a line, as set00/V000/I00001",
            advice="give a file of imageSets, as train-all-02.txt",
        ) from None
    frames = []
    for line in lines:
        try:
            frames.append(frame(line, path))
        except DataFault as fault:
            faults.append(fault)
    return frames


def _unannotated(where: Path, one: Frame) -> Reader:
    return partial(_read_single, where / one.scene / f"I{one.number:05}.txt")


def _noted(read: Reader, notes: Mapping[str, sidecar.Note], root: Path, one: Frame) -> Sides:
    return sidecar.noted(read(), notes.get(one.name), root, one.name)


def _wrong_variant(
    where: Path, variant: Variant, wanted: Split, frames: Iterable[Frame]
) -> list[DataFault]:
    """Return a fault when the frames are not those that the variant is made of."""
    if variant in {"raw", "paired"}:
        return []
    strange = [one for one in frames if one.split != wanted]
    expected = f"frames of the sets for {wanted}"
    if not strange and variant == "improved-test":
        strange = [one for one in frames if one.number % EVERY != EVERY - 1]
        expected = "every twentieth frame: I00019, I00039 and so on"
    if not strange:
        return []
    return [
        DataFault(
            where,
            found=f"{len(strange):,} frames that {variant} has not, first {strange[0].name}",
            expected=expected,
            advice="choose the variant that this folder holds, as raw",
        )
    ]
