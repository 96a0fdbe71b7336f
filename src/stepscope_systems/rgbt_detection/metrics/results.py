"""The boxes of one pair, and what a detector made of them: what every metric of boxes reads."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes, Pair

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

FOUND = "person"  # the one label that is to be found; KAIST's others are ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One pair with N annotated boxes and M detections, in pixels of the ORIGINAL image.

    Raises:
        ValueError: an array has another length than its boxes, or a score is not a number.
    """

    name: str
    condition: str  # day, night, glare, crossover, unknown
    boxes: Floats  # (N, 4) x1, y1, x2, y2
    ignore: Bools  # (N,) neither to be found nor a mistake when found
    occlusion: Integers  # (N,) 0 none, 1 partial, 2 heavy
    label: tuple[str, ...]  # N of them
    detected: Floats  # (M, 4) x1, y1, x2, y2, in any order
    scores: Floats  # (M,) any range: only their order counts
    width: int
    height: int

    def __post_init__(self) -> None:
        n, m = len(self.boxes), len(self.detected)
        shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
            ("boxes", self.boxes.shape, (n, 4)),
            ("ignore", self.ignore.shape, (n,)),
            ("occlusion", self.occlusion.shape, (n,)),
            ("label", (len(self.label),), (n,)),
            ("detected", self.detected.shape, (m, 4)),
            ("scores", self.scores.shape, (m,)),
        )
        for field, found, expected in shapes:
            if found != expected:
                raise ValueError(
                    f"{self.name}: {field} has shape {found}; expected {expected}: one entry "
                    f"for each of the {n} annotated and {m} detected boxes"
                )
        if not np.isfinite(self.scores).all():
            raise ValueError(
                f"{self.name}: a score is not a finite number; the detector has diverged, or "
                "its weights were not loaded"
            )

    @property
    def ignored(self) -> Bools:
        """Say which of the N boxes count neither as missed nor as found."""
        others = np.array([label != FOUND for label in self.label], dtype=np.bool_)
        return self.ignore | others


def result_of(pair: Pair, detected: Floats, scores: Floats, *, eval_boxes: EvalBoxes) -> Result:
    """Put detections, in pixels of the original image, beside the boxes that they are judged by."""
    people = [(person, person.box(eval_boxes)) for person in pair.people]
    seen = [(person, box) for person, box in people if box is not None]
    return Result(
        name=pair.name,
        condition=pair.condition,
        boxes=np.array([box for _, box in seen], dtype=np.float64).reshape(-1, 4),
        ignore=np.array([person.ignore for person, _ in seen], dtype=np.bool_),
        occlusion=np.array([person.occlusion for person, _ in seen], dtype=np.int64),
        label=tuple(person.label for person, _ in seen),
        detected=np.asarray(detected, dtype=np.float64).reshape(-1, 4),
        scores=np.asarray(scores, dtype=np.float64),
        width=pair.width,
        height=pair.height,
    )


def detecting(result: Result, detected: Floats, scores: Floats) -> Result:
    """Return the same pair with other detections."""
    return dataclasses.replace(result, detected=detected, scores=scores)


def of_condition(results: Sequence[Result], condition: str | None) -> tuple[Result, ...]:
    """Keep the pairs of one condition; None keeps all.

    Raises:
        ValueError: no pair has this condition, or there are no pairs.
    """
    chosen = tuple(each for each in results if condition in (None, each.condition))
    if not chosen:
        present = ", ".join(sorted({each.condition for each in results})) or "no pairs at all"
        wanted = "any condition" if condition is None else f"the condition {condition!r}"
        raise ValueError(f"no result has {wanted}; there are: {present}")
    return chosen
