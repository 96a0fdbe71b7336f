"""What learning-rate schedulers were made for, and how far they have come."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class ScheduleBegan(Happening, frozen=True, kw_only=True):
    """A scheduler of torch took its first step. `at` is the line that made it.

    All lengths are in calls of its `step`, whatever the program calls it for.
    """

    number: int  # among the schedulers of the run, in the order of their first steps
    scheduler: str  # class name
    optimizer: int  # in the order of making
    settings: str  # as they stand in the program: "T_max=100"
    rising: int | None = None  # steps of its warm-up; 0: it has none; None: unknown
    length: int | None = None  # steps until it has run its course; None: without end, or unknown
    turns: bool = False  # past its length the rate goes the same way back
    drops: tuple[int, ...] = ()  # steps after which the rate drops, the first few
    factor: float | None = None  # of each drop


class ScheduleBeginnings(Evidence, frozen=True, kw_only=True):
    """The schedulers of the run that are stepped by the program itself."""

    obtained_by: ClassVar[str] = "a step of a torch scheduler over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = ScheduleBegan
    seen: tuple[tuple[int, ScheduleBegan], ...]
    count: int


class SchedulePositions(Evidence, frozen=True, kw_only=True):
    """By number, where each scheduler stands (its `last_epoch`) when a sampled step is over."""

    obtained_by: ClassVar[str] = "a step of a torch scheduler over the run (`stepscope run`)"
    subject: ClassVar[str] = "schedule"
    series: dict[str, Series]

    def knows(self, number: int) -> bool:
        """Tell whether a sampled step has come since a scheduler took its first."""
        return str(number) in self.series

    def of(self, number: int) -> int:
        """Return where a scheduler was seen last."""
        return int(self.series[str(number)].values[-1])

    def per_step(self, number: int) -> float:
        """Return its steps for each step of the run, since it was first seen: a resume is none."""
        curve = self.series[str(number)]
        steps = curve.steps[-1] - curve.steps[0]
        return (curve.values[-1] - curve.values[0]) / steps if steps else 0.0
