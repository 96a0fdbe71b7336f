"""Which optimizers are used in the run, and what they are fed."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class OptimizerMade(Happening, frozen=True, kw_only=True):
    """An optimizer was made. `at` is the line that did it."""

    number: int  # in the order of making
    kind: str  # class name


class OptimizersMade(Evidence, frozen=True, kw_only=True):
    """The optimizers of the run."""

    obtained_by: ClassVar[str] = "a torch optimizer (`stepscope run`)"
    happening: ClassVar[type[Happening]] = OptimizerMade
    seen: tuple[tuple[int, OptimizerMade], ...]
    count: int


class OptimizerUses(Evidence, frozen=True, kw_only=True):
    """Counts since the run began, when a sampled step is over and at the end.

    `backwards` of the run, and `2.steps` of an optimizer. Of one that has not stepped, too:
    `2.parameters` that no other holds, and `2.fed`, those of them that have a gradient.
    """

    obtained_by: ClassVar[str] = "a torch optimizer (`stepscope run`)"
    subject: ClassVar[str] = "optimizer use"
    series: dict[str, Series]

    def latest(self, name: str) -> int:
        """Return a number as it was last; 0 of what was never noted."""
        curve = self.series.get(name)
        return int(curve.values[-1]) if curve is not None else 0
