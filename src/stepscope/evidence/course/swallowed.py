"""Exceptions that left a forward, and in how many steps of a run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series
from stepscope.evidence.losses import SwallowedException

LOOKED = "looked"


class Swallowed(Happening, frozen=True, kw_only=True):
    """An exception was caught on its way out of a module: told once of all that are alike."""

    number: int  # of this kind of exception, in the order in which they were first seen
    exception: SwallowedException  # `steps` is the one step of the run in which it was first seen


class SwallowedSeen(Evidence, frozen=True, kw_only=True):
    """The exceptions of the sampled steps."""

    obtained_by: ClassVar[str] = "an exception that leaves a forward and is caught"
    happening: ClassVar[type[Happening]] = Swallowed
    seen: tuple[tuple[int, Swallowed], ...]
    count: int


class SwallowedCounts(Evidence, frozen=True, kw_only=True):
    """Steps since the run began: `looked`, those that were sampled; `0`, those with exception 0."""

    obtained_by: ClassVar[str] = "an exception that leaves a forward and is caught"
    subject: ClassVar[str] = "swallowed"
    series: dict[str, Series]

    def share_of(self, number: int) -> tuple[int, int] | None:
        """Return in how many steps it was seen, of how many; None where it was not counted yet."""
        seen, looked = self.series.get(str(number)), self.series.get(LOOKED)
        if seen is None or looked is None:
            return None
        return int(seen.values[-1]), int(looked.values[-1])
