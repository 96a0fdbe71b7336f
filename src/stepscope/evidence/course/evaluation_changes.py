"""What forwards of evaluations changed of the model that they evaluated."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class EvaluationCompared(Happening, frozen=True, kw_only=True):
    """Bits were compared right before the first and right before the second forward.

    `at` is the line of the first.
    """

    parameters: int  # trained ones that changed
    first_parameter: str  # name of one of them
    statistics: int  # running means and variances that changed
    first_statistics: str
    compared: int  # tensors
    evaluated: int  # optimizer steps taken before the evaluation

    @property
    def is_telling(self) -> bool:
        """Something changed."""
        return self.parameters > 0 or self.statistics > 0


class EvaluationChanges(Evidence, frozen=True, kw_only=True):
    """The evaluations that were compared, in order."""

    obtained_by: ClassVar[str] = "an evaluation without gradients, of two batches or more"
    happening: ClassVar[type[Happening]] = EvaluationCompared
    seen: tuple[tuple[int, EvaluationCompared], ...]
    count: int
