"""Puts pairs together from what a layout says of them, and gathers all that is at fault."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stepscope_systems.rgbt_detection.data.faults import DataFault, Reading
from stepscope_systems.rgbt_detection.data.headers import pair_size, pixels_fault
from stepscope_systems.rgbt_detection.data.pairs import Pair, PairList
from stepscope_systems.rgbt_detection.data.people import Crowd, Rules, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What the annotations of one pair state."""

    visible: Side
    infrared: Side | None = None  # None: one annotation serves both modalities
    size: tuple[int, int] | None = None  # of the image, where the annotation states it
    condition: str = ""  # where it is stated beside the image's place


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A pair that a layout promises: nothing of it has been opened."""

    name: str
    scene: str
    frame: int
    condition: str
    visible: Path
    infrared: Path
    read: Callable[[], Sides]  # raises DataFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a list of pairs comes from."""

    dataset: str
    variant: str
    split: str


def assemble(
    origin: Origin, drafts: Iterable[Draft], rules: Rules, *, faults: Iterable[DataFault] = ()
) -> Reading:
    """Return the sound pairs in the order of the drafts, and every fault, those given first."""
    pairs: list[Pair] = []
    gathered = list(faults)
    repairs: Counter[str] = Counter()
    names: set[str] = set()
    for draft in drafts:
        if draft.name in names:
            gathered.append(_twice(draft))
            continue
        names.add(draft.name)
        pair, wrong = _pair(draft, rules, repairs)
        gathered += wrong
        if pair is not None:
            pairs.append(pair)
    if not names and not gathered:
        gathered.append(_nothing(origin))
    variant = origin.variant
    if repairs:
        counts = (f"{count:,} {repair}" for repair, count in sorted(repairs.items()))
        variant += f"; boxes repaired: {', '.join(counts)}"
    listed = PairList(
        dataset=origin.dataset, variant=variant, split=origin.split, pairs=tuple(pairs)
    )
    return Reading(pairs=listed, faults=tuple(gathered))


def undecodable(pairs: PairList) -> list[DataFault]:
    """Return a fault for each image whose pixels cannot be decoded; it reads all of them."""
    files = (path for pair in pairs.pairs for path in (pair.visible, pair.infrared))
    return [fault for path in files if (fault := pixels_fault(path))]


def _pair(draft: Draft, rules: Rules, repairs: Counter[str]) -> tuple[Pair | None, list[DataFault]]:
    size, faults = pair_size(draft.visible, draft.infrared)
    try:
        sides = draft.read()
    except DataFault as fault:
        return None, [*faults, fault]
    if size is None:
        return None, faults
    if sides.size is not None and sides.size != size:
        return None, [_other_size(sides, size, draft)]
    crowd = Crowd(size=size, rules=rules)
    crowd.add(sides.visible, sides.infrared)
    repairs.update(crowd.repairs)
    if crowd.faults:
        return None, crowd.faults
    pair = Pair(
        name=draft.name,
        visible=draft.visible,
        infrared=draft.infrared,
        width=size[0],
        height=size[1],
        people=tuple(crowd.people),
        scene=draft.scene,
        frame=draft.frame,
        condition=sides.condition or draft.condition,
    )
    return pair, []


def _twice(draft: Draft) -> DataFault:
    return DataFault(
        draft.visible,
        found=f"the pair {draft.name} is listed twice",
        expected="each pair once",
        advice="take one of them from the list",
    )


def _other_size(sides: Sides, size: tuple[int, int], draft: Draft) -> DataFault:
    assert sides.size is not None
    return DataFault(
        sides.visible.path,
        found="it is of an image of {} x {} pixels".format(*sides.size),
        expected="{} x {}, the size of {}".format(*size, draft.visible.name),
        advice="use images of the size at which they were annotated, or scale the boxes",
    )


def _nothing(origin: Origin) -> DataFault:
    return DataFault(
        origin.dataset,
        found=f"no pair of the split {origin.split}",
        expected="one at least",
        advice="check the folder and the split",
    )
