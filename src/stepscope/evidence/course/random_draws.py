"""Random numbers that a forward of an evaluation draws."""

from typing import ClassVar

from stepscope.core import Evidence, Place
from stepscope.evidence.course.line import Happening


class EvaluationDrew(Happening, frozen=True, kw_only=True):
    """The first forward of an evaluation, by a module in evaluation mode, drew random numbers.

    `at` is the line that called it. Told with the evaluation.
    """

    module: str  # the innermost one whose forward drew first; "" is the root
    kind: str  # its class name
    generator: str  # "torch's CPU generator"
    left: int  # what stands for the states of all generators afterwards
    dropped_at: Place = Place()  # where its class drops activations without asking for the mode
    drops: str = ""  # the call that does: "F.dropout"
    evaluated: int  # optimizer steps taken before

    @property
    def is_telling(self) -> bool:
        """A dropout that is always on."""
        return bool(self.drops)


class EvaluationDraws(Evidence, frozen=True, kw_only=True):
    """The evaluations that drew, in order."""

    obtained_by: ClassVar[str] = "an evaluation whose forward draws random numbers"
    happening: ClassVar[type[Happening]] = EvaluationDrew
    seen: tuple[tuple[int, EvaluationDrew], ...]
    count: int


class EvaluationKeptStill(Happening, frozen=True, kw_only=True):
    """The first forward of an evaluation drew nothing. Told once in a run."""

    evaluated: int  # optimizer steps taken before


class StillEvaluations(Evidence, frozen=True, kw_only=True):
    """There if such an evaluation was seen."""

    obtained_by: ClassVar[str] = "an evaluation of a trained model in evaluation mode"
    happening: ClassVar[type[Happening]] = EvaluationKeptStill
    seen: tuple[tuple[int, EvaluationKeptStill], ...]
    count: int
