"""Turns annotated objects into people, and says of each why it cannot be one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stepscope_systems.rgbt_detection.data.boxes import REPAIRS, flaw, mended
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.pairs import Box, Person

OCCLUSIONS: dict[int, Literal[0, 1, 2]] = {0: 0, 1: 1, 2: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which labels a reader takes, and whether it mends boxes."""

    people: frozenset[str] = frozenset({"person"})
    ignored: frozenset[str] = frozenset()  # labels neither to be found nor a mistake when found
    repair: bool = False  # cut boxes at the border; leave out empty ones and duplicates


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The objects of one modality, and the file that states them."""

    path: Path
    objects: Sequence[Annotated]


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Gathers the people of one pair, what is at fault, and what was mended and how often."""

    size: tuple[int, int]
    rules: Rules
    people: list[Person] = field(default_factory=list)
    faults: list[DataFault] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)

    def add(self, visible: Side, infrared: Side | None) -> None:
        """Add the people whom both sides state; no infrared side: the same boxes in both.

        The n-th object of one side is the n-th of the other.
        """
        other = infrared or visible
        if len(visible.objects) != len(other.objects):
            self.faults.append(_unequal(visible, other))
            return
        both = zip(visible.objects, other.objects, strict=True)
        for number, (first, second) in enumerate(both, start=1):
            before = len(self.faults)
            self._check_label(visible.path, number, first)
            box_visible = box_infrared = self._box(visible.path, number, first)
            if infrared is not None:
                self._check_label(other.path, number, second)
                box_infrared = self._box(other.path, number, second)
                if first.label != second.label:
                    self.faults.append(_other_label(other.path, number, first, second))
            if first.box is None and second.box is None:
                self.faults.append(_nowhere(other.path, number))
            if len(self.faults) == before and (box_visible or box_infrared):
                self._add_person(
                    visible.path,
                    number,
                    _person(box_visible, box_infrared, first, second, self.rules),
                )

    def _add_person(self, path: Path, number: int, person: Person) -> None:
        boxes = (person.visible, person.infrared, person.label)
        if boxes not in {(one.visible, one.infrared, one.label) for one in self.people}:
            self.people.append(person)
        elif self.rules.repair:
            self.repairs["duplicate, left out"] += 1
        else:
            self.faults.append(_duplicate(path, number))

    def _check_label(self, path: Path, number: int, stated: Annotated) -> None:
        if stated.label not in self.rules.people | self.rules.ignored:
            self.faults.append(_unknown_label(path, number, stated.label, self.rules))
        if stated.occlusion not in OCCLUSIONS:
            fault = DataFault(
                path,
                found=f"object {number} has occlusion {stated.occlusion}",
                expected="0 (none), 1 (partial) or 2 (heavy)",
                advice="check that the annotation is of this data set",
            )
            self.faults.append(fault)

    def _box(self, path: Path, number: int, stated: Annotated) -> Box | None:
        if stated.box is None:
            return None
        wrong = flaw(stated.box, self.size)
        if not wrong:
            return stated.box
        if self.rules.repair and wrong in REPAIRS:
            self.repairs[REPAIRS[wrong]] += 1
            return mended(stated.box, self.size)
        mend = ", or read with repair" if wrong in REPAIRS else ""
        edges = " ".join(f"{edge:g}" for edge in stated.box)
        fault = DataFault(
            path,
            found=f"object {number} has the box {edges} (x1 y1 x2 y2), which {wrong}",
            expected="x1 < x2 <= {} and y1 < y2 <= {}, from 0".format(*self.size),
            advice=f"correct the annotation{mend}",
        )
        self.faults.append(fault)
        return None


def _person(
    visible: Box | None, infrared: Box | None, first: Annotated, second: Annotated, rules: Rules
) -> Person:
    return Person(
        visible=visible,
        infrared=infrared,
        label=first.label,
        # What hides a person in one modality mostly hides it in both.
        occlusion=OCCLUSIONS[max(first.occlusion, second.occlusion)],
        ignore=first.ignore or second.ignore or first.label in rules.ignored,
        identity=first.identity if first.identity >= 0 else second.identity,
    )


def _unequal(visible: Side, infrared: Side) -> DataFault:
    return DataFault(
        infrared.path,
        found=f"{len(infrared.objects)} objects",
        expected=f"{len(visible.objects)} in the same order, as in the visible file",
        advice="give an object that one modality does not show the box 0 0 0 0 there",
    )


def _other_label(path: Path, number: int, first: Annotated, second: Annotated) -> DataFault:
    return DataFault(
        path,
        found=f"object {number} is {second.label!r}",
        expected=f"{first.label!r}, as in the visible file",
        advice="bring the objects of both files into the same order",
    )


def _unknown_label(path: Path, number: int, label: str, rules: Rules) -> DataFault:
    ignored = f"; ignored: {', '.join(sorted(rules.ignored))}" if rules.ignored else ""
    return DataFault(
        path,
        found=f"object {number} is of class {label!r}, for which the head has no output",
        expected=", ".join(sorted(rules.people)) + ignored,
        advice="ignore the class (data.ignored, or --ignore), or take it from the file",
    )


def _nowhere(path: Path, number: int) -> DataFault:
    return DataFault(
        path,
        found=f"object {number} has a box in neither modality",
        expected="a box in one of them at least",
        advice="take the object from both files",
    )


def _duplicate(path: Path, number: int) -> DataFault:
    return DataFault(
        path,
        found=f"object {number} repeats an earlier one",
        expected="each object once",
        advice="take one of them from the file, or read with repair",
    )
