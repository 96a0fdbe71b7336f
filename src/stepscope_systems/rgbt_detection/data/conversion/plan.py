"""What a conversion will write, before it writes anything."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes, Modality, Pair, PairList, Person
from stepscope_systems.rgbt_detection.data.sidecar import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Files below a target folder."""

    texts: Mapping[Path, str]  # by path relative to the target
    images: Mapping[Path, Path]  # the source of each image
    notes: Mapping[str, Note]  # what the layout has no place for, by name of pair
    losses: tuple[str, ...]  # what it cannot hold at all, in words


def annotated(person: Person, eval_boxes: EvalBoxes) -> Annotated:
    """Return a person as an object with the box by which detections are judged."""
    return Annotated(
        box=person.box(eval_boxes),
        label=person.label,
        occlusion=person.occlusion,
        ignore=person.ignore,
        identity=person.identity,
    )


def seen_in(person: Person, modality: Modality) -> bool:
    """Return whether a modality shows a person."""
    return (person.visible if modality == "visible" else person.infrared) is not None


def flat(name: str) -> str:
    """Return a name that can be one file: set06_V000_I00019."""
    return name.replace("/", "_")


def everyone(pairs: PairList) -> Iterable[Person]:
    """Yield the people of all pairs."""
    return (person for pair in pairs.pairs for person in pair.people)


def boxes_differ(pairs: PairList) -> int:
    """Return how many people have not the same box in both modalities."""
    return sum(person.visible != person.infrared for person in everyone(pairs))


def labels(pairs: PairList) -> list[str]:
    """Return the labels, `person` first, then by name."""
    return sorted({"person"} | {one.label for one in everyone(pairs)}, key=_person_first)


def note(pair: Pair, *, identities: bool) -> Note:
    """Return the condition, and the identities where the layout has no place for them."""
    numbers = tuple(person.identity for person in pair.people)
    known = identities and any(number >= 0 for number in numbers)
    condition = "" if pair.condition == "unknown" else pair.condition
    return Note(condition=condition, identities=numbers if known else None)


def _person_first(label: str) -> tuple[bool, str]:
    return (label != "person", label)
