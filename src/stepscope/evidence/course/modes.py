"""Modules that were trained in training mode, and later are trained in evaluation mode."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class StayedInEvaluation(Happening, frozen=True, kw_only=True):
    """A module was in evaluation mode at an optimizer step that trains it, and once was not.

    All layers below it that depend on the mode were so too. `at` is the line that called `eval()`.
    """

    module: str  # qualified name; "" is the root
    kind: str  # class name
    layers: int  # below, that depend on the mode
    kinds: tuple[str, ...]  # of these: "BatchNorm1d"
    since: int  # step at which this was first seen
    after_evaluation: bool  # the step was the first after an evaluation; else: two looks on end

    @property
    def is_telling(self) -> bool:
        """Always."""
        return True


class ModesOverTime(Evidence, frozen=True, kw_only=True):
    """What stayed in evaluation mode, in order."""

    obtained_by: ClassVar[str] = "a module that is no longer trained in training mode"
    happening: ClassVar[type[Happening]] = StayedInEvaluation
    seen: tuple[tuple[int, StayedInEvaluation], ...]
    count: int
