"""How long the run is to be, as far as a framework or the program has said."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Planned(Happening, frozen=True, kw_only=True):
    """How many optimizer steps the run is to take."""

    steps: int
    accumulation: int = 1  # backward calls of one step
    source: str = ""  # who says so: "Trainer.estimated_stepping_batches"


class Plans(Evidence, frozen=True, kw_only=True):
    """What was planned, and what the plan was changed to."""

    obtained_by: ClassVar[str] = "a planned number of steps (a callback of a framework)"
    happening: ClassVar[type[Happening]] = Planned
    seen: tuple[tuple[int, Planned], ...]
    count: int

    @property
    def steps(self) -> int:
        """Optimizer steps, by the last plan."""
        return self.seen[-1][1].steps
