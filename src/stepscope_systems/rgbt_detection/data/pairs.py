"""What a list of visible/infrared pairs is, whatever data set it was read from."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Modality = Literal["visible", "infrared"]
EvalBoxes = Literal["visible", "infrared", "union"]
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the original image


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One annotated object of a pair, with its box in each modality that shows it."""

    visible: Box | None
    infrared: Box | None
    label: str = "person"  # KAIST has also people, person? and cyclist
    occlusion: Literal[0, 1, 2] = 0  # none, partial, heavy (KAIST)
    ignore: bool = False  # neither to be found nor a mistake when found
    identity: int = -1  # the same person in other pairs of the scene; -1: not known

    def box(self, eval_boxes: EvalBoxes) -> Box | None:
        """Return the box by which detections are judged; a missing one is taken from the other."""
        if self.visible is None or self.infrared is None:
            return self.visible or self.infrared
        if eval_boxes == "union":
            both = tuple(zip(self.visible, self.infrared, strict=True))
            return (min(both[0]), min(both[1]), max(both[2]), max(both[3]))
        return self.visible if eval_boxes == "visible" else self.infrared


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A visible and an infrared image of one moment."""

    name: str  # unique in its list: "190001", "set06/V000/I00019"
    visible: Path
    infrared: Path
    width: int  # pixels, of both images
    height: int
    people: tuple[Person, ...]
    scene: str  # what a split must not cut through: "19", "set06/V000"
    frame: int  # position within the scene
    condition: str = "unknown"  # day, night, glare, crossover


@dataclass(frozen=True, slots=True, kw_only=True)
class PairList:
    """The pairs of one split of one variant of a data set."""

    dataset: str  # "LLVIP", "KAIST", "synthetic-a"
    variant: str  # "annotations of 2023-02-21", "improved test"
    split: str  # "train", "test", "validation"
    pairs: tuple[Pair, ...]

    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that change with any name, box, label or order."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(f"{pair.name} {pair.width}x{pair.height}\n".encode())
            for person in pair.people:
                boxes = f"{person.visible} {person.infrared}"
                digest.update(
                    f"{boxes} {person.label} {person.occlusion} {person.ignore}\n".encode()
                )
        return digest.hexdigest()[:12]

    def summary(self) -> str:
        """Return one line: data set, variant, split, counts, conditions, fingerprint."""
        people = [person for pair in self.pairs for person in pair.people]
        ignored = sum(person.ignore for person in people)
        conditions = Counter(pair.condition for pair in self.pairs)
        shares = ", ".join(f"{name} {count:,}" for name, count in sorted(conditions.items()))
        return (
            f"{self.dataset} ({self.variant}), {self.split}: {len(self.pairs):,} pairs of "
            f"{len({pair.scene for pair in self.pairs}):,} scenes, {len(people):,} boxes "
            f"({ignored:,} ignored); {shares}; fingerprint {self.fingerprint()}"
        )
